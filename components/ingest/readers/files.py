"""Files that readers open."""

from __future__ import annotations

import os

from components.ingest.images import ImageError

_LABELS = "labels.txt"


def content(base: str, path: str) -> bytes:
    """The bytes of a file below a folder.

    Raises:
      ImageError: it cannot be read.
    """
    try:
        with open(os.path.join(base, path), "rb") as file:
            return file.read()
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}") from error


def listed_labels(base: str) -> list[str]:
    """The class names of a `labels.txt`, one a line in the order of the numbers; else none."""
    path = os.path.join(base, _LABELS)
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return file.read().splitlines()


def in_order(names: set[str]) -> list[str]:
    """Class names sorted; where all are numbers, as numbers."""
    return sorted(names, key=int) if all(map(str.isdecimal, names)) else sorted(names)
