"""The names of classes: their order, and the lists that fix it."""

from __future__ import annotations

import os
import re
import shlex
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from components.ingest import regular_files
from components.ingest.regular_files import SourceError

LABELS_FILE = "labels.txt"
# Kinds of characters, as Unicode calls them. Python has bytes that are no UTF-8 as surrogates.
_CONTROL, _SURROGATE = "Cc", "Cs"
# Characters that show nothing: the soft hyphen, spaces of no width, marks and overrides of the
# direction of writing, the mark of an encoding. Not the joiners (200c, 200d), which Persian,
# scripts of India and emoji need.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]"
)
_NUMBER = re.compile("0*([0-9]+?)(?:[.]([0-9]*?)0*)?")
# What may make two names of one that look alike: joiners and selectors of a variant.
_JOINERS = re.compile("[\u200c\u200d\ufe00-\ufe0f]")


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


def check(names: Sequence[str], where: str) -> None:
    """Checks that each class has a name that fits into one line of UTF-8 text and can be seen.

    Args:
      names: of the classes.
      where: the folder of the data.

    Raises:
      SourceError: a name that does not.
    """
    for name in names:
        kinds = set(map(unicodedata.category, name))
        if name.splitlines() != [name] or kinds & {_CONTROL, _SURROGATE}:
            raise SourceError(
                f"{where}: the class name {name!r} does not fit into a line of text (UTF-8): "
                "rename the class"
            )
        if found := _INVISIBLE.search(name):
            raise SourceError(
                f"{where}: the class name {name!a} has a character that nobody sees, "
                f"{unicodedata.name(found.group(), 'one without a name')}: rename the class"
            )


def check_alike(names: Iterable[str], where: str | Path) -> None:
    """Checks that no two classes are the same name written in two ways.

    One letter is another class than the same in another case: sets of characters have both.

    Raises:
      SourceError: names that differ in case, in kind, number or place of spaces, in joiners, in
        how Unicode writes an accent or in the zeros around a number (1, 01, 1.0) alone, and that no
        `labels.txt` lists.
    """
    first: dict[str, str] = {}
    listed = set(listed_labels(where))
    for name in names:
        plain = " ".join(_JOINERS.sub("", unicodedata.normalize("NFC", name)).split())
        if number := _NUMBER.fullmatch(plain):
            plain = ".".join(filter(None, number.groups()))
        other = first.setdefault(plain if len(plain) == 1 else plain.casefold(), name)
        if other != name and not {name, other} <= listed:
            path = shlex.quote(os.path.join(where, LABELS_FILE))
            raise SourceError(
                f"{where}: the classes {other!a} and {name!a} are one name written in "
                f"two ways: give them one name; or, if they are two, list all classes in {path}"
            )
