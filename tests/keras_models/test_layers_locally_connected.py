"""Untied and tiled convolutions against a naive NumPy version."""

import keras
import numpy as np
import pytest

from keras_models.layers import LocallyConnected2D, TiledConv2D

SETTINGS = [(1, "valid"), (2, "valid"), (1, "same"), (2, "same")]
settings = pytest.mark.parametrize(("strides", "padding"), SETTINGS)


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(7)


def normal(shape):
    return np.random.default_rng(3).normal(size=shape).astype("float32")


def naive(x, kernel, bias, strides, padding):
    """Unit by unit; kernel [tile height, tile width, kh, kw, inputs, filters]."""
    tall, wide, kh, kw, _, filters = kernel.shape
    around = []
    for side, length in zip(x.shape[1:3], (kh, kw), strict=True):
        total = max((-(-side // strides) - 1) * strides + length - side, 0)
        around.append((total // 2, total - total // 2) if padding == "same" else (0, 0))
    x = np.pad(x, ((0, 0), *around, (0, 0)))
    height, width = ((x.shape[1] - kh) // strides + 1, (x.shape[2] - kw) // strides + 1)
    y = np.zeros((len(x), height, width, filters))
    for n, i, j, f in np.ndindex(y.shape):
        top, left = i * strides, j * strides
        window = x[n, top : top + kh, left : left + kw]
        weights = kernel[i % tall, j % wide, ..., f]
        y[n, i, j, f] = np.sum(window * weights) + bias[i % tall, j % wide, f]
    return y


@settings
@pytest.mark.parametrize("tile", [1, 2, 3, None])
def test_tiled_convolution_repeats_its_filters(tile, strides, padding):
    x = normal((2, 7, 8, 3))
    layer = TiledConv2D(4, (3, 2), tile, strides, padding, bias_initializer="random_normal")
    y = layer(x)
    kernel, bias = layer.get_weights()
    expected = naive(x, kernel, bias, strides, padding)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    assert tuple(y.shape) == layer.compute_output_shape(x.shape)


@settings
def test_a_tile_of_one_is_keras_own_convolution(strides, padding):
    x = normal((2, 7, 8, 3))
    dense = keras.layers.Conv2D(4, 3, strides, padding, bias_initializer="random_normal")
    tiled = TiledConv2D(4, 3, 1, strides, padding)
    expected = dense(x)
    tiled.build(x.shape)
    kernel, bias = dense.get_weights()
    tiled.set_weights([kernel[None, None], bias[None, None]])
    np.testing.assert_allclose(tiled(x), expected, rtol=1e-4, atol=1e-5)


def test_a_large_tile_is_untied():
    x = normal((2, 7, 8, 3))
    tiled, untied = TiledConv2D(4, 3, tile=100), LocallyConnected2D(4, 3)
    tiled(x), untied.build(x.shape)
    untied.set_weights(tiled.get_weights())
    np.testing.assert_array_equal(untied(x), tiled(x))
    # Every one of 5 x 6 positions has 27 weights and a bias for each of 4 maps.
    assert untied.count_params() == 5 * 6 * 4 * 28


def test_only_the_tile_counts_in_the_weights():
    layer = TiledConv2D(4, 3, tile=2, use_bias=False)
    layer.build((None, None, None, 3))
    assert [tuple(w.shape) for w in layer.weights] == [(2, 2, 3, 3, 3, 4)]


def test_every_position_starts_with_other_weights_of_the_fan_in_of_one_unit():
    layer = LocallyConnected2D(8, 5)
    layer.build((None, 12, 12, 16))
    kernel = np.asarray(layer.kernel)
    np.testing.assert_allclose(kernel.std(), (2 / (5 * 5 * 16)) ** 0.5, rtol=0.02)
    assert not np.allclose(kernel[0, 0], kernel[1, 1])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: TiledConv2D(4, 3, tile=0), "at least 1, not 0"),
        (lambda: LocallyConnected2D(4, 3)(keras.Input((None, 8, 3))), "must be known"),
        (lambda: LocallyConnected2D(4, 9)(keras.Input((8, 8, 3))), "8 holds no window"),
    ],
)
def test_wrong_arguments_are_refused_and_told(build, message):
    with pytest.raises(ValueError, match=message):
        build()
