"""A client for the embedded server and for tensorflow_model_server alike, over gRPC.

Importing it loads protobuf, gRPC and numpy, not TensorFlow. The same for asyncio:
`serving.async_client`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import grpc
import numpy as np

from serving import calls, messages
from serving.calls import Call, Connection, Examples
from serving.errors import ServingError
from serving.messages import Answer, Image, NamedImages, VersionStatus, Which
from serving.protos import meta_graph_pb2, model_server_config_pb2

__all__ = ["Answer", "Client", "Image", "NamedImages", "ServingError", "VersionStatus"]

_Answer = TypeVar("_Answer")


class Client(Connection):
    """Asks the server at `target` ("host:port").

    Every method raises ServingError with the server's gRPC status and message. Usable from many
    threads; a context manager, or close() it.
    """

    def __init__(
        self,
        target: str,
        timeout: float = 60.0,
        *,
        retries: int = messages.MAX_RETRIES,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        """Connects at the first call.

        Args:
          target: "host:port".
          timeout: the deadline of each call in seconds, its retries included.
          retries: how often a call that ends with UNAVAILABLE, and no other, is made again, at
            growing intervals; up to 4.
          credentials: of grpc.ssl_channel_credentials, for a server with TLS.
        """
        super().__init__(target, timeout, retries, credentials)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def predict(
        self,
        model: str,
        images: Sequence[Image | NamedImages],
        signature_name: str = "serving_default",
        version: int | None = None,
        batch_size: int = 64,
        version_label: str | None = None,
    ) -> list[Answer]:
        """Asks about images, `batch_size` in a request: the named outputs of each, in their order.

        An output of one value an image is a NumPy scalar, or bytes; others are arrays.

        images: paths of files, encoded bytes (PNG or JPEG; serialised tf.Examples too), or arrays
          [H, W, C] of pixels 0..255 at the model's size. Arrays go to the signature `predict`
          unless another than serving_default is named. Not a mixture of arrays and others. Of a
          model of several inputs a mapping by their names for each question, a list for a stack.
        version, version_label: which version is asked; the newest without either.

        Raises ValueError for a signature that does not give one value an image: see `call`.
        """
        found: list[Answer] = []
        for name, batch in messages.image_batches(images, signature_name, batch_size):
            outputs = self.call(model, batch, name, version, version_label=version_label)
            found += messages.answers(outputs, batch)
        return found

    def call(
        self,
        model: str,
        inputs: Mapping[str, np.ndarray],
        signature_name: str = "serving_default",
        version: int | None = None,
        output_filter: Sequence[str] = (),
        version_label: str | None = None,
    ) -> dict[str, np.ndarray]:
        """Calls any signature on arrays by input name; bytes live in object arrays."""
        which = Which(model, version, version_label)
        return self._ask(calls.predict(which, inputs, signature_name, output_filter))

    def classify(
        self,
        model: str,
        images: Examples,
        signature_name: str = "classify",
        version: int | None = None,
        version_label: str | None = None,
    ) -> list[list[tuple[str, float]]]:
        """Every class with its score, for each image (path, encoded bytes or tf.Example)."""
        return self._ask(
            calls.classify(Which(model, version, version_label), images, signature_name)
        )

    def regress(
        self,
        model: str,
        images: Examples,
        signature_name: str = "regress",
        version: int | None = None,
        version_label: str | None = None,
    ) -> list[float]:
        """A number for each image (path, encoded bytes or tf.Example)."""
        return self._ask(
            calls.regress(Which(model, version, version_label), images, signature_name)
        )

    def metadata(
        self, model: str, version: int | None = None, version_label: str | None = None
    ) -> tuple[int, dict[str, meta_graph_pb2.SignatureDef]]:
        """The version that answers and its signatures by name."""
        return self._ask(calls.metadata(Which(model, version, version_label)))

    def status(
        self, model: str, version: int | None = None, version_label: str | None = None
    ) -> list[VersionStatus]:
        """The state of each version that the server knows, or of one."""
        return self._ask(calls.status(Which(model, version, version_label)))

    def reload(self, config: model_server_config_pb2.ModelServerConfig) -> None:
        """Has the server serve these models instead; waits until the new ones do."""
        self._ask(calls.reload(config))

    def wait_until_available(
        self, model: str, timeout: float = 60.0, version: int | None = None
    ) -> int:
        """Waits until the server answers for `model` (for `version` of it) and returns the version.

        Raises ServingError: FAILED_PRECONDITION with the reason at once when every version has
        failed to load, DEADLINE_EXCEEDED with the last known state after `timeout` seconds.
        """
        patience = calls.Patience(f"{model} is not available at {self.target}", timeout)
        while True:
            with patience:
                return messages.available(self.status(model, version))
            time.sleep(calls.POLL_SECONDS)

    def _ask(self, call: Call[_Answer]) -> _Answer:
        with errors():
            response = self._method(call)(call.request, timeout=self.timeout)
        return call.read(response)


@contextlib.contextmanager
def errors() -> Iterator[None]:
    """gRPC's errors as ServingErrors."""
    try:
        yield
    except grpc.RpcError as error:
        raise ServingError(error.code(), error.details() or "") from error
