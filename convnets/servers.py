"""A server in this process."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from convnets import arguments
from pipelines import served

_PORTS = (1 << 16) - 1


class Server:
    """Serves models over gRPC and REST until it is stopped, or its `with` block ends.

    It runs in threads of its own, so that a notebook goes on beside it.

    Attributes:
      models: folder of versions by name.
      grpc: `HOST:PORT`, what `serving.client.Client` takes.
      rest: `http://HOST:PORT`; a model is at `/v1/models/NAME`.
    """

    def __init__(
        self,
        models: Mapping[str, str],
        port: int = 0,
        rest_port: int = 0,
        host: str = "127.0.0.1",
        batching: Path | None = None,
        ssl_config: Path | None = None,
    ) -> None:
        """
        Args:
          models: folder of versions by name.
          port, rest_port: of gRPC and REST; 0 for a free one.
          host: the address to listen on.
          batching, ssl_config: files of TensorFlow Serving's BatchingParameters and SSLConfig.

        Raises:
          OSError: a port cannot be had.
          TypeError: an argument of another type.
          ValueError: a file is not what it has to be, or a port no port's number.
          serving.errors.ServingError: a model cannot be loaded.
        """
        arguments.check("models", models, Mapping, "folders by the names of models")
        arguments.count("port", port, 0, _PORTS)
        arguments.count("rest_port", rest_port, 0, _PORTS)
        arguments.check("host", host, str, "an address")
        self.models = models
        self._stack = contextlib.ExitStack()
        self.grpc, self.rest = self._stack.enter_context(
            served.server(models, port, rest_port, host, batching, ssl_config)
        )

    def stop(self) -> None:
        """Ends the server, after the requests that it is computing."""
        self._stack.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<convnets.Server of {', '.join(self.models)}: gRPC {self.grpc}, REST {self.rest}>"
