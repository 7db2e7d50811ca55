"""Requests and answers of the clients: TensorFlow Serving's messages from and to plain values.

Importing it loads protobuf, gRPC and numpy, not TensorFlow.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import grpc
import numpy as np
from google.protobuf.message import DecodeError

from serving import tensors
from serving.errors import ServingError, status_code
from serving.protos import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    input_pb2,
    meta_graph_pb2,
    model_pb2,
    predict_pb2,
    regression_pb2,
)

Image = str | os.PathLike | bytes | np.ndarray
# By the names of a model's inputs an image, or several of a stack.
NamedImages = Mapping[str, Image | Sequence[Image]]
# For one image, by output: an array or, where it is one value, a NumPy scalar or bytes.
Answer = dict[str, np.ndarray | np.generic | bytes]
MAX_RETRIES = 4  # gRPC's own limit
_ENCODED_INPUT, _PIXEL_INPUT, _PIXEL_SIGNATURE = "examples", "image", "predict"
_ENCODED_FEATURE = "image/encoded"
_IMAGES = (b"\x89PNG", b"\xff\xd8\xff")
_MAX_TENSOR_BYTES = 2 << 30  # protobuf's own limit for a message
_RETRIED_BYTES = 256 << 20


@dataclasses.dataclass(frozen=True)
class VersionStatus:
    """One version on the server; `state` is START, LOADING, AVAILABLE, UNLOADING or END."""

    version: int
    state: str
    code: grpc.StatusCode
    message: str


@dataclasses.dataclass(frozen=True)
class Which:
    """The model that is asked, and which version: the newest, or one by its number or label."""

    model: str
    version: int | None = None
    version_label: str | None = None

    def spec(self, signature_name: str | None = None) -> model_pb2.ModelSpec:
        """The message."""
        spec = model_pb2.ModelSpec(name=self.model, signature_name=signature_name)
        if self.version is not None:
            spec.version.value = self.version
        elif self.version_label is not None:
            spec.version_label = self.version_label
        return spec


def channel(target: str, credentials: grpc.ChannelCredentials | None, retries: int) -> grpc.Channel:
    """A connection on which calls that end with UNAVAILABLE are made again, within their deadline.

    Up to `retries` times, after about 0.1, 0.2, 0.4 and 0.8 seconds. Raises ValueError for more
    than gRPC takes.
    """
    if not 0 <= retries <= MAX_RETRIES:
        raise ValueError(f"retries has to be from 0 to {MAX_RETRIES}; was {retries}")
    options = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        # A message that does not fit here is sent once only.
        ("grpc.per_rpc_retry_buffer_size", _RETRIED_BYTES),
        ("grpc.enable_retries", int(retries > 0)),
    ]
    # Where a name stands for several servers, each gets its share of the requests.
    config: dict[str, Any] = {"loadBalancingConfig": [{"round_robin": {}}]}
    if retries:
        policy = {
            "maxAttempts": retries + 1,
            "initialBackoff": "0.1s",
            "maxBackoff": "2s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE"],
        }
        config["methodConfig"] = [{"name": [{}], "retryPolicy": policy}]
    options.append(("grpc.service_config", json.dumps(config)))
    if credentials is None:
        return grpc.insecure_channel(target, options)
    return grpc.secure_channel(target, credentials, options)


def image_batches(
    images: Sequence[Image | NamedImages], signature_name: str, batch_size: int
) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Signature and inputs of each request; see `Client.predict`."""
    images = list(images)
    if any(isinstance(image, Mapping) for image in images):
        yield from _named_batches(images, signature_name, batch_size)
        return
    if any(isinstance(image, np.ndarray) for image in images):
        if signature_name == "serving_default":
            signature_name = _PIXEL_SIGNATURE
        name, encode = _PIXEL_INPUT, _pixels
    else:
        name, encode = _ENCODED_INPUT, _encoded
    for start in range(0, len(images), batch_size):
        yield signature_name, {name: encode(images[start : start + batch_size])}


def _named_batches(
    images: Sequence[NamedImages], signature_name: str, batch_size: int
) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    names = [*images[0]]
    flat = [_values(value) for image in images for value in image.values()]
    # Beside encoded pictures an array holds other numbers, such as boxes.
    is_pixels = all(isinstance(each, np.ndarray) for values in flat for each in values)
    if is_pixels and signature_name == "serving_default":
        signature_name = _PIXEL_SIGNATURE
    for start in range(0, len(images), batch_size):
        batch = images[start : start + batch_size]
        columns = {name: [image[name] for image in batch] for name in names}
        yield signature_name, {name: _column(each) for name, each in columns.items()}


def _values(value: Image | Sequence[Image]) -> Sequence[Image]:
    return value if isinstance(value, (list, tuple)) else [value]


