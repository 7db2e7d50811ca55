"""The pictures that a model is asked about: files, files below folders, bytes and pixels."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.ingest import images, regular_files
from components.ingest.class_folders import IMAGE_SUFFIXES
from components.ingest.walk import is_folder, walk
from pipelines.predictions import in_memory

# Pictures too, for whoever has them in a folder: to be told that they are not read.
_OTHER_SUFFIXES = (".avif", ".bmp", ".gif", ".heic", ".heif", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Picture:
    """One picture, not read yet.

    Attributes:
      name: as answers call it: the path of a file.
      source: a path; encoded bytes; or what `in_memory.file_of` takes.
      below: of a file that was found in a folder, its path below that folder; of another its name.
      missed: why there is nothing to read; "" where there is.
    """

    name: str
    source: Any
    below: str = ""
    missed: str = ""


def of(image: Any, number: int = 0) -> Picture:
    """A picture from what users have: a path, encoded bytes, a file, pixels, or Pillow's image.

    Args:
      image: the picture. That it is none is found out when it is read.
      number: its place, by which it is called where it has no path.
    """
    name = f"image {number}"
    if isinstance(image, (str, os.PathLike)):
        if not os.fspath(image):  # A value that is missing; a file without bytes has its error.
            return Picture(name, b"", name)
        path = Path(image)
        return Picture(str(path), path, path.name)
    if isinstance(image, (bytearray, memoryview)):
        image = bytes(image)
    elif hasattr(image, "read"):
        image = image.read()
    return Picture(name, image, name)


def found(paths: Iterable[Path], without: Path | None = None) -> Iterator[Picture]:
    """The pictures that `paths` name; those of a folder sorted by name, before its folders'.

    Of folders all files with the suffix of a picture, however deep; hidden ones, and what systems
    leave there, are passed over. A folder that cannot be listed is a picture that is missed.

    Args:
      paths: files and folders.
      without: a folder that is not looked into.
    """
    for path in paths:
        if path.is_dir():
            yield from _below(path, without)
        else:
            yield Picture(str(path), path, path.name)


def _below(folder: Path, without: Path | None) -> Iterator[Picture]:
    closed: list[Picture] = []

    def missed(below: str, error: OSError) -> None:
        why = f"cannot be listed: {error.strerror or error}"
        closed.append(Picture(str(folder / below), folder / below, below, why))

    kept_out = None if without is None else os.path.realpath(without) + os.sep
    for below, entry in walk(os.fspath(folder), missed=missed):
        yield from closed
        closed.clear()
        if not below.lower().endswith(IMAGE_SUFFIXES + _OTHER_SUFFIXES) or is_folder(entry):
            continue
        path = folder / below
        if kept_out is None or not os.path.realpath(path).startswith(kept_out):
            yield Picture(str(path), path, below)
    yield from closed


def count(pictures: Iterable[Picture]) -> int:
    """How many there are to be read."""
    return sum(not each.missed for each in pictures)


def check_found(paths: Sequence[Path], number: int) -> None:
    """Raises ValueError where the paths hold no picture."""
    if not number:
        raise ValueError(
            f"{', '.join(map(str, paths))}: no {', '.join(IMAGE_SUFFIXES)} file in it, however deep"
        )


def content(picture: Picture) -> bytes:
    """The picture's file; of one that is none a file that holds it.

    Raises:
      ValueError: it cannot be read; the text does not say which picture it is.
    """
    if picture.missed:
        raise ValueError(picture.missed)
    if isinstance(picture.source, bytes):
        return picture.source
    if not isinstance(picture.source, Path):
        return in_memory.file_of(picture.source)
    try:
        return regular_files.read(picture.source)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror or error}") from error


def checked(picture: Picture) -> tuple[bytes, int]:
    """The file, once it is known to decode, and how many pixels it has.

    A model's refusal would not say which file it is about. The file is sent as it is: the model
    does to it what ingestion did to the training images.

    Raises:
      ValueError: as `content`; or it is no whole PNG or JPEG, or damaged.
    """
    found = content(picture)
    decoded = images.opened(found)
    return found, decoded.width * decoded.height
