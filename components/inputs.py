"""What a network is shown of an example: the encoded pictures of a task's inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from components.tasks import Task


def spread(count: Any, wanted: int) -> Any:
    """The numbers of so many pictures of a stack, evenly spread over it, in their order.

    Of fewer pictures than are wanted some are taken more than once.

    Args:
      count: how many the stack has; a number, or int64 [].
      wanted: how many are taken.

    Returns:
      int64 [wanted].
    """
    return (2 * np.arange(wanted) + 1) * count // (2 * wanted)


def spec(task: Task) -> dict[str, Any]:
    """How `tf.io.parse_single_example` reads the features of a task's inputs."""
    one = tf.io.FixedLenFeature([], tf.string)
    return {
        each.feature: tf.io.RaggedFeature(tf.string) if task.stacks[each.name] else one
        for each in task.inputs
    }


def encoded(parsed: Mapping[str, tf.Tensor], task: Task) -> dict[str, tf.Tensor]:
    """The pictures of one example by the names of the inputs, string [], of stacks [F].

    Raises:
      tf.errors.InvalidArgumentError: an empty stack.
    """
    found = {}
    for each in task.inputs:
        values = parsed[each.feature]
        if wanted := task.stacks[each.name]:
            count = tf.size(values, tf.int64)
            tf.debugging.assert_positive(count, f"an example without any {each.feature}")
            found[each.name] = tf.gather(values, spread(count, wanted))
        else:
            found[each.name] = tf.reshape(values, [])
    return found


def of_records(records: tf.Tensor, task: Task) -> dict[str, tf.Tensor]:
    """As `encoded`, of serialised tf.Examples, string [N]: [N], of stacks [N, F]."""
    one_spec = spec(task)

    def one(record: tf.Tensor) -> dict[str, tf.Tensor]:
        return encoded(tf.io.parse_single_example(record, one_spec), task)

    shapes = {name: [wanted] if wanted else [] for name, wanted in task.stacks.items()}
    signature = {name: tf.TensorSpec(shape, tf.string) for name, shape in shapes.items()}
    return tf.map_fn(one, records, fn_output_signature=signature)


def of_record(record: bytes, task: Task) -> dict[str, bytes | list[bytes]]:
    """As `encoded`, of one serialised tf.Example, as plain bytes and lists of them."""
    features = tf.train.Example.FromString(record).features.feature
    found: dict[str, bytes | list[bytes]] = {}
    for each in task.inputs:
        values = features[each.feature].bytes_list.value
        wanted = task.stacks[each.name]
        chosen = [values[place] for place in spread(len(values), wanted)] if wanted else values[0]
        found[each.name] = chosen
    return found
