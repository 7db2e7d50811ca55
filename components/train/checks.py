"""What would make a training fail, or learn nothing, found before any picture is read.

Networks are here graphs without values: nothing is computed but losses of a few numbers.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from components import tasks
from components.settings import check_choice
from components.train import fitting
from components.train.graph import first_line
from components.train.learning import PLATEAU, losses, optimizer_of, plateau

# Steps of an epoch, where those of the data are not known yet.
_STEPS = 100
_BYTES = 4  # of a float32
_PRIMES = (2, 3, 5, 7, 11)
_AXES_OF_BOXES = 3  # [pictures, boxes, 4]


def check_losses(model: keras.Model, recipe: Mapping[str, Any], classes: int | None) -> None:
    """Whether a network can be trained with its recipe's losses.

    Args:
      model: as `graph.functional` gives it; it is compiled.
      recipe: plain data.
      classes: how many there are; None where the task has none.

    Raises:
      ValueError: losses that cannot take what the network answers and what the data say.
    """
    if fitting.adapts(model):
        return  # No step is made.
    task = tasks.of_recipe(recipe)
    found = losses(model, recipe)
    for loss in filter(None, keras.tree.flatten(found["loss"])):
        _check_saving("loss", loss)
        if loss.get_config().get("from_logits") is False:
            raise ValueError(
                f"loss.from_logits must be true: networks give logits, and {type(loss).__name__} "
                "would take them for probabilities"
            )
    model.compile(optimizer=None, **found)
    # No number of a shape, so that nothing is taken for a batch, or repeated to fit one.
    shapes = {side for each in model.outputs for side in each.shape}
    count = next(prime for prime in _PRIMES if prime not in shapes)
    targets = task.part("targets")
    size = tuple(recipe["preprocess"]["size"])
    truths = targets.fitted(targets.sample(count, size, classes), model)
    draw = np.random.default_rng(0)

    def shape(each: keras.KerasTensor) -> list[int]:
        """Of as many as there happen to be, such as proposals, one."""
        return [count, *(side or 1 for side in each.shape[1:])]

    answers = keras.tree.map_structure(
        lambda each: tf.constant(draw.normal(size=shape(each)), each.dtype), model.output
    )
    pictures = keras.tree.map_structure(
        # A network for any size leaves the sides open.
        lambda each: tf.zeros(
            (count, *each.shape[1:-3], *size, each.shape[-1])
            if len(each.shape) > _AXES_OF_BOXES
            else shape(each)
        ),
        model.input,
    )
    try:
        with _without_penalties(model):
            value = float(np.mean(model.compute_loss(pictures, truths, answers)))
    except Exception as error:  # of whatever kind: the loss's own code runs
        raise ValueError(_message(model, recipe, truths, first_line(error))) from error
    if not math.isfinite(value):
        raise ValueError(_message(model, recipe, truths, f"it is {value}"))


@contextlib.contextmanager
def _without_penalties(model: keras.Model) -> Iterator[None]:
    """A network whose weights cost nothing: they have no values here."""
    penalized = [(each, each.regularizer) for each in model.trainable_variables]
    for variable, _ in penalized:
        variable.regularizer = None
    try:
        yield
    finally:
        for variable, penalty in penalized:
            variable.regularizer = penalty


def check_weights(model: keras.Model) -> None:
    """Raises ValueError where a network has no weights that learn."""
    if not model.trainable_variables:
        raise ValueError("the network has no weights that learn")


def check_optimizer(recipe: Mapping[str, Any]) -> None:
    """Whether a recipe's optimizer can be built, saved, and make steps.

    Raises:
      ValueError: it cannot.
    """
    optimizer = optimizer_of(recipe, _STEPS)
    _check_saving("optimizer", optimizer)
    schedule = optimizer.get_config().get("learning_rate")
    _check_plateau(recipe, schedule)
    if not isinstance(schedule, Mapping):
        return
    schedule = keras.optimizers.schedules.deserialize(schedule)
    steps = np.linspace(0, _STEPS * recipe["epochs"] - 1, 5).astype(int)
    rates = [float(schedule(int(step))) for step in steps]
    if not all(math.isfinite(rate) and rate >= 0 for rate in rates) or not any(rates):
        shown = ", ".join(f"{rate:g}" for rate in rates)
        raise ValueError(
            f"optimizer.learning_rate gives the rates {shown} from the first to the last step; "
            "wanted are numbers of 0 or more, and some above it"
        )


def _check_plateau(recipe: Mapping[str, Any], rate: Any) -> None:
    watched = tasks.find(recipe["task"]).watched
    logged = [f"{start}{name}" for start in ("", "val_") for name in ("loss", *watched)]
    for each in plateau(recipe, []):
        check_choice(f"optimizer.{PLATEAU}.monitor", each.monitor, logged)
        if isinstance(rate, Mapping):
            raise ValueError(
                f"optimizer.{PLATEAU} divides a rate that is one number, and learning_rate is a "
                "schedule; one of the two is enough"
            )


def check_memory(model: keras.Model) -> None:
    """Whether this machine holds what a training needs at least.

    That is the weights twice, with their gradients, and the largest output for one picture.

    Raises:
      ValueError: it does not.
    """
    outputs = [
        math.prod(tensor.shape[1:])
        for layer in model.layers
        for tensor in keras.tree.flatten(layer.output)
        if None not in tensor.shape[1:]
    ]
    weights = model.count_params()
    needed = _BYTES * (2 * weights + max(outputs, default=0))
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise ValueError(
            f"training the network needs more than {needed / 2**30:,.0f} GiB, for {weights:,} "
            f"weights and {max(outputs):,} numbers of a layer, and this machine has "
            f"{there / 2**30:,.0f} GiB: take a smaller preprocess.size or other model_args"
        )


def _message(model: keras.Model, recipe: Mapping[str, Any], truths: Any, reason: str) -> str:
    named = json.dumps(recipe["loss"]) if recipe["loss"] else "compute_loss"
    answers, wanted = (
        " and ".join(str((None, *each.shape[1:])) for each in keras.tree.flatten(values))
        for values in (model.output, truths)
    )
    return (
        f"loss: {named} cannot take what the network gives, {answers}, and what {recipe['task']} "
        f"data say, {wanted}: {reason}"
    )


def _check_saving(where: str, found: Any) -> None:
    """Raises ValueError where Keras cannot write down what was built: a model is saved with it."""
    try:
        keras.saving.serialize_keras_object(found)
    except Exception as error:
        name = type(found).__name__
        raise ValueError(
            f"{where}: {name} cannot be saved: its get_config() fails ({first_line(error)})"
        ) from error
