"""The same answer about every image: what a model has to be better than to have learnt anything.

On other data than a recipe's own nothing is published that says how good a model has to be. A
network that has learnt nothing gives one answer, whatever it is shown, so that this answer's figure
and what chance adds to it in so many test images are the least that is asked (`needed` of a task's
metrics).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tfx.dsl.io import fileio

from components import examples
from components.tasks import Task

# Of how many training examples the answer is made: enough for a mean.
_ASKED_OF_TRAINING = 2000
_BATCH = 256
_TRAIN, _TEST = "train", "test"
_FILE = "needed.json"


def rows(uri: str, task: Task) -> np.ndarray | None:
    """Of the metrics, about the test split: those of the best answer that the training split gives.

    Args:
      uri: an Examples artifact.
      task: with its arguments.

    Returns:
      float64 [R, K]; None where there is no training split.
    """
    if not _has_examples(uri, _TRAIN):
        return None
    metrics, arguments = task.part("metrics"), task.arguments
    train = _truths(uri, _TRAIN, task, _ASKED_OF_TRAINING)
    answer = metrics.constant(train, examples.label_names(uri), arguments)
    found = []
    for truths in _truths(uri, _TEST, task):
        same = {name: np.repeat(values, len(truths), axis=0) for name, values in answer.items()}
        found.append(metrics.rows(same, truths, arguments))
    return np.concatenate(found)


def needed(found: np.ndarray | None, task: Task, level: float | None) -> dict[str, Any] | None:
    """What the first figure that blesses has to be.

    Args:
      found: of `rows`.
      task: with its arguments.
      level: how seldom chance may explain it; None where nothing is asked.

    Returns:
      `value` of the figure, and `text`, why, in words; None where nothing is asked, or nothing can
      be said.
    """
    if level is None or found is None:
        return None
    least = task.part("metrics").needed(found, level, task.arguments)
    return None if least is None else dict(zip(("value", "text"), least, strict=True))


def write(folder: str, least: Mapping[str, Any]) -> None:
    """Keeps what `needed` gave in the folder of an artifact."""
    with fileio.open(os.path.join(folder, _FILE), "wb") as file:
        file.write(json.dumps(least).encode())


def read(folder: str) -> dict[str, Any] | None:
    """What `write` kept; None where there is nothing."""
    path = os.path.join(folder, _FILE)
    if not fileio.exists(path):
        return None
    with fileio.open(path, "rb") as file:
        return json.loads(file.read())


def _has_examples(uri: str, split: str) -> bool:
    try:
        return examples.count(examples.records(uri, split).take(1)) > 0
    except ValueError:  # there is no such split
        return False


def _truths(uri: str, split: str, task: Task, number: int = -1) -> Iterator[Any]:
    """The truths of the first so many examples of a split, or of all, in batches."""
    targets = task.part("targets")
    for batch in examples.records(uri, split).take(number).batch(_BATCH):
        parsed = tf.io.parse_example(batch, targets.FEATURES)
        yield targets.truths({name: value.numpy() for name, value in parsed.items()})
