"""The classifiers of keras.applications under the contract of our nets."""

import sys

import keras
import numpy as np
import pytest
from keras.src.utils import file_utils

from keras_models.classification import KerasApplication, applications

SIDE = 32


@pytest.fixture
def pixels():
    return np.random.default_rng(3).uniform(0, 255, (2, SIDE, SIDE, 3)).astype("float32")


@pytest.mark.parametrize("application", ["MobileNetV2", "ResNet50", "MobileNetV3Small"])
def test_pixels_are_prepared_inside(application, pixels, monkeypatch, tmp_path):
    """Of nets that scale pixels, turn RGB round, and do it themselves."""
    keras.utils.set_random_seed(3)
    build = getattr(keras.applications, application)
    size = {"input_shape": (SIDE, SIDE, 3), "include_top": False}
    theirs = build(weights=None, pooling="avg", **size)
    theirs.save_weights(tmp_path / "published.weights.h5")
    path = str(tmp_path / "published.weights.h5")
    monkeypatch.setattr(file_utils, "get_file", lambda *_, **__: path)
    ours = KerasApplication((SIDE, SIDE, 3), 5, application, weights="imagenet")
    assert ours.output_shape == (None, 5) and ours.output.dtype == "float32"
    assert ours.name == application.lower()
    prepare = sys.modules[build.__module__].preprocess_input
    expected = np.asarray(theirs(prepare(pixels.copy())))
    tapped = keras.Model(ours.input, ours.get_layer("pool").output)
    np.testing.assert_allclose(tapped(pixels), expected, rtol=1e-4, atol=1e-4)
    if application == "MobileNetV3Small":
        ours.save(tmp_path / "net.keras")
        again = keras.models.load_model(tmp_path / "net.keras")
        np.testing.assert_allclose(again(pixels), ours(pixels), atol=1e-5)
        tuned = KerasApplication(
            (SIDE, SIDE, 3), 7, application, weights=str(tmp_path / "net.keras")
        )
        tapped = keras.Model(tuned.input, tuned.get_layer("pool").output)
        np.testing.assert_allclose(tapped(pixels), expected, rtol=1e-4, atol=1e-4)


def test_pixels_of_every_net_are_those_of_its_own_function(pixels):
    known = applications._applications()
    assert len(known) > 30
    for name, build in known.items():
        image = keras.Input((SIDE, SIDE, 3))
        found = keras.Model(image, applications._prepared(build, image))(pixels)
        expected = sys.modules[build.__module__].preprocess_input(pixels.copy())
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4, err_msg=name)


def test_wrong_arguments_are_refused_and_told():
    with pytest.raises(ValueError, match=r"EfficientNetV2B0.*not 'EfficientNet'"):
        KerasApplication(application="EfficientNet")
    with pytest.raises(ValueError, match="2 or more"):
        KerasApplication(classes=1, application="MobileNet")
