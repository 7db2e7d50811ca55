"""Tensors in TensorFlow Serving's JSON: rows ("instances") or columns ("inputs"), b64 bytes."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from serving.errors import ServingError, invalid
from serving.json_values import is_object, shown, to_array
from serving.protos import meta_graph_pb2
from serving.tensors import array_dtype_name

Inputs = Mapping[str, meta_graph_pb2.TensorInfo]
_NAMED_ROWS = 1000
_PIECE = 1 << 14  # values that are written at once


def read_inputs(document: Mapping[str, Any], wanted: Inputs) -> tuple[dict[str, np.ndarray], bool]:
    """The arrays in a parsed :predict request, and whether it came in rows.

    Raises ServingError(INVALID_ARGUMENT) with TensorFlow Serving's message.
    """
    if not wanted:
        name = document.get("signature_name") or "DEFAULT"
        raise invalid(f"Failed to get input map for signature: {name}")
    if "instances" in document and "inputs" in document:
        raise _malformed(
            document,
            "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ",
        )
    if "instances" in document:
        rows = document["instances"]
        if not isinstance(rows, list):
            raise _malformed(document, "Excepting 'instances' to be an list/array")
        if not rows:
            raise _malformed(document, "No values in 'instances' array")
        return _from_rows(rows, wanted), True
    if "inputs" in document:
        return _from_columns(document["inputs"], wanted), False
    raise invalid("Missing 'inputs' or 'instances' key")


def answer_json(outputs: Mapping[str, np.ndarray], by_row: bool) -> str:
    """The answer to a :predict request in the format of the question.

    outputs: arrays by name; in rows all of them need the same first dimension.
    """
    if not by_row:
        whole = {name: _whole(name, array) for name, array in outputs.items()}
        return f'{{"outputs": {_unnamed(whole)}}}'
    sizes = {name: array.shape[0] if array.ndim else None for name, array in outputs.items()}
    for name, size in sizes.items():
        if size is None:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if size != next(iter(sizes.values())):
            raise invalid(
                f"Tensor name: {name} has inconsistent batch size: {size} "
                f"expecting: {next(iter(sizes.values()))}"
            )
    if len(outputs) == 1:
        return f'{{"predictions": {_whole(*next(iter(outputs.items())))}}}'
    rows = zip(*(_rows(name, array) for name, array in outputs.items()), strict=True)
    predictions = [_unnamed(dict(zip(outputs, row, strict=True))) for row in rows]
    return f'{{"predictions": [{", ".join(predictions)}]}}'


def _malformed(document: Mapping[str, Any], why: str) -> ServingError:
    return invalid(f"JSON Value: {shown(document)} {why}")


def _from_rows(rows: list[Any], wanted: Inputs) -> dict[str, np.ndarray]:
    named = is_object(rows[0])
    if not named and len(wanted) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors "
            "required as per tensorinfo_map"
        )
    if named:
        columns = _columns(rows, wanted)
        return {
            name: _stack(values, f" key: {name}", wanted[name].dtype)
            for name, values in columns.items()
        }
    for number, row in enumerate(rows):
        if is_object(row):
            raise invalid(f"Expecting value/list but got object at item {number} of input list")
    ((name, info),) = wanted.items()
    return {name: _stack(rows, "", info.dtype)}


def _columns(rows: list[Any], wanted: Inputs) -> dict[str, list[Any]]:
    for number, row in enumerate(rows):
        if not is_object(row):
            raise invalid(f"Expecting object but got list at item {number} of input list")
        if row.keys() != set(wanted):
            raise invalid(
                f"Failed to process element: {number} of 'instances' list. JSON object: "
                f"{shown(row)} keys must be equal to: {','.join(sorted(wanted))}"
            )
    return {name: [row[name] for row in rows] for name in wanted}


def _from_columns(value: Any, wanted: Inputs) -> dict[str, np.ndarray]:
    if not is_object(value):
        if len(wanted) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors "
                "required as per tensorinfo_map"
            )
        value = {next(iter(wanted)): value}
    for name in wanted:
        if name not in value:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
    return {name: to_array(value[name], info.dtype) for name, info in wanted.items()}


def _stack(values: list[Any], key: str, dtype: int) -> np.ndarray:
    """All rows at once; only where that fails row by row, to name the one that is wrong."""
    try:
        return to_array(values, dtype)
    except ServingError:
        first = None
        # Each row takes a hundred times as long by itself.
        for number, value in enumerate(values[:_NAMED_ROWS]):
            where = f"Failed to process element: {number}{key} of 'instances' list. Error: "
            try:
                array = to_array(value, dtype)
            except ServingError as error:
                raise invalid(f"{where}{error.code.name}: {error.message}") from error
            first = array if first is None else first
            if array.shape != first.shape:
                raise invalid(
                    f"{where}INVALID_ARGUMENT: Expecting {_difference(first, array)}"
                ) from None
        raise


def _pieces(array: np.ndarray) -> Iterator[np.ndarray]:
    """The array in parts. Written at once, a large one would let no other thread run meanwhile."""
    rows = max(_PIECE // max(array[:1].size, 1), 1)
    return (array[start : start + rows] for start in range(0, len(array), rows))


def _whole(name: str, array: np.ndarray) -> str:
    """Its JSON."""
    if array.size <= _PIECE or not array.ndim:
        return json.dumps(_plain(name, array))
    if array[0].size > _PIECE:
        return f"[{', '.join(_rows(name, array))}]"
    return f"[{', '.join(json.dumps(_plain(name, piece))[1:-1] for piece in _pieces(array))}]"


def _rows(name: str, array: np.ndarray) -> list[str]:
    """The JSON of each row."""
    if array[:1].size > _PIECE:
        return [_whole(name, row) for row in array]
    return [json.dumps(row) for piece in _pieces(array) for row in _plain(name, piece)]


def _plain(name: str, array: np.ndarray) -> Any:
    if array.dtype.hasobject:
        as_bytes = name.endswith("_bytes")
        flat = np.empty(array.size, object)
        flat[:] = [_text(value, as_bytes) for value in array.ravel()]
        return flat.reshape(array.shape).tolist()
    if array.dtype.kind not in "biuf":
        if array.dtype.itemsize != 2:
            raise invalid(f"Failed to write JSON value for tensor type: {array_dtype_name(array)}")
        array = array.astype(np.float32)  # bfloat16, which is no type of NumPy's own
    if array.dtype == np.float32:
        # The shortest decimals that give the same float32: 0.2, not 0.20000000298023224.
        array = array.astype("U32").astype(np.float64)
    return array.tolist()


def _text(value: bytes, as_bytes: bool) -> Any:
    if as_bytes:
        return {"b64": base64.b64encode(value).decode()}
    return value.decode(errors="replace")


def _unnamed(texts: dict[str, str]) -> str:
    if len(texts) == 1:
        return next(iter(texts.values()))
    return f"{{{', '.join(f'{json.dumps(name)}: {text}' for name, text in texts.items())}}}"


def _difference(wanted: np.ndarray, got: np.ndarray) -> str:
    if wanted.size != got.size:
        return f"tensor size: {wanted.size} but got: {got.size}"
    return f"shape {_bracketed(wanted.shape)} but got: {_bracketed(got.shape)}"


def _bracketed(shape: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, shape))}]"
