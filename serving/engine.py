"""The real tensorflow_model_server as a child process, used like the embedded `Server`."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping

from google.protobuf import text_format

from serving.client import Client
from serving.errors import ServingError, not_found
from serving.protos import model_server_config_pb2

EXECUTABLE = "tensorflow_model_server"
_STOP_SECONDS = 30.0
# How often a waiting client looks whether the process has ended.
_LOOK_SECONDS = 1.0


class TensorFlowModelServer:
    """Runs tensorflow_model_server from PATH while the `with` block lasts.

    `models`, the ports and the options mean what they mean for `serving.server.Server`, except that
    the executable listens on every address of the machine, polls in whole seconds and can always be
    reached over gRPC. What it prints is kept in a file and shown where it fails.
    """

    def __init__(
        self,
        models: Mapping[str, str | os.PathLike[str]],
        grpc_port: int = 0,
        rest_port: int | None = 0,
        *,
        poll_seconds: float = 1.0,
        max_message_bytes: int | None = None,
    ) -> None:
        self.grpc_port = grpc_port
        self.rest_port = rest_port
        self._models = {name: _absolute(os.fspath(path)) for name, path in models.items()}
        self._poll_seconds = math.ceil(poll_seconds)
        self._max_message_bytes = max_message_bytes
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> TensorFlowModelServer:
        """Starts the process.

        Raises FileNotFoundError where the executable is not installed, OSError that names the port
        where one is in use.
        """
        path = shutil.which(EXECUTABLE)
        if path is None:
            raise FileNotFoundError(f"{EXECUTABLE} is not on PATH")
        self.grpc_port = free_port(self.grpc_port)
        if self.rest_port is not None:
            self.rest_port = free_port(self.rest_port)
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            self._log = stack.enter_context(open(os.path.join(folder, "log"), "w+b"))
            config = os.path.join(folder, "models.config")
            with open(config, "w", encoding="utf-8") as file:
                file.write(model_config(self._models))
            self._process = subprocess.Popen(
                [path, *self._flags(config)], stdout=self._log, stderr=self._log
            )
            stack.callback(self._stop)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        """Stops the process and waits for its end."""
        self._stack.close()

    def wait_until_available(self, name: str, timeout: float = 60.0) -> int:
        """Waits until a version of `name` answers requests and returns its number.

        Raises ServingError as `Server.wait_until_available` does, and RuntimeError with the last
        lines printed where the process has ended.
        """
        if name not in self._models:
            raise not_found(name, None)
        with Client(f"127.0.0.1:{self.grpc_port}") as client:
            while True:
                try:
                    return client.wait_until_available(name, min(timeout, _LOOK_SECONDS))
                except ServingError:
                    if self._process.poll() is not None:
                        raise RuntimeError(f"{EXECUTABLE} has ended: {self._tail()}") from None
                    timeout -= _LOOK_SECONDS
                    if timeout <= 0:
                        raise

    def _flags(self, config: str) -> list[str]:
        flags = {
            "port": self.grpc_port,
            "rest_api_port": self.rest_port or 0,
            "model_config_file": config,
            "file_system_poll_wait_seconds": self._poll_seconds,
        }
        if self._max_message_bytes is not None:
            limit = f"grpc.max_receive_message_length={self._max_message_bytes}"
            flags["grpc_channel_arguments"] = limit
        return [f"--{name}={value}" for name, value in flags.items()]

    def _stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _tail(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-2000:].strip()


def model_config(models: Mapping[str, str]) -> str:
    """The ModelServerConfig in text format that serves each name from its base path."""
    config = model_server_config_pb2.ModelServerConfig()
    for name, path in models.items():
        config.model_config_list.config.add(name=name, base_path=path, model_platform="tensorflow")
    return text_format.MessageToString(config)


def _absolute(path: str) -> str:
    return path if "://" in path else os.path.abspath(path)


def free_port(port: int) -> int:
    """`port`, or one that nothing listens on for 0. Raises OSError that names a port in use."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            raise OSError(error.errno, f"cannot listen on port {port}: {error.strerror}") from error
        return probe.getsockname()[1]
