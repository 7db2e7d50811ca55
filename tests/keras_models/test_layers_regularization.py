"""DropConnect and noise on weights: what they draw in training, what they answer at test."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_models.layers import DropConnect, StochasticPooling2D, WeightNoise


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(7)


def normal(shape):
    return np.random.default_rng(3).normal(size=shape).astype("float32")


def with_weights(layer, features=6):
    layer.build((None, features))
    *kernel, bias = normal((features + 1, layer.units))
    layer.set_weights([np.array(kernel), bias])
    return layer.get_weights()


@pytest.mark.parametrize("keep", [0.75, 0.5])
def test_drop_connect_has_a_mask_for_every_example_weight_and_bias(keep):
    layer = DropConnect(3, rate=1 - keep)
    kernel, bias = with_weights(layer, features=2)
    y = np.asarray(layer(np.ones((500, 2), "float32"), training=True))
    for unit in range(3):
        terms = np.array([*kernel[:, unit], bias[unit]])
        masks = np.array(list(np.ndindex(2, 2, 2)))
        sums = masks @ terms
        assert np.isclose(y[:, unit][:, None], sums, atol=1e-5).any(axis=1).all()
        drawn = masks[np.abs(y[:, unit][:, None] - sums).argmin(axis=1)]
        # Each is there as often as it shall be, and independently: 4 standard deviations.
        spread = 4 * (keep * (1 - keep) / 500) ** 0.5
        np.testing.assert_allclose(drawn.mean(axis=0), keep, atol=spread)
        assert np.abs(np.corrcoef(drawn.T)[~np.eye(3, dtype=bool)]).max() < 4 / 500**0.5


def test_drop_connect_draws_anew_every_step_and_by_its_seed():
    x = normal((4, 6))
    layer, same = DropConnect(5, seed=3), DropConnect(5, seed=3)
    with_weights(layer), with_weights(same)
    first, second = (np.asarray(layer(x, training=True)) for _ in range(2))
    assert not np.allclose(first, second)
    np.testing.assert_array_equal(same(x, training=True), first)


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_drop_connect_at_test_is_the_mean_over_a_gaussian(rate):
    x, keep = normal((4, 6)), 1 - rate
    layer = DropConnect(5, rate=rate, activation="tanh")
    kernel, bias = with_weights(layer)
    mean = keep * (x @ kernel + bias)
    deviation = np.sqrt(keep * rate * (x**2 @ kernel**2 + bias**2))
    draws = np.random.default_rng(0).normal(mean, deviation, (200_000, *mean.shape))
    np.testing.assert_allclose(layer(x), np.tanh(draws).mean(axis=0), atol=0.01)


def test_drop_connect_at_test_comes_near_the_exact_mean_of_a_relu():
    x = normal((50, 6))
    layer, linear = DropConnect(5, activation="relu"), DropConnect(5)
    kernel, bias = with_weights(layer)
    with_weights(linear)
    mean, deviation = 0.5 * (x @ kernel + bias), 0.5 * np.sqrt(x**2 @ kernel**2 + bias**2)
    np.testing.assert_allclose(linear(x), mean, rtol=1e-4, atol=1e-5)
    z = mean / deviation
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    below = np.vectorize(lambda value: 0.5 * (1 + math.erf(value / 2**0.5)))(z)
    exact = mean * below + deviation * density
    assert (np.abs(layer(x) - exact) < 0.003 * deviation).all()
    np.testing.assert_array_equal(layer(x), layer(x))


@pytest.mark.parametrize("dtype", ["float16", "mixed_float16", "bfloat16", "float32"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_drop_connect_at_test_is_right_up_to_the_range_of_its_type(dtype, activation):
    layer = DropConnect(5, 0.5, activation, dtype=dtype)
    exact = DropConnect(5, 0.5, activation, dtype="float64")
    kernel, bias = with_weights(exact)
    layer.build((None, 6))
    layer.set_weights([0.1 * kernel, bias]), exact.set_weights([0.1 * kernel, bias])
    # The mean adds a hundred numbers up in float32.
    for value in (256, 1000, 30_000, min(1e35, tf.as_dtype(layer.compute_dtype).max)):
        x = tf.cast(np.float64(value) * np.linspace(-1, 1, 12).reshape(2, 6), layer.compute_dtype)
        close = 0.02 if layer.compute_dtype == "bfloat16" else 2e-3
        expected = exact(tf.cast(x, "float64"))
        np.testing.assert_allclose(tf.cast(layer(x), "float64"), expected, rtol=close, atol=close)


def test_drop_connect_at_test_has_a_gradient_where_nothing_comes_in():
    layer, x = DropConnect(5, activation="relu"), tf.zeros((2, 6))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
    np.testing.assert_allclose(y, np.zeros((2, 5)), atol=1e-12)
    assert np.isfinite(tape.gradient(y, x)).all()


@pytest.mark.parametrize("rate", [0.4, 0.5])
def test_drop_connect_in_training_has_the_mean_and_variance_of_the_gaussian(rate):
    layer = DropConnect(20, rate=rate)
    kernel, bias = with_weights(layer)
    x = normal((1, 6))
    y = np.asarray(layer(np.repeat(x, 20_000, axis=0), training=True))
    np.testing.assert_allclose(y.mean(axis=0), (1 - rate) * (x @ kernel + bias)[0], atol=0.05)
    variance = rate * (1 - rate) * (x**2 @ kernel**2 + bias**2)[0]
    np.testing.assert_allclose(y.var(axis=0), variance, rtol=0.05)


def test_drop_connect_that_drops_nothing_is_dense():
    x = normal((4, 6))
    layer, dense = DropConnect(5, rate=0, activation="relu"), keras.layers.Dense(5, "relu")
    kernel, bias = with_weights(layer)
    dense.build(x.shape)
    dense.set_weights([kernel, bias])
    for training in (True, False):
        np.testing.assert_allclose(layer(x, training=training), dense(x), rtol=1e-5, atol=1e-6)


def test_drop_connect_hands_no_gradient_to_dropped_weights():
    layer = DropConnect(3)
    with_weights(layer)
    x = tf.ones((1, 6))
    with tf.GradientTape() as tape:
        y = layer(x, training=True)
    gradient = np.asarray(tape.gradient(y, layer.kernel.value))
    assert set(np.unique(gradient)) == {0.0, 1.0}


@pytest.mark.parametrize("jit_compile", [False, True])
def test_drop_connect_and_noise_train(jit_compile):
    x = normal((64, 6))
    y = (x[:, 0] > 0).astype("int32")
    model = keras.Sequential(
        [
            keras.Input((6,)),
            WeightNoise(keras.layers.Dense(16, "relu"), 0.05),
            DropConnect(16, activation="relu"),
            keras.layers.Dense(2),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"], jit_compile=jit_compile)
    model.fit(np.tile(x, (40, 1)), np.tile(y, 40), batch_size=64, shuffle=False, verbose=0)
    assert model.evaluate(x, y, verbose=0)[1] > 0.95


def test_weight_noise_is_gaussian_on_the_kernel_in_training_alone():
    layer = WeightNoise(keras.layers.Dense(500, bias_initializer="random_normal"), 0.1)
    x = np.eye(40, dtype="float32")
    plain = np.asarray(layer(x))
    np.testing.assert_allclose(plain, layer.layer(x), rtol=1e-6)
    # Row i of the answer is row i of the kernel, and the bias.
    noise = np.asarray(layer(x, training=True)) - plain
    assert abs(noise.mean()) < 4 * 0.1 / noise.size**0.5
    np.testing.assert_allclose(noise.std(), 0.1, rtol=0.03)
    again = np.asarray(layer(x, training=True)) - plain
    assert np.abs(np.corrcoef(noise.ravel(), again.ravel())[0, 1]) < 4 / noise.size**0.5
    np.testing.assert_array_equal(layer(x), plain)


def test_weight_noise_hands_the_gradient_to_kernel_and_bias():
    layer, x = WeightNoise(keras.layers.Conv2D(2, 3), 0.1), normal((2, 5, 5, 3))
    layer.build(x.shape)
    with tf.GradientTape() as tape:
        y = layer(x, training=True)
    variables = [variable.value for variable in layer.trainable_variables]
    of_kernel, of_bias = tape.gradient(y, variables)
    np.testing.assert_allclose(of_bias, [18, 18])
    assert np.abs(of_kernel).min() > 0


def test_weight_noise_keeps_the_state_of_its_layer():
    layer = WeightNoise(DropConnect(5, seed=1), 0.0)
    first, second = (np.asarray(layer(np.ones((4, 6)), training=True)) for _ in range(2))
    assert not np.allclose(first, second)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: DropConnect(4, rate=1), "less than 1"),
        (lambda: DropConnect(0), "must be positive"),
        (lambda: DropConnect(4, samples=0), "must be positive"),
        (lambda: DropConnect(4)(np.ones((1, 2, 3))), "expected ndim=2"),
        (lambda: WeightNoise(keras.layers.Dense(4), -1), "not be negative"),
        (lambda: WeightNoise(keras.layers.Flatten(), 1.0)(np.ones((1, 2))), "no kernel"),
    ],
)
def test_wrong_arguments_are_refused_and_told(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_layers_that_draw_train_in_mixed_precision_and_are_exported(policy, tmp_path):
    model = keras.Sequential(
        [
            keras.Input((9, 8, 2)),
            WeightNoise(keras.layers.Conv2D(4, 3, activation="relu", dtype=policy), 0.1),
            StochasticPooling2D(3, 2, "same", dtype=policy),
            keras.layers.Flatten(),
            DropConnect(8, activation="relu", dtype=policy),
            DropConnect(3, rate=0.3, dtype=policy),
        ]
    )
    x = normal((2, 9, 8, 2))
    with tf.GradientTape() as tape:
        y = model(x, training=True)
    assert y.dtype == getattr(tf, policy.removeprefix("mixed_"))
    gradients = tape.gradient(y, [variable.value for variable in model.trainable_variables])
    for gradient in gradients:
        assert gradient.dtype == tf.float32 and np.isfinite(gradient).all()
    model.export(tmp_path / "exported", verbose=False)
    served = tf.saved_model.load(tmp_path / "exported")
    answers = [tf.cast(each, tf.float32) for each in (served.serve(x), served.serve(x), model(x))]
    np.testing.assert_array_equal(answers[0], answers[1])
    np.testing.assert_allclose(answers[0], answers[2], rtol=0.05, atol=0.02)
