"""Pictures or videos in a folder per class, below a folder per split or not.

What could be read as one thing and as another is refused, with what was seen and the command that
says which it is. Imports nothing heavy.
"""

from __future__ import annotations

import os
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from components.ingest.labels import LABELS_FILE, in_order, listed_labels
from components.ingest.regular_files import SourceError
from components.ingest.walk import is_folder, is_system, walk

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif")
# What folders of splits are called, in any case.
_SPLIT_NAMES: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training", "trainset", "train_set", "train-set"),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "testset", "test_set", "test-set", "eval", "evaluation"),
}
_SPLIT_OF = {name: split for split, names in _SPLIT_NAMES.items() for name in names}
# What folders of splits may have in their names beside the word: no sign of a pattern, and no _AND.
_PLAIN = re.compile(r"[\w .-]+")
_AND, _BELOW = ",", "/*/*"  # In a pattern: between the folders of one split, and after them.
_SHOWN = 8


def class_names(folder: Path | str) -> list[str]:
    """The classes of a folder: those that its `labels.txt` lists, else its folders.

    Raises:
      SourceError: see `components.ingest.labels`.
    """
    return listed_labels(folder) or in_order(folder_names(folder))


def folder_names(folder: Path | str) -> list[str]:
    """The folders in a folder, but those that are hidden or of the system."""
    with os.scandir(folder) as entries:
        return sorted(each.name for each in entries if is_folder(each) and not is_system(each.name))


def with_files(folder: Path, suffixes: tuple[str, ...]) -> list[str]:
    """The folders in a folder that hold files of these suffixes, however deep."""
    return [name for name in folder_names(folder) if holds(folder / name, suffixes)]


def holds(folder: Path | str, suffixes: tuple[str, ...], deep: bool = True) -> bool:
    """Whether a folder holds a file of these suffixes; `deep`, or a folder below it."""
    waiting, seen = [os.fspath(folder)], set()
    while waiting:
        place = waiting.pop()
        if (real := os.path.realpath(place)) in seen:
            continue
        seen.add(real)
        with os.scandir(place) as entries:
            for entry in entries:
                if is_system(entry.name):
                    continue
                if is_folder(entry):
                    waiting += [entry.path] if deep else []
                elif entry.name.lower().endswith(suffixes):
                    return True
    return False


