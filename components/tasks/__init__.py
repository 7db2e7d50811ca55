"""What networks answer: one folder a task, found by being there. Imports nothing heavy."""

from __future__ import annotations

import functools
import importlib
import json
import pkgutil
from collections.abc import Mapping
from typing import Any

from components.settings import check_choice
from components.tasks.task import (
    CHANCE,
    CHANGE,
    DEFAULT_SIGNATURE,
    EXAMPLES_SIGNATURE,
    LEVEL,
    NAMES_ASSET,
    TASK_ASSET,
    Boxes,
    Input,
    Metric,
    Output,
    Task,
)

__all__ = [
    "CHANCE",
    "CHANGE",
    "DEFAULT_SIGNATURE",
    "EARLIEST",
    "EXAMPLES_SIGNATURE",
    "LEVEL",
    "NAMES_ASSET",
    "TASK_ASSET",
    "Boxes",
    "Input",
    "Metric",
    "Output",
    "Task",
    "find",
    "names",
    "of_facts",
    "of_recipe",
]
# Of recipes, judgements and served models from before there were others, which do not say.
EARLIEST = "classification"


@functools.cache
def names() -> tuple[str, ...]:
    """The names of all tasks, sorted."""
    return tuple(sorted(each.name for each in pkgutil.iter_modules(__path__) if each.ispkg))


def find(name: str) -> Task:
    """The task called `name`.

    Raises:
      RecipeError: there is none of that name; the near matches are named.
    """
    check_choice("task", name, names())
    return importlib.import_module(f"{__name__}.{name}").TASK


def of_recipe(recipe: Mapping[str, Any]) -> Task:
    """The task of a recipe in plain data, with its `task_args`.

    Raises:
      RecipeError: there is none of that name.
    """
    return find(recipe["task"]).bound(recipe.get("task_args", {}))


def of_facts(facts: str | bytes | None) -> Task:
    """The task of a served model.

    Args:
      facts: the content of its `TASK_ASSET`; None where it has none.

    Raises:
      ValueError: the content names no task, or none that is known here.
    """
    if facts is None:
        return find(EARLIEST)
    try:
        said = json.loads(facts)
        name, arguments = said["task"], said.get("arguments", {})
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{TASK_ASSET} does not say what the model answers") from error
    return find(name).bound(arguments)
