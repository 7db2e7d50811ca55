"""The embedded server: TensorFlow Serving's gRPC and REST API over SavedModels on disk.

Also a command, with tensorflow_model_server's flag names:

    python -m serving.server --port=8500 --rest_api_port=8501 --model_name=lenet
    --model_base_path=DIR
"""

from __future__ import annotations

import contextlib
import errno
import gc
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent import futures
from typing import Any

import click
import grpc
import tensorflow as tf
from google.protobuf import text_format

from serving.errors import ServingError, not_found
from serving.models import Models
from serving.protos import (
    model_server_config_pb2,
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)
from serving.rest import RestServer

# Room for a batch of camera photographs. TensorFlow Serving takes up to 2 GiB, protobuf's own
# limit.
MAX_MESSAGE_BYTES = 256 << 20
# TensorFlow Serving's own default: enough to keep the cores busy while others wait for the network.
_THREADS = 4 * (os.cpu_count() or 1)
# Requests still running at the stop have this long to end.
_GRACE_SECONDS = 10.0
# A version that is being copied is looked at this often, however rare the polls are.
_PENDING_SECONDS = 0.25

_log = logging.getLogger(__name__)


class Server:
    """Serves the newest version of each model over gRPC and REST while the `with` block lasts.

    `models` maps a model's name to the directory that holds its versions (any path tf.io.gfile
    knows). Port 0 takes a free one, None leaves that API out. Starting does not wait for the
    models: see `wait_until_available`.
    """

    def __init__(
        self,
        models: Mapping[str, str | os.PathLike[str]],
        grpc_port: int | None = 0,
        rest_port: int | None = 0,
        *,
        host: str = "127.0.0.1",
        poll_seconds: float = 1.0,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
    ) -> None:
        self.host = host
        self.grpc_port = grpc_port
        self.rest_port = rest_port
        self._poll_seconds = poll_seconds
        self._models = Models(models, max_message_bytes)
        self._stopping = False
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Server:
        """Binds the ports and starts to serve and to load.

        Raises OSError that names the port where one cannot be had; nothing is left running then.
        """
        with contextlib.ExitStack() as stack:
            stack.callback(self._close_models)
            if self.rest_port is not None:
                listener = stack.enter_context(_listen(self.host, self.rest_port))
                self.rest_port = listener.getsockname()[1]
                rest = RestServer(listener, self._models, _THREADS, _GRACE_SECONDS)
                stack.callback(rest.stop)
            if self.grpc_port is not None:
                grpc_server, self.grpc_port = self._bind_grpc(self.grpc_port)
                stack.callback(lambda: grpc_server.stop(_GRACE_SECONDS).wait())
            watcher = threading.Thread(target=self._watch, name="model-versions", daemon=True)
            stack.callback(self._stop_watching, watcher)
            watcher.start()
            if self.grpc_port is not None:
                grpc_server.start()
            if self.rest_port is not None:
                rest.start()
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

    def _bind_grpc(self, port: int) -> tuple[grpc.Server, int]:
        server = grpc.server(
            futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="grpc"),
            options=[
                # With gRPC's default two servers share a port and each gets some of the requests.
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", self._models.max_message_bytes),
                ("grpc.max_send_message_length", -1),
            ],
        )
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            _PredictionService(self._models), server
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(
            _ModelService(self._models), server
        )
        bound = 0
        with contextlib.suppress(RuntimeError):
            bound = server.add_insecure_port(f"{_bracketed(self.host)}:{port}")
        if not bound:
            server.stop(None).wait()
            _listen(self.host, port).close()  # says why
            raise OSError(f"cannot listen on {self.host}:{port}")
        return server, bound

    def _watch(self) -> None:
        models = self._models.versions.values()
        while not self._stopping:
            self._models.wake.clear()
            for versions in models:
                try:
                    versions.poll()
                except Exception:  # nothing on a disk may end the watching
                    _log.exception("looking for versions of %s failed", versions.name)
            pending = any(versions.pending for versions in models)
            seconds = min(self._poll_seconds, _PENDING_SECONDS) if pending else self._poll_seconds
            if not self._stopping:
                self._models.wake.wait(seconds)

    def _stop_watching(self, watcher: threading.Thread) -> None:
        self._stopping = True
        self._models.wake.set()
        watcher.join()

    def _close_models(self) -> None:
        for versions in self._models.versions.values():
            versions.close()


