"""Fully convolutional nets against sliding the net over the picture by hand."""

from itertools import product
from math import prod

import keras
import numpy as np
import pytest
from skimage import data

from keras_models.classification import (
    VGG,
    AlexNet,
    Ciresan,
    DropConnectCIFAR10,
    DropConnectMNIST,
    LeNet1,
    LeNet5,
    LeNet5ReLU,
    MultiColumn,
    ResNet18,
)
from keras_models.classification.fully_convolutional import fully_convolutional

# Nets without padding, the side of the pictures they are trained on, and pixels between windows.
SLIDING = {
    "lenet5": (LeNet5, 32, 4),
    "lenet5_softmax": (lambda: LeNet5(classifier="softmax"), 32, 4),
    "lenet5_relu": (LeNet5ReLU, 32, 4),
    "ciresan": (Ciresan, 29, 6),
}
every_sliding = pytest.mark.parametrize(("build", "side", "stride"), SLIDING.values(), ids=SLIDING)


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(7)


def photograph(height, width, channels, number=2):
    """Crops of a photograph, in -1..1."""
    picture = data.astronaut() / 127.5 - 1.0
    crops = [picture[100 * n :, 150 : 150 + width][:height, :, :channels] for n in range(number)]
    return np.stack(crops).astype("float32")


def lively(net):
    """The net, with weights that let much of the picture through."""
    rng = np.random.default_rng(5)
    for weight in net.trainable_weights:
        if weight.path.endswith("kernel"):
            deviation = (2 / prod(weight.shape[:-1])) ** 0.5
            weight.assign(rng.normal(0, deviation, weight.shape))
    return net


@every_sliding
def test_on_a_larger_picture_it_is_the_mean_of_a_sliding_window(build, side, stride):
    net = lively(build())
    anywhere = fully_convolutional(net)
    assert anywhere.input_shape == (None, None, None, 1) and anywhere.output_shape == (None, 10)
    x = photograph(side + 3 * stride, side + stride, 1)
    windows = [
        net(x[:, top : top + side, left : left + side])
        for top, left in product(range(0, 3 * stride + 1, stride), range(0, stride + 1, stride))
    ]
    assert len(windows) == 8 and np.ptp(windows, axis=0).max() > 1e-2
    np.testing.assert_allclose(anywhere(x), np.mean(windows, axis=0), rtol=1e-4, atol=1e-5)


TRAINED_ON = {
    "lenet5": (LeNet5, (32, 32, 1)),
    "ciresan": (Ciresan, (29, 29, 1)),
    "vgg": (lambda: VGG("A-LRN", (64, 32, 3), classes=7, units=16), (64, 32, 3)),
    "vgg-one-pixel": (lambda: VGG("C", (32, 32, 3), classes=7, units=16), (32, 32, 3)),
    "alexnet": (lambda: AlexNet((67, 83, 3), classes=7, units=16), (67, 83, 3)),
    "resnet": (lambda: ResNet18((64, 64, 3), classes=7), (64, 64, 3)),
}
every_trained_on = pytest.mark.parametrize(("build", "shape"), TRAINED_ON.values(), ids=TRAINED_ON)


@every_trained_on
def test_on_the_training_size_it_is_the_net(build, shape):
    net = lively(build())
    anywhere, x = fully_convolutional(net), photograph(*shape)
    logits = net(x)
    assert np.ptp(logits, axis=0).max() > 1e-2
    np.testing.assert_allclose(anywhere(x), logits, rtol=1e-4, atol=1e-6)
    larger = anywhere(photograph(shape[0] + 40, shape[1] + 64, shape[2]))
    assert larger.shape == (2, net.output_shape[-1]) and np.isfinite(larger).all()
    assert larger.dtype == "float32"


def test_vgg_on_a_larger_picture_is_the_classifier_slid_over_its_last_maps():
    net = lively(VGG("A", (64, 64, 3), classes=7, units=16))
    x = photograph(128, 96, 3)
    features = keras.Model(net.input, net.get_layer("pool5").output)
    larger = np.asarray(
        keras.models.clone_model(
            features, keras.Input((None, None, 3)), clone_function=lambda layer: layer
        )(x)
    )
    assert larger.shape == (2, 4, 3, 512)
    classifier = keras.Sequential([keras.Input((2, 2, 512)), *net.layers[-6:]])
    windows = [
        classifier(larger[:, top : top + 2, left : left + 2])
        for top, left in product(range(3), range(2))
    ]
    expected = np.mean(windows, axis=0)
    assert np.ptp(windows, axis=0).max() > 1e-2
    np.testing.assert_allclose(fully_convolutional(net)(x), expected, rtol=1e-3, atol=1e-6)


def test_it_shares_the_weights_of_the_net():
    net = LeNet5ReLU()
    anywhere, x = fully_convolutional(net), photograph(40, 40, 1)
    before = np.asarray(anywhere(x))
    assert {id(weight) for weight in anywhere.weights} == {id(weight) for weight in net.weights}
    net.get_layer("C5").kernel.assign(2 * net.get_layer("C5").kernel)
    assert np.abs(np.asarray(anywhere(x)) - before).max() > 1e-3
    # The net itself is as it was.
    assert net.get_layer("C5").output.shape == (None, 120)
    assert net.output_shape == (None, 10)


def test_features_are_tapped_by_the_same_names():
    anywhere = fully_convolutional(LeNet5ReLU())
    tapped = keras.Model(anywhere.input, anywhere.get_layer("F6").output)
    assert tapped(photograph(40, 36, 1)).shape == (2, 3, 2, 84)


def test_of_several_outputs_the_first_one_stays():
    net = LeNet5ReLU()
    auxiliary = keras.layers.Dense(10)(keras.layers.Flatten()(net.get_layer("S2").output))
    both = keras.Model(net.input, [net.output, auxiliary])
    x = photograph(32, 32, 1)
    np.testing.assert_allclose(fully_convolutional(both)(x), net(x), rtol=1e-4, atol=1e-5)


def test_mixed_precision_averages_in_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        net = LeNet5ReLU()
        anywhere, x = fully_convolutional(net), photograph(32, 32, 1)
        assert anywhere.get_layer("C5").compute_dtype == "bfloat16"
        y = anywhere(x)
    finally:
        keras.config.set_dtype_policy("float32")
    assert y.dtype == "float32"
    np.testing.assert_allclose(y, net(x), rtol=0.05, atol=0.05)


def test_saved_and_reloaded(tmp_path):
    anywhere, x = fully_convolutional(LeNet5ReLU()), photograph(40, 36, 1)
    anywhere.save(tmp_path / "anywhere.keras")
    np.testing.assert_array_equal(
        keras.models.load_model(tmp_path / "anywhere.keras")(x), anywhere(x)
    )


@pytest.mark.parametrize(
    ("build", "layer"),
    [
        (lambda: DropConnectCIFAR10((8, 8, 3)), "local3 is a LocallyConnected2D"),
        (lambda: DropConnectMNIST((16, 16, 1)), "fc is a DropConnect"),
        (LeNet1, "H1 is a UnitBias"),
        (lambda: MultiColumn([LeNet5ReLU(), LeNet5ReLU()]), "column1 is a Functional"),
    ],
)
def test_nets_that_cannot_are_refused_and_told(build, layer):
    with pytest.raises(ValueError, match=f"cannot be made fully convolutional: {layer}"):
        fully_convolutional(build())
