"""Pooling of regions against the loop of the authors' code, its gradient, types and files."""

import math

import keras
import numpy as np
import pytest

from keras_models.layers import RegionMaxPooling2D


def naive_pooling(maps, boxes, size, stride):
    """The loop of the layer of the authors' code, in whole numbers."""
    _, height, width, channels = maps.shape
    found = np.zeros((*boxes.shape[:2], size, size, channels), maps.dtype)
    for n, r in np.ndindex(boxes.shape[:2]):
        (top, bottom), (left, right) = (
            [
                min(max(math.floor(edge / stride + 0.5), 0), side - 1)
                for edge in (boxes[n, r, axis], boxes[n, r, axis + 2] - 1)
            ]
            for axis, side in ((0, height), (1, width))
        )
        tall, wide = max(bottom - top + 1, 1), max(right - left + 1, 1)
        for i, j in np.ndindex(size, size):
            rows = slice(top + i * tall // size, top + -(-(i + 1) * tall // size))
            columns = slice(left + j * wide // size, left + -(-(j + 1) * wide // size))
            found[n, r, i, j] = maps[n, rows, columns].max(axis=(0, 1))
    return found


def example(draw, side=(23, 37), pictures=2, regions=40, stride=16):
    maps = draw.normal(size=(pictures, *side, 3)).astype("float32")
    limits = np.array(side) * stride
    corners = np.sort(draw.uniform(-0.1, 1.1, (2, pictures, regions, 2)), axis=0)
    boxes = np.concatenate([corners[0] * limits, corners[1] * limits], axis=-1)
    boxes[0, 0], boxes[0, 1] = 0, [0, 0, *limits]  # padding, and the whole picture
    return maps, boxes.astype("float32")


@pytest.mark.parametrize("size, stride", [(7, 16), (6, 8), (1, 16), (3, 1), (14, 16)])
def test_it_is_the_authors_pooling(size, stride):
    draw = np.random.default_rng(1)
    for side in ((23, 37), (50, 7), (1, 2)):
        maps, boxes = example(draw, side, stride=stride)
        layer = RegionMaxPooling2D(size, stride)
        expected = naive_pooling(maps, boxes, size, stride)
        found = layer([maps, boxes])
        np.testing.assert_array_equal(found, expected)
        assert layer.compute_output_shape([maps.shape, boxes.shape]) == expected.shape
        first = RegionMaxPooling2D(size, stride, data_format="channels_first")
        np.testing.assert_array_equal(first([maps.transpose(0, 3, 1, 2), boxes]), expected)


def test_cells_by_hand():
    maps = np.arange(16.0).reshape(1, 4, 4, 1)
    # Cells 1..2 of the rows and 0..3 of the columns: bins of 1 x 2 cells.
    boxes = np.array([[[8.0, 0.0, 40.0, 64.0]]])
    found = RegionMaxPooling2D(2, 16)([maps, boxes])
    np.testing.assert_array_equal(np.reshape(found, (2, 2)), [[5, 7], [9, 11]])


def test_regions_that_are_not_there():
    maps = np.ones((2, 4, 5, 3), "float32")
    odd = np.array([[[np.nan, 0, np.inf, 9], [-1e30, -np.inf, 1e30, 1e30], [9, 9, 3, 3]]] * 2)
    assert (keras.ops.convert_to_numpy(RegionMaxPooling2D(3)([maps, odd])) == 1).all()
    layer = RegionMaxPooling2D(3)
    assert layer([maps, np.zeros((2, 0, 4))]).shape == (2, 0, 3, 3, 3)
    assert layer([maps[:0], np.zeros((0, 2, 4))]).shape == (0, 2, 3, 3, 3)


@pytest.mark.parametrize("arguments", [{"pool_size": 0}, {"stride": 0}, {"stride": -16}])
def test_arguments_that_cannot_be(arguments):
    with pytest.raises(ValueError, match="must be positive"):
        RegionMaxPooling2D(**arguments)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16", "float64"])
def test_boxes_keep_their_places_in_every_policy(policy):
    """In 16 bits a box of more than 2,048 pixels would be rounded to other cells."""
    draw = np.random.default_rng(2)
    maps, boxes = example(draw, (130, 260), 1)
    layer = RegionMaxPooling2D(7, dtype=policy)
    found = layer([maps, boxes])
    assert keras.backend.standardize_dtype(found.dtype) == layer.compute_dtype
    narrow = keras.ops.convert_to_numpy(keras.ops.cast(maps, layer.compute_dtype))
    expected = naive_pooling(narrow, boxes, 7, 16)
    assert (keras.ops.convert_to_numpy(found) == expected).all()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="asks TensorFlow for it")
def test_the_gradient_is_that_of_finite_differences():
    import tensorflow as tf

    draw = np.random.default_rng(3)
    maps, boxes = example(draw, (6, 7), 2, 5)
    # Steps that change no maximum.
    maps = draw.permutation(maps.size).reshape(maps.shape).astype("float64")
    weights = draw.normal(size=(2, 5, 3, 3, 3))
    layer = RegionMaxPooling2D(3, dtype="float64")

    def value(x):
        return tf.reduce_sum(layer([x, boxes]) * weights)

    x = tf.constant(maps)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = value(x)
    gradient = tape.gradient(total, x).numpy()
    drawn = draw.choice(maps.size, 40, replace=False)
    for place in zip(*np.unravel_index(drawn, maps.shape), strict=True):
        step = np.zeros_like(maps)
        step[place] = 0.25
        difference = (value(maps + step) - value(maps - step)) / 0.5
        np.testing.assert_allclose(gradient[place], difference, atol=1e-9)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="traces with TensorFlow")
@pytest.mark.parametrize("compiled", [False, True])
def test_in_a_model_of_unknown_sides_compiled_and_saved(compiled, tmp_path):
    import tensorflow as tf

    draw = np.random.default_rng(4)
    maps, boxes = example(draw)
    inputs = [keras.Input((None, None, 3)), keras.Input((None, 4))]
    model = keras.Model(inputs, RegionMaxPooling2D(5)(inputs))
    assert model.output_shape == (None, None, 5, 5, 3)
    model.save(tmp_path / "regions.keras")
    model = keras.models.load_model(tmp_path / "regions.keras")
    expected = naive_pooling(maps, boxes, 5, 16)
    found = tf.function(model, jit_compile=compiled)([maps, boxes])
    np.testing.assert_array_equal(found, expected)
    model.export(str(tmp_path / "saved"), verbose=False)
    served = tf.saved_model.load(str(tmp_path / "saved")).serve([maps, boxes])
    np.testing.assert_array_equal(served, expected)
