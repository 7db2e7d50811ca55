"""`serving.client.Client` for asyncio: many requests under way from one thread."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import TypeVar

import grpc
import numpy as np

from serving import calls, messages
from serving.calls import Call, Connection, Examples
from serving.client import errors
from serving.messages import Answer, Image, NamedImages, VersionStatus, Which
from serving.protos import meta_graph_pb2, model_server_config_pb2

_Answer = TypeVar("_Answer")


class AsyncClient(Connection):
    """Asks the server at `target` ("host:port"); arguments and errors are `Client`'s.

    A call whose task is cancelled is cancelled on the server, too. An asynchronous context manager,
    or close() it. Built on gRPC's futures, so any event loop will do.
    """

    def __init__(
        self,
        target: str,
        timeout: float = 60.0,
        *,
        retries: int = messages.MAX_RETRIES,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        super().__init__(target, timeout, retries, credentials)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.close()

    async def predict(
        self,
        model: str,
        images: Sequence[Image | NamedImages],
        signature_name: str = "serving_default",
        version: int | None = None,
        batch_size: int = 64,
        version_label: str | None = None,
    ) -> list[Answer]:
        """Asks about images, `batch_size` in a request, all requests at once; see `Client`."""
        batches = list(messages.image_batches(images, signature_name, batch_size))
        asked = [
            self.call(model, batch, name, version, version_label=version_label)
            for name, batch in batches
        ]
        outputs = await asyncio.gather(*asked)
        pairs = zip(outputs, batches, strict=True)
        return [one for each, (_, batch) in pairs for one in messages.answers(each, batch)]

    async def call(
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
        return await self._ask(calls.predict(which, inputs, signature_name, output_filter))

    async def classify(
        self,
        model: str,
        images: Examples,
        signature_name: str = "classify",
        version: int | None = None,
        version_label: str | None = None,
    ) -> list[list[tuple[str, float]]]:
        """Every class with its score, for each image (path, encoded bytes or tf.Example)."""
        return await self._ask(
            calls.classify(Which(model, version, version_label), images, signature_name)
        )

    async def regress(
        self,
        model: str,
        images: Examples,
        signature_name: str = "regress",
        version: int | None = None,
        version_label: str | None = None,
    ) -> list[float]:
        """A number for each image (path, encoded bytes or tf.Example)."""
        return await self._ask(
            calls.regress(Which(model, version, version_label), images, signature_name)
        )

    async def metadata(
        self, model: str, version: int | None = None, version_label: str | None = None
    ) -> tuple[int, dict[str, meta_graph_pb2.SignatureDef]]:
        """The version that answers and its signatures by name."""
        return await self._ask(calls.metadata(Which(model, version, version_label)))

    async def status(
        self, model: str, version: int | None = None, version_label: str | None = None
    ) -> list[VersionStatus]:
        """The state of each version that the server knows, or of one."""
        return await self._ask(calls.status(Which(model, version, version_label)))

    async def reload(self, config: model_server_config_pb2.ModelServerConfig) -> None:
        """Has the server serve these models instead; waits until the new ones do."""
        await self._ask(calls.reload(config))

    async def wait_until_available(
        self, model: str, timeout: float = 60.0, version: int | None = None
    ) -> int:
        """Waits until the server answers for `model` (for `version` of it) and returns the version.

        Raises ServingError as `Client.wait_until_available` does.
        """
        patience = calls.Patience(f"{model} is not available at {self.target}", timeout)
        while True:
            with patience:
                return messages.available(await self.status(model, version))
            await asyncio.sleep(calls.POLL_SECONDS)

    async def _ask(self, call: Call[_Answer]) -> _Answer:
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()

        def tell(_: grpc.Future) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(ended.set)

        future = self._method(call).future(call.request, timeout=self.timeout)
        future.add_done_callback(tell)
        try:
            await ended.wait()
        except asyncio.CancelledError:
            future.cancel()
            raise
        with errors():
            response = future.result()
        return call.read(response)
