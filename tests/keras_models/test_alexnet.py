"""AlexNet against the numbers of the paper and of Zeiler and Fergus' ablations."""

from math import prod

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_models.classification import AlexNet
from keras_models.classification.alexnet import TowerConv2D


@pytest.fixture(scope="module")
def net(outline):
    return outline(AlexNet)


def test_parameters_are_the_published_ones_layer_by_layer(net):
    parameters = {layer.name: layer.count_params() for layer in net.layers if layer.weights}
    assert parameters == {
        "conv1": 34_944,
        "conv2": 307_456,
        "conv3": 885_120,
        "conv4": 663_936,
        "conv5": 442_624,
        "fc6": 37_752_832,
        "fc7": 16_781_312,
        "logits": 4_097_000,
    }
    assert net.count_params() == 60_965_224


def test_maps_and_units_are_the_published_ones(net):
    shapes = {layer.name: layer.output.shape[1:] for layer in net.layers}
    assert [shapes[f"conv{number}"] for number in range(1, 6)] == [
        (55, 55, 96), (27, 27, 256), (13, 13, 384), (13, 13, 384), (13, 13, 256),
    ]  # fmt: skip
    assert [shapes[f"pool{number}"] for number in (1, 2, 5)] == [
        (27, 27, 96), (13, 13, 256), (6, 6, 256),
    ]  # fmt: skip
    weighted = [layer.name for layer in net.layers if layer.weights]
    units = [prod(shapes[name]) for name in weighted]
    # The paper lists 253,440 units for the first layer, where 55 x 55 x 96 are 290,400.
    assert units[1:] == [186_624, 64_896, 64_896, 43_264, 4096, 4096, 1000]
    assert sum(units) == 659_272


def test_227_wide_crops_give_the_same_maps_without_padding():
    net = AlexNet((227, 227, 3), units=8)
    assert net.get_layer("conv1").output.shape == (None, 55, 55, 96)
    assert "conv1_padding" not in [layer.name for layer in net.layers]


@pytest.mark.parametrize(
    ("without", "fewer"),
    [((7,), 16_781_312), ((6, 7), 49_414_144), ((3, 4), 1_401_600), ((3, 4, 6, 7), 50_815_744)],
)
def test_ablations_save_the_published_millions(outline, without, fewer):
    net = outline(AlexNet, without=list(without))
    assert 60_965_224 - net.count_params() == fewer
    names = {layer.name for layer in net.layers}
    assert not names & {f"{kind}{number}" for kind in ("conv", "fc") for number in without}
    assert {"conv5", "pool5", "logits"} <= names


def test_each_tower_sees_its_own_maps():
    net = AlexNet((36, 36, 3), units=8)
    for name, towers in (("conv2", 2), ("conv3", 1), ("conv4", 2), ("conv5", 2)):
        layer = net.get_layer(name)
        x = tf.Variable(tf.random.stateless_normal((1, 5, 5, layer.input.shape[-1]), (0, 1)))
        with tf.GradientTape() as tape:
            y = tf.reduce_sum(layer(x)[..., : layer.filters // 2])
        seen = np.abs(tape.gradient(y, x)).sum(axis=(0, 1, 2)) > 0
        assert seen[: len(seen) // 2].all()
        assert seen[len(seen) // 2 :].any() == (towers == 1)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_towers_are_the_grouped_convolution(data_format):
    arguments = {"padding": "same", "groups": 3, "data_format": data_format, "activation": "relu"}
    towers, grouped = (kind(12, 3, **arguments) for kind in (TowerConv2D, keras.layers.Conv2D))
    x = np.random.default_rng(3).normal(size=(2, 6, 6, 6)).astype("float32")
    y = tf.function(towers, jit_compile=True)(x)
    grouped.build(x.shape)
    grouped.set_weights(towers.get_weights())
    np.testing.assert_allclose(y, tf.function(grouped, jit_compile=True)(x), rtol=1e-4, atol=1e-5)


def test_weights_start_as_published():
    net = AlexNet((67, 67, 3), units=512)
    for layer in net.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            np.testing.assert_allclose(kernel.std(), 0.01, rtol=0.03)
            ones = layer.name in ("conv2", "conv4", "conv5", "fc6", "fc7")
            assert (bias == ones).all(), layer.name


def test_units_are_dropped_in_the_fully_connected_layers(net):
    rates = {layer.name: layer.rate for layer in net.layers if hasattr(layer, "rate")}
    assert rates == {"drop6": 0.5, "drop7": 0.5}


def test_maps_are_normalised_as_published(net):
    for name in ("norm1", "norm2"):
        config = net.get_layer(name).get_config()
        assert [config[key] for key in ("size", "alpha", "beta", "k")] == [5, 1e-4, 0.75, 2]
    order = [layer.name for layer in net.layers]
    assert order.index("conv1") < order.index("norm1") < order.index("pool1")


def test_the_stem_for_small_pictures_keeps_them():
    net = AlexNet((32, 32, 3), classes=10, stem="cifar", units=64)
    sides = [net.get_layer(name).output.shape[1] for name in ("conv1", "pool1", "pool2", "pool5")]
    assert sides == [32, 16, 8, 4]


def test_width_scales_the_maps_of_each_tower_alike():
    # 0.26 * 48 and so on, rounded, twice.
    net = AlexNet((36, 36, 3), units=8, width=0.26)
    maps = [net.get_layer(f"conv{number}").filters for number in range(1, 6)]
    assert maps == [24, 66, 100, 100, 66]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"without": (5,)}, r"without must be one of \(\(\), \(7,\), .* not \(5,\)"),
        ({"stem": "small"}, r"\('imagenet', 'cifar'\), not 'small'"),
        ({"width": 0}, "width must be positive, not 0"),
        ({"input_shape": (35, 40, 3)}, "at least 36, not 35 x 40"),
        ({"input_shape": (7, 40, 3), "stem": "cifar"}, "at least 8, not 7 x 40"),
    ],
)
def test_wrong_arguments_are_refused_and_told(arguments, message):
    with pytest.raises(ValueError, match=message):
        AlexNet(**arguments)