def split_names(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The folders of the training and of the test split among these; none where either is missing.

    A validation split is the test split where there is none, and is trained on where there is one:
    the Trainer holds out a part of its own.
    """
    found: dict[str, list[str]] = {split: [] for split in _SPLIT_NAMES}
    for name, split in _splits_by_name(names).items():
        found[split].append(name)
    train, validation, test = found.values()
    if not test:
        validation, test = [], validation
    return {"train": (*train, *validation), "test": tuple(test)} if train and test else {}


def is_split_name(name: str) -> bool:
    """Whether a folder of this name alone is taken for one of a split."""
    return name.lower() in _SPLIT_OF


def _splits_by_name(names: Iterable[str]) -> dict[str, str]:
    """The split of each folder that is called as one: train; seg_train where seg_test is, too."""
    families: dict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    for name in names:
        lower = name.lower()
        words = [lower] if lower in _SPLIT_OF else re.findall(r"[^\W\d_]+|\d+", lower)
        called = [word for word in words if word in _SPLIT_OF]
        if len(called) == 1 and _PLAIN.fullmatch(name):
            others = tuple(word for word in words if word not in called)
            families[others][name] = _SPLIT_OF[called[0]]
    return {
        name: split
        for others, family in families.items()
        if not others or {"train"} < set(family.values())
        for name, split in family.items()
    }


def splits(folder: Path) -> dict[str, tuple[str, ...]]:
    """The folders of each split, where a folder holds those of splits and nothing else.

    Of seg_train/seg_train/CLASS, as archives unpack, seg_train/seg_train.

    Raises:
      SourceError: one of several such folders holds files, and none that is read.
    """
    listed = listed_labels(folder)
    called = [name for name in folder_names(folder) if name not in listed]
    names = [name for name in called if holds(folder / name, IMAGE_SUFFIXES)]
    roles = _splits_by_name(called)
    if any(name in roles for name in names):
        for name in roles:
            _check_read(folder / name)
    found = split_names(names)
    if {name for each in found.values() for name in each} != set(names):
        return {}
    found = {split: tuple(_with_classes(folder, name) for name in found[split]) for split in found}
    paths = [name for each in found.values() for name in each]
    only_classes = all(with_files(folder / path, IMAGE_SUFFIXES) for path in paths)
    return found if only_classes else {}


def _check_read(folder: Path) -> None:
    if holds(folder, IMAGE_SUFFIXES):
        return
    other = next((path for path, entry in walk(os.fspath(folder)) if not is_folder(entry)), None)
    if other:
        raise SourceError(
            f"{folder}: no {', '.join(IMAGE_SUFFIXES)} files in it, and others, such as {other}: "
            "convert them, or take the folder away"
        )


def _with_classes(folder: Path, name: str) -> str:
    """The folder of a split, or the one in it that has its name and all that it holds."""
    inner = with_files(folder / name, IMAGE_SUFFIXES)
    is_wrapped = [each.lower() for each in inner] == [name.lower()]
    if not is_wrapped or holds(folder / name, IMAGE_SUFFIXES, deep=False):
        return name
    path = f"{name}/{inner[0]}"
    return path if with_files(folder / path, IMAGE_SUFFIXES) else name


def patterns(folders: Mapping[str, tuple[str, ...]]) -> tuple[tuple[str, str], ...]:
    """The patterns of a source, from the folders of each split."""
    return tuple((split, f"{_AND.join(names)}{_BELOW}") for split, names in folders.items())


def folders_of(pattern: str) -> list[str]:
    """The folders that `patterns` has put into a pattern."""
    return pattern.removesuffix(_BELOW).split(_AND)


def split_labels(base: str | Path, folders: Iterable[str]) -> list[str]:
    """The classes that a `labels.txt` lists, beside the folders of splits or in them; else none.

    Raises:
      SourceError: see `components.ingest.labels`; or two splits have other lists.
    """
    if listed := listed_labels(base):
        return listed
    lists = {each: names for each in folders if (names := listed_labels(f"{base}/{each}"))}
    if len(set(map(tuple, lists.values()))) > 1:
        raise SourceError(
            f"{base}: the {LABELS_FILE} in {' and '.join(lists)} differ: one beside these folders "
            "lists the classes of all"
        )
    return next(iter(lists.values()), [])


def check(folder: Path, suffixes: tuple[str, ...]) -> None:
    """Checks that a folder is one of class folders and of nothing else.

    Raises:
      SourceError: pictures without class folders, folders of one class, or folders that may be
        classes or something else.
    """
    listed = listed_labels(folder)
    names = with_files(folder, suffixes)
    if not names:
        raise SourceError(
            f"{folder}: all pictures lie in this one folder; expected are a folder per class, or "
            f"a labels.csv with the columns path and label beside them"
        )
    unlisted = [name for name in names if name not in listed]
    if len(names) == 1 and (inner := _with_several(folder / names[0], suffixes)):
        raise SourceError(
            f"{folder}: one folder only, {inner.relative_to(folder)}, and {_seen(inner, suffixes)} "
            f"in it; if these are the classes, the data are --data {shlex.quote(str(inner))}"
        )
    if _splits_by_name(unlisted):
        raise SourceError(_classes_or_splits(folder, names, suffixes))
    if unlisted and (shared := _shared_folders(folder, names, suffixes)):
        raise SourceError(
            f"{folder}: most pictures of {_shown(names)} lie in folders that these share, "
            f"{_shown(shared)}: these may be the classes, too. {_say(folder, names)}; if not, put "
            "these folders' pictures together, a folder per class"
        )
    check_several(folder, names, listed)


def _with_several(folder: Path, suffixes: tuple[str, ...]) -> Path | None:
    """The first folder on the only way down that holds several folders; None where none does."""
    while inner := with_files(folder, suffixes):
        if len(inner) > 1:
            return folder
        if holds(folder, suffixes, deep=False):
            return None
        folder /= inner[0]
    return None


def check_splits(folder: Path, found: Mapping[str, tuple[str, ...]]) -> None:
    """Checks that the folders of a training split, which `splits` found, are of several classes.

    Raises:
      SourceError: one class only, or a folder too many.
    """
    by_folder = {name: with_files(folder / name, IMAGE_SUFFIXES) for name in found["train"]}
    classes = {label for labels in by_folder.values() for label in labels}
    name = next(iter(by_folder))
    if len(classes) == 1 and (inner := _with_several(folder / name, IMAGE_SUFFIXES)):
        raise SourceError(
            f"{folder}: one folder only in {name}, {inner.relative_to(folder / name)}, and "
            f"{_seen(inner, IMAGE_SUFFIXES)} in it; if these are the classes, put them into {name} "
            "itself, and those of the other splits likewise"
        )
    paths = [name for each in found.values() for name in each]
    check_several(folder, classes, split_labels(folder, paths))


def check_several(where: Path, classes: Iterable[str], listed: Sequence[str]) -> None:
    """Checks that there are classes to tell apart.

    Args:
      where: the data, for the message.
      classes: of the images.
      listed: the classes that a `labels.txt` lists; none where there is no such file.

    Raises:
      SourceError: one only.
    """
    there = set(classes)
    names = sorted(there & set(listed) if listed else there)
    if len(names) == 1:
        which = f", of {len(there)} that are there," * (len(there) > 1)
        which = f" that {LABELS_FILE} lists{which}" if listed else ""
        raise SourceError(
            f"{where}: images of one class only{which} ({names[0]}); a classifier needs two or more"
        )


def _classes_or_splits(folder: Path, names: list[str], suffixes: tuple[str, ...]) -> str:
    roles = _splits_by_name(names)
    called = [name for name in names if name in roles]
    others = [name for name in names if name not in called]
    training = [_with_classes(folder, name) for name in called if roles[name] == "train"]
    with_classes = [name for name in training if with_files(folder / name, suffixes)]
    if with_classes:
        path = shlex.quote(str(folder / with_classes[0]))
        otherwise = f"--data {path} reads the classes in it alone"
    elif others:
        path = shlex.quote(str(folder / "train"))
        otherwise = f"put the class folders into one called train: mkdir -p {path} && mv"
        otherwise += "".join(f" {shlex.quote(str(folder / name))}" for name in others[:_SHOWN])
        otherwise += f" {path}"
    else:
        otherwise = "put the pictures into a folder per class: train/CLASS/ and test/CLASS/"
    return (
        f"{folder}: {_shown(called)} may be splits or classes: seen are {_seen(folder, suffixes)}. "
        f"{_say(folder, names)}; if not, {otherwise}"
    )


def _seen(folder: Path, suffixes: tuple[str, ...]) -> str:
    """The folders in a folder, and what they hold."""
    parts = []
    for name in with_files(folder, suffixes):
        inner = len(with_files(folder / name, suffixes))
        loose = holds(folder / name, suffixes, deep=False)
        held = ["pictures"] if loose or not inner else []
        held += [f"{inner} folder{'s' * (inner > 1)} of pictures"] if inner else []
        parts.append(f"{name} ({' and '.join(held)})")
    return _shown(parts)


def _shown(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" * (len(names) > _SHOWN))


def _say(folder: Path, names: list[str]) -> str:
    """The command that says that folders are classes."""
    quoted = " ".join(map(shlex.quote, names))
    path = shlex.quote(str(folder / LABELS_FILE))
    return f"If {_shown(names)} are the classes, say so: printf '%s\\n' {quoted} > {path}"


def _shared_folders(folder: Path, names: list[str], suffixes: tuple[str, ...]) -> list[str]:
    """Folders that most classes have, or that are called as splits, with most of the pictures."""
    inner = {name: with_files(folder / name, suffixes) for name in names}
    number = Counter(each for found in inner.values() for each in found)
    shared = {each for each, classes in number.items() if len(names) < 2 * classes and classes > 1}
    shared |= {each for found in split_names(number).values() for each in found}
    if len(names) < 2 or len(shared) < 2:
        return []
    # One picture more beside them, or one of them less, makes them no other folders.
    loose = sum(_pictures(folder / name, suffixes, deep=False) for name in names)
    below = (folder / name / each for name in names for each in inner[name] if each in shared)
    return sorted(shared) if loose < sum(_pictures(each, suffixes) for each in below) else []


def _pictures(folder: Path, suffixes: tuple[str, ...], deep: bool = True) -> int:
    """How many files of these suffixes a folder holds."""
    paths = (path for path, _ in walk(os.fspath(folder)) if path.lower().endswith(suffixes))
    return sum(deep or "/" not in path for path in paths)
