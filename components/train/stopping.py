"""Ends a training that has stopped getting better, and keeps its best weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from components import tasks
from components.train import state
from components.train.callbacks import EpochCheckpoint

_BEST = "best"
_LOSS = "val_loss"


class EarlyStopping(keras.callbacks.Callback):
    """Ends a training where no epoch of the last `patience` was better than the best before.

    The best epoch's weights are kept beside the checkpoints. What is decided follows from the
    history of all epochs, so that a training that goes on after a kill ends where it would have
    ended. Called before the checkpoint, which then has what is kept already.

    Keras' own forgets at a kill which epoch was the best, and its weights.
    """

    def __init__(
        self,
        checkpoint: EpochCheckpoint,
        monitor: str,
        less_is_better: bool,
        patience: int,
        min_delta: float = 0.0,
        begin: int = 0,
    ):
        """
        Args:
          checkpoint: of the same training.
          monitor: the entry of the history that is watched.
          less_is_better: whether that is better the lower it is.
          patience: how many epochs may pass without a better one.
          min_delta: by how much an epoch must be better.
          begin: after how many epochs the waiting begins: those with frozen layers.
        """
        super().__init__()
        self._checkpoint = checkpoint
        self._monitor = monitor
        self._sign = -1.0 if less_is_better else 1.0
        self._patience = patience
        self._min_delta = min_delta
        self._begin = begin

    @property
    def ended(self) -> bool:
        """Whether the epochs so far were the last."""
        return self._is_over(self._checkpoint.history)

    @property
    def note(self) -> str:
        """What came of it, for a reader."""
        history = self._checkpoint.history
        best = self._best(history)
        value = history[best - 1][self._monitor]
        return (
            f"{'stopped early' if self.ended else 'trained to the end'}, after {len(history)} "
            f"epochs; the weights are those of epoch {best}, with the best {self._monitor}, "
            f"{value:.4g}"
        )

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        before = self._checkpoint.history
        now = [*before, {key: float(logs[key]) for key in (self._monitor, _LOSS) if key in logs}]
        best = self._best(now)
        if best == len(now):
            self._keep(best, self._best(before) if before else None)
        self.model.stop_training = self._is_over(now)

    def restore(self, model: keras.Model) -> None:
        """Gives the model its best weights."""
        state.load_weights(model, self._path(self._best(self._checkpoint.history)))

    def _is_over(self, history: Sequence[Mapping[str, float]]) -> bool:
        if not history:
            return False
        return len(history) - max(self._best(history), self._begin) >= self._patience

    def _best(self, history: Sequence[Mapping[str, float]]) -> int:
        """The number of the best epoch, from 1; the first where none is a number.

        Of epochs that are equally good, as many are where few images are held out, it is the one
        with the least loss.
        """
        best, highest, least = 1, -math.inf, math.inf
        for number, row in enumerate(history, 1):
            value, loss = self._sign * row[self._monitor], row.get(_LOSS, math.inf)
            if value > highest + self._min_delta or (value == highest and loss < least):
                best, highest, least = number, value, loss
        return best

    def _keep(self, epoch: int, former: int | None) -> None:
        """Writes the weights. Those of the best before stay: the newest checkpoint knows no other
        yet."""
        tf.io.gfile.makedirs(self._checkpoint.folder)
        state.save_weights(self.model, self._path(epoch))
        kept = {f"{_BEST}-{number:05d}" for number in (epoch, former) if number is not None}
        for name in tf.io.gfile.listdir(self._checkpoint.folder):
            if name.startswith(_BEST) and name.partition(".")[0] not in kept:
                tf.io.gfile.remove(f"{self._checkpoint.folder}/{name}")

    def _path(self, epoch: int) -> str:
        return f"{self._checkpoint.folder}/{_BEST}-{epoch:05d}"


def early_stopping(recipe: Mapping[str, Any], checkpoint: EpochCheckpoint) -> EarlyStopping | None:
    """What the recipe's `early_stopping` asks for; None without a patience."""
    arguments = recipe.get("early_stopping") or {}
    if arguments.get("patience") is None:
        return None
    task = tasks.find(recipe["task"])
    freeze = recipe.get("freeze") or {}
    return EarlyStopping(
        checkpoint,
        task.monitor,
        task.monitor_less_is_better,
        arguments["patience"],
        arguments["min_delta"],
        (freeze.get("epochs") or 0) if freeze.get("layers") else 0,
    )
