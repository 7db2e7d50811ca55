"""numpy arrays to and from TensorProto without TensorFlow, and fast for floats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np

from serving.errors import invalid
from serving.protos import tensor_pb2, types_pb2

# TensorFlow's dtype: numpy's dtype and the TensorProto field that holds its values
# (tensorflow/core/framework/tensor.proto).
_TYPES = {
    types_pb2.DT_FLOAT: (np.dtype(np.float32), "float_val"),
    types_pb2.DT_DOUBLE: (np.dtype(np.float64), "double_val"),
    types_pb2.DT_HALF: (np.dtype(np.float16), "half_val"),
    types_pb2.DT_BFLOAT16: (np.dtype(ml_dtypes.bfloat16), "half_val"),
    types_pb2.DT_COMPLEX64: (np.dtype(np.complex64), "scomplex_val"),
    types_pb2.DT_COMPLEX128: (np.dtype(np.complex128), "dcomplex_val"),
    types_pb2.DT_INT8: (np.dtype(np.int8), "int_val"),
    types_pb2.DT_INT16: (np.dtype(np.int16), "int_val"),
    types_pb2.DT_INT32: (np.dtype(np.int32), "int_val"),
    types_pb2.DT_INT64: (np.dtype(np.int64), "int64_val"),
    types_pb2.DT_UINT8: (np.dtype(np.uint8), "int_val"),
    types_pb2.DT_UINT16: (np.dtype(np.uint16), "int_val"),
    types_pb2.DT_UINT32: (np.dtype(np.uint32), "uint32_val"),
    types_pb2.DT_UINT64: (np.dtype(np.uint64), "uint64_val"),
    types_pb2.DT_BOOL: (np.dtype(np.bool_), "bool_val"),
    types_pb2.DT_STRING: (np.dtype(object), "string_val"),
}
_MAX_RANK = 254  # TensorFlow's own limit (tensor_shape.h, MaxDimensions)
# A tensor of few values may claim a shape of many, which the last one fills. What a request costs
# would have nothing to do with its size any more, so that is limited, and that of strings, each of
# which may be an image, more.
_MOST_FILLED, _MOST_FILLED_STRINGS = 1 << 20, 1 << 10
# In a request. Each may be an image, and costs its time whatever its size.
MAX_STRINGS = 1 << 16
_NUMBERS = {dtype: number for number, (dtype, _) in _TYPES.items()}
# What the values of a field are, where they are not the array's own: bits, or real and imaginary
# parts in turn.
_PARTS = {"half_val": np.uint16, "scomplex_val": np.float32, "dcomplex_val": np.float64}
# Packed fixed-width fields: on the wire the values are the array's little-endian bytes after tag
# and length. They are written and read as such, 80 times faster than by extend().
_PACKED_TAGS = {
    types_pb2.DT_FLOAT: bytes([5 << 3 | 2]),
    types_pb2.DT_DOUBLE: bytes([6 << 3 | 2]),
}


def numpy_dtype(number: int) -> np.dtype:
    """The numpy dtype of a TensorFlow DataType; bytes live in object arrays.

    Raises ServingError(INVALID_ARGUMENT) for types that do not travel as plain arrays.
    """
    if number not in _TYPES:
        raise invalid(f"tensors of type {dtype_name(number)} are not supported")
    return _TYPES[number][0]


def dtype_name(number: int) -> str:
    """TensorFlow's name of a DataType: `float`, `string`, `int32`."""
    if number not in types_pb2.DataType.values():
        return f"unknown dtype enum ({number})"
    return types_pb2.DataType.Name(number).removeprefix("DT_").lower()


def array_dtype_name(array: np.ndarray) -> str:
    """The same of an array's."""
    return dtype_name(_NUMBERS[array.dtype]) if array.dtype in _NUMBERS else str(array.dtype)


def to_proto(array: np.ndarray, content: bool = False) -> tensor_pb2.TensorProto:
    """The TensorProto of `array`; see `fill`."""
    proto = tensor_pb2.TensorProto()
    fill(proto, array, content)
    return proto


def fill(proto: tensor_pb2.TensorProto, array: np.ndarray, content: bool = False) -> None:
    """Puts `array` into an empty TensorProto.

    Values are in their typed field, as TensorFlow Serving answers, or where `content` is true and
    they are numbers in tensor_content, which is the quickest to read.
    """
    array = np.asarray(array)
    if array.dtype.kind in "SU":
        array = np.array([_as_bytes(value) for value in array.ravel()], object).reshape(array.shape)
    if array.dtype not in _NUMBERS:
        raise invalid(f"arrays of type {array.dtype} have no TensorProto")
    number = _NUMBERS[array.dtype]
    proto.dtype = number
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    if content and not array.dtype.hasobject:
        proto.tensor_content = _little_endian(array)
        return
    if number in _PACKED_TAGS:
        tag = _PACKED_TAGS[number] + _varint(array.nbytes)
        proto.MergeFromString(tag + _little_endian(array))
        return
    flat, field = np.ascontiguousarray(array).ravel(), _TYPES[number][1]
    if field in _PARTS:
        flat = flat.view(_PARTS[field])
    getattr(proto, field).extend(flat.tolist())


