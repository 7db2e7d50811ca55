"""All that decides the next step of a training, on disk."""

from __future__ import annotations

import keras
import tensorflow as tf


def variables(model: keras.Model) -> list[keras.Variable]:
    """The variables of a compiled, built model and of its optimizer, always in the same order.

    Among them are the states of the layers' random numbers, which `Model.save_weights` leaves out.
    """
    return [*model.variables, *model.optimizer.variables]


def save(model: keras.Model, path: str) -> None:
    """Writes the variables' values to files whose names begin with `path`."""
    _checkpoint(model).write(path)


def load(model: keras.Model, path: str) -> None:
    """Gives the variables the values that `save` has written for the same model.

    Raises:
      AssertionError: the model has other variables, or more or fewer.
      ValueError: a variable has another shape.
    """
    _checkpoint(model).read(path).assert_existing_objects_matched().assert_consumed()


def exists(path: str) -> bool:
    """Whether there is what `save` writes."""
    return tf.io.gfile.exists(f"{path}.index")


def _checkpoint(model: keras.Model) -> tf.train.Checkpoint:
    return tf.train.Checkpoint(variables=[variable.value for variable in variables(model)])
