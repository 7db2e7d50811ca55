"""Real requests beside the SavedModel, which a server sends it before anyone else does.

TensorFlow Serving and the embedded server call a version with the requests in
assets.extra/tf_serving_warmup_requests while it is loaded. One that cannot answer them never
serves; the embedded server wants an answer without NaN, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import input_pb2, model_pb2, prediction_log_pb2

_FILE = os.path.join("assets.extra", "tf_serving_warmup_requests")
_ENCODED = "image/encoded"


def bare_examples(records: tf.data.Dataset, number: int) -> list[tf.train.Example]:
    """The first `number` of the serialised tf.Examples in `records`, with the image alone."""
    found = []
    for record in records.take(number).as_numpy_iterator():
        image = tf.train.Example.FromString(record).features.feature[_ENCODED]
        found.append(tf.train.Example(features=tf.train.Features(feature={_ENCODED: image})))
    return found


def write(
    folder: str,
    signatures: Sequence[str],
    asked: Sequence[tf.train.Example],
    pixels: np.ndarray,
) -> None:
    """Writes requests to each of the signatures of `ServingModule`, one image and then all.

    Args:
      folder: of the SavedModel.
      signatures: their names.
      asked: images as tf.Examples.
      pixels: the same or others as pixels 0..255, [N, H, W, C].
    """
    path = os.path.join(folder, _FILE)
    tf.io.gfile.makedirs(os.path.dirname(path))
    with tf.io.TFRecordWriter(path) as writer:
        for name in signatures:
            for log in _logs(name, asked, pixels):
                writer.write(log.SerializeToString())


def _logs(
    name: str, asked: Sequence[tf.train.Example], pixels: np.ndarray
) -> Iterator[prediction_log_pb2.PredictionLog]:
    for count in sorted({1, len(asked)}):
        log = prediction_log_pb2.PredictionLog()
        spec = model_pb2.ModelSpec(signature_name=name)
        if name in ("classify", "regress"):
            one = log.classify_log if name == "classify" else log.regress_log
            one.request.model_spec.CopyFrom(spec)
            one.request.input.CopyFrom(input_pb2.Input(example_list={"examples": asked[:count]}))
        else:
            request = log.predict_log.request
            request.model_spec.CopyFrom(spec)
            if name in ("predict", "dense"):
                tensor = tf.make_tensor_proto(np.asarray(pixels[:count], np.float32))
                request.inputs["image"].CopyFrom(tensor)
            else:
                encoded = [example.SerializeToString() for example in asked[:count]]
                request.inputs["examples"].CopyFrom(tf.make_tensor_proto(encoded))
        yield log