def _column(values: Sequence[Image | Sequence[Image]]) -> np.ndarray:
    """An input's values: [N, ...], of stacks [N, F, ...]."""
    encode = _pixels if isinstance(_values(values[0])[0], np.ndarray) else _encoded
    if not isinstance(values[0], (list, tuple)):
        return encode(values)
    return np.stack([encode(stack) for stack in values])


def predict_request(
    which: Which,
    inputs: Mapping[str, np.ndarray],
    signature_name: str,
    output_filter: Sequence[str] = (),
) -> predict_pb2.PredictRequest:
    """A request of any signature."""
    request = predict_pb2.PredictRequest(
        model_spec=which.spec(signature_name), output_filter=output_filter
    )
    for name, array in inputs.items():
        request.inputs[name].CopyFrom(tensors.to_proto(array, content=True))
    return request


def outputs(response: predict_pb2.PredictResponse) -> dict[str, np.ndarray]:
    """Arrays by output name."""
    return {
        name: tensors.from_proto(proto, name, _MAX_TENSOR_BYTES)
        for name, proto in response.outputs.items()
    }


def answers(outputs: Mapping[str, np.ndarray], batch: Mapping[str, np.ndarray]) -> list[Answer]:
    """The outputs for a batch of `image_batches`, image by image.

    Raises ValueError where an output does not have a value for each image.
    """
    images = len(next(iter(batch.values())))
    for name, array in outputs.items():
        if array.shape[:1] != (images,):
            raise ValueError(
                f"{images} images, but an output {name} of shape {list(array.shape)}: use call()"
            )
    return [{name: array[place] for name, array in outputs.items()} for place in range(images)]


def examples_input(images: Sequence[str | os.PathLike | bytes]) -> input_pb2.Input:
    """tf.Examples of encoded images; bytes that are no PNG or JPEG are taken for tf.Examples.

    Raises ValueError for bytes that are neither.
    """
    message = input_pb2.Input()
    for encoded in _encoded(images):
        example = message.example_list.examples.add()
        if encoded.startswith(_IMAGES):
            example.features.feature[_ENCODED_FEATURE].bytes_list.value.append(encoded)
        else:
            try:
                example.MergeFromString(encoded)
            except DecodeError:
                raise ValueError("bytes that are neither PNG, JPEG nor a tf.Example") from None
    return message


def classifications(
    response: classification_pb2.ClassificationResponse,
) -> list[list[tuple[str, float]]]:
    """For each example its (label, score) pairs."""
    return [
        [(one.label, one.score) for one in each.classes] for each in response.result.classifications
    ]


def regressions(response: regression_pb2.RegressionResponse) -> list[float]:
    """For each example its number."""
    return [each.value for each in response.result.regressions]


def metadata_request(which: Which) -> get_model_metadata_pb2.GetModelMetadataRequest:
    """For the signatures."""
    return get_model_metadata_pb2.GetModelMetadataRequest(
        model_spec=which.spec(), metadata_field=["signature_def"]
    )


def signatures(
    response: get_model_metadata_pb2.GetModelMetadataResponse,
) -> tuple[int, dict[str, meta_graph_pb2.SignatureDef]]:
    """The version that has answered and its signatures by name."""
    found = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(found)
    return response.model_spec.version.value, dict(found.signature_def)


def version_statuses(
    response: get_model_status_pb2.GetModelStatusResponse,
) -> list[VersionStatus]:
    """The state of each version."""
    return [_version_status(proto) for proto in response.model_version_status]


def available(statuses: Sequence[VersionStatus]) -> int:
    """The newest version that answers.

    Raises ServingError: UNAVAILABLE while none does, FAILED_PRECONDITION with the reasons where
    every one has failed to load.
    """
    for status in statuses:
        if status.state == "AVAILABLE":
            return status.version
    failed = all(s.state == "END" and s.code is not grpc.StatusCode.OK for s in statuses)
    raise ServingError(
        grpc.StatusCode.FAILED_PRECONDITION if failed else grpc.StatusCode.UNAVAILABLE,
        "; ".join(f"version {s.version} is {s.state} {s.message}".rstrip() for s in statuses),
    )


def _version_status(proto: Any) -> VersionStatus:
    return VersionStatus(
        version=proto.version,
        state=get_model_status_pb2.ModelVersionStatus.State.Name(proto.state),
        code=status_code(proto.status.error_code),
        message=proto.status.error_message,
    )


def _encoded(images: Sequence[str | os.PathLike | bytes]) -> np.ndarray:
    batch = np.empty(len(images), object)
    batch[:] = [image if isinstance(image, bytes) else _read(image) for image in images]
    return batch


def _read(path: str | os.PathLike) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _pixels(images: Sequence[np.ndarray]) -> np.ndarray:
    return np.stack([np.asarray(image, np.float32) for image in images])
