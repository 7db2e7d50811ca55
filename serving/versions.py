"""The versions of one model: which directory to load, when it is whole, and the swap to it."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator

import grpc
import tensorflow as tf
from google.protobuf.message import DecodeError

from serving.errors import ServingError, not_found, status_code
from serving.protos import get_model_status_pb2, saved_model_pb2
from serving.saved_model import SavedModel

START, LOADING, AVAILABLE, UNLOADING, END = (
    get_model_status_pb2.ModelVersionStatus.State.Value(name)
    for name in ("START", "LOADING", "AVAILABLE", "UNLOADING", "END")
)
# A version is not loaded before nothing in it has changed for this long. Longer than the second to
# which some file systems round their times.
SETTLE_SECONDS = 1.5

_log = logging.getLogger(__name__)

Listing = tuple[tuple[str, int, int], ...]


@dataclasses.dataclass(frozen=True)
class VersionStatus:
    """The state of one version as ModelService reports it: gRPC status `code`, its `message`."""

    version: int
    state: int
    code: grpc.StatusCode = grpc.StatusCode.OK
    message: str = ""


@dataclasses.dataclass
class _Loaded:
    version: int
    model: SavedModel
    in_flight: int = 0


class ModelVersions:
    """Keeps the newest whole version of a model loaded and lends it to requests.

    `poll` is called by one thread, everything else by any. A version is whole when every file that
    its saved_model.pb needs is there, nothing has changed for a while, and nothing changed while
    it was loaded. A version that could not be loaded is tried again only when its files change.
    """

    def __init__(
        self,
        name: str,
        base_path: str,
        on_idle: Callable[[], None] = lambda: None,
        settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        """`on_idle` is called when the last request on a replaced version has ended: poll then."""
        self.name = name
        self.base_path = base_path
        self.problem = ""
        self._on_idle = on_idle
        self._settle_seconds = settle_seconds
        self._changed = threading.Condition()
        self._statuses: dict[int, VersionStatus] = {}
        self._current: _Loaded | None = None
        self._retired: list[_Loaded] = []
        self._seen: dict[int, tuple[Listing, float]] = {}
        self._failed: dict[int, Listing] = {}

    @contextlib.contextmanager
    def lend(self, version: int | None) -> Iterator[tuple[int, SavedModel]]:
        """The served version and its model; it stays loaded for as long as the block lasts.

        Raises ServingError(NOT_FOUND) where `version`, or any version, is not being served.
        """
        with self._changed:
            loaded = self._current
            if loaded is None or version not in (None, loaded.version):
                raise not_found(self.name, version)
            loaded.in_flight += 1
        try:
            yield loaded.version, loaded.model
        finally:
            with self._changed:
                loaded.in_flight -= 1
                idle = loaded.in_flight == 0 and loaded is not self._current
            if idle:
                self._on_idle()

    def statuses(self) -> list[VersionStatus]:
        """The state of every version seen, newest first."""
        with self._changed:
            return [self._statuses[version] for version in sorted(self._statuses, reverse=True)]

    def wait_until_available(self, timeout: float) -> int:
        """Waits until a version is served and returns its number.

        Raises ServingError: FAILED_PRECONDITION with the reason at once when every version has
        failed, DEADLINE_EXCEEDED after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while self._current is None:
                failed = [s for s in self._statuses.values() if s.state == END]
                if failed and len(failed) == len(self._statuses):
                    raise ServingError(
                        grpc.StatusCode.FAILED_PRECONDITION,
                        f"model {self.name} cannot be served. {_reasons(failed)}",
                    )
                left = deadline - time.monotonic()
                if left <= 0:
                    known = _reasons(self._statuses.values()) or self.problem
                    raise ServingError(
                        grpc.StatusCode.DEADLINE_EXCEEDED,
                        f"no version of model {self.name} after {timeout:g} s. {known}",
                    )
                self._changed.wait(left)
            return self._current.version

    @property
    def pending(self) -> bool:
        """Whether a version is there that is not whole yet."""
        with self._changed:
            return any(status.state == START for status in self._statuses.values())

    def poll(self) -> None:
        """Looks at the base path once: loads and swaps where there is something newer."""
        self._unload_idle()
        try:
            found = find_versions(self.base_path)
        except (OSError, tf.errors.OpError) as error:
            # A base path that is away for a moment is no reason to stop serving.
            self.problem = f"Could not read base path {self.base_path}: {_first_line(error)}"
            _log.warning("%s", self.problem)
            return
        self.problem = "" if found else f"No versions under base path {self.base_path}"
        for version, path in found:
            if self._current is not None and self._current.version == version:
                break
            if self._take(version, path):
                break
        self._forget({version for version, _ in found})
        self._unload_idle()

    def close(self) -> None:
        """Unloads everything. Waits for the requests still running."""
        with self._changed:
            current, self._current = self._current, None
            if current:
                self._retired.append(current)
        while self._retired:
            self._unload_idle()
            with self._changed:
                self._changed.wait(0.05)

    def _take(self, version: int, path: str) -> bool:
        """Loads and switches to `version` where it is whole; False where nothing changed."""
        try:
            files = listing(path)
            if self._failed.get(version) == files:
                return False
            reason = missing(path, files)
        except (OSError, tf.errors.OpError) as error:
            files, reason = (), _first_line(error)  # removed or changed under our eyes
        if not self._settled(version, files) and not reason:
            reason = "its files have changed a moment ago"
        if reason:
            self._set(VersionStatus(version, START, message=f"waiting: {reason}"))
            return False
        self._set(VersionStatus(version, LOADING))
        model = self._load(version, path, files)
        if model is None:
            return False
        self._switch(_Loaded(version, model))
        return True

    def _settled(self, version: int, files: Listing) -> bool:
        """Whether the files are old by their own dates or have long looked the same from here.

        The second for file systems whose clock is ahead of ours.
        """
        before, since = self._seen.get(version, (None, 0.0))
        if before != files:
            since = time.monotonic()
            self._seen[version] = files, since
        youngest = max((modified for _, _, modified in files), default=0) / 1e9
        age = max(time.time() - youngest, time.monotonic() - since)
        return age >= self._settle_seconds

    def _load(self, version: int, path: str, files: Listing) -> SavedModel | None:
        model = None
        try:
            model = SavedModel(path)
            model.warm_up()
            if listing(path) == files:
                return model
            self._set(VersionStatus(version, START, message="waiting: changed while it was loaded"))
        except Exception as error:  # whatever is wrong with it, the version served now goes on
            code, message = _explain(error)
            _log.error("version %d of %s cannot be loaded: %s", version, self.name, message)
            self._failed[version] = files
            self._set(VersionStatus(version, END, code, message))
        if model is not None:
            model.close()
        return None

    def _switch(self, new: _Loaded) -> None:
        with self._changed:
            old, self._current = self._current, new
            self._statuses[new.version] = VersionStatus(new.version, AVAILABLE)
            if old:
                self._retired.append(old)
                self._statuses[old.version] = VersionStatus(old.version, UNLOADING)
            self._changed.notify_all()
        _log.info("model %s: serving version %d", self.name, new.version)

    def _unload_idle(self) -> None:
        with self._changed:
            idle = [loaded for loaded in self._retired if loaded.in_flight == 0]
            self._retired = [loaded for loaded in self._retired if loaded.in_flight]
        for loaded in idle:
            loaded.model.close()
            self._set(VersionStatus(loaded.version, END))

    def _set(self, status: VersionStatus) -> None:
        with self._changed:
            self._statuses[status.version] = status
            self._changed.notify_all()

    def _forget(self, found: set[int]) -> None:
        """Drops what never served and is gone; the served and the unloaded stay in the statuses."""
        for version in set(self._seen) - found:
            del self._seen[version]
            self._failed.pop(version, None)
            with self._changed:
                if self._statuses[version].state == START or self._statuses[version].message:
                    del self._statuses[version]


