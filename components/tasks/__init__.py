"""What networks answer: one folder a task, found by being there. Imports nothing heavy."""

from __future__ import annotations

import functools
import importlib
import pkgutil

from components.settings import check_choice
from components.tasks.task import CHANGE, Metric, Output, Task

__all__ = ["CHANGE", "EARLIEST", "Metric", "Output", "Task", "find", "names"]


# Of recipes, judgements and versions from before there were others, which do not say.
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
