"""LeNet-5: LeCun, Bottou, Bengio, Haffner, Gradient-Based Learning Applied to Document
Recognition, Proceedings of the IEEE 86(11), 1998, section II.B."""

import keras
from keras import layers

from keras_models.classification.building import (
    checked_choice,
    checked_classes,
    checked_shape,
    with_weights,
)
from keras_models.layers import (
    LENET5_C3,
    EuclideanRBF,
    FanInUniform,
    Subsampling2D,
    TableConv2D,
    scaled_tanh,
)

CLASSIFIERS = ("rbf", "softmax")
# (16 - 4) / 2 = 6 and (6 - 4) / 2 = 1: S4 keeps one pixel of a picture of 16.
SMALLEST_SIDE = 16


def LeNet5(
    input_shape: tuple[int, int, int] = (32, 32, 1),
    classes: int = 10,
    classifier: str = "rbf",
    weights: str | None = None,
    name: str = "lenet5",
) -> keras.Model:
    """LeNet-5 as published in 1998.

    C1 convolution of 6 maps 5x5, S2 trainable subsampling, C3 convolution of 16 maps 5x5 that
    are connected to S2 by Table I, S4 trainable subsampling, C5 120 maps that see the whole of
    S4, F6 84 units, and Euclidean RBF units with fixed codes. Every unit up to F6 squashes by
    1.7159 tanh(2/3 a). Weights start uniform in +-2.4 / fan-in (appendix A). For 32 x 32 grey
    pictures and 10 classes: 60,000 trainable parameters and 340,908 connections.

    Args:
        input_shape: height, width and channels, each side at least 16. The paper's pictures have
            background -0.1 and ink 1.175, so that mean and variance are about 0 and 1, and a
            margin around the 28 x 28 digit.
        classes: 2 or more; at most 168 with RBF units.
        classifier: "rbf", or "softmax" for a fully connected layer of logits in its place.
        weights: path of a .weights.h5 or .keras file, or None for a random start.
        name: of the model.

    Returns:
        a model [N, H, W, channels] -> float32 logits [N, classes]; with RBF units minus the
        penalties, for `keras_models.losses.MAPCriterion`.

    Raises:
        ValueError: too small an input, an unknown classifier, too few or too many classes.
    """
    checked_choice("classifier", classifier, CLASSIFIERS)
    height, width, channels = checked_shape(input_shape, SMALLEST_SIDE)
    checked_classes(classes)

    def published(fan_in):
        """Arguments of a layer of units with that fan-in."""
        return {
            "activation": scaled_tanh,
            "kernel_initializer": FanInUniform(fan_in),
            "bias_initializer": FanInUniform(fan_in),
        }

    def subsampling(name):
        return Subsampling2D(
            data_format="channels_last",
            activation=scaled_tanh,
            coefficient_initializer=FanInUniform(4),
            bias_initializer=FanInUniform(4),
            name=name,
        )

    c3_fan_in = [25 * len(maps) for maps in LENET5_C3]
    image = keras.Input((height, width, channels), name="image")
    x = layers.Conv2D(6, 5, data_format="channels_last", name="C1", **published(25 * channels))(
        image
    )
    x = subsampling("S2")(x)
    x = TableConv2D(LENET5_C3, 5, data_format="channels_last", name="C3", **published(c3_fan_in))(x)
    x = subsampling("S4")(x)
    # C5's windows cover the whole of S4, so the convolution is a full connection, and that is
    # several times faster to compute.
    x = layers.Flatten(name="S4_flat")(x)
    x = layers.Dense(120, name="C5", **published(x.shape[-1]))(x)
    x = layers.Dense(84, name="F6", **published(120))(x)
    if classifier == "rbf":
        x = EuclideanRBF(classes, dtype="float32", name="RBF")(x)
        logits = layers.Rescaling(-1.0, dtype="float32", name="logits")(x)
    else:
        logits = layers.Dense(
            classes, dtype="float32", name="logits", **published(84) | {"activation": None}
        )(x)
    return with_weights(keras.Model(image, logits, name=name), weights)


def LeNet5ReLU(
    input_shape: tuple[int, int, int] = (32, 32, 1),
    classes: int = 10,
    weights: str | None = None,
    name: str = "lenet5_relu",
) -> keras.Model:
    """LeNet-5 as it is built today: rectified linear units, max pooling, every C3 map connected
    to every S2 map, fully connected logits; He's initialisation.

    Args, returns and raises: as `LeNet5`, without the choice of a classifier.
    """
    height, width, channels = checked_shape(input_shape, SMALLEST_SIDE)
    checked_classes(classes)
    relu = {"activation": "relu", "kernel_initializer": "he_normal"}
    image = keras.Input((height, width, channels), name="image")
    x = layers.Conv2D(6, 5, data_format="channels_last", name="C1", **relu)(image)
    x = layers.MaxPooling2D(data_format="channels_last", name="S2")(x)
    x = layers.Conv2D(16, 5, data_format="channels_last", name="C3", **relu)(x)
    x = layers.MaxPooling2D(data_format="channels_last", name="S4")(x)
    x = layers.Flatten(name="S4_flat")(x)
    x = layers.Dense(120, name="C5", **relu)(x)
    x = layers.Dense(84, name="F6", **relu)(x)
    logits = layers.Dense(classes, dtype="float32", name="logits")(x)
    return with_weights(keras.Model(image, logits, name=name), weights)
