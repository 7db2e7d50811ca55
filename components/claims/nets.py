"""Small nets for claims that need many trainings, in which one thing can be changed at a time."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers, ops

from keras_models.layers import DropConnect, LocalResponseNormalization

_NORMALIZATIONS = ("none", "batch", "local")
# Of the colours of `ColourTask`, in the pixels of the claims on CIFAR-10 (measured: 0.264).
_COLOUR_DEVIATION = 0.26
_COLOUR_PLACES = 4


class ColourTask(layers.Layer):
    """A second task for features of a grey picture: its colours, which it does not show.

    Adds to the loss `weight` times the mean squared error of a linear guess of each channel's
    difference from the grey at 4 x 4 places, in units of its deviation, so that features which say
    nothing about colour cost about `weight`.

    Called with features [N, D] and the picture [N, H, W, channels], whose sides 4 divides; gives
    the features.

    Source: R. Caruana: Multitask learning. Machine Learning 28, 1997; R. Caruana, V. de Sa:
    Promoting poor features to supervisors: some inputs work better as outputs. NIPS 1996.
    """

    def __init__(self, weight: float, **kwargs):
        super().__init__(**kwargs)
        self.weight = weight

    def build(self, input_shape):
        features, picture = input_shape
        self.guess = layers.Dense(_COLOUR_PLACES**2 * picture[-1], name="guess")
        self.guess.build(features)

    def call(self, inputs):
        features, picture = inputs
        sides = tuple(side // _COLOUR_PLACES for side in picture.shape[1:3])
        colours = ops.average_pool(picture - in_grey(picture), sides, sides)
        colours = ops.reshape(colours, (-1, self.guess.units)) / _COLOUR_DEVIATION
        self.add_loss(self.weight * ops.mean(ops.square(self.guess(features) - colours)))
        return features


def in_grey(picture):
    """The mean of the channels."""
    return ops.mean(picture, axis=-1, keepdims=True)


def Stack(
    input_shape: tuple[int, int, int],
    classes: int,
    maps: Sequence[int] = (16, 32, 64),
    convolutions: int = 2,
    normalization: str = "none",
    activation: str = "relu",
    units: Sequence[int] = (),
    dropout: float = 0.0,
    noise: float = 0.0,
    colour_task: float | None = None,
) -> keras.Model:
    """Stages of 3 x 3 convolutions, each ended by a 2 x 2 max pooling, and fully connected layers.

    Args:
      input_shape, classes: as of any net.
      maps: of each stage.
      convolutions: of each stage; each is normalised and then activated.
      normalization: "batch" (Ioffe and Szegedy 2015), "local" (across maps, after the first
        activation alone, as in VGG's net A-LRN), or "none".
      activation: "relu", "prelu" (a learnt slope for each map, from 0.25) or another of Keras'.
      units: of the hidden fully connected layers, of the same activation.
      dropout: after each of these.
      noise: standard deviation of what is added to the input in training.
      colour_task: None, or the network sees the picture in grey, and its last hidden layer learns
        `ColourTask` with this weight (0: not at all) beside the classes.

    Returns:
      a model [N, H, W, channels] -> logits [N, classes]; weights start with He's deviation.

    Raises:
      ValueError: an unknown normalization.
    """
    if normalization not in _NORMALIZATIONS:
        known = ", ".join(_NORMALIZATIONS)
        raise ValueError(f"normalization must be one of {known}, not {normalization!r}.")
    image = keras.Input(input_shape)
    x = image if colour_task is None else in_grey(image)
    x = layers.GaussianNoise(noise)(x) if noise else x
    for stage, width in enumerate(maps, 1):
        for number in range(1, convolutions + 1):
            x = layers.Conv2D(
                width,
                3,
                padding="same",
                use_bias=normalization != "batch",
                kernel_initializer="he_normal",
                name=f"conv{stage}_{number}",
            )(x)
            if normalization == "batch":
                # As in the package's other nets: Keras' 0.99 is longer than these trainings.
                x = layers.BatchNormalization(momentum=0.9)(x)
            x = _activated(x, activation, f"act{stage}_{number}")
            if normalization == "local" and stage == number == 1:
                x = LocalResponseNormalization(name="norm1")(x)
        x = layers.MaxPooling2D(2, padding="same")(x)
    x = layers.Flatten()(x)
    for number, width in enumerate(units, 1):
        x = layers.Dense(width, kernel_initializer="he_normal", name=f"fc{number}")(x)
        x = _activated(x, activation, f"fc{number}_act")
        x = layers.Dropout(dropout)(x) if dropout else x
    if colour_task:
        x = ColourTask(colour_task, name="colours")([x, image])
    return keras.Model(image, layers.Dense(classes, name="logits")(x))


def _activated(x, activation: str, name: str):
    if activation == "prelu":
        shared = tuple(range(1, len(x.shape) - 1)) or None
        slope = keras.initializers.Constant(0.25)
        return layers.PReLU(slope, shared_axes=shared, name=name)(x)
    return layers.Activation(activation, name=name)(x)


def Dense(
    input_shape: tuple[int, int, int],
    classes: int,
    units: Sequence[int],
    activation: str = "relu",
    drop: str = "none",
    rate: float = 0.5,
) -> keras.Model:
    """Fully connected layers: with dropout ("out"), DropConnect ("connect") or neither ("none").

    Args:
      input_shape, classes: as of any net.
      units: of the hidden layers.
      activation: of them.
      drop, rate: how the hidden layers are regularised: units or connections dropped at this rate.

    Returns:
      a model [N, H, W, channels] -> logits [N, classes].
    """
    image = keras.Input(input_shape)
    x = layers.Flatten()(image)
    for width in units:
        if drop == "connect":
            x = DropConnect(width, rate, activation=activation)(x)
            continue
        x = layers.Dense(width, activation)(x)
        x = layers.Dropout(rate)(x) if drop == "out" else x
    return keras.Model(image, layers.Dense(classes, name="logits")(x))
