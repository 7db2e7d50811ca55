"""What data are known by: when it changes, they are read and trained on anew.

The names of all files and folders with the sizes and times of the files. A time is that of the
last change of any kind (ctime) beside that of the content: no tool sets it, and Linux sets it at a
rename, so that files that exchange their names are seen. What is in a folder keeps its times when
the folder is renamed; files that could change places so are told apart by their content.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from components.ingest import generated, walk
from components.ingest.layouts import Source

# Kinds whose files a table or annotations name: a name may be that of any file.
_NAMED = ("boxes", "coco", "csv", "lfw", "people", "tfrecord", "voc")
_BLOCK = 1 << 20
_QUESTIONS = 32  # that a bucket is asked at the same time


@dataclass(frozen=True)
class Identity:
    """What data are known by.

    Attributes:
      files: how many there are; of generated pictures, these.
      size: of all files together, in bytes; of generated pictures, in pixels.
      sha256: of all names, sizes and times; of generated pictures, of all that makes them.
    """

    files: int
    size: int
    sha256: str


def of_source(source: Source) -> Identity:
    """The identity of a prepared source.

    Raises:
      OSError: a folder that cannot be read.
    """
    if source.kind in generated.SETS:
        pictures = generated.parse(source.base)
        return Identity(pictures.pictures, pictures.pictures * pictures.pixels, pictures.sha256())
    return of_folder(source.base, everything=source.kind in _NAMED)


def of_folder(folder: str, everything: bool = False) -> Identity:
    """The identity of all that is below a folder of this machine or of a bucket.

    Args:
      folder: its path or URI.
      everything: also hidden files and those that systems leave there.

    Raises:
      OSError: a folder that cannot be read.
    """
    return _in_bucket(folder, everything) if "://" in folder else _local(folder, everything)


def _local(folder: str, everything: bool) -> Identity:
    lines: list[str] = []
    files = size = 0
    first: dict[int, str] = {}
    alike: set[str] = set()
    for path, entry in walk.walk(folder, everything):
        link = f"\0{os.readlink(entry.path)}" if entry.is_symlink() else ""
        if walk.is_folder(entry):
            lines.append(f"{path}/{link}")
            continue
        files += 1
        try:
            found = entry.stat()
        except OSError:
            lines.append(f"{path}\0unreadable{link}")
            continue
        size += found.st_size
        looks = (found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        lines.append(f"{path}\0{looks}{link}")
        other = first.setdefault(hash((entry.name, looks)), path)
        if other != path and stat.S_ISREG(found.st_mode):
            alike |= {path, other}
    lines += (f"{path}\0{_content(os.path.join(folder, path))}" for path in sorted(alike))
    return Identity(files, size, _sha256(lines))


def _content(path: str) -> str:
    try:
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
        return digest.hexdigest()
    except OSError:
        return "unreadable"


def _in_bucket(folder: str, everything: bool) -> Identity:
    import tensorflow as tf

    start = folder.rstrip("/") + "/"
    paths = sorted(
        f"{place.rstrip('/')}/{name}".removeprefix(start)
        for place, _, names in tf.io.gfile.walk(folder)
        for name in names
    )
    if not everything:
        paths = [path for path in paths if not any(map(walk.is_system, path.split("/")))]
    with ThreadPoolExecutor(_QUESTIONS) as pool:
        found = list(pool.map(lambda path: tf.io.gfile.stat(start + path), paths))
    lines = [
        f"{path}\0{each.length} {each.mtime_nsec}" for path, each in zip(paths, found, strict=True)
    ]
    return Identity(len(paths), sum(each.length for each in found), _sha256(lines))


def _sha256(lines: Iterable[str]) -> str:
    return hashlib.sha256(os.fsencode("\n".join(lines))).hexdigest()
