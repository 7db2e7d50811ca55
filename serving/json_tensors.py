"""Tensors in TensorFlow Serving's JSON: rows ("instances") or columns ("inputs"), b64 bytes."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from serving.errors import ServingError, invalid
from serving.protos import meta_graph_pb2, types_pb2
from serving.tensors import check_strings, dtype_name, numpy_dtype

Inputs = Mapping[str, meta_graph_pb2.TensorInfo]
_SHOWN = 256  # characters of a value in an error message
_NAMED_ROWS = 1000
_MAX_RANK = 32  # NumPy's own limit


def read_inputs(document: Mapping[str, Any], wanted: Inputs) -> tuple[dict[str, np.ndarray], bool]:
    """The arrays in a parsed :predict request, and whether it came in rows.

    Raises ServingError(INVALID_ARGUMENT) with TensorFlow Serving's message.
    """
    if not wanted:
        raise invalid("Failed to get input map for signature")
    if "instances" in document and "inputs" in document:
        raise invalid(
            "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist"
        )
    if "instances" in document:
        return _from_rows(document["instances"], wanted), True
    if "inputs" in document:
        return _from_columns(document["inputs"], wanted), False
    raise invalid("Missing 'inputs' or 'instances' key")


def answer_json(outputs: Mapping[str, np.ndarray], by_row: bool) -> str:
    """The answer to a :predict request in the format of the question.

    outputs: arrays by name; in rows all of them need the same first dimension.
    """
    columns = {name: _plain(name, array) for name, array in outputs.items()}
    if not by_row:
        return json.dumps({"outputs": _unnamed(columns)})
    sizes = {name: array.shape[0] if array.ndim else None for name, array in outputs.items()}
    for name, size in sizes.items():
        if size is None:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if size != next(iter(sizes.values())):
            raise invalid(
                f"Tensor name: {name} has inconsistent batch size: {size} "
                f"expecting: {next(iter(sizes.values()))}"
            )
    rows = zip(*columns.values(), strict=True)
    predictions = [_unnamed(dict(zip(columns, row, strict=True))) for row in rows]
    return json.dumps({"predictions": predictions})


def _from_rows(rows: Any, wanted: Inputs) -> dict[str, np.ndarray]:
    if not isinstance(rows, list):
        raise invalid("Expecting 'instances' to be an list/array")
    if not rows:
        raise invalid("No values in 'instances' array")
    named = _is_object(rows[0])
    if not named and len(wanted) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors "
            "required as per tensorinfo_map"
        )
    columns = _columns(rows, wanted) if named else {next(iter(wanted)): rows}
    return {name: _stack(values, name, wanted[name].dtype) for name, values in columns.items()}


def _columns(rows: list[Any], wanted: Inputs) -> dict[str, list[Any]]:
    for number, row in enumerate(rows):
        if not _is_object(row):
            raise invalid(f"Expecting object but got list at item {number} of input list")
        if row.keys() != set(wanted):
            raise invalid(
                f"Failed to process element: {number} of 'instances' list. JSON object: "
                f"{_shown(row)} keys must be equal to: {','.join(sorted(wanted))}"
            )
    return {name: [row[name] for row in rows] for name in wanted}


def _from_columns(value: Any, wanted: Inputs) -> dict[str, np.ndarray]:
    if not _is_object(value):
        if len(wanted) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors "
                "required as per tensorinfo_map"
            )
        value = {next(iter(wanted)): value}
    for name in wanted:
        if name not in value:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
    return {name: _array(value[name], info.dtype) for name, info in wanted.items()}


def _stack(values: list[Any], name: str, dtype: int) -> np.ndarray:
    """All rows at once; only where that fails row by row, to name the one that is wrong."""
    try:
        return _array(values, dtype)
    except ServingError:
        shape = None
        # Each row takes a hundred times as long by itself.
        for number, value in enumerate(values[:_NAMED_ROWS]):
            where = f"Failed to process element: {number} key: {name} of 'instances' list. Error: "
            try:
                array = _array(value, dtype)
            except ServingError as error:
                raise invalid(f"{where}INVALID_ARGUMENT: {error.message}") from error
            shape = array.shape if shape is None else shape
            if array.shape != shape:
                raise invalid(
                    f"{where}INVALID_ARGUMENT: Expecting shape {_bracketed(shape)} but got: "
                    f"{_bracketed(array.shape)}"
                ) from None
        raise


def _array(value: Any, dtype: int) -> np.ndarray:
    wanted = numpy_dtype(dtype)
    if dtype == types_pb2.DT_STRING:
        return _strings(value)
    try:
        array = np.array(value)
    except (ValueError, OverflowError) as error:
        raise invalid(f"JSON Value: {_shown(value)} is not a regular list: {error}") from error
    kinds = {"f": "iuf", "i": "i", "u": "iu", "b": "b"}[wanted.kind]
    if array.size and array.dtype.kind not in kinds:
        raise _type_error(value, dtype)
    converted = array.astype(wanted)
    if wanted.kind in "iu" and not np.array_equal(converted, array):
        raise _type_error(value, dtype)  # out of the type's range
    return converted


def _strings(value: Any) -> np.ndarray:
    shape, level = [], value
    while isinstance(level, list):
        shape.append(len(level))
        level = level[0] if level else None
    if len(shape) > _MAX_RANK:
        raise invalid(f"JSON Value: lists {len(shape)} deep, more than {_MAX_RANK}")
    check_strings("JSON Value", math.prod(shape))
    flat: list[bytes] = []
    _collect(value, shape, 0, flat)
    array = np.empty(math.prod(shape), object)
    array[:] = flat
    return array.reshape(shape)


def _collect(value: Any, shape: list[int], level: int, flat: list[bytes]) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise invalid(
                f"JSON Value: {_shown(value)} found at incorrect level: {level + 1} in the JSON "
                f"DOM. Expected at level: {len(shape)}"
            )
        flat.append(_bytes(value))
        return
    if level >= len(shape):
        raise invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} "
            f"expected size: {shape[level]}"
        )
    for item in value:
        _collect(item, shape, level + 1, flat)


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if not isinstance(value, dict):
        raise _type_error(value, types_pb2.DT_STRING)
    if _is_object(value):
        raise invalid(f"JSON Value: {_shown(value)} not formatted correctly for base64 data")
    try:
        return base64.b64decode(value["b64"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid("Unable to base64 decode") from error


def _is_object(value: Any) -> bool:
    """Whether `value` is a JSON object other than {"b64": "..."}."""
    if not isinstance(value, dict):
        return False
    return not (value.keys() == {"b64"} and isinstance(value["b64"], str))


def _plain(name: str, array: np.ndarray) -> Any:
    if array.dtype.hasobject:
        as_bytes = name.endswith("_bytes")
        flat = np.empty(array.size, object)
        flat[:] = [_text(value, as_bytes) for value in array.ravel()]
        return flat.reshape(array.shape).tolist()
    if array.dtype == np.float32:
        # The shortest decimals that give the same float32: 0.2, not 0.20000000298023224.
        array = array.astype("U32").astype(np.float64)
    return array.tolist()


def _text(value: bytes, as_bytes: bool) -> Any:
    if as_bytes:
        return {"b64": base64.b64encode(value).decode()}
    return value.decode(errors="replace")


def _unnamed(values: dict[str, Any]) -> Any:
    return values if len(values) > 1 else next(iter(values.values()))


def _type_error(value: Any, dtype: int) -> ServingError:
    return invalid(f"JSON Value: {_shown(value)} is not of expected type: {dtype_name(dtype)}")


def _bracketed(shape: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, shape))}]"


def _shown(value: Any) -> str:
    text = ""
    for piece in json.JSONEncoder().iterencode(value):  # stops early in a long document
        text += piece
        if len(text) > _SHOWN:
            break
    return text[:_SHOWN]