def find_versions(base_path: str) -> list[tuple[int, str]]:
    """(version, path) of the directories in `base_path` whose name is a number, newest first."""
    names = (name.rstrip("/") for name in tf.io.gfile.listdir(base_path))
    numbers = {int(name): name for name in names if re.fullmatch("[0-9]{1,19}", name)}
    return [
        (version, os.path.join(base_path, numbers[version])) for version in sorted(numbers)[::-1]
    ]


def listing(path: str) -> Listing:
    """(name, bytes, modified in ns) of every file and folder below `path`."""
    entries = []
    for folder, folders, files in tf.io.gfile.walk(path):
        for name in [".", *folders, *files]:
            full = os.path.join(folder, name)
            stat = tf.io.gfile.stat(full)
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
        with tf.io.gfile.GFile(os.path.join(path, "saved_model.pb"), "rb") as file:
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


def _explain(error: Exception) -> tuple[grpc.StatusCode, str]:
    if isinstance(error, ServingError):
        return error.code, _one_line(error.message)
    if isinstance(error, tf.errors.OpError):
        return status_code(error.error_code), _one_line(error.message)
    return grpc.StatusCode.UNKNOWN, _one_line(f"{type(error).__name__}: {error}")


def _one_line(message: str) -> str:
    return " ".join(message.removeprefix("Graph execution error:").split())


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _reasons(statuses: object) -> str:
    return "; ".join(f"version {s.version}: {s.message or 'loading'}" for s in statuses)
