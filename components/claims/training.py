"""The experiment of most claims: a recipe's network trained on a part of its images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from components import trusted
from components.claims import images
from components.claims.runs import Outcome
from components.train import data, network
from components.train.fitting import fit
from components.train.objects import load

_TASK = "classification"
_EVALUATED = 500


class _Watch(keras.callbacks.Callback):
    """Notes the test accuracy, and lets the budget end the training."""

    def __init__(
        self,
        measure: Callable[[keras.Model], float],
        every: int,
        check: Callable[[float], None],
        steps: int,
    ):
        super().__init__()
        self.accuracy: tuple[list[float], list[float]] = ([], [])
        self._measure, self._every, self._check = measure, every, check
        self._step, self._steps = 0, steps

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        self._step += 1
        self._check(self._step / self._steps)
        if self._every and self._step % self._every == 0:
            self.accuracy[0].append(self._step)
            self.accuracy[1].append(100.0 - self._measure(self.model))


def train(settings: Mapping[str, Any], seed: int, check: Callable[..., None]) -> Outcome:
    """Trains a network as a recipe says, and measures its errors.

    Args:
      settings: of a recipe what `components.train.network` and `components.train.data` take, and
        `train_images` and `test_images`, of which the errors are, and the first of which are
        trained on. Optional: `every`, after how many steps the test accuracy is taken for the curve
        `test_accuracy`; `measure`, import path of a function that adds figures of the trained
        network.
      seed: of the weights, the order and the distortions.
      check: called after each step with the part of the training that lies behind, and without it
        between what comes before and after the steps.

    Returns:
      `train_error` and `test_error` in percent, both without distortions and as the network is
      used after training, `gap`, their difference, and `diverged`, whether (1) the loss was at some
      time not finite, which ends the training; the curves `train_loss` by epoch and
      `test_accuracy`, in percent, by step.
    """
    recipe = {"task": _TASK, **settings, "seed": seed}
    train_images, test_images = images.train_and_test(
        recipe["dataset"], recipe["preprocess"], recipe["train_images"], recipe["test_images"]
    )
    check()
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    classes = int(tf.reduce_max(train_images.arrays[1])) + 1
    # What a claim's settings name is this package's own.
    with trusted.allowing(["components.claims"]):
        model = network.compiled_model(recipe, train_images, classes)
    check()
    of_test = _error_of(test_images, recipe, check)
    steps = data.steps_per_epoch(train_images, recipe)
    watch = _Watch(of_test, recipe.get("every", 0), check, steps * recipe["epochs"])
    finite = keras.callbacks.TerminateOnNaN()
    history = fit(
        model,
        data.training_batches(train_images, recipe),
        steps,
        range(recipe["epochs"]),
        callbacks=[watch, finite],
        verbose=0,
    ).history["loss"]
    of_train = _error_of(train_images, recipe, check)
    figures = {"train_error": of_train(model), "test_error": of_test(model)}
    figures["gap"] = figures["test_error"] - figures["train_error"]
    figures["diverged"] = float(not np.isfinite(history).all())
    if "measure" in recipe:
        figures |= load(recipe["measure"])(model)
    finite_losses = [(epoch, loss) for epoch, loss in enumerate(history, 1) if np.isfinite(loss)]
    curves = {"train_loss": _unzipped(finite_losses), "test_accuracy": watch.accuracy}
    return Outcome(figures, {name: curve for name, curve in curves.items() if curve[0]})


def _unzipped(points: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [float(place) for place, _ in points], [float(value) for _, value in points]


def _error_of(
    part: images.Pixels, recipe: Mapping[str, Any], check: Callable[[], None]
) -> Callable[[keras.Model], float]:
    """What gives a model's error on a part of the images, in percent."""
    evaluated = data.validation_batches(part, {**recipe, "batch_size": _EVALUATED})

    def error(model: keras.Model) -> float:
        wrong = 0
        for pixels, labels in evaluated:
            scores = model.predict_on_batch(pixels)
            check()
            wrong += int(np.sum(np.argmax(scores, axis=1) != labels.numpy()))
        return 100.0 * wrong / part.count

    return error
