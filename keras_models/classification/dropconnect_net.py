"""Wan, Zeiler, Zhang, LeCun, Fergus, Regularization of Neural Networks using DropConnect, ICML
2013: the nets of sections 6.1 and 6.2."""

import keras
from keras import layers

from keras_models.classification.building import (
    checked_choice,
    checked_shape,
    classifier,
    feature_maps,
    last_maps,
)
from keras_models.classification.top import with_weights
from keras_models.layers import DropConnect, LocallyConnected2D, LocalResponseNormalization

DROPS = ("connect", "out", "none")


def DropConnectCIFAR10(
    input_shape: tuple[int, int, int] = (24, 24, 3),
    classes: int = 10,
    drop: str = "connect",
    rate: float = 0.5,
    weights: str | None = None,
    name: str = "dropconnect_cifar10",
) -> keras.Model:
    """The feature extractor of two convolutions and two locally connected layers of Krizhevsky's
    cuda-convnet (layers-conv-local-11pct), a layer of 128 rectified units with DropConnect, and
    softmax units (section 6.2, the larger net of Table 5).

    conv1 64 maps 5 x 5, pool1 max 3 stride 2, norm1 across 9 maps; conv2 64 maps 5 x 5, norm2,
    pool2; local3 64 and local4 32 maps 3 x 3, whose weights no two positions share; fc 128. Maps
    of 24, 12 and 6 a side. Weights start normal with the standard deviations of that file
    (0.0001, 0.01, 0.04, 0.04, 0.01), biases at 0; the paper does not print that of fc, which
    has Glorot's.

    Args:
        input_shape: height, width and channels, each side at least 4. The paper's pictures are
            24 x 24 crops of RGB minus the mean picture of the training set.
        classes: 2 or more.
        drop: "connect", or "out" for Dropout or "none", which the paper compares it with.
        rate: probability with which a connection (or a unit) of fc is dropped.
        weights: path of a .weights.h5 or .keras file, or None for a random start.
        name: of the model.

    Returns:
        a model [N, H, W, channels] -> float32 logits [N, classes].

    Raises:
        ValueError: an unknown drop, too small an input, fewer than 2 classes.
    """
    image = keras.Input(checked_shape(input_shape, 4), name="image")
    maps = dropconnect_cifar10_backbone(image)
    return _classified(image, last_maps(maps), classes, 128, drop, rate, weights, name)


def dropconnect_cifar10_backbone(image: keras.KerasTensor) -> dict[str, keras.KerasTensor]:
    """The feature maps of the net for CIFAR-10: conv1, pool1, norm1, ..., local4.

    Args, returns: as `feature_maps`.
    """
    x = _convolution(image, 64, "conv1", 0.0001)
    x = _normalization(_pooling(x, "pool1"), "norm1")
    x = _convolution(x, 64, "conv2", 0.01)
    x = _pooling(_normalization(x, "norm2"), "pool2")
    for local, maps in (("local3", 64), ("local4", 32)):
        x = LocallyConnected2D(
            maps,
            3,
            padding="same",
            data_format="channels_last",
            activation="relu",
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.04),
            name=local,
        )(x)
    return feature_maps(image, x)


def DropConnectMNIST(
    input_shape: tuple[int, int, int] = (24, 24, 1),
    classes: int = 10,
    drop: str = "connect",
    rate: float = 0.5,
    weights: str | None = None,
    name: str = "dropconnect_mnist",
) -> keras.Model:
    """Two convolutions of 32 and 64 maps, a layer of 150 rectified units with DropConnect, and
    softmax units (section 6.1, Table 3).

    The paper prints the numbers of maps and units alone: the windows of 5 x 5 without margins, the
    max poolings of 2 x 2 and He's initialisation are ours.

    Args:
        input_shape: height, width and channels, each side at least 16. The paper's pictures are
            24 x 24 crops, rotated and scaled.
        classes, drop, rate, weights, name: as of `DropConnectCIFAR10`.

    Returns:
        a model [N, H, W, channels] -> float32 logits [N, classes].

    Raises:
        ValueError: an unknown drop, too small an input, fewer than 2 classes.
    """
    image = keras.Input(checked_shape(input_shape, 16), name="image")
    maps = dropconnect_mnist_backbone(image)
    return _classified(image, last_maps(maps), classes, 150, drop, rate, weights, name)


def dropconnect_mnist_backbone(image: keras.KerasTensor) -> dict[str, keras.KerasTensor]:
    """The feature maps of the net for MNIST: conv1, pool1, conv2, pool2.

    Args, returns: as `feature_maps`.
    """
    x = image
    for number, maps in enumerate((32, 64), 1):
        x = _convolution(x, maps, f"conv{number}", padding="valid")
        x = layers.MaxPooling2D(2, data_format="channels_last", name=f"pool{number}")(x)
    return feature_maps(image, x)


def _convolution(x, maps: int, name: str, deviation: float | None = None, padding: str = "same"):
    """5 x 5, rectified; a given standard deviation of the initial weights or He's."""
    normal = keras.initializers.RandomNormal(stddev=deviation) if deviation else "he_normal"
    return layers.Conv2D(
        maps,
        5,
        padding=padding,
        data_format="channels_last",
        activation="relu",
        kernel_initializer=normal,
        name=name,
    )(x)


def _pooling(x, name: str):
    return layers.MaxPooling2D(3, 2, "same", "channels_last", name=name)(x)


def _normalization(x, name: str):
    # In cuda-convnet the scale of 0.001 is divided by the size.
    return LocalResponseNormalization(
        9, 0.001 / 9, 0.75, 1.0, data_format="channels_last", name=name
    )(x)


def _classified(image, x, classes, units, drop, rate, weights, name) -> keras.Model:
    """The fully connected layer, dropped in its way, the logits and the model."""
    checked_choice("drop", drop, DROPS)
    x = layers.Flatten(name="flat")(x)
    if drop == "connect":
        x = DropConnect(units, rate, activation="relu", name="fc")(x)
    else:
        x = layers.Dense(units, "relu", name="fc")(x)
        if drop == "out":
            x = layers.Dropout(rate, name="drop")(x)
    return with_weights(keras.Model(image, classifier(x, classes), name=name), weights)
