"""The normalisations against naive NumPy versions of the papers' formulas."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_models.layers import (
    ActivationBatchNormalization,
    LocalContrastNormalization,
    LocalResponseNormalization,
)


def normal(shape, scale=1.0):
    return (scale * np.random.default_rng(3).normal(size=shape)).astype("float32")


def naive_response(x, n, alpha, beta, k):
    """Map by map, as the formula of section 3.3 is written."""
    maps, b = x.shape[-1], np.zeros_like(x)
    for i in range(maps):
        near = x[..., max(0, i - n // 2) : min(maps - 1, i + n // 2) + 1]
        b[..., i] = x[..., i] / (k + alpha * np.sum(near**2, axis=-1)) ** beta
    return b


@pytest.mark.parametrize(
    ("n", "alpha", "beta", "k"), [(5, 1e-4, 0.75, 2.0), (3, 0.1, 0.5, 1.0), (9, 1e-2, 0.75, 1.0)]
)
def test_response_normalization_is_the_formula(n, alpha, beta, k):
    x = normal((2, 3, 4, 6), scale=30)
    y = LocalResponseNormalization(n, alpha, beta, k)(x)
    np.testing.assert_allclose(y, naive_response(x, n, alpha, beta, k), rtol=1e-4)


def test_response_normalization_starts_with_the_constants_of_alexnet():
    x = normal((2, 3, 4, 96), scale=30)
    expected = tf.nn.local_response_normalization(x, depth_radius=2, bias=2, alpha=1e-4, beta=0.75)
    np.testing.assert_allclose(LocalResponseNormalization()(x), expected, rtol=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "mixed_float16", "bfloat16", "mixed_bfloat16"])
@pytest.mark.parametrize("value", [1000.0, 1800.0, 25_600.0, 65_504.0])
def test_response_normalization_is_the_formula_up_to_the_range_of_16_bits(dtype, value):
    layer = LocalResponseNormalization(dtype=dtype)
    x = tf.cast(value * np.linspace(-1, 1, 12).reshape(1, 2, 1, 6), layer.compute_dtype)
    y = layer(x)
    assert y.dtype == x.dtype
    expected = naive_response(np.array(tf.cast(x, "float64")), 5, 1e-4, 0.75, 2.0)
    close = 8e-3 if layer.compute_dtype == "bfloat16" else 1e-3
    np.testing.assert_allclose(tf.cast(y, "float64"), expected, rtol=close)


def test_response_normalization_in_float32_is_the_formula_far_out():
    x = np.full((1, 1, 1, 5), 1e15)
    y = LocalResponseNormalization()(x.astype("float32"))
    np.testing.assert_allclose(y, naive_response(x, 5, 1e-4, 0.75, 2.0), rtol=1e-5)


def naive_contrast(x, size, sigma, divisive):
    """Pixel by pixel; weights outside of the picture left out and the others scaled up."""
    _, height, width, _ = x.shape
    distance = np.arange(size) - size // 2
    gauss = np.exp(-(distance**2) / (2 * sigma**2))

    def mean_around(z, n, i, j):
        rows = [r for r in range(i - size // 2, i + size // 2 + 1) if 0 <= r < height]
        columns = [c for c in range(j - size // 2, j + size // 2 + 1) if 0 <= c < width]
        weights = np.outer(
            [gauss[r - i + size // 2] for r in rows], [gauss[c - j + size // 2] for c in columns]
        )
        window = z[n][np.ix_(rows, columns)].mean(axis=-1)
        return np.sum(weights * window) / weights.sum()

    v = np.zeros(x.shape)
    for n, i, j in np.ndindex(x.shape[:3]):
        v[n, i, j] = x[n, i, j] - mean_around(x, n, i, j)
    if not divisive:
        return v
    deviation = np.zeros(x.shape[:3])
    for n, i, j in np.ndindex(deviation.shape):
        deviation[n, i, j] = np.sqrt(mean_around(v**2, n, i, j))
    floor = deviation.mean(axis=(1, 2), keepdims=True)
    return v / np.maximum(deviation, floor)[..., None]


@pytest.mark.parametrize("divisive", [False, True])
@pytest.mark.parametrize(("size", "sigma"), [(7, None), (5, 2.0)])
def test_contrast_normalization_is_the_formula(divisive, size, sigma):
    x = normal((2, 9, 6, 3)) + 5
    y = LocalContrastNormalization(size, sigma, divisive)(x)
    expected = naive_contrast(x, size, sigma or size / 4, divisive)
    np.testing.assert_allclose(y, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16", "mixed_bfloat16", "float64"])
@pytest.mark.parametrize("value", [1e-8, 0.1, 0.5, 3.0, 255.0, 65_504.0, 1e30])
def test_contrast_normalization_of_a_constant_picture_is_zero_and_has_a_gradient(value, dtype):
    layer = LocalContrastNormalization(dtype=dtype)
    value = min(value, float(tf.as_dtype(layer.compute_dtype).max))
    # Beside a picture that is not constant, which it has nothing to do with.
    x = tf.stack([tf.fill((28, 28, 3), value), tf.random.stateless_normal((28, 28, 3), (0, 1))])
    x = tf.cast(x, layer.compute_dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)[0]
    np.testing.assert_array_equal(y, np.zeros(y.shape))
    assert np.abs(tape.gradient(y, x)).max() < 1


def test_contrast_normalization_of_part_of_a_picture_that_is_constant_is_small():
    x = np.full((1, 40, 20, 1), 255.0, "float32")
    x[:, 20:] = 0.0
    y = np.asarray(LocalContrastNormalization()(x))
    assert np.abs(y[:, :16]).max() < 1e-5 and np.abs(y[:, 24:]).max() < 1e-5 < 1 < np.abs(y).max()


@pytest.mark.parametrize("shift", [0.0, 1000.0])
@pytest.mark.parametrize("scale", [1.0, 1e25])
def test_contrast_normalization_knows_neither_shift_nor_scale(shift, scale):
    x = normal((2, 9, 6, 3)).astype("float64")
    y = LocalContrastNormalization()(((x + shift) * scale).astype("float32"))
    expected = naive_contrast(x, 7, 7 / 4, divisive=True)
    np.testing.assert_allclose(y, expected, rtol=1e-3, atol=1e-3)


def test_contrast_normalization_in_float64_is_as_exact_as_that():
    x = normal((2, 9, 6, 3)).astype("float64")
    y = LocalContrastNormalization(5, 2.0, dtype="float64")(x)
    np.testing.assert_allclose(y, naive_contrast(x, 5, 2.0, divisive=True), rtol=1e-12, atol=1e-12)


def test_batch_normalization_of_each_activation_is_algorithm_1():
    x = normal((8, 3, 4, 2)) * np.arange(1, 25).reshape(3, 4, 2) + 7
    layer = ActivationBatchNormalization(epsilon=1e-3, momentum=0.9)
    y = layer(x, training=True)
    expected = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-3)
    np.testing.assert_allclose(y, expected, rtol=1e-3, atol=1e-3)
    assert layer.count_params() == 4 * 24 and sum(w.shape[0] for w in layer.trainable_weights) == 48
    np.testing.assert_allclose(layer.moving_mean, 0.1 * x.mean(axis=0).ravel(), rtol=1e-3)
    scale = np.sqrt(0.9 + 0.1 * x.var(axis=0) + 1e-3)
    tested = (x - 0.1 * x.mean(axis=0)) / scale
    np.testing.assert_allclose(layer(x, training=False), tested, rtol=1e-3, atol=1e-3)


def test_gradients_of_batch_normalization_in_training_are_the_finite_differences():
    """Through the batch's own mean and variance, too: Algorithm 1 and the equations after it."""
    shape = (6, 3, 2, 2)
    x, weight, along = np.random.default_rng(5).normal(size=(3, *shape))
    layer = ActivationBatchNormalization(
        dtype="float64", gamma_initializer="random_normal", beta_initializer="random_normal"
    )
    layer.build(shape)
    start = [variable.numpy() for variable in layer.trainable_variables]
    directions = [np.random.default_rng(6).normal(size=value.shape) for value in start]

    def objective(pictures):
        # Not linear, or beta's gradient would not depend on anything.
        return tf.reduce_sum(weight * tf.square(layer(pictures, training=True)))

    pictures = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(pictures)
        value = objective(pictures)
    variables = layer.trainable_variables
    of_input, *of_variables = tape.gradient(value, [pictures, *[v.value for v in variables]])

    def slope(move, step=1e-5):
        ends = []
        for sign in (1, -1):
            ends.append(float(objective(tf.constant(move(sign * step)))))
        return (ends[0] - ends[1]) / (2 * step)

    np.testing.assert_allclose(
        np.sum(of_input * along), slope(lambda step: x + step * along), rtol=1e-6
    )
    for n, variable in enumerate(variables):

        def moved(step, n=n, variable=variable):
            variable.assign(start[n] + step * directions[n])
            return x

        np.testing.assert_allclose(np.sum(of_variables[n] * directions[n]), slope(moved), rtol=1e-6)
        variable.assign(start[n])
    # What all pictures of a batch have in common is subtracted.
    np.testing.assert_allclose(np.sum(of_input, axis=0), np.zeros(shape[1:]), atol=1e-9)


def test_batch_normalization_of_features_is_keras_own():
    x = normal((8, 5))
    ours, keras_own = ActivationBatchNormalization(), keras.layers.BatchNormalization()
    np.testing.assert_allclose(ours(x, training=True), keras_own(x, training=True), rtol=1e-5)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LocalResponseNormalization(4), "odd number of maps, not 4"),
        (lambda: LocalResponseNormalization(k=0), "k must be positive"),
        (lambda: LocalContrastNormalization(8), "odd, not 8"),
        (lambda: LocalContrastNormalization(sigma=0), "sigma must be positive"),
        (lambda: ActivationBatchNormalization()(keras.Input((None, 3))), "sides must be known"),
    ],
)
def test_wrong_arguments_are_refused_and_told(build, message):
    with pytest.raises(ValueError, match=message):
        build()
