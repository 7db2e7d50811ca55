"""The names of classes: their order, and the lists that fix it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from components.ingest import regular_files
from components.ingest.regular_files import SourceError

LABELS_FILE = "labels.txt"


def listed_labels(base: str | Path) -> list[str]:
    """The class names of a `labels.txt`, one a line in the order of the numbers; else none.

    Raises:
      SourceError: it is no UTF-8 text, a line but the last ones is empty, or a name occurs twice.
    """
    path = os.path.join(base, LABELS_FILE)
    if not os.path.lexists(path):
        return []
    names = regular_files.text_lines(path)
    while names and not names[-1].strip():
        names.pop()
    first: dict[str, int] = {}
    for number, name in enumerate(names, 1):
        if not name.strip():
            raise SourceError(f"{path}: line {number} is empty: a class needs a name")
        if name in first:
            raise SourceError(f"{path}: lines {first[name]} and {number} are both {name!r}")
        first[name] = number
    return names


def in_order(names: Iterable[str]) -> list[str]:
    """Class names sorted; where all are numbers, as numbers."""
    names = set(names)
    numbers = all(name.isascii() and name.isdecimal() for name in names)
    return sorted(names, key=lambda name: (int(name), name)) if numbers else sorted(names)
