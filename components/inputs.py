"""What a network is shown of an example: the encoded pictures and the boxes of a task's inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from components.ingest.proposals import finding
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
    pictures = {
        each.feature: tf.io.RaggedFeature(tf.string) if task.stacks[each.name] else one
        for each in task.inputs
    }
    boxes = {_feature(task): tf.io.RaggedFeature(tf.float32)} if task.box_counts else {}
    return {**pictures, **boxes}


def _feature(task: Task) -> str:
    """That of its boxes."""
    if task.boxes is None:
        raise ValueError(f"{task.name} has no boxes")
    return task.boxes.feature


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


def boxes(parsed: Mapping[str, tf.Tensor], task: Task) -> dict[str, tf.Tensor]:
    """The boxes of one example by the name of their input, float32 [B, 4]; none without any."""
    return {name: tf.reshape(parsed[_feature(task)], [-1, 4]) for name in task.box_counts}


def padded(found: tf.Tensor, count: int) -> tf.Tensor:
    """The first so many boxes [B, 4], and boxes of zeros where there are fewer: [count, 4]."""
    kept = found[:count]
    return tf.ensure_shape(tf.pad(kept, [[0, count - tf.shape(kept)[0]], [0, 0]]), [count, 4])


def of_records(records: tf.Tensor, task: Task) -> dict[str, tf.Tensor]:
    """All that a network is shown, of serialised tf.Examples, string [N].

    Returns:
      By input string [N], of stacks [N, F]; and boxes, float32 [N, count, 4].
    """
    one_spec = spec(task)

    def one(record: tf.Tensor) -> dict[str, tf.Tensor]:
        parsed = tf.io.parse_single_example(record, one_spec)
        filled = {
            name: padded(each, task.box_counts[name]) for name, each in boxes(parsed, task).items()
        }
        return {**encoded(parsed, task), **filled}

    shapes = {name: [wanted] if wanted else [] for name, wanted in task.stacks.items()}
    signature = {name: tf.TensorSpec(shape, tf.string) for name, shape in shapes.items()}
    signature |= {
        name: tf.TensorSpec([count, 4], tf.float32) for name, count in task.box_counts.items()
    }
    return tf.map_fn(one, records, fn_output_signature=signature)


def of_record(record: bytes, task: Task) -> dict[str, Any]:
    """As `of_records`, of one: plain bytes, lists of them, and boxes as an array."""
    features = tf.train.Example.FromString(record).features.feature
    found: dict[str, Any] = {}
    for each in task.inputs:
        values = features[each.feature].bytes_list.value
        wanted = task.stacks[each.name]
        chosen = [values[place] for place in spread(len(values), wanted)] if wanted else values[0]
        found[each.name] = chosen
    for name, count in task.box_counts.items():
        found[name] = finding.padded(features[_feature(task)].float_list.value, count)
    return found


def column(values: Sequence[Any]) -> np.ndarray:
    """What is sent of one input of several questions, each as of `of_record`."""
    return np.stack(values) if isinstance(values[0], np.ndarray) else np.array(values, object)
