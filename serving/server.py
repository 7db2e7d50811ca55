"""The embedded server: TensorFlow Serving's gRPC and REST API over SavedModels on disk."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence

from serving import loop
from serving.errors import not_found
from serving.grpc_api import GrpcServer
from serving.images import MAX_IMAGE_PIXELS
from serving.model_config import ModelConfig, by_path
from serving.models import Models
from serving.ports import check_number, listen
from serving.rest import RestServer
from serving.settings import (
    MAX_MESSAGE_BYTES,
    METRICS_PATH,
    REST_TIMEOUT,
    BatchingParameters,
    TlsSettings,
)
from serving.versions import SETTLE_SECONDS
from serving.watching import Watchers

# Requests still running at the stop have this long to end.
_GRACE_SECONDS = 10.0


class Server:
    """Serves versions of models over gRPC and REST while the `with` block lasts.

    `models` are ModelConfigs, or map a model's name to the directory that holds its versions (any
    path tf.io.gfile knows), of which the newest serves. Port 0 takes a free one, None leaves that
    API out. Starting does not wait for the models: see `wait_until_available`.
    """

    def __init__(
        self,
        models: Mapping[str, str | os.PathLike[str]] | Sequence[ModelConfig],
        grpc_port: int | None = 0,
        rest_port: int | None = 0,
        *,
        host: str = "127.0.0.1",
        poll_seconds: float = 1.0,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        max_image_pixels: int = MAX_IMAGE_PIXELS,
        batching: BatchingParameters | None = None,
        tls: TlsSettings | None = None,
        metrics_path: str | None = METRICS_PATH,
        rest_timeout: float = REST_TIMEOUT,
        rest_cors: bool = False,
        grpc_socket_path: str | None = None,
        grpc_options: Mapping[str, int | str] | None = None,
        settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        """Takes the settings; nothing is started yet.

        Args:
          models, grpc_port, rest_port: see above.
          host: the address to listen on.
          poll_seconds: between two looks for newer versions; 0 for none but the first.
          max_message_bytes: of a request; larger ones are refused.
          max_image_pixels: width times height of an encoded image; larger ones are refused.
          batching: how requests are computed together; None for each alone.
          tls: of the gRPC port; REST has none, as in TensorFlow Serving.
          metrics_path: where REST shows its metrics; None for nowhere.
          rest_timeout: seconds that a REST request may take.
          rest_cors: whether REST lets the scripts of any web page ask.
          grpc_socket_path: UNIX socket on which gRPC is answered, too, or alone without a port.
          grpc_options: gRPC's own, by name.
          settle_seconds: how long the files of a version must have been left alone.
        """
        self.host = host
        self.grpc_port = grpc_port
        self.rest_port = rest_port
        self.grpc_socket_path = grpc_socket_path
        self._grpc_options = grpc_options or {}
        self._tls = tls
        configs = by_path(models) if isinstance(models, Mapping) else models
        self._watchers = Watchers(poll_seconds, self._tell_health)
        self._models = Models(
            configs,
            max_message_bytes,
            batching,
            max_image_pixels,
            settle_seconds,
            self._watchers.start,
        )
        self._rest = RestServer(self._models, metrics_path, rest_timeout, rest_cors)
        self._grpc: GrpcServer | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Server:
        """Binds the ports and starts to serve and to load.

        Raises OSError that names the port where one cannot be had; nothing is left running then.
        """
        with contextlib.ExitStack() as stack:
            stack.callback(self._models.close)
            if self.rest_port is not None:
                listener = stack.enter_context(listen(self.host, self.rest_port))
                self.rest_port = listener.getsockname()[1]
                stack.callback(lambda: loop.run(self._rest.stop()))
            if self.grpc_port is not None or self.grpc_socket_path:
                self._grpc = loop.run(self._bind_grpc())
                stack.callback(self._stop_grpc)
            if self._grpc:
                loop.run(self._grpc.start())
            if self.rest_port is not None:
                loop.run(self._rest.start(listener, _GRACE_SECONDS))
            stack.callback(self._watchers.stop, self._models.cancel)
            for versions in self._models.versions.values():
                self._watchers.start(versions)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        """Lets the requests in flight end, frees the ports and unloads the models."""
        self._stack.close()

    def wait_until_available(self, name: str, timeout: float = 60.0) -> int:
        """Waits until a version of `name` answers requests and returns its number.

        Raises ServingError: NOT_FOUND for a model the server does not have, FAILED_PRECONDITION
        with the reason at once when no version can be loaded, DEADLINE_EXCEEDED after `timeout`
        seconds.
        """
        if name not in self._models.versions:
            raise not_found(name, None)
        return self._models.versions[name].wait_until_available(timeout)

    def reload(self, models: Sequence[ModelConfig]) -> None:
        """Serves `models` and no others, as HandleReloadConfigRequest; waits for the new ones.

        Raises ServingError where one of them cannot be had.
        """
        self._models.apply(models)

    async def _bind_grpc(self) -> GrpcServer:
        server = GrpcServer(self._models, self._models.max_message_bytes, self._grpc_options)
        try:
            if self.grpc_port is not None:
                check_number(self.host, self.grpc_port)
                address = f"{_bracketed(self.host)}:{self.grpc_port}"
                if not (bound := self._bind(server, address)):
                    listen(self.host, self.grpc_port).close()  # says why
                    raise OSError(f"cannot listen on {address}")
                self.grpc_port = bound
            if self.grpc_socket_path and not self._bind(server, f"unix:{self.grpc_socket_path}"):
                raise OSError(f"cannot listen on the socket {self.grpc_socket_path}")
        except OSError:
            await server.stop(None)
            raise
        return server

    def _bind(self, server: GrpcServer, address: str) -> int:
        with contextlib.suppress(RuntimeError):
            return server.bind(address, self._tls)
        return 0

    def _stop_grpc(self) -> None:
        loop.run(self._grpc.stop(_GRACE_SECONDS))
        # The end of the interpreter is too late for gRPC to take its server apart.
        self._grpc = None

    def _tell_health(self) -> None:
        if self._grpc:
            loop.run(self._set_health(self._grpc))

    async def _set_health(self, server: GrpcServer) -> None:
        models = self._models.versions.values()
        available = {each.name: each.available for each in models}
        await server.set_health(available, [each.name for each in models if each.has_served])


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def run(
    server: Server,
    started: Callable[[], None],
    follow: Callable[[threading.Event], None] | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT; `started` is called once the ports are bound.

    Meanwhile `follow` is called in a thread of its own, with what is set at the end.

    For a process that does nothing else: what it has imported so far is taken out of the garbage
    collection, which otherwise holds requests up for half a second after a swap.

    Raises OSError that names the port where one cannot be had.
    """
    stop = threading.Event()
    gc.freeze()
    with server:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        if follow:
            threading.Thread(target=follow, args=[stop], name="config-file", daemon=True).start()
        started()
        stop.wait()
