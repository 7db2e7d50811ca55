"""Figures that need the trainings of several variants, and figures of a trained network."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from components.claims.runs import Outcome

Derived = dict[str, dict[str, float]]


def steps_to_baseline(outcomes: Mapping[str, Outcome]) -> Derived:
    """`steps` after which each variant is first as accurate as the one called `baseline` ever is.

    A variant that never is counts with the steps of its training: of the figure that is said to be
    the greater this understates the claim, of the lesser it refutes it.
    """
    if "baseline" not in outcomes:
        return {}
    level = max(outcomes["baseline"].curves["test_accuracy"][1])
    steps = {}
    for variant, outcome in outcomes.items():
        places, accuracy = outcome.curves["test_accuracy"]
        reached = (place for place, value in zip(places, accuracy, strict=True) if value >= level)
        steps[variant] = {"steps": float(next(reached, places[-1]))}
    return steps


def ranges(outcomes: Mapping[str, Outcome]) -> Derived:
    """By method the `range` of the test errors over its constants, and the `best` of them.

    A variant is called METHOD:CONSTANTS; the figures are those of METHOD:*.
    """
    errors: dict[str, list[float]] = {}
    for variant, outcome in outcomes.items():
        errors.setdefault(variant.partition(":")[0], []).append(outcome.figures["test_error"])
    return {
        f"{method}:*": {"range": max(found) - min(found), "best": min(found)}
        for method, found in errors.items()
    }


def slopes(model: keras.Model) -> dict[str, float]:
    """The slopes of PReLU layers: `first_slope`, and `later_slope`, the mean of the others."""
    means = [
        float(np.mean(keras.ops.convert_to_numpy(layer.alpha)))
        for layer in model.layers
        if isinstance(layer, keras.layers.PReLU)
    ]
    if not means:
        return {}
    return {"first_slope": means[0], "later_slope": float(np.mean(means[1:]))}
