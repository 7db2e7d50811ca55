"""The name under which a run's model is served, and whether that is another model's already.

`Recipe.model_name` says what the name is. In a root that was made before data had a part in it,
models on other data than the recipe's own go on under the recipe's name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.settings import RecipeError, keeps_both
from components.tasks import Task
from pipelines import data_names, served
from pipelines.history import runs
from pipelines.paths import Paths
from pipelines.recipe import Recipe


class NameTaken(RecipeError):
    """A model of other data, classes or another task is served under the name; the text says how
    to go on."""


def in_root(recipe: Recipe, root: Path) -> Recipe:
    """The recipe with the name that its model has in a root.

    Args:
      recipe: where it has a `served_name`, it stays as it is.
      root: where the runs are.

    Returns:
      The recipe; served under the recipe's own name where that is how an earlier version of this
      package has served these data in this root, and nothing is there under the name of today.
    """
    if recipe.served_name is not None or recipe.data_origin is None:
        return recipe
    if Path(Paths(str(root)).pipeline(recipe.model_name)).exists():
        return recipe
    earlier = [each for each in runs.summaries(root, recipe.name) if "served_name" not in each]
    # Where other data's model is served under the recipe's name, these get a name of their own.
    last = next((each for each in reversed(earlier) if each.get("pushed")), None)
    known = [last] if last else earlier
    if not any(_is_of(each, recipe) for each in known):
        return recipe
    return dataclasses.replace(recipe, served_name=recipe.name)


def note(asked: Recipe, found: Recipe) -> list[str]:
    """What the user has to know where `in_root` has found another name."""
    if asked.model_name == found.model_name:
        return []
    return [
        f"served as {found.model_name}, as earlier runs on these data in this root are; "
        f"--name {asked.model_name} gives them a name of their own"
    ]


def check(recipe: Recipe, root: Path) -> None:
    """Checks what can be known without a look at the data, in a root of this machine.

    Args:
      recipe: of `in_root`.
      root: where the runs are.

    Raises:
      NameTaken: see `check_task` and `check_data`.
    """
    name = recipe.model_name
    try:
        task, _ = served.task_and_names(root, name)
    except ValueError as error:
        raise NameTaken(f"{name} is served: {error}. {keeps_both(name)}") from error
    if task is None:
        return
    check_task(recipe, task)
    pushed = [each for each in runs.of_model(root, name) if each.get("pushed")]
    if pushed:
        check_data(recipe, _place(pushed[-1]))


def check_task(recipe: Recipe, task: Task) -> None:
    """Checks what the served model answers.

    Raises:
      NameTaken: another task's answer than the recipe's.
    """
    name = recipe.model_name
    if task.name != recipe.task:
        raise NameTaken(
            f"{name} is served and answers another task: {task.name}, and this recipe's is "
            f"{recipe.task}. {keeps_both(name)}"
        )


def check_data(recipe: Recipe, before: str) -> None:
    """Checks where the data came from that the served model was trained on.

    Args:
      recipe: the recipe.
      before: their `data_names.origin`.

    Raises:
      NameTaken: from elsewhere than the recipe's, and nobody has chosen the name.
    """
    name, now = recipe.model_name, _origin(recipe)
    if recipe.served_name is None and not data_names.same_place(before, now):
        raise NameTaken(
            f"{name} is served from a training on {before}, and these data are {now}. "
            f"{keeps_both(name)}; if these data are to replace it, --name {name} says so"
        )


def check_classes(recipe: Recipe, folder: str, names: Sequence[str]) -> None:
    """Checks the classes as soon as they are known, before any picture is read.

    Args:
      recipe: of `in_root`.
      folder: of the served versions.
      names: of the data's classes, in their order; none where they have none.

    Raises:
      NameTaken: more of the served model's are others than `data_checks.other_classes` allows.
    """
    from components.served import objection

    found = objection(folder, names or None, recipe.data_checks)
    if found is not None:
        text, setting = found
        raise NameTaken(f"{text}. {keeps_both(recipe.model_name)}; --set {setting} replaces it")


def _is_of(summary: Mapping[str, Any], recipe: Recipe) -> bool:
    """Whether a run was on the recipe's data, whichever of their spans and versions."""
    return data_names.same_place(_place(summary), _origin(recipe))


def _origin(recipe: Recipe) -> str:
    return recipe.data_origin or data_names.origin(recipe.dataset)


def _place(summary: Mapping[str, Any]) -> str:
    # Runs of earlier versions have noted their data alone.
    return summary.get("data_origin") or data_names.origin(summary["dataset"])
