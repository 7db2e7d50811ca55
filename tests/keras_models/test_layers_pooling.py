"""The pooling layers against naive NumPy versions of the papers' formulas."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_models.layers import (
    OffsetMaxPooling2D,
    SpatialPyramidPooling2D,
    StochasticPooling2D,
    Subsampling2D,
    SumPooling2D,
)

SETTINGS = [
    (2, 2, "valid"), (3, 2, "valid"), (3, 1, "same"), ((3, 2), 2, "same"), (2, 3, "same"),
]  # fmt: skip
settings = pytest.mark.parametrize(("size", "strides", "padding"), SETTINGS)


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(7)


def normal(shape):
    return np.random.default_rng(3).normal(size=shape).astype("float32")


def windows(x, size, strides, padding):
    """Every window of [N, H, W, C] with its pixels outside of the picture left out."""
    size = size if isinstance(size, tuple) else (size, size)
    starts = []
    for side, length in zip(x.shape[1:3], size, strict=True):
        if padding == "same":
            number = -(-side // strides)
            before = max((number - 1) * strides + length - side, 0) // 2
        else:
            number, before = (side - length) // strides + 1, 0
        starts.append([i * strides - before for i in range(number)])
    return [
        [x[:, max(i, 0) : max(i + size[0], 0), max(j, 0) : max(j + size[1], 0)] for j in starts[1]]
        for i in starts[0]
    ]


def each(x, function, *setting):
    return np.array(
        [[function(window) for window in row] for row in windows(x, *setting)]
    ).transpose(2, 0, 1, 3)


@settings
def test_sum_pooling_is_the_sum_of_the_window(size, strides, padding):
    x = normal((2, 7, 8, 3))
    expected = each(x, lambda window: window.sum(axis=(1, 2)), size, strides, padding)
    y = SumPooling2D(size, strides, padding)(x)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pool_size", [2, 3])
def test_offset_pooling_interlaces_the_poolings_at_all_offsets(pool_size):
    x = normal((2, 11, 8, 3))
    every = np.asarray(OffsetMaxPooling2D(pool_size, every_offset=True)(x))
    plain = OffsetMaxPooling2D(pool_size)
    assert every.shape == (2, 12 - pool_size, 9 - pool_size, 3)
    for down, right in np.ndindex(pool_size, pool_size):
        pooled = np.asarray(plain(x[:, down:, right:]))
        expected = each(
            x[:, down:, right:], lambda part: part.max(axis=(1, 2)), pool_size, pool_size, "valid"
        )
        np.testing.assert_array_equal(pooled, expected)
        np.testing.assert_array_equal(every[:, down::pool_size, right::pool_size], pooled)


@settings
def test_stochastic_pooling_weighs_by_probability_at_test(size, strides, padding):
    x = np.maximum(normal((2, 7, 8, 3)), 0)
    x[0, :4] = 0

    def weighted(window):
        total = window.sum(axis=(1, 2))
        return (window**2).sum(axis=(1, 2)) / np.where(total == 0, 1, total)

    y = StochasticPooling2D(size, strides, padding)(x)
    expected = each(x, weighted, size, strides, padding)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-6)


@settings
def test_stochastic_pooling_draws_from_the_window_in_training(size, strides, padding):
    # Every pixel has a value of its own, so that a value tells where it comes from.
    x = np.random.default_rng(1).permutation(np.arange(1, 2 * 7 * 8 * 3 + 1)).astype("float32")
    x = x.reshape(2, 7, 8, 3)
    layer = StochasticPooling2D(size, strides, padding)
    y = np.asarray(layer(x, training=True))
    assert y.shape == layer.compute_output_shape(x.shape)
    for i, row in enumerate(windows(x, size, strides, padding)):
        for j, window in enumerate(row):
            assert (window == y[:, i, j][:, None, None]).any(axis=(1, 2)).all()


def test_stochastic_pooling_draws_in_proportion_to_the_activations():
    window = np.float32([[1, 0], [3, 4]])
    x = np.broadcast_to(window[None, :, :, None], (20_000, 2, 2, 1))
    y = np.asarray(StochasticPooling2D(2)(x, training=True)).ravel()
    values, counts = np.unique(y, return_counts=True)
    np.testing.assert_array_equal(values, [1, 3, 4])
    # Four standard deviations of the frequencies.
    p = values / 8
    assert (np.abs(counts / y.size - p) < 4 * np.sqrt(p * (1 - p) / y.size)).all()


def test_stochastic_pooling_draws_for_every_window_map_and_step_anew():
    x = np.tile(np.arange(1, 10, dtype="float32").reshape(3, 3)[None, :, :, None], (2, 4, 4, 5))
    layer = StochasticPooling2D(3, seed=5)
    first, second = (np.asarray(layer(x, training=True)) for _ in range(2))
    assert not np.array_equal(first, second)
    for axis in range(4):
        assert np.ptp(first, axis=axis).max() > 0
    again = StochasticPooling2D(3, seed=5)(x, training=True)
    np.testing.assert_array_equal(again, first)


def test_stochastic_pooling_takes_windows_without_activation_for_zero():
    x = -np.abs(normal((2, 4, 4, 3)))
    for training in (True, False):
        y = StochasticPooling2D(2)(x, training=training)
        np.testing.assert_array_equal(y, np.zeros((2, 2, 2, 3)))


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("place", np.ndindex(2, 2))
def test_stochastic_pooling_hides_no_number_that_is_not_finite(dtype, value, place):
    x = np.abs(normal((1, 4, 4, 3)))
    x[(0, *place, 1)] = value
    layer = StochasticPooling2D(2, dtype=dtype)
    for training in (True, False):
        y = np.array(tf.cast(layer(x, training=training), "float32"))
        assert np.isnan(y[0, 0, 0, 1]) and np.isnan(y).sum() == 1


@pytest.mark.parametrize("layer", [Subsampling2D, SumPooling2D])
@pytest.mark.parametrize("dtype", ["float16", "mixed_float16"])
def test_sums_of_float16_overflow_only_where_the_result_does(layer, dtype):
    x = 60_000 * np.float32([[1, 1], [-1, -0.5]])[None, :, :, None]
    x = np.concatenate([x, np.full_like(x, 16_000)])
    scale = 1 if layer is SumPooling2D else 0.25
    y = tf.cast(layer(2, dtype=dtype)(x), "float32")
    np.testing.assert_allclose(np.ravel(y), [scale * 30_000, scale * 64_000], rtol=1e-3)


def test_stochastic_pooling_hands_the_gradient_to_the_pixel_that_was_drawn():
    x = tf.constant(np.random.default_rng(1).permutation(np.arange(1.0, 65)).reshape(2, 4, 4, 2))
    x = tf.cast(x, "float32")
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = StochasticPooling2D(2)(x, training=True)
    drawn = np.isin(x, y)
    assert drawn.sum() == 16
    np.testing.assert_array_equal(tape.gradient(y, x), drawn.astype("float32"))


def test_stochastic_pooling_trains_compiled_and_on_pictures_of_any_size():
    layer = StochasticPooling2D(3, 2, "same")
    model = keras.Sequential([keras.Input((None, None, 2)), layer])
    x = np.abs(normal((2, 7, 8, 2)))

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 2))])
    def train(x):
        return model(x, training=True)

    assert train(x).shape == (2, 4, 4, 2) and train(x[:, :5, :3]).shape == (2, 3, 2, 2)
    compiled = tf.function(lambda x: layer(x, training=True), jit_compile=True)
    assert np.isin(compiled(x), x).all()
    half = StochasticPooling2D(2, dtype="mixed_float16")(x * 1000, training=False)
    assert half.dtype == tf.float16 and np.isfinite(half).all()


@pytest.mark.parametrize("sides", [(13, 13), (7, 10), (6, 6), (2, 3)])
def test_pyramid_pooling_is_the_maximum_of_each_bin(sides):
    x, expected = normal((2, *sides, 3)), []
    for bins in (1, 2, 3, 6):
        for i in range(bins):
            for j in range(bins):
                rows = [np.floor(i * sides[0] / bins), np.ceil((i + 1) * sides[0] / bins)]
                columns = [np.floor(j * sides[1] / bins), np.ceil((j + 1) * sides[1] / bins)]
                (top, bottom), (left, right) = np.int32(rows), np.int32(columns)
                expected.append(x[:, top:bottom, left:right].max(axis=(1, 2)))
    y = SpatialPyramidPooling2D()(x)
    assert y.shape == (2, 50 * 3)
    np.testing.assert_array_equal(y, np.concatenate(expected, axis=1))


@pytest.mark.parametrize(("bins", "window", "stride"), [(3, 5, 4), (2, 7, 6), (1, 13, 13)])
def test_pyramid_pooling_of_13_by_13_has_the_windows_of_the_paper(bins, window, stride):
    # Figure 4 of the paper: the sliding windows of a 3-level pyramid on 13 x 13 maps.
    x = normal((2, 13, 13, 3))
    expected = keras.layers.MaxPooling2D(window, stride)(x)
    np.testing.assert_array_equal(
        SpatialPyramidPooling2D((bins,))(x), np.reshape(expected, (2, bins * bins * 3))
    )


@pytest.mark.parametrize("bins", [(), (0,), (3, -1)])
def test_pyramids_without_bins_are_refused(bins):
    with pytest.raises(ValueError, match="from 1 on"):
        SpatialPyramidPooling2D(bins)
