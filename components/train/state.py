"""All that decides the next step of a training, on disk."""

from __future__ import annotations

from collections.abc import Sequence

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


def save_weights(model: keras.Model, path: str) -> None:
    """As `save`, of the model's variables alone."""
    _checkpoint_of(model.variables).write(path)


def load_weights(model: keras.Model, path: str) -> None:
    """Gives the model's variables the values that `save_weights` has written; as `load`."""
    _checkpoint_of(model.variables).read(path).assert_existing_objects_matched().assert_consumed()


def exists(path: str) -> bool:
    """Whether there is what `save` writes."""
    return tf.io.gfile.exists(f"{path}.index")


def _checkpoint(model: keras.Model) -> tf.train.Checkpoint:
    return _checkpoint_of(variables(model))


def _checkpoint_of(found: Sequence[keras.Variable]) -> tf.train.Checkpoint:
    return tf.train.Checkpoint(variables=[variable.value for variable in found])
