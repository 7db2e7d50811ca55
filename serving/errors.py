"""The one error of the serving room: a gRPC status code and a message for the caller."""

from __future__ import annotations

import grpc


class ServingError(Exception):
    """A request was refused or failed. `code` is the gRPC status, `message` the server's text."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message


def invalid(message: str) -> ServingError:
    """An INVALID_ARGUMENT error: the caller has to change the request."""
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_found(name: str, version: int | None) -> ServingError:
    """TensorFlow Serving's answer for a model or version that is not served."""
    request = f"Latest({name})" if version is None else f"Specific({name}, {version})"
    return ServingError(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {request}")


def status_code(number: int) -> grpc.StatusCode:
    """The gRPC status of an absl / TensorFlow error code (they share their numbers)."""
    return _CODES.get(number, grpc.StatusCode.UNKNOWN)


_CODES = {code.value[0]: code for code in grpc.StatusCode}
