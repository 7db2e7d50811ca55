"""The lists of Labeled Faces in the Wild, as its authors publish them beside its folders.

Huang, Ramesh, Berg, Learned-Miller 2007, section III: View 1 (`pairsDevTrain.txt`,
`pairsDevTest.txt`, `peopleDevTrain.txt`) is for development, View 2 (`pairs.txt`, `people.txt`),
in ten sets of people of their own, for the figures that are published. Imports nothing heavy.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from components.ingest import regular_files

PAIRS, PEOPLE = "pairs.txt", "people.txt"
_DEV_TRAIN, _DEV_TEST, _DEV_PEOPLE = "pairsDevTrain.txt", "pairsDevTest.txt", "peopleDevTrain.txt"
NAMES = (PAIRS, _DEV_TRAIN, _DEV_TEST)


@dataclass(frozen=True)
class Line:
    """A line of a list of pairs: its words, and the set that it is in, from 0."""

    words: tuple[str, ...]
    fold: int


def is_there(folder: Path | str) -> bool:
    """Whether a folder has pairs to be read."""
    has = _present(folder)
    return PAIRS in has or {_DEV_TRAIN, _DEV_TEST} <= has


def splits(folder: Path | str) -> dict[str, str]:
    """The list of pairs of each split, or that of `all`, as names in the folder.

    The test is `pairs.txt` where it is there. Training is on View 1 where its lists are there, too;
    else on the first sets of `pairs.txt`, whose last is then the test. One list without sets is
    split by content.
    """
    has = _present(folder)
    if PAIRS not in has:
        return {"train": _DEV_TRAIN, "test": _DEV_TEST}
    if _DEV_TRAIN in has:
        return {"train": _DEV_TRAIN, "test": PAIRS}
    if _sets(_read(folder, PAIRS))[0] > 1:
        return {"train": PAIRS, "test": PAIRS}
    return {"all": PAIRS}


def pairs(folder: Path | str, split: str) -> Iterator[Line]:
    """The pairs of a split of `splits`.

    Raises:
      SourceError: the list cannot be read.
    """
    found = splits(folder)
    lines = _read(folder, found[split])
    number, of_each = _sets(lines)
    shared = "all" not in found and found["train"] == found["test"]
    for place, line in enumerate(lines[1:] if _is_header(lines) else lines):
        fold = min(place // of_each, number - 1) if of_each else 0
        of_this = not shared or (fold == number - 1) == (split == "test")
        if line.strip() and of_this:
            yield Line(tuple(line.split()), fold)


def people(folder: Path | str) -> list[str]:
    """Those whose pictures the training may pair as it likes (the unrestricted setting), sorted.

    They are in `peopleDevTrain.txt` where the training is on View 1, in the first sets of
    `people.txt` where it is on those of `pairs.txt`. Without that list there are none.

    Raises:
      SourceError: the list cannot be read.
    """
    found = splits(folder)
    on_view_1 = found.get("train") == _DEV_TRAIN
    name = _DEV_PEOPLE if on_view_1 else PEOPLE
    if name not in _present(folder) or "train" not in found:
        return []
    sets: list[list[str]] = [[]]
    for words in map(str.split, _read(folder, name)):
        if len(words) == 1:
            # The number of the sets, or of the people in the one that begins.
            sets.append([])
        elif words:
            sets[-1].append(words[0])
    sets = [each for each in sets if each]
    return sorted({each for names in (sets if on_view_1 else sets[:-1]) for each in names})


def in_the_test(folder: Path | str) -> set[str]:
    """The people in the pairs of the test; of one list without sets in any pair.

    Raises:
      SourceError: the list cannot be read.
    """
    found = splits(folder)
    lines = pairs(folder, "test" if "test" in found else "all")
    return {name for line in lines for name in line.words if not name.isdecimal()}


def _present(folder: Path | str) -> set[str]:
    names = (*NAMES, PEOPLE, _DEV_PEOPLE)
    return {name for name in names if os.path.isfile(os.path.join(folder, name))}


def _read(folder: Path | str, name: str) -> list[str]:
    return regular_files.text_lines(os.path.join(folder, name))


def _is_header(lines: list[str]) -> bool:
    return bool(lines) and all(word.isdecimal() for word in lines[0].split())


def _sets(lines: list[str]) -> tuple[int, int]:
    """How many sets a list has, and of how many pairs: the first line may say 10 and 300.

    So many are of one person in each, and as many of two.
    """
    words = lines[0].split() if _is_header(lines) else []
    if len(words) != 2 or any(len(word) > 9 for word in words):
        return 1, 0
    return max(int(words[0]), 1), 2 * int(words[1])