class _PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, models: Models) -> None:
        self._models = models

    def Predict(self, request, context):
        return _answer(self._models.predict, request, context)

    def GetModelMetadata(self, request, context):
        return _answer(self._models.metadata, request, context)

    def Classify(self, request, context):
        context.abort(*_unimplemented("PredictionService.Classify"))

    def Regress(self, request, context):
        context.abort(*_unimplemented("PredictionService.Regress"))

    def MultiInference(self, request, context):
        context.abort(*_unimplemented("PredictionService.MultiInference"))


class _ModelService(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, models: Models) -> None:
        self._models = models

    def GetModelStatus(self, request, context):
        return _answer(self._models.status, request, context)

    def HandleReloadConfigRequest(self, request, context):
        context.abort(*_unimplemented("ModelService.HandleReloadConfigRequest"))


def _answer(method: Callable[[Any], Any], request: Any, context: grpc.ServicerContext) -> Any:
    try:
        return method(request)
    except ServingError as error:
        context.abort(error.code, error.message)
    except Exception as error:
        _log.exception("a request failed")
        context.abort(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}")


def _unimplemented(method: str) -> tuple[grpc.StatusCode, str]:
    return grpc.StatusCode.UNIMPLEMENTED, f"{method} is not served by the embedded server"


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        why = "it is in use" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
        raise OSError(error.errno, f"cannot listen on {host}, port {port}: {why}") from error
    return listener


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


@click.command()
@click.option("--port", default=8500, show_default=True, help="gRPC port; 0 leaves gRPC out.")
@click.option("--rest_api_port", default=0, help="REST port; 0 leaves REST out.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--model_name", default="default", show_default=True, help="Name of the model.")
@click.option("--model_base_path", help="Directory that holds its numbered versions.")
@click.option(
    "--model_config_file",
    type=click.Path(exists=True, dir_okay=False),
    help="ModelServerConfig in text format: several models, each with name and base_path.",
)
@click.option(
    "--file_system_poll_wait_seconds",
    default=1.0,
    show_default=True,
    help="Time between two looks for newer versions.",
)
@click.option(
    "--max_message_bytes",
    default=MAX_MESSAGE_BYTES,
    show_default=True,
    help="Largest request that is read.",
)
def main(
    port: int,
    rest_api_port: int,
    host: str,
    model_name: str,
    model_base_path: str | None,
    model_config_file: str | None,
    file_system_poll_wait_seconds: float,
    max_message_bytes: int,
) -> None:
    """Serves SavedModels over TensorFlow Serving's gRPC and REST API until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    tf.get_logger().setLevel(logging.ERROR)
    if not (port or rest_api_port):
        raise click.UsageError("at least one of --port and --rest_api_port has to be set")
    if model_config_file:
        models = read_model_config(model_config_file)
    elif model_base_path:
        models = {model_name: model_base_path}
    else:
        raise click.UsageError("--model_base_path or --model_config_file has to be given")
    server = Server(
        models,
        port or None,
        rest_api_port or None,
        host=host,
        poll_seconds=file_system_poll_wait_seconds,
        max_message_bytes=max_message_bytes,
    )
    try:
        run(server, lambda: click.echo(f"serving {', '.join(models)} on {host}, {_ports(server)}"))
    except OSError as error:
        raise click.ClickException(error.strerror or str(error)) from error


def run(server: Server, started: Callable[[], None]) -> None:
    """Serves until SIGTERM or SIGINT; `started` is called once the ports are bound.

    For a process that does nothing else: what it has imported so far is taken out of the garbage
    collection, which otherwise holds requests up for half a second after a swap.

    Raises OSError that names the port where one cannot be had.
    """
    stop = threading.Event()
    gc.freeze()
    with server:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        started()
        stop.wait()


def read_model_config(path: str) -> dict[str, str]:
    """Model names and base paths of a ModelServerConfig in text format.

    Raises click.UsageError where the file cannot be read or asks for what is not supported.
    """
    config = model_server_config_pb2.ModelServerConfig()
    try:
        with open(path, encoding="utf-8") as file:
            text_format.Parse(file.read(), config)
    except text_format.ParseError as error:
        raise click.UsageError(f"{path} is not a ModelServerConfig: {error}") from error
    for model in config.model_config_list.config:
        for field in ("model_version_policy", "version_labels", "logging_config"):
            if field in {descriptor.name for descriptor, _ in model.ListFields()}:
                raise click.UsageError(f"{path}: {field} is not supported by the embedded server")
    return {model.name: model.base_path for model in config.model_config_list.config}


def _ports(server: Server) -> str:
    ports = {"gRPC": server.grpc_port, "REST": server.rest_port}
    return ", ".join(f"{api} port {port}" for api, port in ports.items() if port)


if __name__ == "__main__":
    main()
