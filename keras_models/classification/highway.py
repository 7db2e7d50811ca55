"""Highway networks: Srivastava, Greff, Schmidhuber, Highway Networks, 2015, and Training Very Deep
Networks, NIPS 2015."""

import keras
from keras import initializers, layers

from keras_models.classification.building import (
    checked_choice,
    checked_classes,
    checked_shape,
    feature_maps,
    last_maps,
)
from keras_models.classification.top import with_weights

ACTIVATIONS = ("relu", "tanh")
# Maps and highway layers of the three stages of the net for CIFAR-10.
CIFAR_STAGES = ((32, 4), (80, 5), (128, 5))
# A window of 5 x 5; two poolings of 2 x 2.
SMALLEST_SIDE = {"mnist": 5, "cifar": 4}


@keras.saving.register_keras_serializable("keras_models")
class HighwayGate(layers.Layer):
    """y = H * T + x * (1 - T), Eqn. 3: the gate T lets through what is new or what was there.

    Input: a list of the transformation H, the transform gate T in 0..1 and x, of one shape;
    output of that shape. No parameters: H and T are layers of their own.

    Raises:
        ValueError: not three inputs of one shape.
    """

    def build(self, input_shape):
        if len(input_shape) != 3 or len(set(map(tuple, input_shape))) != 1:
            raise ValueError(f"H, T and x must have one shape, not {input_shape!r}.")

    def call(self, inputs):
        transformed, gate, x = inputs
        # The same as the equation, with one product less.
        return x + gate * (transformed - x)

    def compute_output_shape(self, input_shape):
        return input_shape[0]


def HighwayMLP(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    classes: int = 10,
    depth: int = 10,
    units: int = 50,
    activation: str = "relu",
    transform_bias: float = -1.0,
    weights: str | None = None,
    name: str | None = None,
) -> keras.Model:
    """The fully connected net for MNIST of Training Very Deep Networks, section 3.1.

    A plain layer, depth - 1 highway layers and the logits ("10, 20, 50 and 100 layers"); a
    highway layer has about 5,000 weights. Layers: fc1, then fc2, ... (the sums), each of
    fc2_H and fc2_T.

    Args:
        input_shape: height, width and channels of the picture.
        classes: 2 or more.
        depth: layers before the logits, 2 or more.
        units: of each layer.
        activation: of the transformation H, "relu" or "tanh".
        transform_bias: of the gates T at the start; negative, so that a layer begins by passing
            on its input (section 2.2).
        weights: path of a .weights.h5 or .keras file, or None for a random start.
        name: of the model; by default "highway_mlp" and the depth.

    Returns:
        a model [N, H, W, channels] -> float32 logits [N, classes].

    Raises:
        ValueError: too small a depth, too few classes, an unknown activation.
    """
    if depth < 2:
        raise ValueError(f"depth must be 2 or more, not {depth!r}.")
    checked_choice("activation", activation, ACTIVATIONS)

    def dense(x, function, name, bias=0.0):
        return layers.Dense(
            units, activation=function, bias_initializer=initializers.Constant(bias), name=name
        )(x)

    image = keras.Input(checked_shape(input_shape, 1), name="image")
    x = layers.Flatten(data_format="channels_last", name="image_flat")(image)
    x = dense(x, activation, "fc1")
    for i in range(2, depth + 1):
        x = _highway(x, dense, activation, transform_bias, f"fc{i}")
    return _classified(image, x, classes, name or f"highway_mlp{depth}", weights)


def HighwayMNIST(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    classes: int = 10,
    filters: int = 32,
    transform_bias: float = -1.0,
    weights: str | None = None,
    name: str = "highway_mnist",
) -> keras.Model:
    """The convolutional net for MNIST of Training Very Deep Networks, section 3.2: 9 convolutions
    and the logits; 39 K parameters with 16 maps and 151 K with 32.

    As in the authors' published code: conv1_1 5 x 5 and eight highway convolutions 3 x 3 (conv1_2,
    conv1_3, conv2_1, ..., conv3_3), maximum pooling after each group, dropout of 20 % of the
    pixels and of 30, 40 and 50 % after the poolings.

    Args:
        input_shape: height, width and channels, each side at least 5.
        classes: 2 or more.
        filters: maps of every layer; 16 and 32 are published.
        transform_bias: as `HighwayMLP`.
        weights, name: as `HighwayMLP`.

    Returns, raises: as `HighwayMLP`.
    """
    image = keras.Input(checked_shape(input_shape, SMALLEST_SIDE["mnist"]), name="image")
    x = last_maps(highway_mnist_backbone(image, filters, transform_bias))
    x = layers.Flatten(data_format="channels_last", name="pool3_flat")(x)
    return _classified(image, x, classes, name, weights)


