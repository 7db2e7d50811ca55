"""A network of the user's own, called and exported before any picture is read.

What its graph says is checked for every network (`graph`, `checks`). Code that is not known here
may still fail when it computes, answer for a whole batch at once, or hold what no SavedModel can.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from components.tasks import Task
from components.train.graph import first_line, served_parts

# With a number of its own the axis of the batch is told from others.
_PICTURES = 2
# They call Python, which a server has not.
_OF_PYTHON = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}
_NOT_HELD = "it uses a table or a variable that none of its layers holds as an attribute"
_AXES_OF_BOXES = 2  # [boxes, 4]


def check(model: keras.Model, task: Task, classes: int | None, size: Sequence[int]) -> None:
    """Calls a network on pictures of noise, and saves what would be served of it.

    Args:
      model: as `graph.functional` gives it, with values for its weights.
      task: what it has to answer.
      classes: how many there are; None where the task has none.
      size: height and width of its input.

    Raises:
      ValueError: it fails, its answers are not finite or not one for each picture, or it cannot be
        exported.
    """
    draw = np.random.default_rng(0)
    pictures = keras.tree.map_structure(
        lambda each: tf.constant(
            draw.uniform(size=(_PICTURES, *_sides(each.shape[1:], size))), each.dtype
        ),
        model.input,
    )
    for training in (False, True):
        _check_call(model, pictures, training)
    try:
        _export(model, task, classes, size)
    except Exception as error:  # of whatever kind: the network's own code runs
        reason = _NOT_HELD if "captures tensor" in str(error) else first_line(error)
        raise ValueError(f"the network cannot be exported: {reason}") from error


def _sides(shape: Sequence[int | None], size: Sequence[int]) -> tuple[int, ...]:
    """A shape [..., height, width, channels] with those of the recipe's where they are open."""
    if len(shape) == _AXES_OF_BOXES:
        return tuple(side or _PICTURES for side in shape)
    *before, height, width, channels = shape
    return (*before, height or size[0], width or size[1], channels)


def _check_call(model: keras.Model, pictures: Any, training: bool) -> None:
    how = f"called on {_PICTURES} pictures of noise with training={training}, the network"
    try:
        answers = keras.tree.flatten(model(pictures, training=training))
    except Exception as error:
        raise ValueError(f"{how} fails: {first_line(error)}") from error
    for answer in answers:
        if answer.shape[0] != _PICTURES:
            raise ValueError(
                f"{how} gives {tuple(answer.shape)}: wanted is an answer for each picture, "
                f"({_PICTURES}, ...)"
            )
        if not np.all(np.isfinite(keras.ops.convert_to_numpy(answer))):
            raise ValueError(f"{how} gives numbers that are not finite")


def _export(model: keras.Model, task: Task, classes: int | None, size: Sequence[int]) -> None:
    network = served_parts(model, (), False).network
    names = tf.constant([str(number) for number in range(classes or 0)], tf.string)

    @tf.function(autograph=False)
    def serve(pictures: Any) -> dict[str, tf.Tensor]:
        return task.part("answers").served(network(pictures, training=False), names, size)

    module = tf.Module()
    # As the served model holds them (`signatures`).
    module.variables_ = [variable.value for variable in model.variables]
    module.serve = serve
    served = serve.get_concrete_function(
        keras.tree.map_structure(
            lambda each: tf.TensorSpec([None, *each.shape[1:]], each.dtype), model.input
        )
    )
    graph = served.graph.as_graph_def()
    nodes = [*graph.node, *(node for each in graph.library.function for node in each.node_def)]
    if _OF_PYTHON & {node.op for node in nodes}:
        raise ValueError("it calls Python (tf.py_function or the like), which a server cannot")
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder)
