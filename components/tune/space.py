"""A recipe's `tune.space` as KerasTuner's hyperparameters, and values from there to the recipe."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any

import keras_tuner

from components.settings import assign, parse

# Hyperband keeps its own account among the values.
_OF_THE_SEARCH = "tuner/"


def hyperparameters(space: Mapping[str, Any]) -> keras_tuner.HyperParameters:
    """One hyperparameter a path.

    Args:
      space: by path either a list of values or `{"low", "high"}` with `sampling` or `step`; the
        range is one of whole numbers where all of them are.
    """
    found = keras_tuner.HyperParameters()
    for path, choices in space.items():
        if isinstance(choices, Mapping):
            _add_range(found, path, **choices)
        else:
            found.Choice(path, _choices(choices))
    return found


def _add_range(
    found: keras_tuner.HyperParameters,
    path: str,
    low: float,
    high: float,
    sampling: str = "linear",
    step: float | None = None,
) -> None:
    whole = all(isinstance(number, int) for number in (low, high, step or 1))
    add = found.Int if whole else found.Float
    add(path, low, high, step=step, sampling=sampling)


def _choices(values: Sequence[Any]) -> list[Any]:
    """Numbers of one type as they are, because their order says something; else texts of JSON."""
    kinds = {type(value) for value in values}
    if kinds == {int} or kinds == {float}:
        return list(values)
    if kinds == {int, float}:
        return [float(value) for value in values]
    return [json.dumps(value) for value in values]


def chosen(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a trial by path, as a recipe takes them."""
    return {
        path: parse(value) if isinstance(value, str) else value
        for path, value in values.items()
        if not path.startswith(_OF_THE_SEARCH)
    }


def applied(recipe: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a recipe, as plain data, with the values of a trial.

    Raises:
      RecipeError: the recipe has no such value, or takes none like it.
    """
    changed = copy.deepcopy(dict(recipe))
    for path, value in chosen(values).items():
        assign(changed, path, value)
    return changed
