"""A recipe's `tune.space` as KerasTuner's hyperparameters.

`components.settings.applied` takes the values back to the recipe.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import keras_tuner


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
