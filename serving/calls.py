"""The calls that both clients make: TensorFlow Serving's methods with plain values.

Importing it loads protobuf, gRPC and numpy, not TensorFlow.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import grpc
import numpy as np

from serving import messages
from serving.errors import ServingError
from serving.messages import VersionStatus, Which
from serving.protos import (
    classification_pb2,
    get_model_status_pb2,
    meta_graph_pb2,
    model_management_pb2,
    model_server_config_pb2,
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
    regression_pb2,
)

POLL_SECONDS = 0.05
_NOT_YET = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNAVAILABLE)
Examples = Sequence[str | os.PathLike | bytes]
_Answer = TypeVar("_Answer")


@dataclasses.dataclass(frozen=True)
class Call(Generic[_Answer]):
    """The name of a method, the message it is sent, and how its answer is read."""

    method: str
    request: Any
    read: Callable[[Any], _Answer]


class Connection:
    """To the server at `target`; made at the first call.

    timeout: the deadline of each call in seconds, its retries included. See `messages.channel`.
    """

    def __init__(
        self,
        target: str,
        timeout: float,
        retries: int,
        credentials: grpc.ChannelCredentials | None,
    ) -> None:
        self.target = target
        self.timeout = timeout
        self._channel = messages.channel(target, credentials, retries)
        self._stubs = (
            prediction_service_pb2_grpc.PredictionServiceStub(self._channel),
            model_service_pb2_grpc.ModelServiceStub(self._channel),
        )

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def _method(self, call: Call) -> grpc.UnaryUnaryMultiCallable:
        return next(
            getattr(stub, call.method) for stub in self._stubs if hasattr(stub, call.method)
        )


class Patience:
    """Encloses calls that may fail while what they ask for may still come.

    Raises ServingError(DEADLINE_EXCEEDED), with why the last call failed, after `timeout` seconds.
    """

    def __init__(self, what: str, timeout: float) -> None:
        self._what = what
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, ServingError) or error.code not in _NOT_YET:
            return False
        if time.monotonic() > self._deadline:
            raise ServingError(
                grpc.StatusCode.DEADLINE_EXCEEDED,
                f"{self._what} after {self._timeout:g} s: {error.message}",
            ) from error
        return True


def predict(
    which: Which,
    inputs: Mapping[str, np.ndarray],
    signature_name: str,
    output_filter: Sequence[str] = (),
) -> Call[dict[str, np.ndarray]]:
    """Any signature on arrays by input name."""
    request = messages.predict_request(which, inputs, signature_name, output_filter)
    return Call("Predict", request, messages.outputs)


def classify(
    which: Which, images: Examples, signature_name: str
) -> Call[list[list[tuple[str, float]]]]:
    """Every class with its score, for each image."""
    request = classification_pb2.ClassificationRequest(
        model_spec=which.spec(signature_name), input=messages.examples_input(images)
    )
    return Call("Classify", request, messages.classifications)


def regress(which: Which, images: Examples, signature_name: str) -> Call[list[float]]:
    """A number for each image."""
    request = regression_pb2.RegressionRequest(
        model_spec=which.spec(signature_name), input=messages.examples_input(images)
    )
    return Call("Regress", request, messages.regressions)


def metadata(which: Which) -> Call[tuple[int, dict[str, meta_graph_pb2.SignatureDef]]]:
    """The version that answers and its signatures."""
    return Call("GetModelMetadata", messages.metadata_request(which), messages.signatures)


def status(which: Which) -> Call[list[VersionStatus]]:
    """The state of each version, or of one."""
    request = get_model_status_pb2.GetModelStatusRequest(model_spec=which.spec())
    return Call("GetModelStatus", request, messages.version_statuses)


def reload(config: model_server_config_pb2.ModelServerConfig) -> Call[None]:
    """Other models instead."""
    request = model_management_pb2.ReloadConfigRequest(config=config)
    return Call("HandleReloadConfigRequest", request, lambda _: None)
