"""Every layer of the package at the edges of what numbers can be, in every type, beside the same
layer in float64. A new layer is found by itself; one with arguments has them in CASES."""

import functools
import importlib
import pkgutil

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_models
from keras_models.layers import prelu, scaled_tanh
from keras_models.optimizers import curvature

PICTURE = (5, 6, 4)
# What a layer is made with, dtype apart, and the shape of an example.
CASES = {
    "ChannelScaling": ({"scale": (2.0, 1.0, 0.5, 3.0), "offset": (0.0, 1.0, 0.0, 2.0)}, PICTURE),
    "DenseAsConv2D": ({"window": (2, 2)}, PICTURE),
    "DropConnect": ({"units": 3, "activation": "relu"}, (6,)),
    "EuclideanRBF": ({"units": 10}, (84,)),
    "LocallyConnected2D": ({"filters": 3, "kernel_size": 3}, PICTURE),
    "Maxout": ({"pieces": 2}, PICTURE),
    "OffsetMaxPooling2D": ({"every_offset": True}, PICTURE),
    "SumPooling2D": ({"pool_size": 2}, PICTURE),
    "TableConv2D": ({"table": ((0, 2), (1,), (0, 1, 3)), "kernel_size": 3}, PICTURE),
    "TiledConv2D": ({"filters": 3, "kernel_size": 3, "tile": 2}, PICTURE),
    "TowerConv2D": ({"filters": 4, "kernel_size": 3, "groups": 2}, PICTURE),
    "WeightNoise": ({"stddev": 0.1}, (6,)),
    "ZeroPaddedShortcut": ({"filters": 6, "stride": 2}, PICTURE),
}
# Layers around another one, which gets the same dtype.
INNER = {"DenseAsConv2D": "dense", "WeightNoise": "layer"}
INPUTS = {"HighwayGate": 3, "AbsoluteDifference": 2, "ChiSquaredTerms": 2, "NegativeDistance": 2}
# Their inputs are not of one kind, or they move the axis of the batch: tests of their own, and of
# their nets, try them.
OF_SEVERAL_KINDS = {"TrainingCrop", "WholeMap"}
OF_SEVERAL_KINDS |= {"FlatRegions", "InPixels", "MergeRegions", "Proposals", "RegionDetections"}
OF_SEVERAL_KINDS |= {"RegionDraws", "RegionFeatures", "RegionMaxPooling2D", "RegionSuppression"}
OF_SEVERAL_KINDS |= {"SlidingWindows", "SplitRegions"}
DTYPES = ("float32", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16")
LARGEST = {"float32": 3.4028e38, "float16": 65504.0, "bfloat16": 3.3895e38}
CLOSE = {"float32": 1e-4, "float16": 4e-3, "bfloat16": 3e-2}
# The least number but 0 that float16 knows is 6e-8.
NOTHING = {"float32": 1e-12, "float16": 2e-7, "bfloat16": 1e-12}
# From here on squares leave the range of float32, and what comes of them may be inf or NaN.
FAR = 1e17


def discovered() -> dict[str, type[layers.Layer]]:
    """The layers that the modules of keras_models define, by name."""
    found = {}
    for module in pkgutil.walk_packages(keras_models.__path__, "keras_models."):
        for name, value in vars(importlib.import_module(module.name)).items():
            is_layer = isinstance(value, type) and issubclass(value, layers.Layer)
            own = getattr(value, "__module__", None) == module.name and name not in OF_SEVERAL_KINDS
            if is_layer and not issubclass(value, keras.Model) and own:
                found[name] = value
    return found


LAYERS = discovered() | {
    "prelu": prelu,
    "scaled_tanh": functools.partial(layers.Activation, scaled_tanh),
}
every_layer = pytest.mark.parametrize("name", LAYERS)
every_type = pytest.mark.parametrize("dtype", DTYPES)
# Where the weights' own type makes no difference.
every_compute_type = pytest.mark.parametrize("dtype", ("float32", "mixed_float16", "bfloat16"))


def built(name: str, dtype: str) -> layers.Layer:
    """The layer with weights that are not negative and whose sums stay in range."""
    arguments, shape = CASES.get(name, ({}, PICTURE))
    if name in INNER:
        arguments = arguments | {INNER[name]: layers.Dense(3, dtype=dtype)}
    try:
        layer = LAYERS[name](**arguments, dtype=dtype)
    except TypeError as error:
        pytest.fail(f"{name} needs arguments, in CASES: {error}")
    shapes = (2, *shape)
    layer.build([shapes] * INPUTS[name] if name in INPUTS else shapes)
    random = np.random.default_rng(1)
    for weight in layer.trainable_variables:
        fan_in = max(1, np.prod(weight.shape[:-1]))
        weight.assign(random.uniform(0.2, 0.25, weight.shape) / fan_in)
    return layer


def given(layer: layers.Layer, x: np.ndarray, training: bool = False) -> np.ndarray:
    """What the layer makes of the numbers, in float64; its state stays as it is."""
    tensor = ops.cast(ops.convert_to_tensor(x, "float64"), layer.compute_dtype)
    before = [ops.copy(weight.value) for weight in layer.non_trainable_variables]
    modes = {"training": training} if layer._call_has_training_arg else {}
    y = layer(arguments(layer, tensor), **modes)
    for weight, value in zip(layer.non_trainable_variables, before, strict=True):
        weight.assign(value)
    assert layer.compute_dtype in ("float64", keras.backend.standardize_dtype(y.dtype))
    return ops.convert_to_numpy(ops.cast(y, "float64"))


def arguments(layer, tensor):
    number = INPUTS.get(type(layer).__name__)
    return [tensor] * number if number else tensor


def rounded(x: np.ndarray, dtype: str) -> np.ndarray:
    """The numbers as the type has them, in float64."""
    return ops.convert_to_numpy(
        ops.cast(ops.cast(ops.convert_to_tensor(x, "float64"), dtype), "float64")
    )


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(7)


@functools.cache
def pattern(name: str) -> np.ndarray:
    """Numbers from 0 to 1, the same for all layers of one shape of examples."""
    _, shape = CASES.get(name, ({}, PICTURE))
    return np.random.default_rng(2).uniform(size=(2, *shape))


@every_layer
@every_type
def test_it_is_right_at_the_edges_or_no_number(name, dtype):
    layer, exact = built(name, dtype), built(name, "float64")
    for weight, like in zip(exact.weights, layer.weights, strict=True):
        weight.assign(ops.cast(like.value, weight.dtype))
    short, ones = layer.compute_dtype, np.ones_like(pattern(name))
    largest = LARGEST[short]
    edges = [value * ones for value in (0.0, 1e-8, 255.0, largest)]
    for x in (*edges, *(value * pattern(name) for value in (300.0, largest))):
        x = rounded(x, short)
        y, z = given(layer, x), given(exact, x)
        close = CLOSE[short]
        right = np.isclose(y, z, rtol=close, atol=close * np.abs(z).max() + NOTHING[short])
        beyond = (np.abs(z) > 0.99 * largest) | ~np.isfinite(z) | (x.max() > FAR)
        assert (right | (beyond & ~np.isfinite(y))).all(), x.max()
        if x.max() < 1000 and np.isfinite(y).all():
            assert np.isfinite(given(layer, x, training=True)).all()


@every_layer
@every_type
def test_what_is_no_number_stays_so_and_infinity_does_not_vanish(name, dtype):
    layer, exact, x = built(name, dtype), built(name, "float64"), pattern(name)
    # What is zeros whatever comes in, such as maps that are new, stays zeros.
    depends = given(exact, x) != given(exact, x + 1)
    for training in (False, True):
        assert np.isnan(given(layer, np.full_like(x, np.nan), training)[depends]).all()
        # A function that is bounded has its bound there.
        y = given(layer, np.full_like(x, np.inf), training)
        bound = given(exact, np.full_like(x, 1e30))
        assert (~np.isfinite(y) | np.isclose(y, bound, rtol=CLOSE[layer.compute_dtype])).all()


@every_layer
def test_one_that_is_no_number_reaches_all_that_it_takes_part_in(name):
    layer, x = built(name, "float32"), pattern(name)
    place = (0, *(side // 2 // 2 * 2 for side in x.shape[1:]))
    more, spoilt = x.copy(), x.copy()
    more[place], spoilt[place] = 5.0, np.nan
    assert np.isnan(given(layer, spoilt)[given(layer, x) != given(layer, more)]).all()
    assert np.isnan(given(layer, spoilt, training=True)).any()


@every_layer
@every_compute_type
def test_a_batch_may_have_one_example_or_none(name, dtype):
    layer, x = built(name, dtype), pattern(name)
    both = given(layer, x)
    np.testing.assert_allclose(given(layer, x[:1]), both[:1], rtol=CLOSE[layer.compute_dtype])
    assert np.isfinite(given(layer, x[:1], training=True)).all()
    if isinstance(layer, layers.Conv2D):
        return  # TensorFlow's oneDNN kernels refuse Keras' own convolutions an empty batch.
    for training in (False, True):
        assert given(layer, x[:0], training).shape == (0, *both.shape[1:])


@every_layer
@every_compute_type
def test_its_gradient_at_the_edges_is_a_number(name, dtype):
    layer, ones = built(name, dtype), np.ones_like(pattern(name))

    def total(tensors):
        return ops.sum(layer(arguments(layer, tensors[0])))

    for value in (0.0, 1e-8, 255.0):
        at = ops.cast(ops.convert_to_tensor(value * ones), layer.compute_dtype)
        _, (gradient,) = curvature.value_and_gradient(total, [at])
        assert np.isfinite(ops.convert_to_numpy(ops.cast(gradient, "float32"))).all(), value
