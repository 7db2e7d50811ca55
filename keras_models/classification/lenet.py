"""LeNet-1: LeCun, Boser, Denker, Henderson, Howard, Hubbard, Jackel, Backpropagation Applied to
Handwritten Zip Code Recognition, Neural Computation 1(4), 1989.

LeNet-5: LeCun, Bottou, Bengio, Haffner, Gradient-Based Learning Applied to Document Recognition,
Proceedings of the IEEE 86(11), 1998, section II.B."""

from typing import Any

import keras
from keras import layers, ops

from keras_models.classification.building import (
    checked_choice,
    checked_classes,
    checked_shape,
    feature_maps,
    last_maps,
)
from keras_models.classification.top import with_weights
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
# Of LeNet-1: what lies around the picture, and around the maps.
BACKGROUND = -1.0
# Of today's LeNet-5.
RELU = {"activation": "relu", "kernel_initializer": "he_normal"}


@keras.saving.register_keras_serializable(package="keras_models")
class UnitBias(layers.Layer):
    """f(x + bias) with a bias for every unit, where a convolution has one a map.

    Args:
        activation: f, as in `keras.layers.Conv2D`.
        bias_initializer: called with [H, W, maps].

    Input and output [N, H, W, maps] of known sides.

    Source: LeCun et al. 1989: the units of a map share their weights, but not their biases.
    """

    def __init__(self, activation=None, bias_initializer="zeros", **kwargs):
        super().__init__(**kwargs)
        self.activation = keras.activations.get(activation)
        self.bias_initializer = keras.initializers.get(bias_initializer)

    def build(self, input_shape):
        self.bias = self.add_weight(
            name="bias", shape=tuple(input_shape[1:]), initializer=self.bias_initializer
        )

    def call(self, inputs):
        return self.activation(inputs + self.bias)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {
            "activation": keras.activations.serialize(self.activation),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }


def LeNet1(
    input_shape: tuple[int, int, int] = (16, 16, 1),
    classes: int = 10,
    weights: str | None = None,
    name: str = "lenet1",
) -> keras.Model:
    """LeNet-1, the net of 1989 for the digits of handwritten zip codes.

    H1 12 maps of 8 x 8 with 5 x 5 windows and stride 2, H2 12 maps of 4 x 4 the same way from 8
    of H1's maps each, H3 30 units, 10 outputs. The units of a map share their weights and have
    biases of their own; what lies outside of the picture or a map is -1. Every unit squashes by
    1.7159 tanh(2/3 a), the outputs too, which are trained to +-1 by their squared error: here the
    logits are a, so that squash(logits) are the paper's outputs. Weights start uniform in +-2.4 /
    fan-in. For 16 x 16 grey pictures and 10 classes: 1,256 units (with the picture's), 64,660
    connections and 9,760 independent parameters.

    The paper does not print which maps of H1 each map of H2 sees: here they are in three groups of
    four, and the maps of H2 see the first and second, second and third, or third and first.

    Args:
        input_shape: height, width and channels, each side at least 4. The paper's pixels are in
            -1 (background) .. 1.
        classes: 2 or more.
        weights: path of a .weights.h5 or .keras file, or None for a random start.
        name: of the model.

    Returns:
        a model [N, H, W, channels] -> float32 logits [N, classes].

    Raises:
        ValueError: too small an input, fewer than 2 classes.
    """
    image = keras.Input(checked_shape(input_shape, 4), name="image")
    x = last_maps(lenet1_backbone(image))
    x = layers.Flatten(name="H2_flat")(x)
    for name_, units, arguments in (
        ("H3", 30, {"activation": scaled_tanh}),
        ("logits", checked_classes(classes), {"dtype": "float32"}),
    ):
        x = layers.Dense(
            units,
            kernel_initializer=FanInUniform(x.shape[-1]),
            bias_initializer=FanInUniform(x.shape[-1]),
            name=name_,
            **arguments,
        )(x)
    return with_weights(keras.Model(image, x, name=name), weights)


