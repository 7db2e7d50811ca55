"""JSON text to Python's values, as RapidJSON reads it, and without holding the other requests up.

TensorFlow Serving parses with kParseNanAndInfFlag (tensorflow_serving/util/json_tensor.cc).
"""

from __future__ import annotations

import contextlib
import gc
import json
import math
import re
import threading
from collections.abc import Iterator
from typing import Any

from serving.errors import invalid
from serving.json_values import shown

# Python's parser lets no other thread run until it has ended. A value takes it a tenth of a
# microsecond and up to 64 bytes, a name of an object ten times as long: so many there may be for
# each byte that a request may have.
_BYTES_A_VALUE, _BYTES_A_NAME = 64, 512
_PIECE = 1 << 20
_NOT_VALUES = bytes(set(range(256)) - set(b",[{"))
# Numbers that may be larger than a double: with an exponent of three digits, or long ones.
_DIGITS = bytes.maketrans(b"123456789E", b"000000000e")
_LARGE = (b"e000", b"e+000", b"0" * 200)
_HALF_OF_A_PAIR = re.compile(r"\\u[dD][89abAB]|\\u[dD][c-fC-F]")
# What RapidJSON takes and Python does not, and the strings, in which it means nothing: without
# escaped quotes in them, since for each of those the matching would need memory.
_NOT_PYTHON = re.compile(r'"[^"]*"|(-?Inf(?:inity)?|-NaN)')
_PYTHON = {"Inf": "Infinity", "-Inf": "-Infinity", "-NaN": "NaN"}
_SHOWN_DIGITS = 19


def parse(body: bytes, max_bytes: int) -> dict[str, Any]:
    """The object in a document of UTF-8.

    NaN, Inf and Infinity are numbers, of a key that is there twice the first counts, and a number
    too large for a double is none.

    Args:
      body: the document.
      max_bytes: the limit of a request. For each 64 of them there may be one value, for each 512
        one name of an object.

    Raises:
      ServingError: INVALID_ARGUMENT, the document is none or has more of them.
    """
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    _check_counts(body, max_bytes)
    hooks: dict[str, Any] = {"object_pairs_hook": _first_of_each}
    if _may_be_large(body):
        hooks |= {"parse_float": _finite, "parse_int": _whole}
    try:
        text = body.decode()
        with _without_collections():
            document = _loads(text, hooks)
        if _HALF_OF_A_PAIR.search(text):
            # Most often both halves are there, and Python has put them together.
            json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise invalid(f"JSON Parse error: {error}") from error
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {shown(document)} Is not object")
    return document


def _pieces(body: bytes, overlap: int = 0) -> Iterator[bytes]:
    """Between two of them other threads may run."""
    for start in range(0, len(body), _PIECE):
        yield body[start : start + _PIECE + overlap]


def _check_counts(body: bytes, max_bytes: int) -> None:
    """Each value is the first of its list or object or behind a comma, each name before a colon."""
    most_values, most_names = max_bytes // _BYTES_A_VALUE, max_bytes // _BYTES_A_NAME
    if len(body) <= most_names:
        return
    values = 1 + sum(len(piece.translate(None, _NOT_VALUES)) for piece in _pieces(body))
    names = sum(piece.count(b":") for piece in _pieces(body))
    for count, most, what in ((values, most_values, "values"), (names, most_names, "names")):
        if count > most:
            raise invalid(
                f"the document has about {count} {what}, more than the limit of {most}: send "
                "fewer rows in a request, or tensors over gRPC"
            )


def _may_be_large(body: bytes) -> bool:
    for piece in _pieces(body, overlap=len(_LARGE[-1])):
        zeros = piece.translate(_DIGITS)
        if any(each in zeros for each in _LARGE):
            return True
    return False


def _loads(text: str, hooks: dict[str, Any]) -> Any:
    try:
        return json.loads(text, **hooks)
    except json.JSONDecodeError as error:
        if not text.startswith(("Inf", "-Inf", "-NaN"), error.pos):
            raise
    return json.loads(_in_python(text), **hooks)


def _in_python(text: str) -> str:
    pieces, end = [], 0
    for match in _NOT_PYTHON.finditer(text.replace(r"\\", "__").replace(r"\"", "__")):
        if match[1]:
            pieces += text[end : match.start()], _PYTHON.get(match[1], match[1])
            end = match.end()
    return "".join([*pieces, text[end:]])


class _Collections:
    """How many are being kept from taking place."""

    lock = threading.Lock()
    kept = 0


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """Millions of lists that all stay have Python look for garbage among them again and again."""
    with _Collections.lock:
        _Collections.kept += 1
        gc.disable()
    try:
        yield
    finally:
        with _Collections.lock:
            _Collections.kept -= 1
            if not _Collections.kept:
                gc.enable()


def _first_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else dict(reversed(pairs))


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"Number too big to be stored in double: {text[:_SHOWN_DIGITS]}")
    return number


def _whole(text: str) -> int:
    _finite(text)
    return int(text)
