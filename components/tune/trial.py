"""Trains trials, one after the other, in a process of their own.

What a trial can do wrong, from values that a layer does not take to a kernel that ends the process,
ends that trial alone.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft

from components import tasks
from components.examples import label_names
from components.settings import applied
from components.train import balance, data
from components.train.callbacks import EpochCheckpoint, EpochFacts
from components.train.fine_tuning import Freezing
from components.train.fitting import fit
from components.train.learning import plateau
from components.train.network import compiled_model, for_outputs, precision
from components.train.strategy import strategy
from components.tune.orders import Order, SearchFacts

# A fifth of the training images is held out: trials are compared on what they have not learnt from,
# and the test images stay unseen.
_HELD_OUT = 0.2


class TrialError(RuntimeError):
    """A training that came to nothing, with the reason."""


def serve(connection: Connection, search: SearchFacts) -> None:
    """Answers each Order with the numbers of its last epoch, or with `{"error": reason}`."""
    _take_device(search.place)
    images = None
    while True:
        try:
            order = connection.recv()
        except EOFError:
            return
        try:
            images = images or _images(search)
            answer = _train(order, search.recipe, *images)
        except Exception as error:
            answer = {"error": _reason(error)}
        connection.send(answer)


def _images(search: SearchFacts) -> tuple[data.Images, data.Images, list[str] | None]:
    """The images to learn from, those held out, and the names of the classes, if there are some."""
    transform = tft.TFTransformOutput(search.transform_output)
    task = tasks.of_recipe(search.recipe)
    train, held_out = data.train_and_validation(search.train_files, transform, task, _HELD_OUT)
    if held_out is None:
        raise TrialError(f"too few images to hold a part out: {train.count}")
    # Two folders up from .../Split-train/*: the Examples artifact.
    names = label_names(os.path.dirname(os.path.dirname(search.train_files[0])))
    return train, held_out, names if task.has_classes else None


def _take_device(place: int) -> None:
    """Processes share the GPUs, and leave each other what they do not need of their memory."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        own = gpus[place % len(gpus)]
        tf.config.set_visible_devices(own, "GPU")
        tf.config.experimental.set_memory_growth(own, True)


def _train(
    order: Order,
    recipe: Mapping[str, Any],
    train: data.Images,
    held_out: data.Images,
    names: list[str] | None,
) -> dict[str, float]:
    started = time.monotonic()
    recipe = applied(recipe, order.values)
    keras.backend.clear_session()
    keras.utils.set_random_seed(recipe["seed"])
    checkpoint = EpochCheckpoint(order.folder)
    with strategy("one_device").scope(), precision(recipe["mixed_precision"]):
        model = compiled_model(recipe, train, None if names is None else len(names))
        done = checkpoint.restore(model, order.parent)
    watched = tasks.find(recipe["task"]).watched
    steps = data.steps_per_epoch(train, recipe)
    if done < order.epochs:
        by_class = balance.by_class(recipe, train, names or ())
        batches = data.training_batches(train, recipe, done)
        facts = [Freezing(model, recipe, steps), EpochFacts(watched), _Finite()]
        fit(
            model,
            for_outputs(model, batches, train.targets, by_class),
            steps,
            range(done, order.epochs),
            validation_data=for_outputs(
                model, data.validation_batches(held_out, recipe), train.targets
            ),
            callbacks=[*facts, *plateau(recipe, checkpoint.history), checkpoint],
            verbose=2,
        )
    return {**checkpoint.history[-1], "seconds": time.monotonic() - started}


class _Finite(keras.callbacks.Callback):
    """Ends a training whose loss is no number: it will not become one again."""

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        if not all(math.isfinite(logs[key]) for key in ("loss", "val_loss")):
            raise TrialError(f"the loss is not a finite number after epoch {epoch + 1}")


def _reason(error: Exception) -> str:
    """The first line of a message; TensorFlow's go on with its stack."""
    text = str(error).strip().splitlines()
    name = type(error).__name__
    return (
        text[0]
        if text and isinstance(error, (TrialError, ValueError))
        else (f"{name}: {text[0]}" if text else name)
    )
