"""Weights of keras.applications' residual nets give the same logits in ours."""

import keras
import numpy as np
import pytest
from skimage import data, transform

from keras_models.classification import ResNet50, ResNet101, ResNet152
from keras_models.classification.resnet_weights import from_applications


def photographs(side):
    pictures = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket()]
    resized = [transform.resize(picture, (side, side)) for picture in pictures]
    # As both nets want them: the mean of ImageNet's pixels away, not divided.
    return (255 * np.stack(resized) - [123.68, 116.779, 103.939]).astype("float32")


def randomised(model, x):
    """Random weights, and statistics near those of `x`, so that what is in `x` gets through."""
    rng = np.random.default_rng(5)
    normalizations = [
        layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)
    ]
    for weight in model.weights:
        name = weight.path.rsplit("/", 1)[-1]
        if name in ("gamma", "beta", "bias"):
            weight.assign(rng.uniform(-0.5, 0.5, weight.shape) + (name == "gamma"))
        # As in trained nets the branches add little; else rounding errors grow from sum to sum.
        if "_3_bn/gamma" in weight.path:
            weight.assign(0.2 * weight)
    for layer in normalizations:
        layer.momentum = 0.0
    model(x, training=True)
    for layer in normalizations:
        for statistic in (layer.moving_mean, layer.moving_variance):
            statistic.assign(statistic * rng.uniform(0.8, 1.25, statistic.shape))
    return model


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (keras.applications.ResNet50, ResNet50),
        (keras.applications.ResNet101, ResNet101),
        pytest.param(keras.applications.ResNet152, ResNet152, marks=pytest.mark.slow),
    ],
)
def test_converted_weights_give_the_same_logits(theirs, ours):
    keras.utils.set_random_seed(7)
    side = 64
    size = {"input_shape": (side, side, 3), "classes": 50}
    x = photographs(side)
    source = randomised(theirs(weights=None, classifier_activation=None, **size), x[..., ::-1])
    target = ours(**size)
    before = np.asarray(target(x))
    assert from_applications(source, target) is target
    expected, answers = np.asarray(source(x[..., ::-1])), np.asarray(target(x))
    assert np.ptp(expected, axis=0).max() > 0.1, "the pictures look alike to the net"
    assert np.abs(answers - expected).max() < 1e-4 < np.abs(answers - before).max()


def test_another_net_is_refused(outline):
    small = {"input_shape": (32, 32, 3), "classes": 5}
    source = keras.applications.ResNet50(weights=None, **small)
    with pytest.raises(ValueError, match="nothing for res3b1_branch2a of resnet152"):
        from_applications(source, outline(ResNet152, **small))
    with pytest.raises(ValueError, match="nothing for res2b_branch1 of"):
        from_applications(source, outline(ResNet50, shortcut="C", **small))
    with pytest.raises(ValueError):
        from_applications(source, ResNet50(input_shape=(32, 32, 3), classes=6))
