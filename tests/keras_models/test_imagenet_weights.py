"""keras.applications' VGG16 and VGG19 become our nets D and E."""

import re
import urllib.request

import keras
import numpy as np
import pytest
from keras.src.utils import file_utils
from skimage import data, transform

from keras_models.classification import (
    VGG,
    VGG16,
    KerasApplication,
    ResNet50,
    ResNet101,
    preprocess_input,
)
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


@pytest.fixture
def publish(monkeypatch, tmp_path):
    """Has Keras take the weights of a net of its own for those that it would download."""

    def publish(net: keras.Model) -> keras.Model:
        path = tmp_path / "published.weights.h5"
        net.save_weights(path)
        monkeypatch.setattr(file_utils, "get_file", lambda *_, **__: str(path))
        return net

    return publish


def test_imagenet_on_other_sides_gives_the_convolutions(publish, photographs):
    keras.utils.set_random_seed(7)
    source = publish(keras.applications.VGG16(weights=None, include_top=False))
    theirs = source(keras.applications.vgg16.preprocess_input(photographs.copy()))
    size = {"input_shape": (SIDE, SIDE, 3), "weights": "imagenet"}
    pixels = preprocess_input(photographs)
    maps = VGG16(include_top=False, **size)
    np.testing.assert_allclose(maps(pixels), theirs, atol=1e-4)
    pooled = VGG16(include_top=False, pooling="max", **size)
    np.testing.assert_allclose(pooled(pixels), np.max(theirs, axis=(1, 2)), atol=1e-4)
    classified = VGG("D", classes=5, units=8, **size)
    tapped = keras.Model(classified.input, classified.get_layer("pool5").output)
    np.testing.assert_allclose(tapped(pixels), theirs, atol=1e-4)


def test_imagenet_replaces_the_classifier_of_other_classes(publish, photographs):
    keras.utils.set_random_seed(7)
    source = publish(keras.applications.ResNet50(weights=None))
    ours = ResNet50((SIDE, SIDE, 3), classes=5, weights="imagenet")
    size = {"input_shape": (SIDE, SIDE, 3), "include_top": False, "pooling": "avg"}
    pooled = keras.applications.ResNet50(weights=None, **size)
    pooled.set_weights(source.get_weights()[:-2])
    whole = ResNet50((SIDE, SIDE, 3), weights="imagenet")
    pixels = preprocess_input(photographs)
    expected = pooled(keras.applications.resnet.preprocess_input(photographs.copy()))
    for net in (ours, whole):
        tapped = keras.Model(net.input, net.get_layer("pool5").output)
        np.testing.assert_allclose(tapped(pixels), expected, atol=1e-4)
    kernels = [net.get_layer("logits").kernel.numpy() for net in (ours, whole)]
    np.testing.assert_array_equal(kernels[1], source.get_layer("predictions").kernel)
    assert kernels[0].shape == (2048, 5) and kernels[0].std() > 0


def mobile_net(shape, include_top, weights):
    return KerasApplication(shape, application="MobileNet", weights=weights)


@pytest.mark.parametrize(
    ("build", "name", "checksum"),
    [
        (VGG16, "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", "whose MD5 is [0-9a-f]{32}"),
        (ResNet101, "resnet101_weights_tf_dim_ordering_tf_kernels_notop.h5", "whose MD5"),
        (mobile_net, "mobilenet_1_0_224_tf_no_top.h5", "of which Keras publishes no checksum"),
    ],
)
def test_weights_that_cannot_be_downloaded_are_named(
    build, name, checksum, outline, monkeypatch, tmp_path
):
    """Of a machine without a network."""
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.setattr(urllib.request, "_opener", None)
    monkeypatch.setattr(keras.src.backend.config, "keras_home", lambda: str(tmp_path))
    with pytest.raises(FileNotFoundError) as error:
        outline(build, (SIDE, SIDE, 3), include_top=False, weights="imagenet")
    message = str(error.value)
    assert re.search(rf"/{name}, {checksum}", message), message
    assert message.endswith(f"there: {tmp_path}/models/{name}")


def test_pixels_are_prepared_without_changing_them(photographs):
    before = photographs.copy()
    prepared = preprocess_input(photographs)
    np.testing.assert_array_equal(photographs, before)
    assert prepared.dtype == "float32"
    np.testing.assert_allclose(prepared, before - RGB_MEAN, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(preprocess_input(keras.ops.array(photographs)), prepared, atol=1e-4)
    np.testing.assert_array_equal(
        preprocess_input(np.zeros((1, 1, 3), "uint8"))[0, 0], -RGB_MEAN.astype("float32")
    )