def lenet1_backbone(image: keras.KerasTensor) -> dict[str, keras.KerasTensor]:
    """The feature maps of LeNet-1: H1_windows, H1, ..., H2.

    Args, returns: as `feature_maps`.
    """

    def squashed(x, fan_in, name):
        return UnitBias(scaled_tanh, FanInUniform(fan_in), name=name)(x)

    fan_in = 25 * image.shape[-1]
    x = squashed(_undersampled(image, 12, fan_in, "H1_windows"), fan_in, "H1")
    first, second, third = ops.split(x, 3, axis=-1)
    pairs = [(first, second), (second, third), (third, first)]
    maps = []
    for number, pair in enumerate(pairs, 1):
        eight = layers.Concatenate(name=f"H2_inputs{number}")(pair)
        maps.append(_undersampled(eight, 4, 200, f"H2_windows{number}"))
    x = squashed(layers.Concatenate(name="H2_windows")(maps), 200, "H2")
    return feature_maps(image, x)


def _undersampled(x: keras.KerasTensor, maps: int, fan_in: int, name: str) -> keras.KerasTensor:
    """5 x 5 windows around every second pixel, without biases; -1 lies around the border."""
    below, right = (1 + side % 2 for side in x.shape[1:3])
    x = ops.pad(x, ((0, 0), (2, below), (2, right), (0, 0)), constant_values=BACKGROUND)
    return layers.Conv2D(
        maps,
        5,
        strides=2,
        data_format="channels_last",
        use_bias=False,
        kernel_initializer=FanInUniform(fan_in),
        name=name,
    )(x)


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
    image = keras.Input(checked_shape(input_shape, SMALLEST_SIDE), name="image")
    checked_classes(classes)
    x = last_maps(lenet5_backbone(image))
    # C5's windows cover the whole of S4, so the convolution is a full connection, and that is
    # several times faster to compute.
    x = layers.Flatten(name="S4_flat")(x)
    x = layers.Dense(120, name="C5", **_published(x.shape[-1]))(x)
    x = layers.Dense(84, name="F6", **_published(120))(x)
    if classifier == "rbf":
        x = EuclideanRBF(classes, dtype="float32", name="RBF")(x)
        logits = layers.Rescaling(-1.0, dtype="float32", name="logits")(x)
    else:
        logits = layers.Dense(
            classes, dtype="float32", name="logits", **_published(84) | {"activation": None}
        )(x)
    return with_weights(keras.Model(image, logits, name=name), weights)


def lenet5_backbone(image: keras.KerasTensor) -> dict[str, keras.KerasTensor]:
    """The feature maps of LeNet-5: C1, S2, C3, S4.

    Args, returns: as `feature_maps`.
    """

    def subsampling(name):
        return Subsampling2D(
            data_format="channels_last",
            activation=scaled_tanh,
            coefficient_initializer=FanInUniform(4),
            bias_initializer=FanInUniform(4),
            name=name,
        )

    channels = image.shape[-1]
    c3_fan_in = [25 * len(maps) for maps in LENET5_C3]
    x = layers.Conv2D(6, 5, data_format="channels_last", name="C1", **_published(25 * channels))(
        image
    )
    x = subsampling("S2")(x)
    x = TableConv2D(LENET5_C3, 5, data_format="channels_last", name="C3", **_published(c3_fan_in))(
        x
    )
    return feature_maps(image, subsampling("S4")(x))


def _published(fan_in: int | list[int]) -> dict[str, Any]:
    """Arguments of a layer of LeNet-5's units with that fan-in."""
    return {
        "activation": scaled_tanh,
        "kernel_initializer": FanInUniform(fan_in),
        "bias_initializer": FanInUniform(fan_in),
    }


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
    image = keras.Input(checked_shape(input_shape, SMALLEST_SIDE), name="image")
    checked_classes(classes)
    x = last_maps(lenet5_relu_backbone(image))
    x = layers.Flatten(name="S4_flat")(x)
    x = layers.Dense(120, name="C5", **RELU)(x)
    x = layers.Dense(84, name="F6", **RELU)(x)
    logits = layers.Dense(classes, dtype="float32", name="logits")(x)
    return with_weights(keras.Model(image, logits, name=name), weights)


def lenet5_relu_backbone(image: keras.KerasTensor) -> dict[str, keras.KerasTensor]:
    """The feature maps of `LeNet5ReLU`: C1, S2, C3, S4.

    Args, returns: as `feature_maps`.
    """
    x = layers.Conv2D(6, 5, data_format="channels_last", name="C1", **RELU)(image)
    x = layers.MaxPooling2D(data_format="channels_last", name="S2")(x)
    x = layers.Conv2D(16, 5, data_format="channels_last", name="C3", **RELU)(x)
    return feature_maps(image, layers.MaxPooling2D(data_format="channels_last", name="S4")(x))
