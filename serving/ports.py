"""Ports to listen on, tried before anything that takes long."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterable

_MOST = 65535


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError that names the port where it cannot be had."""
    check_number(host, port)
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


def check_number(host: str, port: int) -> None:
    """Raises OSError for a number that no port has; gRPC takes its last 16 bits."""
    if not 0 <= port <= _MOST:
        why = f"ports are from 0 to {_MOST}"
        raise OSError(errno.EINVAL, f"cannot listen on {host}, port {port}: {why}")


def check(host: str, ports: Iterable[int]) -> None:
    """Raises OSError that names the one of `ports` that cannot be had, or is there twice.

    So that it is said before TensorFlow is loaded. 0, a free port, can always be had.
    """
    with contextlib.ExitStack() as stack:
        for port in filter(None, ports):
            stack.enter_context(listen(host, port))
