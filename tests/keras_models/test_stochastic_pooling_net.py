"""Zeiler and Fergus' net for CIFAR-10 against section 4.1 of the paper."""

import keras
import numpy as np
import pytest

from keras_models.classification import StochasticPoolingNet


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(7)


def test_it_is_the_published_net():
    net = StochasticPoolingNet()
    shapes = {layer.name: layer.output.shape[1:] for layer in net.layers}
    for number, side in ((1, 32), (2, 16), (3, 8)):
        conv, pool = (net.get_layer(f"{kind}{number}") for kind in ("conv", "pool"))
        assert conv.kernel_size == (5, 5) and shapes[conv.name] == (side, side, 64)
        assert tuple(pool.pool_size) == (3, 3) and tuple(pool.strides) == (2, 2)
        assert shapes[pool.name] == shapes[f"norm{number}"] == (side // 2, side // 2, 64)
    order = [layer.name for layer in net.layers[1:]]
    assert order[:4] == ["conv1", "pool1", "norm1", "conv2"] and order[-1] == "logits"
    parameters = (75 * 64 + 64) + 2 * (1600 * 64 + 64) + (4 * 4 * 64 * 10 + 10)
    assert net.count_params() == parameters == 220_042


def test_house_numbers_have_128_maps_in_the_third_layer():
    net = StochasticPoolingNet(maps=(64, 64, 128))
    assert net.get_layer("conv3").output.shape == (None, 8, 8, 128)


@pytest.mark.parametrize(
    ("pooling", "random"), [("stochastic", True), ("max", False), ("average", False)]
)
def test_only_stochastic_pooling_is_random_and_in_training_alone(pooling, random):
    net = StochasticPoolingNet((16, 16, 3), pooling=pooling)
    x = np.random.default_rng(3).normal(size=(4, 16, 16, 3)).astype("float32")
    different = np.asarray(net(x, training=True)) != np.asarray(net(x, training=True))
    assert different.all() if random else not different.any()
    np.testing.assert_array_equal(net(x), net(x))


def test_poolings_have_the_same_weights_and_other_answers():
    nets = {
        pooling: StochasticPoolingNet((16, 16, 3), pooling=pooling)
        for pooling in ("stochastic", "max", "average")
    }
    x = np.random.default_rng(3).normal(size=(4, 16, 16, 3)).astype("float32")
    answers = []
    for net in nets.values():
        net.set_weights(nets["max"].get_weights())
        answers.append(np.asarray(net(x)))
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert np.abs(answers[one] - answers[other]).max() > 1e-3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pooling": "min"}, r"\('stochastic', 'max', 'average'\), not 'min'"),
        ({"maps": (64, 64)}, "three convolutions"),
        ({"input_shape": (1, 9, 3)}, "at least 2, not 1 x 9"),
    ],
)
def test_wrong_arguments_are_refused_and_told(arguments, message):
    with pytest.raises(ValueError, match=message):
        StochasticPoolingNet(**arguments)
