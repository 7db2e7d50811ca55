"""A JSON value, or lists of values in lists, to an array by the rules of TensorFlow Serving.

They are those of tensorflow_serving/util/json_tensor.cc: numbers are never texts or truth values,
nor rounded where they are whole, and all lists of one level have one length.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np

from serving.errors import ServingError, invalid
from serving.protos import types_pb2
from serving.tensors import check_strings, dtype_name, numpy_dtype

_SHOWN = 256  # characters of a value in an error message
_WHITE_SPACE = b" \t\n\r\v\f"
_PIECE = 1 << 20  # characters of base64 that are decoded at once, a multiple of four
_MAX_RANK = 32  # NumPy's own limit
_INT32, _INT64 = range(-(1 << 31), 1 << 31), range(-(1 << 63), 1 << 63)
_UINT32, _UINT64 = range(1 << 32), range(1 << 64)
_WHOLE = {
    types_pb2.DT_INT8: range(-(1 << 7), 1 << 7),
    types_pb2.DT_INT16: range(-(1 << 15), 1 << 15),
    types_pb2.DT_INT32: _INT32,
    types_pb2.DT_INT64: _INT64,
    types_pb2.DT_UINT8: range(1 << 8),
    types_pb2.DT_UINT16: range(1 << 16),
    types_pb2.DT_UINT32: _UINT32,
    types_pb2.DT_UINT64: _UINT64,
}
# The largest whole number below which there is no gap, and the largest number.
_DECIMAL = {
    types_pb2.DT_BFLOAT16: ((1 << 8) - 1, 3.3895313892515355e38),
    types_pb2.DT_HALF: ((1 << 11) - 1, 65504.0),
    types_pb2.DT_FLOAT: ((1 << 24) - 1, float(np.finfo(np.float32).max)),
    types_pb2.DT_DOUBLE: ((1 << 53) - 1, math.inf),
}
_JSON_TYPES = {dict: "Object", list: "Array", str: "String", int: "Number", float: "Number"}


def to_array(value: Any, dtype: int) -> np.ndarray:
    """The array of a parsed value.

    Args:
      value: a number, text, truth value or {"b64": text}, or lists of them.
      dtype: TensorFlow's DataType.

    Raises:
      ServingError: INVALID_ARGUMENT, with TensorFlow Serving's message; UNIMPLEMENTED for a type
        that has no JSON.
    """
    if dtype != types_pb2.DT_STRING and (found := _at_once(value, dtype)) is not None:
        return found
    shape = _shape(value)
    if len(shape) > _MAX_RANK:
        raise invalid(f"JSON Value: lists {len(shape)} deep, more than {_MAX_RANK}")
    if dtype == types_pb2.DT_STRING:
        check_strings("JSON Value", math.prod(shape))
    flat: list[Any] = []
    _collect(value, shape, 0, _reader(dtype), flat)
    array = np.empty(len(flat), numpy_dtype(dtype))
    array[:] = flat
    return array.reshape(shape)


def is_object(value: Any) -> bool:
    """Whether `value` is a JSON object other than {"b64": "..."}."""
    if not isinstance(value, dict):
        return False
    return not (value.keys() == {"b64"} and isinstance(value["b64"], str))


def decoded(text: str) -> bytes:
    """Base64, with or without its padding, in one line or several.

    Raises ServingError(INVALID_ARGUMENT) for text that is none.
    """
    try:
        content = text.encode("ascii").translate(None, _WHITE_SPACE).rstrip(b"=")
        if b"=" in content:
            raise ValueError("something stands behind the padding")
        content += b"=" * (-len(content) % 4)
        # At once, a large text would let no other thread run meanwhile.
        starts = range(0, len(content), _PIECE)
        pieces = (content[start : start + _PIECE] for start in starts)
        return b"".join(base64.b64decode(piece, validate=True) for piece in pieces)
    except ValueError as error:
        raise invalid("Unable to base64 decode") from error


def shown(value: Any) -> str:
    """The beginning of a value, as an error message shows it."""
    text = ""
    for piece in json.JSONEncoder(indent=4).iterencode(value):  # stops early in a long document
        text += piece
        if len(text) > _SHOWN:
            break
    return text[:_SHOWN]


def type_name(value: Any) -> str:
    """What RapidJSON calls the type of a value."""
    if value is None or isinstance(value, bool):
        return {None: "Null", True: "True", False: "False"}[value]
    return _JSON_TYPES[type(value)]


def _at_once(value: Any, dtype: int) -> np.ndarray | None:
    """The array by NumPy; None where it does not know, or not exactly, what the rules say."""
    try:
        found = np.array(value)
    except (ValueError, OverflowError):
        return None
    if not found.size:
        return found.astype(numpy_dtype(dtype)) if dtype in _WHOLE or dtype in _DECIMAL else None
    kind = found.dtype.kind
    if dtype == types_pb2.DT_BOOL:
        return found if kind == "b" else None
    # NumPy takes True among numbers for 1.
    if kind not in "iuf" or _has_truth_values(value):
        return None
    if dtype in _WHOLE and kind != "f":
        limits = _WHOLE[dtype]
        fits = limits[0] <= int(found.min()) and int(found.max()) <= limits[-1]
        return found.astype(numpy_dtype(dtype)) if fits else None
    if dtype in _DECIMAL:
        exact = not np.any(np.abs(found.astype(np.float64)) > _DECIMAL[dtype][0])
        return found.astype(numpy_dtype(dtype)) if exact else None
    return None


def _has_truth_values(value: Any) -> bool:
    if not isinstance(value, list):
        return isinstance(value, bool)
    kinds = set(map(type, value))
    return bool in kinds or (list in kinds and any(map(_has_truth_values, value)))


def _shape(value: Any) -> list[int]:
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        value = value[0] if value else None
    return shape


def _collect(
    value: Any, shape: list[int], level: int, read: Callable[[Any], Any], flat: list[Any]
) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise invalid(
                f"JSON Value: {shown(value)} found at incorrect level: {level + 1} in the JSON "
                f"DOM. Expected at level: {len(shape)}"
            )
        flat.append(read(value))
        return
    if level >= len(shape):
        raise invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} "
            f"expected size: {shape[level]}"
        )
    for item in value:
        _collect(item, shape, level + 1, read, flat)


def _reader(dtype: int) -> Callable[[Any], Any]:
    """What reads one value of a type."""

    def refuse(value: Any) -> ServingError:
        return invalid(
            f"JSON Value: {shown(value)} Type: {type_name(value)} is not of expected type: "
            f"{dtype_name(dtype)}"
        )

    def string(value: Any) -> bytes:
        if isinstance(value, str):
            return value.encode()
        if not isinstance(value, dict):
            raise refuse(value)
        if is_object(value):
            raise invalid(f"JSON Value: {shown(value)} not formatted correctly for base64 data")
        return decoded(value["b64"])

    def truth(value: Any) -> bool:
        if not isinstance(value, bool):
            raise refuse(value)
        return value

    def whole(value: Any) -> int:
        if type(value) is not int or value not in _WHOLE[dtype]:
            raise refuse(value)
        return value

    def decimal(value: Any) -> float:
        if type(value) not in (int, float):
            raise refuse(value)
        without_gaps, largest = _DECIMAL[dtype]
        # Whole numbers of more than 64 bits RapidJSON reads as others.
        inexact = type(value) is int and abs(value) > without_gaps
        inexact = inexact and (value in _UINT64 or value in _INT64)
        if inexact or (math.isfinite(value) and abs(value) > largest):
            raise invalid(
                f"Cannot convert JSON value: {shown(value)} to {dtype_name(dtype)} without loss "
                "of precision."
            )
        return float(value)

    def none(value: Any) -> Any:
        raise ServingError(
            grpc.StatusCode.UNIMPLEMENTED,
            f"Conversion of JSON Value: {shown(value)} to type: {dtype_name(dtype)}",
        )

    if dtype in _WHOLE:
        return whole
    if dtype in _DECIMAL:
        return decimal
    return {types_pb2.DT_STRING: string, types_pb2.DT_BOOL: truth}.get(dtype, none)
