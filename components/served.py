"""The versions of a model where servers watch for them, what it answers, and its classes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from tfx.dsl.io import fileio

from components import examples, tasks
from components.tasks import NAMES_ASSET, TASK_ASSET

# Of a recipe's `data_checks`: how many classes may differ from those of the served model.
OTHER_CLASSES = "other_classes"
_NAMED = 5


def versions(folder: str) -> list[int]:
    """The whole ones: the Pusher writes saved_model.pb last."""
    if not fileio.exists(folder):
        return []
    names = [name.strip("/") for name in fileio.listdir(folder)]
    return [
        int(name)
        for name in names
        if name.isdecimal() and fileio.exists(os.path.join(folder, name, "saved_model.pb"))
    ]


def newest(folder: str) -> str | None:
    """The folder of the served version; None where there is none."""
    found = versions(folder)
    return os.path.join(folder, str(max(found))) if found else None


def classes(model: str) -> list[str] | None:
    """The names of a SavedModel's classes, in the order of its outputs; None where it has none."""
    assets = os.path.join(model, "assets")
    if not fileio.exists(os.path.join(assets, NAMES_ASSET)):
        return None
    return examples.label_names(assets)


def task(model: str) -> tasks.Task:
    """What a SavedModel answers.

    Raises:
      ValueError: its assets name no task, or none that is known here.
    """
    path = os.path.join(model, "assets", TASK_ASSET)
    if not fileio.exists(path):
        return tasks.of_facts(None)
    with fileio.open(path, "rb") as file:
        return tasks.of_facts(file.read())


def other_classes(folder: str, names: Sequence[str] | None) -> list[str]:
    """In which classes a new model differs from the served one.

    Args:
      folder: of the versions.
      names: the new model's classes in their order; None where it has none.

    Returns:
      The names that one of them alone has or, of the same names in another order, those whose place
      is another; none where nothing is served, or one of them has no classes.
    """
    model = newest(folder)
    served = classes(model) if model else None
    if served is None or names is None:
        return []
    apart = sorted({*served} ^ {*names})
    return apart or [old for old, new in zip(served, names, strict=True) if old != new]


def objection(
    folder: str, names: Sequence[str] | None, limits: Mapping[str, float]
) -> tuple[str, str] | None:
    """Why a model of these classes must not replace the served one.

    Args:
      folder, names: as for `other_classes`.
      limits: of which `OTHER_CLASSES` says how many classes may differ; without it, none.

    Returns:
      what was found, and the setting that lets it pass; None where nothing is to be objected.
    """
    apart = other_classes(folder, names)
    if len(apart) <= limits.get(OTHER_CLASSES, 0):
        return None
    more = f" and {len(apart) - _NAMED} more" if len(apart) > _NAMED else ""
    text = (
        f"{os.path.basename(folder)} is served with other classes (version "
        f"{os.path.basename(newest(folder) or '')}); apart are {', '.join(apart[:_NAMED])}{more}"
    )
    return text, f"data_checks.{OTHER_CLASSES}={len(apart)}"