def highway_mnist_backbone(
    image: keras.KerasTensor, filters: int = 32, transform_bias: float = -1.0
) -> dict[str, keras.KerasTensor]:
    """The feature maps of the net for MNIST: image_dropout, conv1_1, ..., pool3, pool3_dropout.

    Args:
        image: the `keras.Input` [N, H, W, channels].
        filters, transform_bias: as of `HighwayMNIST`.

    Returns:
        as `feature_maps`.
    """
    x = layers.Dropout(0.2, name="image_dropout")(image)
    x = _convolution(filters, 5, padding="valid")(x, "relu", "conv1_1")
    for group, (first, pool, rate) in enumerate([(2, 3, 0.3), (1, 3, 0.4), (1, 2, 0.5)], start=1):
        for i in range(first, 4):
            x = _highway(x, _convolution(filters, 3), "relu", transform_bias, f"conv{group}_{i}")
        x = layers.MaxPooling2D(
            pool, strides=2, padding="same", data_format="channels_last", name=f"pool{group}"
        )(x)
        x = layers.Dropout(rate, name=f"pool{group}_dropout")(x)
    return feature_maps(image, x)


def HighwayCIFAR(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    transform_bias: float = -2.0,
    weights: str | None = None,
    name: str = "highway_cifar",
) -> keras.Model:
    """The net of 19 layers for CIFAR-10 and CIFAR-100 of Training Very Deep Networks, section 3.3
    ("Highway B"): 2.3 M parameters.

    As in the authors' published code: three groups of a plain 3 x 3 convolution, which changes the
    number of maps to 32, 80 and 128, and 4, 5 and 5 highway convolutions (conv1, ..., conv17),
    maximum pooling between the groups, conv18 of 100 maps 1 x 1, global average pooling; dropout
    of 20 % of the pixels and after each pooling.

    Args:
        input_shape: height, width and channels, each side at least 4. The authors' pictures are
            contrast-normalised and minus their mean.
        classes: 2 or more.
        transform_bias: as `HighwayMLP`.
        weights, name: as `HighwayMLP`.

    Returns, raises: as `HighwayMLP`.
    """
    image = keras.Input(checked_shape(input_shape, SMALLEST_SIDE["cifar"]), name="image")
    x = last_maps(highway_cifar_backbone(image, transform_bias))
    x = layers.GlobalAveragePooling2D(data_format="channels_last", name="pool3")(x)
    x = layers.Dropout(0.2, name="pool3_dropout")(x)
    return _classified(image, x, classes, name, weights)


def highway_cifar_backbone(
    image: keras.KerasTensor, transform_bias: float = -2.0
) -> dict[str, keras.KerasTensor]:
    """The feature maps of the net for CIFAR-10: image_dropout, conv1, ..., conv18.

    Args:
        image: the `keras.Input` [N, H, W, channels].
        transform_bias: as of `HighwayCIFAR`.

    Returns:
        as `feature_maps`.
    """
    x = layers.Dropout(0.2, name="image_dropout")(image)
    number = 0
    for group, (filters, highways) in enumerate(CIFAR_STAGES, start=1):
        if group > 1:
            pool = f"pool{group - 1}"
            x = layers.MaxPooling2D(2, data_format="channels_last", name=pool)(x)
            x = layers.Dropout(0.2, name=f"{pool}_dropout")(x)
        number += 1
        x = _convolution(filters, 3)(x, "relu", f"conv{number}")
        for _ in range(highways):
            number += 1
            x = _highway(x, _convolution(filters, 3), "relu", transform_bias, f"conv{number}")
    return feature_maps(image, _convolution(100, 1)(x, "relu", f"conv{number + 1}"))


def _convolution(filters, size, padding="same"):
    def convolution(x, function, name, bias=0.0):
        return layers.Conv2D(
            filters,
            size,
            padding=padding,
            data_format="channels_last",
            activation=function,
            bias_initializer=initializers.Constant(bias),
            name=name,
        )(x)

    return convolution


def _highway(x, layer, activation, transform_bias, name):
    """A highway layer: H and T are of the same kind, T with a sigmoid and its own bias."""
    transformed = layer(x, activation, f"{name}_H")
    gate = layer(x, "sigmoid", f"{name}_T", transform_bias)
    return HighwayGate(name=name)([transformed, gate, x])


def _classified(image, x, classes, name, weights):
    logits = layers.Dense(checked_classes(classes), dtype="float32", name="logits")(x)
    return with_weights(keras.Model(image, logits, name=name), weights)
