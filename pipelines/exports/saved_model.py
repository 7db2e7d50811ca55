"""A copy of the SavedModel that is served: files of images in, answers out."""

from __future__ import annotations

import shutil
from pathlib import Path

import tensorflow as tf

from components.answers import Answers
from pipelines.exports.original import Answering, Original


def write(original: Original, path: Path, precision: str) -> None:
    """Copies the model.

    Args:
      original: the model.
      path: of the new folder.
      precision: as it was trained.
    """
    del precision
    shutil.copytree(original.trained.model, path)


def reader(original: Original, path: Path) -> Answering:
    """The copy, asked by its own signature."""
    model = tf.saved_model.load(str(path))

    def answer(records: tf.Tensor) -> Answers:
        return original.of_numbers(
            model.signatures[original.task.examples_signature](examples=records)
        )

    return answer
