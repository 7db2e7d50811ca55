"""What every layer must do: gradients, saving, mixed precision, compilation, unknown sizes, both
data formats. What each computes is tested by topic in test_layers_*.py."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_models.layers import (
    ActivationBatchNormalization,
    DropConnect,
    EuclideanRBF,
    LocalContrastNormalization,
    LocallyConnected2D,
    LocalResponseNormalization,
    Maxout,
    OffsetMaxPooling2D,
    SpatialPyramidPooling2D,
    StochasticPooling2D,
    Subsampling2D,
    SumPooling2D,
    TableConv2D,
    TiledConv2D,
    WeightNoise,
    prelu,
    scaled_tanh,
)


def table_conv(**arguments):
    return TableConv2D(
        ((0, 2), (1,), (0, 1, 2), (2, 0)),
        (3, 2),
        activation=scaled_tanh,
        bias_initializer="random_normal",
        **arguments,
    )


def subsampling(**arguments):
    return Subsampling2D(
        activation=scaled_tanh,
        coefficient_initializer="random_normal",
        bias_initializer="random_normal",
        **arguments,
    )


def rbf(**arguments):
    return EuclideanRBF(10, **arguments)


def response_normalization(**arguments):
    return LocalResponseNormalization(size=3, alpha=0.5, k=1.0, **arguments)


def contrast_normalization(**arguments):
    return LocalContrastNormalization(5, **arguments)


def activation_normalization(**arguments):
    return ActivationBatchNormalization(
        beta_initializer="random_normal", moving_mean_initializer="random_normal", **arguments
    )


def stochastic_pooling(**arguments):
    return StochasticPooling2D(3, 2, "same", **arguments)


def offset_pooling(**arguments):
    return OffsetMaxPooling2D(2, every_offset=True, **arguments)


def sum_pooling(**arguments):
    return SumPooling2D((3, 2), 2, "same", **arguments)


def pyramid_pooling(**arguments):
    return SpatialPyramidPooling2D((2, 1), **arguments)


def tiled_conv(**arguments):
    return TiledConv2D(
        4, (3, 2), tile=2, activation=scaled_tanh, bias_initializer="random_normal", **arguments
    )


def locally_connected(**arguments):
    return LocallyConnected2D(
        4, 3, strides=2, padding="same", bias_initializer="random_normal", **arguments
    )


def maxout_maps(data_format="channels_last", **arguments):
    return Maxout(3, axis=-1 if data_format == "channels_last" else 1, **arguments)


def drop_connect(**arguments):
    return DropConnect(
        4, activation=scaled_tanh, bias_initializer="random_normal", samples=20, **arguments
    )


def weight_noise(**arguments):
    return WeightNoise(keras.layers.Dense(4, **arguments), 0.1, **arguments)


def slopes(**arguments):
    return prelu("all", rank=2, **arguments)


PICTURES = (2, 7, 6, 3)
# Which take maps of any size, and a data format.
MAP_LAYERS = [
    (table_conv, PICTURES),
    (subsampling, PICTURES),
    (response_normalization, PICTURES),
    (contrast_normalization, PICTURES),
    (stochastic_pooling, PICTURES),
    (offset_pooling, PICTURES),
    (sum_pooling, PICTURES),
    (pyramid_pooling, PICTURES),
    (tiled_conv, PICTURES),
    (maxout_maps, PICTURES),
]
FORMATTED_LAYERS = [*MAP_LAYERS, (locally_connected, PICTURES)]
LAYERS = [
    *FORMATTED_LAYERS,
    (activation_normalization, PICTURES),
    (rbf, (3, 84)),
    (drop_connect, (3, 6)),
    (weight_noise, (3, 6)),
    (slopes, (3, 6)),
]


def over(layers):
    return pytest.mark.parametrize(("make", "shape"), layers, ids=[m.__name__ for m, _ in layers])


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(7)


def normal(shape):
    return np.random.default_rng(3).normal(size=shape).astype("float32")


@over(LAYERS)
def test_gradients_are_the_finite_differences(make, shape):
    layer, x = make(), tf.constant(normal(shape))
    weight = tf.constant(normal(layer(x).shape))

    def objective():
        return tf.reduce_sum(weight * layer(x))

    with tf.GradientTape() as tape:
        tape.watch(x)
        value = objective()
    variables = layer.trainable_variables
    of_input, *of_variables = tape.gradient(value, [x, *[v.value for v in variables]])

    step = 1e-2
    origin, direction = x, tf.constant(normal(x.shape[::-1]).reshape(x.shape))
    ends = []
    for sign in (1, -1):
        x = origin + sign * step * direction
        ends.append(float(objective()))
    x = origin
    slope = (ends[0] - ends[1]) / (2 * step)
    np.testing.assert_allclose(slope, np.sum(of_input * direction), rtol=1e-2, atol=1e-2)

    for variable, gradient in zip(variables, of_variables, strict=True):
        start, along = variable.numpy(), normal(variable.shape[::-1]).reshape(variable.shape)
        ends = []
        for sign in (1, -1):
            variable.assign(start + sign * step * along)
            ends.append(float(objective()))
        variable.assign(start)
        slope = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(slope, np.sum(gradient * along), rtol=1e-2, atol=1e-2)


@over(LAYERS)
def test_a_model_of_it_is_saved_and_reloaded(make, shape, tmp_path):
    layer, x = make(), normal(shape)
    model = keras.Sequential([keras.Input(shape[1:]), layer])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    # As JSON: a wrapped layer's input shape comes back as a list.
    configs = [json.dumps(each.get_config()) for each in (again.layers[0], layer)]
    assert configs[0] == configs[1]
    np.testing.assert_array_equal(again(x), model(x))


@over(LAYERS)
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_computes_in_the_short_type(make, shape, policy):
    x, whole, mixed = normal(shape), make(), make(dtype=policy)
    expected = whole(x)
    mixed.build(shape)
    mixed.set_weights(whole.get_weights())
    y = mixed(x)
    assert y.dtype == getattr(tf, policy.removeprefix("mixed_"))
    assert all(variable.dtype == "float32" for variable in mixed.weights)
    close = 0.02 if policy == "mixed_float16" else 0.1
    np.testing.assert_allclose(tf.cast(y, tf.float32), expected, rtol=close, atol=close)


@over(LAYERS)
def test_it_compiles(make, shape):
    layer, x = make(), tf.constant(normal(shape))
    expected = layer(x)
    np.testing.assert_allclose(
        tf.function(layer, jit_compile=True)(x), expected, rtol=1e-4, atol=1e-5
    )


@over(MAP_LAYERS)
def test_batch_and_sides_may_be_unknown(make, shape):
    layer = make()
    model = keras.Sequential([keras.Input((None, None, shape[-1])), layer])
    assert model.output_shape == layer.compute_output_shape((None, None, None, shape[-1]))
    for x in (normal(shape), normal((1, 9, 12, 3))):
        y = model.predict(x, verbose=0)
        assert y.shape == layer.compute_output_shape(x.shape)
        np.testing.assert_allclose(y, layer(x), rtol=1e-5, atol=1e-6)


@over(FORMATTED_LAYERS)
def test_channels_first_is_the_transpose_of_channels_last(make, shape):
    x = normal(shape)
    last, first = make(data_format="channels_last"), make(data_format="channels_first")
    expected = np.moveaxis(np.asarray(last(x)), -1, 1)
    transposed = np.moveaxis(x, -1, 1)
    first.build(transposed.shape)
    first.set_weights(last.get_weights())
    # TensorFlow has no channels_first kernels for the processor; compiled, it transposes itself.
    y = tf.function(first, jit_compile=True)(transposed)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    assert first.compute_output_shape(transposed.shape) == expected.shape
