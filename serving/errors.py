"""The one error of the serving room: a gRPC status code and a message for the caller."""

from __future__ import annotations

import logging
import traceback

import grpc

# gRPC takes 8 KiB of status, in which a byte that is no ASCII takes three.
_MOST_BYTES = 2000

_log = logging.getLogger(__name__)


class ServingError(Exception):
    """A request was refused or failed. `code` is the gRPC status, `message` the server's text.

    The text is cut to what gRPC sends beside an answer, and is always UTF-8.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        self.code = code
        self.message = _sendable(message)
        super().__init__(f"{code.name}: {self.message}")


def invalid(message: str) -> ServingError:
    """An INVALID_ARGUMENT error: the caller has to change the request."""
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)


def translated(error: Exception) -> ServingError:
    """What a caller is told of an error; those that no request should cause are logged.

    What the request has sent is let go: else the error's traceback would keep it, and be kept by
    it, until Python looks for such circles.
    """
    refusal = _translated(error)
    let_go(error)
    return refusal


def let_go(error: BaseException) -> None:
    """Has an error, and those that led to it, keep nothing of the functions it has gone through."""
    reason: BaseException | None = error
    while reason is not None:
        traceback.clear_frames(reason.__traceback__)
        reason = reason.__context__
    error.__cause__ = error.__context__ = None


def _translated(error: Exception) -> ServingError:
    if isinstance(error, ServingError):
        return error
    if isinstance(error, (MemoryError, RecursionError)):
        return ServingError(
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            f"the request needs more than there is: {type(error).__name__}",
        )
    if isinstance(error, UnicodeError):
        return invalid(f"a text of the request is no UTF-8: {error}")
    _log.error("a request failed", exc_info=error)
    return ServingError(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}")


def _sendable(message: str) -> str:
    # A message may echo what was sent: half a character, or megabytes.
    content = message[: _MOST_BYTES + 1].encode(errors="replace")
    if len(content) <= _MOST_BYTES:
        return content.decode()
    return content[:_MOST_BYTES].decode(errors="ignore") + " ..."


def not_found(name: str, version: int | None) -> ServingError:
    """TensorFlow Serving's answer for a model or version that is not served."""
    request = f"Latest({name})" if version is None else f"Specific({name}, {version})"
    return ServingError(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {request}")


def status_code(number: int) -> grpc.StatusCode:
    """The gRPC status of an absl / TensorFlow error code (they share their numbers)."""
    return _CODES.get(number, grpc.StatusCode.UNKNOWN)


_CODES = {code.value[0]: code for code in grpc.StatusCode}
