"""Zeiler, Fergus, Stochastic Pooling for Regularization of Deep Convolutional Neural Networks,
ICLR 2013, section 4.1."""

import keras
from keras import layers

from keras_models.classification.building import (
    checked_choice,
    checked_classes,
    checked_shape,
    feature_maps,
    last_maps,
)
from keras_models.classification.top import with_weights
from keras_models.layers import LocalResponseNormalization, StochasticPooling2D

POOLINGS = {
    "stochastic": StochasticPooling2D,
    "max": layers.MaxPooling2D,
    "average": layers.AveragePooling2D,
}


def StochasticPoolingNet(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    maps: tuple[int, int, int] = (64, 64, 64),
    pooling: str = "stochastic",
    weights: str | None = None,
    name: str = "stochastic_pooling_net",
) -> keras.Model:
    """Three convolutions of 5 x 5 and 64 rectified maps, each followed by a pooling of 3 x 3 with
    stride 2 and by response normalisation across maps, and one layer of softmax units.

    The layers are conv1, pool1, norm1, ..., norm3, logits. Pooling picks a unit of its window at
    random in training and weighs them by their probabilities at test. The paper does not print
    the padding, the constants of the normalisation or the initial weights: they are those of the
    nets of Krizhevsky's cuda-convnet that it builds on (maps of 32, 16, 8 and 4 a side; 9 maps,
    alpha 0.001 / 9, beta 0.75, k 1) and He's initialisation.

    Args:
        input_shape: height, width and channels, each side at least 2. The paper's pictures are
            RGB minus the mean picture of the training set.
        classes: 2 or more.
        maps: of the three convolutions; (64, 64, 128) for the street view house numbers.
        pooling: "stochastic", or "max" or "average", which the paper compares it with.
        weights: path of a .weights.h5 or .keras file, or None for a random start.
        name: of the model.

    Returns:
        a model [N, H, W, channels] -> float32 logits [N, classes].

    Raises:
        ValueError: an unknown pooling, not three maps, too small an input, fewer than 2 classes.
    """
    checked_choice("pooling", pooling, POOLINGS)
    image = keras.Input(checked_shape(input_shape, 2), name="image")
    x = last_maps(stochastic_pooling_net_backbone(image, maps, pooling))
    x = layers.Flatten(name="flat")(x)
    logits = layers.Dense(checked_classes(classes), dtype="float32", name="logits")(x)
    return with_weights(keras.Model(image, logits, name=name), weights)


def stochastic_pooling_net_backbone(
    image: keras.KerasTensor, maps: tuple[int, int, int] = (64, 64, 64), pooling: str = "stochastic"
) -> dict[str, keras.KerasTensor]:
    """The feature maps of the net, without its classifier.

    Args:
        image: the `keras.Input` [N, H, W, channels].
        maps, pooling: as of `StochasticPoolingNet`, which checks the pooling.

    Returns:
        as `feature_maps`: conv1, pool1, norm1, ..., norm3.

    Raises:
        ValueError: not three maps.
    """
    if len(maps) != 3:
        raise ValueError(f"maps must be those of the three convolutions, not {maps!r}.")
    x = image
    for number, width in enumerate(maps, 1):
        x = layers.Conv2D(
            width,
            5,
            padding="same",
            data_format="channels_last",
            activation="relu",
            kernel_initializer="he_normal",
            name=f"conv{number}",
        )(x)
        x = POOLINGS[pooling](
            3, strides=2, padding="same", data_format="channels_last", name=f"pool{number}"
        )(x)
        x = LocalResponseNormalization(
            9, 0.001 / 9, 0.75, 1.0, data_format="channels_last", name=f"norm{number}"
        )(x)
    return feature_maps(image, x)
