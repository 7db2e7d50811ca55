"""A client for the embedded server and for tensorflow_model_server alike, over gRPC.

Importing it loads protobuf, gRPC and numpy, not TensorFlow.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterator, Mapping, Sequence

import grpc
import numpy as np

from serving import tensors
from serving.errors import ServingError, status_code
from serving.protos import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    meta_graph_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

__all__ = ["Client", "Image", "Prediction", "ServingError", "VersionStatus"]

Image = str | os.PathLike | bytes | np.ndarray
_ENCODED_INPUT, _PIXEL_INPUT, _PIXEL_SIGNATURE = "examples", "image", "predict"
_MAX_TENSOR_BYTES = 2 << 30  # protobuf's own limit for a message
_POLL_SECONDS = 0.05


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The answer for one image: the top class, its probability, and all of them in label order.

    `scores` is float32 [C].
    """

    label: str
    score: float
    scores: np.ndarray


@dataclasses.dataclass(frozen=True)
class VersionStatus:
    """One version on the server; `state` is START, LOADING, AVAILABLE, UNLOADING or END."""

    version: int
    state: str
    code: grpc.StatusCode
    message: str


class Client:
    """Asks the server at `target` ("host:port"). `timeout` is the deadline of each call in seconds.

    Every method raises ServingError with the server's gRPC status and message. Usable from many
    threads; a context manager, or close() it.
    """

    def __init__(self, target: str, timeout: float = 60.0) -> None:
        self.target = target
        self.timeout = timeout
        unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._channel = grpc.insecure_channel(target, options=unlimited)
        self._predictions = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def predict(
        self,
        model: str,
        images: Sequence[Image],
        signature_name: str = "serving_default",
        version: int | None = None,
        batch_size: int = 64,
    ) -> list[Prediction]:
        """Classifies images, `batch_size` in a request, in their order.

        images: paths of files, encoded bytes (PNG or JPEG; serialised tf.Examples too), or arrays
          [H, W, C] of pixels 0..255 at the model's size. Arrays go to the signature `predict`
          unless another than serving_default is named. Not a mixture of arrays and others.

        Raises ValueError for a signature without the outputs `scores` and `classes`: see `call`.
        """
        images = list(images)
        if any(isinstance(image, np.ndarray) for image in images):
            if signature_name == "serving_default":
                signature_name = _PIXEL_SIGNATURE
            name, encode = _PIXEL_INPUT, _pixels
        else:
            name, encode = _ENCODED_INPUT, _encoded
        predictions = []
        for start in range(0, len(images), batch_size):
            batch = {name: encode(images[start : start + batch_size])}
            outputs = self.call(model, batch, signature_name, version)
            predictions += _predictions(outputs)
        return predictions

    def call(
        self,
        model: str,
        inputs: Mapping[str, np.ndarray],
        signature_name: str = "serving_default",
        version: int | None = None,
        output_filter: Sequence[str] = (),
    ) -> dict[str, np.ndarray]:
        """Calls any signature on arrays by input name; bytes live in object arrays."""
        request = predict_pb2.PredictRequest(
            model_spec=_spec(model, version, signature_name), output_filter=output_filter
        )
        for name, array in inputs.items():
            request.inputs[name].CopyFrom(tensors.to_proto(array, content=True))
        with _errors():
            response = self._predictions.Predict(request, timeout=self.timeout)
        return {
            name: tensors.from_proto(proto, name, _MAX_TENSOR_BYTES)
            for name, proto in response.outputs.items()
        }

    def metadata(
        self, model: str, version: int | None = None
    ) -> tuple[int, dict[str, meta_graph_pb2.SignatureDef]]:
        """The version that answers and its signatures by name."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=_spec(model, version), metadata_field=["signature_def"]
        )
        with _errors():
            response = self._predictions.GetModelMetadata(request, timeout=self.timeout)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        return response.model_spec.version.value, dict(signatures.signature_def)

    def status(self, model: str, version: int | None = None) -> list[VersionStatus]:
        """The state of each version that the server knows, or of one."""
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=_spec(model, version))
        with _errors():
            response = self._models.GetModelStatus(request, timeout=self.timeout)
        return [_version_status(proto) for proto in response.model_version_status]

    def wait_until_available(
        self, model: str, timeout: float = 60.0, version: int | None = None
    ) -> int:
        """Waits until the server answers for `model` (for `version` of it) and returns the version.

        Raises ServingError: FAILED_PRECONDITION with the reason at once when every version has
        failed to load, DEADLINE_EXCEEDED with the last known state after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            state = "the server does not answer"
            try:
                statuses = self.status(model, version)
            except ServingError as error:
                if error.code not in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNAVAILABLE):
                    raise
                state = error.message
            else:
                for status in statuses:
                    if status.state == "AVAILABLE":
                        return status.version
                state = "; ".join(map(_describe, statuses))
                if all(s.state == "END" and s.code is not grpc.StatusCode.OK for s in statuses):
                    raise ServingError(grpc.StatusCode.FAILED_PRECONDITION, state)
            if time.monotonic() > deadline:
                raise ServingError(
                    grpc.StatusCode.DEADLINE_EXCEEDED,
                    f"{model} is not available at {self.target} after {timeout:g} s: {state}",
                )
            time.sleep(_POLL_SECONDS)


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except grpc.RpcError as error:
        raise ServingError(error.code(), error.details() or "") from error


def _spec(
    model: str, version: int | None, signature_name: str | None = None
) -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=model, signature_name=signature_name)
    if version is not None:
        spec.version.value = version
    return spec


def _encoded(images: Sequence[str | os.PathLike | bytes]) -> np.ndarray:
    batch = np.empty(len(images), object)
    batch[:] = [image if isinstance(image, bytes) else _read(image) for image in images]
    return batch


def _read(path: str | os.PathLike) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _pixels(images: Sequence[np.ndarray]) -> np.ndarray:
    return np.stack([np.asarray(image, np.float32) for image in images])


def _predictions(outputs: Mapping[str, np.ndarray]) -> list[Prediction]:
    absent = {"classes", "scores"} - set(outputs)
    if absent:
        raise ValueError(
            f"the signature gives {', '.join(sorted(outputs))} and no {', '.join(sorted(absent))}: "
            "use call()"
        )
    return [
        Prediction(label.decode(), float(scores.max()), scores)
        for label, scores in zip(outputs["classes"], outputs["scores"], strict=True)
    ]


def _version_status(proto: get_model_status_pb2.ModelVersionStatus) -> VersionStatus:
    return VersionStatus(
        version=proto.version,
        state=get_model_status_pb2.ModelVersionStatus.State.Name(proto.state),
        code=status_code(proto.status.error_code),
        message=proto.status.error_message,
    )


def _describe(status: VersionStatus) -> str:
    return f"version {status.version} is {status.state} {status.message}".rstrip()
