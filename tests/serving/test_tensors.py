"""Arrays and TensorProtos: TensorFlow's own conversion is the judge."""

import numpy as np
import pytest
import tensorflow as tf

from serving.client import ServingError
from serving.tensors import from_proto, to_proto

LIMIT = 1 << 20
NUMBERS = ["float16", "float32", "float64", "bool", "complex64", "complex128"]
NUMBERS += [tf.bfloat16.as_numpy_dtype]
NUMBERS += [f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)]


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("shape", [(), (0, 3), (4,), (2, 3, 5)])
def test_numbers_travel_both_ways(dtype, shape):
    array = (np.random.RandomState(0).uniform(0, 100, shape) * 1.5).astype(dtype)

    received = from_proto(tf.make_tensor_proto(array), "x", LIMIT)
    np.testing.assert_array_equal(received, array)
    assert received.dtype == array.dtype
    for content in (False, True):
        proto = to_proto(array, content)
        np.testing.assert_array_equal(tf.make_ndarray(proto), array)
        np.testing.assert_array_equal(from_proto(proto, "x", LIMIT), array)


@pytest.mark.parametrize(
    "values", [np.array(b"a\0b", object), np.array(["é", "b"]), np.array([[b"x"]])]
)
def test_bytes_travel_both_ways(values):
    expected = tf.constant(values).numpy()

    np.testing.assert_array_equal(tf.make_ndarray(to_proto(values)), expected)
    np.testing.assert_array_equal(from_proto(tf.make_tensor_proto(values), "x", LIMIT), expected)


def test_floats_are_sent_in_their_typed_field_as_tensorflow_serving_does():
    array = np.array([1.5, -2, np.nan], np.float32)

    proto = to_proto(array)

    assert not proto.tensor_content
    np.testing.assert_array_equal(proto.float_val, array)


def test_a_non_contiguous_array_keeps_its_order():
    array = np.arange(12, dtype=np.float32).reshape(3, 4).T

    np.testing.assert_array_equal(tf.make_ndarray(to_proto(array)), array)


def test_one_value_fills_the_shape_as_in_tensorflow():
    proto = tf.make_tensor_proto(7, tf.int32, [2, 3])
    assert len(proto.int_val) == 1

    np.testing.assert_array_equal(from_proto(proto, "x", LIMIT), np.full((2, 3), 7, np.int32))


def changed(proto, **fields):
    for name, value in fields.items():
        if name == "shape":
            proto.tensor_shape.CopyFrom(tf.TensorShape(value).as_proto())
        elif name == "sizes":
            del proto.tensor_shape.dim[:]
            for size in value:
                proto.tensor_shape.dim.add(size=size)
        else:
            setattr(proto, name, value)
    return proto


@pytest.mark.parametrize(
    "proto",
    [
        changed(tf.make_tensor_proto([1.0, 2.0]), shape=[3]),
        changed(tf.make_tensor_proto([1.0, 2.0]), tensor_content=b"abc"),
        changed(tf.make_tensor_proto([1, 2]), shape=[None]),
        changed(tf.make_tensor_proto([1, 2]), shape=None),
        changed(tf.make_tensor_proto(["a", "b"]), shape=[1]),
        changed(tf.make_tensor_proto(["a"]), tensor_content=b"aaaaaaaa"),
        changed(tf.make_tensor_proto([1]), dtype=0),
        changed(tf.make_tensor_proto([1]), dtype=999),
        changed(tf.make_tensor_proto(1.0), shape=[1 << 40]),
        # No elements, and more than numpy counts on the way there; more axes than it has.
        changed(tf.make_tensor_proto([], tf.float32), sizes=[(1 << 63) - 1, 1 << 40, 0]),
        changed(tf.make_tensor_proto([1.0]), sizes=[1] * 200),
    ],
)
def test_what_does_not_fit_is_refused(proto):
    with pytest.raises(ServingError, match="INVALID_ARGUMENT: tensor parsing error: x"):
        from_proto(proto, "x", LIMIT)