def from_proto(proto: tensor_pb2.TensorProto, name: str, max_bytes: int) -> np.ndarray:
    """The array in `proto`. As in TensorFlow, a short list of values is filled up with its last
    one, but with no more than a million numbers or a thousand strings.

    Raises ServingError(INVALID_ARGUMENT) where the content does not fit the shape, and where the
    shape claims more than `max_bytes`.
    """
    dtype, field = _TYPES.get(proto.dtype, (None, None))
    if len(proto.tensor_shape.dim) > _MAX_RANK:
        raise invalid(f"tensor parsing error: {name} has more than {_MAX_RANK} dimensions")
    shape = [dim.size for dim in proto.tensor_shape.dim]
    if dtype is None or proto.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise invalid(f"tensor parsing error: {name}")
    count = math.prod(shape)
    # Rows of no elements are work, too.
    if math.prod(max(size, 1) for size in shape) * dtype.itemsize > max_bytes:
        raise invalid(
            f"tensor parsing error: {name} claims the shape {shape}, over {max_bytes} bytes"
        )
    if dtype.hasobject:
        check_strings(name, count)
    if proto.tensor_content:
        return _from_content(proto.tensor_content, dtype, shape, name)
    values = getattr(proto, field)
    given, rest = divmod(len(values), 2 if dtype.kind == "c" else 1)
    if rest or given > count or (count and not given):
        raise invalid(
            f"tensor parsing error: {name} has {len(values)} values for the shape {shape}"
        )
    if count - given > (_MOST_FILLED_STRINGS if dtype.hasobject else _MOST_FILLED):
        raise invalid(
            f"tensor parsing error: {name} has {len(values)} values for the shape {shape}, more "
            "than the last one may fill"
        )
    read = _packed if proto.dtype in _PACKED_TAGS else _values
    return _shaped(_fill_up(read(values, dtype, field), count), shape, name)


def check_strings(name: str, count: int) -> None:
    """Raises ServingError(INVALID_ARGUMENT) for more than `MAX_STRINGS` strings or tf.Examples."""
    if count > MAX_STRINGS:
        raise invalid(f"{name} has {count} strings, more than the limit of {MAX_STRINGS}")


def is_one_piece(proto: tensor_pb2.TensorProto) -> bool:
    """Whether the values are read at once, and not one after the other."""
    return bool(proto.tensor_content) or proto.dtype in _PACKED_TAGS


def _from_content(content: bytes, dtype: np.dtype, shape: list[int], name: str) -> np.ndarray:
    if dtype.hasobject or len(content) != math.prod(shape) * dtype.itemsize:
        raise invalid(
            f"tensor parsing error: {name} has {len(content)} bytes for {dtype.name} {shape}"
        )
    array = np.frombuffer(content, dtype.newbyteorder("<")).astype(dtype, copy=False)
    return _shaped(array, shape, name)


def _shaped(array: np.ndarray, shape: list[int], name: str) -> np.ndarray:
    try:
        return array.reshape(shape)
    except ValueError as error:  # too many axes, or of no elements more than numpy counts
        raise invalid(f"tensor parsing error: {name} claims the shape {shape}: {error}") from error


def _packed(values: Sequence[float], dtype: np.dtype, field: str) -> np.ndarray:
    alone = tensor_pb2.TensorProto()
    getattr(alone, field).MergeFrom(values)
    wire = alone.SerializeToString()
    start = len(wire) - len(values) * dtype.itemsize
    return np.frombuffer(wire, dtype.newbyteorder("<"), offset=start).astype(dtype, copy=False)


def _values(values: Sequence[Any], dtype: np.dtype, field: str) -> np.ndarray:
    if dtype.hasobject:
        array = np.empty(len(values), object)
        array[:] = list(values)
        return array
    if field == "half_val":
        return np.fromiter(values, np.int64, len(values)).astype(np.uint16).view(dtype)
    if field in _PARTS:
        return np.fromiter(values, _PARTS[field], len(values)).view(dtype)
    if field == "int_val":
        return np.fromiter(values, np.int32, len(values)).astype(dtype)
    return np.fromiter(values, dtype, len(values))


def _fill_up(values: np.ndarray, count: int) -> np.ndarray:
    if len(values) == count:
        return values
    return np.concatenate([values, np.repeat(values[-1:], count - len(values))])


def _little_endian(array: np.ndarray) -> bytes:
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def _as_bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


def _varint(number: int) -> bytes:
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)
