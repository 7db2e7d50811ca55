"""The requests that lie beside a SavedModel: they warm it up, and it has to answer them well.

TensorFlow Serving's file: a TFRecord of PredictionLogs, assets.extra/tf_serving_warmup_requests.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import grpc
import numpy as np
from google.protobuf.message import DecodeError

from serving import inference, tensors
from serving.errors import ServingError, invalid
from serving.protos import prediction_log_pb2
from serving.runtime import tf

WARMUP_FILE = os.path.join("assets.extra", "tf_serving_warmup_requests")
_MAX_RECORDS = 1000
_MAX_TENSOR_BYTES = 2 << 30  # protobuf's own limit for a message

# Answers the inputs of a signature with its outputs.
Predict = Callable[[str, dict[str, np.ndarray]], dict[str, np.ndarray]]


def replay(path: str, predict: Predict, before_each: Callable[[], None] = lambda: None) -> int:
    """Makes each request that lies beside the model in folder `path`; how many there were.

    `before_each` is called before each; what it raises ends this.

    Raises ServingError: what the model or the file is refused for. Its message names the record.
    """
    number = 0
    for number, record in enumerate(_records(os.path.join(path, WARMUP_FILE)), 1):
        if number > _MAX_RECORDS:
            raise invalid(
                f"Number of warmup records exceeds the maximum ({_MAX_RECORDS}) at {path}"
            )
        before_each()
        try:
            _replay(record, predict)
        except ServingError as error:
            raise ServingError(error.code, f"warm-up record {number}: {error.message}") from error
    return number


def _records(file: str) -> Iterator[bytes]:
    if not tf.exists(file):
        return
    try:
        yield from tf.records(file)
    except tf.DataLossError as error:
        raise ServingError(grpc.StatusCode.DATA_LOSS, f"{file}: {error.message}") from error


def _replay(record: bytes, predict: Predict) -> None:
    log = prediction_log_pb2.PredictionLog()
    try:
        log.ParseFromString(record)
    except DecodeError:
        raise invalid("it is no PredictionLog") from None
    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        request = log.predict_log.request
        inputs = {
            name: tensors.from_proto(proto, name, _MAX_TENSOR_BYTES)
            for name, proto in request.inputs.items()
        }
        _call(predict, request.model_spec.signature_name, inputs)
    elif kind in ("classify_log", "regress_log"):
        request = getattr(log, kind).request
        _call_examples(predict, request.model_spec.signature_name, request.input)
    elif kind == "multi_inference_log":
        for task in log.multi_inference_log.request.tasks:
            signature = task.model_spec.signature_name
            _call_examples(predict, signature, log.multi_inference_log.request.input)
    else:
        raise ServingError(
            grpc.StatusCode.UNIMPLEMENTED, f"Unsupported log_type for warmup: {kind}"
        )


def _call_examples(predict: Predict, signature: str, message: Any) -> None:
    examples = inference.serialized_examples(message, _MAX_TENSOR_BYTES)
    _call(predict, signature, {inference.INPUTS: examples})


def _call(predict: Predict, signature: str, inputs: dict[str, np.ndarray]) -> None:
    check_numbers(signature, predict(signature, inputs))


def check_numbers(signature: str, outputs: Mapping[str, np.ndarray]) -> None:
    """Raises ServingError(FAILED_PRECONDITION) where an answer of the signature holds NaN."""
    for name, array in outputs.items():
        if array.dtype.kind == "f" and np.isnan(array).any():
            raise ServingError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"the signature {signature or 'serving_default'} answers with NaN in {name}",
            )
