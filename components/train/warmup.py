"""Real requests beside the SavedModel, which a server sends it before anyone else does.

TensorFlow Serving and the embedded server call a version with the requests in
assets.extra/tf_serving_warmup_requests while it is loaded. One that cannot answer them never
serves; the embedded server wants an answer without NaN, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import input_pb2, model_pb2, prediction_log_pb2

from components import inputs
from components.tasks import DEFAULT_SIGNATURE, Task

_FILE = os.path.join("assets.extra", "tf_serving_warmup_requests")


@dataclass(frozen=True)
class Questions:
    """What is asked.

    Attributes:
      examples: with the pictures alone.
      pixels: the same pictures or others as pixels 0..255, [N, H, W, C], of stacks
        [N, F, H, W, C], and boxes [N, B, 4], by the names of the inputs of the signature `predict`.
    """

    examples: Sequence[tf.train.Example]
    pixels: Mapping[str, np.ndarray]


def bare_examples(records: tf.data.Dataset, number: int, task: Task) -> list[tf.train.Example]:
    """The first `number` of the serialised tf.Examples in `records`, with the inputs alone."""
    found = []
    for record in records.take(number).as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        kept = {name: features[name] for name in inputs.spec(task)}
        found.append(tf.train.Example(features=tf.train.Features(feature=kept)))
    return found


def write(folder: str, signatures: Sequence[str], asked: Questions, task: Task) -> None:
    """Writes requests to each of the signatures of `ServingModule`, one question and then all.

    Args:
      folder: of the SavedModel.
      signatures: their names.
      asked: real images.
      task: what is asked for.
    """
    path = os.path.join(folder, _FILE)
    tf.io.gfile.makedirs(os.path.dirname(path))
    with tf.io.TFRecordWriter(path) as writer:
        for name in signatures:
            for log in _logs(name, asked, task):
                writer.write(log.SerializeToString())


def _logs(name: str, asked: Questions, task: Task) -> Iterator[prediction_log_pb2.PredictionLog]:
    for count in sorted({1, len(asked.examples)}):
        log = prediction_log_pb2.PredictionLog()
        spec = model_pb2.ModelSpec(signature_name=name)
        if name in ("classify", "regress"):
            one = log.classify_log if name == "classify" else log.regress_log
            one.request.model_spec.CopyFrom(spec)
            one.request.input.CopyFrom(
                input_pb2.Input(example_list={"examples": asked.examples[:count]})
            )
        else:
            request = log.predict_log.request
            request.model_spec.CopyFrom(spec)
            for key, values in _inputs(name, asked, task).items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(values[:count]))
        yield log


def _inputs(name: str, asked: Questions, task: Task) -> dict[str, Any]:
    """What a signature takes about all questions, by the names of its inputs."""
    if name in ("predict", "dense"):
        return {key: np.asarray(values, np.float32) for key, values in asked.pixels.items()}
    records = [example.SerializeToString() for example in asked.examples]
    if name == DEFAULT_SIGNATURE and not task.one_picture:
        shown = [inputs.of_record(record, task) for record in records]
        return {key: inputs.column([each[key] for each in shown]) for key in shown[0]}
    return {"examples": records}
