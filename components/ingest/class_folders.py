"""Pictures or videos in a folder per class, below a folder per split or not.

What could be read as one thing and as another is refused, with what was seen and the command that
says which it is. Imports nothing heavy.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from components.ingest.labels import LABELS_FILE, in_order, listed_labels
from components.ingest.regular_files import SourceError
from components.ingest.walk import is_folder, is_system

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif")
# What folders of splits are called, in any case.
_SPLIT_NAMES: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training", "trainset", "train_set", "train-set"),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "testset", "test_set", "test-set", "eval", "evaluation"),
}
_SPLIT_OF = {name: split for split, names in _SPLIT_NAMES.items() for name in names}
# Between the folders of one split in a pattern; in none of the names above.
_AND = ","
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
    for name in names:
        if split := _SPLIT_OF.get(name.lower()):
            found[split].append(name)
    train, validation, test = found.values()
    if not test:
        validation, test = [], validation
    return {"train": (*train, *validation), "test": tuple(test)} if train and test else {}


def splits(folder: Path) -> dict[str, tuple[str, ...]]:
    """The folders of each split, where a folder holds those of splits and nothing else."""
    listed = listed_labels(folder)
    names = [name for name in with_files(folder, IMAGE_SUFFIXES) if name not in listed]
    found = split_names(names)
    if {name for each in found.values() for name in each} != set(names):
        return {}
    only_classes = all(with_files(folder / name, IMAGE_SUFFIXES) for name in names)
    return found if only_classes else {}


def patterns(folders: Mapping[str, tuple[str, ...]]) -> tuple[tuple[str, str], ...]:
    """The patterns of a source, from the folders of each split."""
    return tuple((split, f"{_AND.join(names)}/*/*") for split, names in folders.items())


def folders_of(pattern: str) -> list[str]:
    """The folders that `patterns` has put into a pattern."""
    return pattern.partition("/")[0].split(_AND)


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
    if len(names) == 1 and len(with_files(folder / names[0], suffixes)) > 1:
        inner = folder / names[0]
        raise SourceError(
            f"{folder}: one folder only, {names[0]}, and {_seen(inner, suffixes)} in it; if these "
            f"are the classes, the data are --data {shlex.quote(str(inner))}"
        )
    if any(name.lower() in _SPLIT_OF for name in unlisted):
        raise SourceError(_classes_or_splits(folder, names, suffixes))
    if unlisted and (shared := _shared_folders(folder, names, suffixes)):
        raise SourceError(
            f"{folder}: no pictures in {_shown(names)} themselves, and in each of them the folders "
            f"{_shown(shared)}: these may be the classes, too. {_say(folder, names)}; if not, put "
            "these folders' pictures together, a folder per class"
        )
    check_several(folder, names)


def check_several(where: Path, classes: Iterable[str]) -> None:
    """Checks that there are classes to tell apart.

    Raises:
      SourceError: one only.
    """
    names = sorted(set(classes))
    if len(names) == 1:
        raise SourceError(
            f"{where}: images of one class only ({names[0]}); a classifier needs two or more"
        )


def _classes_or_splits(folder: Path, names: list[str], suffixes: tuple[str, ...]) -> str:
    called = [name for name in names if name.lower() in _SPLIT_OF]
    others = [name for name in names if name not in called]
    training = [name for name in called if _SPLIT_OF[name.lower()] == "train"]
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
    """The folders that are in every class alike, where no class holds pictures itself."""
    if len(names) < 2 or any(holds(folder / name, suffixes, deep=False) for name in names):
        return []
    inner = [set(with_files(folder / name, suffixes)) for name in names]
    shared = set.intersection(*inner)
    return sorted(shared) if len(shared) > 1 else []
