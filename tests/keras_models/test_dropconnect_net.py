"""The DropConnect nets against the paper and the file of layers that it names."""

import keras
import numpy as np
import pytest

from keras_models.classification import DropConnectCIFAR10, DropConnectMNIST

NETS = {"cifar10": DropConnectCIFAR10, "mnist": DropConnectMNIST}
every_net = pytest.mark.parametrize("build", NETS.values(), ids=NETS)


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(7)


def test_cifar10_is_the_file_of_layers_with_128_units_more():
    net = DropConnectCIFAR10()
    sizes = {
        layer.name: (layer.output.shape[1:], layer.count_params())
        for layer in net.layers
        if layer.name not in ("image", "flat")
    }
    assert sizes == {
        "conv1": ((24, 24, 64), 5 * 5 * 3 * 64 + 64),
        "pool1": ((12, 12, 64), 0),
        "norm1": ((12, 12, 64), 0),
        "conv2": ((12, 12, 64), 5 * 5 * 64 * 64 + 64),
        "norm2": ((12, 12, 64), 0),
        "pool2": ((6, 6, 64), 0),
        # Weights and biases of their own at each of 6 x 6 positions.
        "local3": ((6, 6, 64), 36 * (3 * 3 * 64 + 1) * 64),
        "local4": ((6, 6, 32), 36 * (3 * 3 * 64 + 1) * 32),
        "fc": ((128,), 6 * 6 * 32 * 128 + 128),
        "logits": ((10,), 128 * 10 + 10),
    }
    order = [layer.name for layer in net.layers]
    assert [name for name in order if name in sizes] == list(sizes)


def test_cifar10_weights_start_as_the_file_says():
    net = DropConnectCIFAR10()
    deviations = {"conv1": 1e-4, "conv2": 0.01, "local3": 0.04, "local4": 0.04, "logits": 0.01}
    for name, deviation in deviations.items():
        kernel, bias = net.get_layer(name).get_weights()
        np.testing.assert_allclose(kernel.std(), deviation, rtol=0.06)
        assert not bias.any()
    for name in ("norm1", "norm2"):
        config = net.get_layer(name).get_config()
        assert [config[key] for key in ("size", "alpha", "beta", "k")] == [9, 0.001 / 9, 0.75, 1]


def test_mnist_has_maps_of_32_and_64_and_150_units():
    net = DropConnectMNIST()
    names = ("conv1", "pool1", "conv2", "pool2", "fc", "logits")
    assert [net.get_layer(name).output.shape[1:] for name in names] == [
        (20, 20, 32), (10, 10, 32), (6, 6, 64), (3, 3, 64), (150,), (10,),
    ]  # fmt: skip


@every_net
@pytest.mark.parametrize(("drop", "random"), [("connect", True), ("out", True), ("none", False)])
def test_one_layer_is_dropped_in_training_alone(build, drop, random):
    net = build(input_shape=(16, 16, 3), drop=drop)
    # So that what is dropped is seen in the logits.
    logits = net.get_layer("logits")
    logits.kernel.assign(100 * logits.kernel)
    x = np.random.default_rng(3).normal(size=(16, 16, 16, 3)).astype("float32")
    tapped = keras.Model(net.input, [net.get_layer("flat").output, net.output])
    features, first = tapped(x, training=True)
    features_again, second = tapped(x, training=True)
    np.testing.assert_array_equal(features, features_again)
    assert np.any(np.asarray(first) != second) == random
    np.testing.assert_array_equal(net(x), net(x))


@every_net
def test_the_rate_is_the_one_asked_for(build):
    assert build(rate=0.3).get_layer("fc").rate == 0.3
    assert build(drop="out", rate=0.3).get_layer("drop").rate == 0.3


@every_net
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"drop": "all"}, r"\('connect', 'out', 'none'\), not 'all'"),
        ({"input_shape": (3, 9, 3)}, "at least (4|16), not 3 x 9"),
    ],
)
def test_wrong_arguments_are_refused_and_told(build, arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**arguments)
