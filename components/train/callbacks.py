"""Keras callbacks of the Trainer: checkpoints, history and progress."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from components import progress
from components.train import state

STAGE = "Trainer"
_STATE = "state"
# What is not yet, or no longer, a checkpoint.
_UNFINISHED = ".writing"
_REPORT_SECONDS = 0.5


class EpochCheckpoint(keras.callbacks.Callback):
    """Saves a training's state and history after each epoch, and restores the newest.

    Each epoch is one folder that appears whole or not at all, so that a process killed at any
    moment leaves a checkpoint that can be read (Keras' BackupAndRestore overwrites its file).

    Attributes:
      folder: where they are.
      history: an entry an epoch.
    """

    def __init__(self, folder: str):
        super().__init__()
        self.folder = folder
        self.history: list[dict[str, float]] = []

    def restore(self, model: keras.Model, other: str | None = None) -> int:
        """Loads the newest checkpoint into a compiled, built model.

        Args:
          model: as it was when the checkpoint was written.
          other: a folder of another training's, taken where there is none of this one.

        Returns:
          The number of epochs that lie behind: 0 where there is no checkpoint.
        """
        for folder in filter(None, (self.folder, other)):
            if epochs := _saved_epochs(folder):
                newest = _path(folder, epochs[-1])
                state.load(model, f"{newest}/{_STATE}")
                with tf.io.gfile.GFile(f"{newest}/history.json") as file:
                    self.history = json.load(file)
                return epochs[-1]
        return 0

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.history.append(_plain(epoch, logs))
        done = epoch + 1
        temporary = f"{self.folder}/{_UNFINISHED}"
        _remove(temporary)
        tf.io.gfile.makedirs(temporary)
        state.save(self.model, f"{temporary}/{_STATE}")
        with tf.io.gfile.GFile(f"{temporary}/history.json", "w") as file:
            json.dump(self.history, file)
        _remove(_path(self.folder, done))
        tf.io.gfile.rename(temporary, _path(self.folder, done))
        for old in _saved_epochs(self.folder)[:-1]:
            _discard(self.folder, old)

    def delete(self) -> None:
        """Removes the checkpoints, once the model is exported."""
        for epochs in _saved_epochs(self.folder):
            _discard(self.folder, epochs)
        _remove(self.folder)


def _discard(folder: str, epochs: int) -> None:
    """Removes a checkpoint: a kill in the middle leaves no part of it under its name."""
    temporary = f"{folder}/{_UNFINISHED}"
    _remove(temporary)
    tf.io.gfile.rename(_path(folder, epochs), temporary)
    _remove(temporary)


def _remove(folder: str) -> None:
    if tf.io.gfile.exists(folder):
        tf.io.gfile.rmtree(folder)


def _path(folder: str, epochs: int) -> str:
    return f"{folder}/epoch-{epochs:05d}"


def _saved_epochs(folder: str) -> list[int]:
    if not tf.io.gfile.exists(folder):
        return []
    names = [Path(name).name for name in tf.io.gfile.listdir(folder)]
    numbers = sorted(int(name[6:]) for name in names if name.startswith("epoch-"))
    # Other versions of this package wrote other files.
    return [number for number in numbers if state.exists(f"{_path(folder, number)}/{_STATE}")]


def _plain(epoch: int, logs: dict[str, Any] | None) -> dict[str, float]:
    return {"epoch": epoch + 1} | {key: float(value) for key, value in (logs or {}).items()}


class EpochFacts(keras.callbacks.Callback):
    """Adds the epoch's seconds, the learning rate and the steps so far to the logs of the callbacks
    after it.

    Of a network with several outputs Keras reports a metric under its output's name, too; it goes
    by its own here, as that of any other network.
    """

    def __init__(self, watched: Sequence[str]):
        """
        Args:
          watched: the metrics of the first output.
        """
        super().__init__()
        self._watched = watched

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._begun = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        for name in self._watched:
            for key in [key for key in logs if key.endswith(f"_{name}") and key != f"val_{name}"]:
                logs[f"val_{name}" if key.startswith("val_") else name] = logs.pop(key)
        logs["seconds"] = time.monotonic() - self._begun
        logs["learning_rate"] = float(
            keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)
        )
        logs["steps"] = int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))


class ProgressReport(keras.callbacks.Callback):
    """Tells the run's display the epoch, the loss and what else is watched."""

    def __init__(self, epochs: int, steps: int, watched: Sequence[str]):
        super().__init__()
        self._shown = ("loss", *watched, *(f"val_{name}" for name in watched or ("loss",)))
        self._epochs = epochs
        self._steps = steps
        self._epoch = 0
        self._reported = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        now = time.monotonic()
        if now - self._reported >= _REPORT_SECONDS:
            self._reported = now
            # Keras numbers the steps of whole executions.
            self._report(self._epoch + min((batch + 1) / self._steps, 1.0), logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._report(epoch + 1, logs)

    def _report(self, done: float, logs: dict[str, float] | None) -> None:
        values = [f"{key} {float(logs[key]):.4f}" for key in self._shown if key in (logs or {})]
        text = f"epoch {self._epoch + 1}/{self._epochs}  " + "  ".join(values)
        progress.report(STAGE, done, self._epochs, text)
