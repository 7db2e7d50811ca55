"""A recipe's optimizer and losses, as `Model.compile` takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from components import tasks
from components.train.objects import build
from keras_models.optimizers import DivideOnPlateau

# Of an optimizer's arguments, the one that a callback takes.
PLATEAU = "divide_on_plateau"


def optimizer_of(recipe: Mapping[str, Any], steps: int) -> keras.optimizers.Optimizer:
    """The recipe's optimizer, for epochs of so many steps.

    Raises:
      ValueError: it cannot be built as the recipe says.
    """
    arguments = {key: value for key, value in recipe["optimizer"].items() if key != PLATEAU}
    known = {"steps": steps * recipe["epochs"], "steps_per_epoch": steps}
    return build(arguments, "optimizer", **known)


def losses(model: keras.Model, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Losses, their weights and metrics, as `Model.compile` takes them.

    Raises:
      ValueError: a loss cannot be built as the recipe says.
    """
    watched = list(tasks.find(recipe["task"]).watched)
    if recipe["loss"] is None:
        return {"loss": None, "metrics": watched or None}
    if "class" not in recipe["loss"]:
        # By the names of the outputs, which are those of the targets.
        return {"loss": {name: build(loss, "loss") for name, loss in recipe["loss"].items()}}
    auxiliary = len(model.outputs) - 1
    if not auxiliary:
        return {"loss": build(recipe["loss"], "loss"), "metrics": watched or None}
    return {
        "loss": [build(recipe["loss"], "loss") for _ in model.outputs],
        "loss_weights": [1.0] + [recipe["auxiliary_weight"]] * auxiliary,
        "metrics": [watched] + [[]] * auxiliary,
    }


def plateau(
    recipe: Mapping[str, Any], history: Sequence[Mapping[str, float]]
) -> list[DivideOnPlateau]:
    """What divides the recipe's rate, to be called before the history has the epoch.

    Args:
      recipe: plain data.
      history: of the epochs so far, to which those to come are added.

    Raises:
      ValueError: arguments that it refuses.
    """
    arguments = recipe["optimizer"].get(PLATEAU)
    if arguments is None:
        return []
    task = tasks.find(recipe["task"])
    mode = "min" if task.monitor_less_is_better else "max"
    watched = {} if "monitor" in arguments else {"monitor": task.monitor, "mode": mode}
    return [DivideOnPlateau(history, **watched, **arguments)]
