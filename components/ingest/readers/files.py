"""Files that readers open."""

from __future__ import annotations

import os

from components.ingest import regular_files
from components.ingest.images import ImageError
from components.ingest.regular_files import SourceError

_LABELS = "labels.txt"


def content(base: str, path: str) -> bytes:
    """The bytes of a file below a folder.

    Raises:
      ImageError: it cannot be read, or its name leads out of the folder. A link that lies in the
        folder may lead anywhere: whoever has the folder has put it there.
    """
    try:
        return regular_files.read(inside(base, path))
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}") from error


def inside(base: str, path: str) -> str:
    """Where a file is that a table, a list or an annotation names, relative to its folder.

    Raises:
      ImageError: it is no name of a file, or one outside of the folder.
    """
    if "\0" in path or not _is_encodable(path):
        raise ImageError(f"no name of a file: {path!r}")
    if os.path.isabs(path):
        raise ImageError(f"an absolute path: {path}: paths start at the folder of the data")
    plain = os.path.normpath(path)
    if plain.split(os.sep, 1)[0] == os.pardir:
        raise ImageError(
            f"a path out of the folder of the data: {path}: put the files, or a link to their "
            "folder, into it"
        )
    return os.path.join(base, plain)


def _is_encodable(path: str) -> bool:
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return False
    return True


def listed_labels(base: str) -> list[str]:
    """The class names of a `labels.txt`, one a line in the order of the numbers; else none.

    Raises:
      SourceError: it is no UTF-8 text, a line but the last ones is empty, or a name occurs twice.
    """
    path = os.path.join(base, _LABELS)
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


def in_order(names: set[str]) -> list[str]:
    """Class names sorted; where all are numbers, as numbers."""
    return sorted(names, key=int) if all(map(str.isdecimal, names)) else sorted(names)
