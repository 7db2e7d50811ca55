"""keras.applications' VGG16 and VGG19 become our nets D and E."""

import keras
import numpy as np
import pytest
from skimage import data, transform

from keras_models.classification import VGG, imagenet_weights
from keras_models.classification.imagenet_weights import vgg_from_applications

SIDE = 48
RGB_MEAN = np.array([123.68, 116.779, 103.939])


@pytest.fixture(scope="module")
def photographs():
    """Pixels of 0..255, RGB, [5, 48, 48, 3]."""
    pictures = (
        data.astronaut(), data.chelsea(), data.coffee(), data.rocket(), data.retina(),
    )  # fmt: skip
    return 255 * np.stack([transform.resize(picture, (SIDE, SIDE)) for picture in pictures])


@pytest.mark.parametrize(
    ("application", "configuration"),
    [(keras.applications.VGG16, "D"), (keras.applications.VGG19, "E")],
)
def test_converted_weights_give_the_same_logits(application, configuration, photographs):
    keras.utils.set_random_seed(7)
    size = {"input_shape": (SIDE, SIDE, 3), "classes": 100}
    source = application(weights=None, classifier_activation=None, **size)
    rng = np.random.default_rng(5)
    for weight in source.weights:
        # The first weights let little of the pictures through so many rectified layers.
        bias = weight.path.endswith("bias")
        weight.assign(rng.normal(0, 0.1, weight.shape) if bias else 1.2 * weight)
    target = VGG(configuration, **size)
    before = np.asarray(target(photographs - RGB_MEAN))
    assert vgg_from_applications(source, target) is target

    # Their own preprocessing turns RGB round and takes the mean away.
    theirs = source(keras.applications.vgg16.preprocess_input(photographs.copy()))
    ours = np.asarray(target(photographs - RGB_MEAN))
    assert np.ptp(theirs, axis=0).max() > 0.1, "the pictures look alike to the net"
    assert np.abs(ours - theirs).max() < 1e-4 < np.abs(before - theirs).max()
    # The colours matter: the pictures turned round give something else.
    assert np.abs(np.asarray(target((photographs - RGB_MEAN)[..., ::-1])) - theirs).max() > 1e-2


def test_another_net_is_refused_and_told():
    source = keras.applications.VGG16(weights=None, input_shape=(32, 32, 3), classes=10)
    for target in (
        VGG("D", (32, 32, 3), classes=10, units=8),
        VGG("E", (32, 32, 3), classes=10),
    ):
        with pytest.raises(ValueError, match=rf"{target.name} is not the net of vgg16"):
            vgg_from_applications(source, target)


@pytest.mark.parametrize("configuration", ["D", "E"])
def test_imagenet_fetches_the_published_weights(outline, configuration, monkeypatch):
    converted = []
    monkeypatch.setitem(imagenet_weights.VGG, configuration, lambda weights: weights)
    monkeypatch.setattr(
        imagenet_weights,
        "vgg_from_applications",
        lambda source, target: converted.append((source, target.name)) or target,
    )
    net = outline(VGG, configuration, weights="imagenet")
    assert converted == [("imagenet", net.name)]
    assert (net.input_shape, net.output_shape) == ((None, 224, 224, 3), (None, 1000))
