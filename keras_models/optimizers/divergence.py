"""A loss that is no finite number ends the training, with the place and what to do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
from keras import ops


class Diverged(ArithmeticError):
    """The loss has become infinite or no number."""


def check_finite(loss: float, step: int, place: str, rate: float | None = None) -> None:
    """Ends a training that cannot recover.

    Args:
      loss: of the last step.
      step: its number, from 1.
      place: what it was computed on, such as "batch 3 of epoch 2".
      rate: the learning rate, where there is one.

    Raises:
      Diverged: the loss is not finite.
    """
    if math.isfinite(loss):
        return
    rates = f" (it was {rate:.3g})" if rate is not None else ""
    raise Diverged(
        f"the loss is {loss} at step {step} ({place}), and will not become a finite number again. "
        f"Most often the learning rate is too large: divide it by 10{rates}, warm it up, or clip "
        "the gradients (optimizer.clipnorm=1). If it comes in the very first steps at any rate, "
        "look at the pictures of that batch and at the gradients of new layers: "
        "keras_models.optimizers.Objective(model, loss).gradient_error(x, y) compares them with "
        "differences of the loss"
    )


class StopOnDivergence(keras.callbacks.Callback):
    """Ends `fit` with `Diverged` at the first batch whose loss is infinite or no number.

    Keras' own TerminateOnNaN ends without a word of where and why. With
    `steps_per_execution` n the batch is one of the n before the one that is named.
    """

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        # Keras gives the mean over the epoch so far: one bad batch is enough to make it so.
        # Its number counts whole executions, and the last one of an epoch may be shorter.
        number = min(batch + 1, self.params.get("steps") or batch + 1)
        self._check(logs, f"batch {number} of epoch {self._epoch + 1}")

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        # Of a training loop that tells nothing of its batches.
        self._check(logs, f"epoch {epoch + 1}")

    def _check(self, logs: Mapping[str, Any] | None, place: str) -> None:
        loss = float((logs or {}).get("loss", 0.0))
        if math.isfinite(loss):
            return
        optimizer = self.model.optimizer
        rate = float(ops.convert_to_numpy(optimizer.learning_rate))
        check_finite(loss, int(ops.convert_to_numpy(optimizer.iterations)), place, rate)
