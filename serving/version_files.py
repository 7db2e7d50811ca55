"""The directories of a model's versions: which there are, and whether they are whole."""

from __future__ import annotations

import functools
import logging
import os
import re

from google.protobuf.message import DecodeError

from serving.protos import saved_model_pb2
from serving.runtime import tf

_MAX_VERSION = (1 << 63) - 1  # of the messages that name it

_log = logging.getLogger(__name__)

Listing = tuple[tuple[str, int, int], ...]


def find_versions(base_path: str) -> list[tuple[int, str]]:
    """(version, path) of the directories in `base_path` whose name is an int64, newest first."""
    names = (name.rstrip("/") for name in tf.listdir(base_path))
    numbers = {int(name): name for name in names if re.fullmatch("[0-9]{1,19}", name)}
    for number in [number for number in numbers if number > _MAX_VERSION]:
        _tell_once(f"{os.path.join(base_path, numbers.pop(number))}: no version: it is no int64")
    return [
        (version, os.path.join(base_path, numbers[version])) for version in sorted(numbers)[::-1]
    ]


@functools.lru_cache(maxsize=1000)
def _tell_once(text: str) -> None:
    _log.warning("%s", text)


def listing(path: str) -> Listing:
    """(name, bytes, modified in ns) of every file and folder below `path`."""
    entries = []
    for folder, folders, files in tf.walk(path):
        for name in [".", *folders, *files]:
            full = os.path.join(folder, name)
            stat = tf.stat(full)
            size = 0 if stat.is_directory else stat.length
            entries.append((os.path.relpath(full, path), size, stat.mtime_nsec))
    return tuple(sorted(entries))


def missing(path: str, files: Listing) -> str:
    """What is absent of the files that saved_model.pb asks for; "" where all are there."""
    names = {name for name, _, _ in files}
    if "saved_model.pb" not in names:
        return "there is no saved_model.pb"
    proto = saved_model_pb2.SavedModel()
    try:
        with tf.GFile(os.path.join(path, "saved_model.pb"), "rb") as file:
            proto.ParseFromString(file.read())
    except DecodeError:
        return "saved_model.pb is cut off or no SavedModel"
    graphs = [graph for graph in proto.meta_graphs if "serve" in graph.meta_info_def.tags]
    if not graphs:
        return "saved_model.pb has no graph tagged serve"
    wanted = {f"assets/{asset.filename}" for asset in graphs[0].asset_file_def}
    if graphs[0].HasField("saver_def"):
        wanted |= {"variables/variables.index", *_shards(names)}
    absent = sorted(wanted - names)
    return f"there is no {', '.join(absent)}" if absent else ""


def _shards(names: set[str]) -> set[str]:
    counts = {re.sub(r".*-of-(\d{5})$", r"\1", n) for n in names if "/variables.data-" in n} or {
        "00001"
    }
    return {
        f"variables/variables.data-{shard:05}-of-{count}"
        for count in counts
        for shard in range(int(count))
    }
