"""Krizhevsky, Sutskever, Hinton, ImageNet Classification with Deep Convolutional Neural Networks,
NIPS 2012."""

from collections.abc import Mapping, Sequence

import keras
from keras import layers, ops

from keras_models.classification.building import (
    INITIALIZATIONS,
    checked_choice,
    checked_shape,
    classifier,
    covering,
    feature_maps,
    normalization,
    pooling,
    scaled,
)
from keras_models.classification.top import finished

# The first convolution, (window, stride, padding), and the smallest side that the poolings after
# it leave something of. "cifar" is not in the paper: it keeps pictures of 32 from vanishing.
STEMS = {"imagenet": ((11, 4, "valid"), 36), "cifar": ((5, 1, "same"), 8)}
# Sides of the windows of the poolings, by the number of the convolution before each.
POOLS = {1: 3, 2: 3, 5: 3}
# Layers that Zeiler and Fergus 2014, section 5.1, take away.
ABLATIONS = ((), (7,), (6, 7), (3, 4), (3, 4, 6, 7))


@keras.saving.register_keras_serializable(package="keras_models")
class TowerConv2D(layers.Conv2D):
    """`keras.layers.Conv2D` with `groups`, computed as one ordinary convolution a group.

    The same weights and numbers. TensorFlow's kernels for the processor have no gradient of the
    grouped convolution, so Keras has it compiled by XLA; at AlexNet's conv2 that takes seven
    times as long as this.

    Source: the two GPUs of Krizhevsky, Sutskever, Hinton 2012, section 3.2.
    """

    def convolution_op(self, inputs, kernel):
        axis = -1 if self.data_format == "channels_last" else 1
        convolve = super().convolution_op
        towers = zip(
            ops.split(inputs, self.groups, axis=axis),
            ops.split(kernel, self.groups, axis=-1),
            strict=True,
        )
        return ops.concatenate([convolve(x, part) for x, part in towers], axis=axis)


def AlexNet(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    without: Sequence[int] = (),
    stem: str = "imagenet",
    units: int = 4096,
    width: float = 1.0,
    initialization: str = "normal",
    include_top: bool = True,
    pooling: str | None = None,
    weights: str | None = None,
    name: str = "alexnet",
) -> keras.Model:
    """AlexNet with its two towers.

    conv1 96 maps 11 x 11 stride 4, conv2 256 maps 5 x 5, conv3 384, conv4 384 and conv5 256 maps
    3 x 3, fc6 and fc7 of 4,096 units with dropout 0.5. conv2, conv4 and conv5 see the maps of
    their own tower only. Response normalisation and overlapping max pooling (3, stride 2) follow
    conv1 and conv2, pooling conv5 (sections 3.3 to 3.5). Weights start normal with standard
    deviation 0.01; biases of conv2, conv4, conv5, fc6 and fc7 with 1, the others with 0
    (section 5). At 1,000 classes: 60,965,224 parameters and 659,272 units (the paper's 60 million
    and 650,000).

    Args:
        input_shape: height, width and channels, each side at least 36 (8 with the "cifar" stem).
            The paper's pictures are RGB minus the mean picture of the training set. Sides of 224
            give conv1 maps of 55, as published: three zeros at the far sides fill the last window.
        classes: 2 or more.
        without: numbers of the layers that are left out, one of (), (7,), (6, 7), (3, 4),
            (3, 4, 6, 7): the ablations of Zeiler and Fergus, with about 16 million, 50 million
            and 1 million parameters fewer. Without 3 and 4 it is conv5 that sees both towers.
        stem: "imagenet", or "cifar" for pictures of about 32: conv1 of 5 x 5 and stride 1.
        units: width of fc6 and fc7; fewer for small pictures.
        width: the numbers of maps are multiplied by this and rounded; 1.0 is published.
        initialization: "normal" as published, or "he" for narrow nets, whose signal dies with
            weights so small: He et al. 2015, section 2.2.
        include_top: whether the net ends with its classifier; without it, with the maps of pool5.
        pooling: without the top, "avg" or "max" over all positions of the maps; None for the maps.
        weights: path of a .weights.h5 or .keras file, or None for a random start.
        name: of the model.

    Returns:
        a model [N, H, W, channels] -> float32 logits [N, classes].

    Raises:
        ValueError: an unknown stem or initialization, other layers to leave out, too small an
            input, fewer than 2 classes, a width that is not positive.
    """
    checked_choice("stem", stem, STEMS)
    checked_choice("initialization", initialization, INITIALIZATIONS)
    without = checked_choice("without", tuple(sorted(without)), ABLATIONS)
    initializer = INITIALIZATIONS[initialization]
    image = keras.Input(checked_shape(input_shape, STEMS[stem][1]), name="image")
    maps = alexnet_backbone(image, without, stem, width, initialization)

    def top(x):
        x = layers.Flatten(name="flat")(x)
        for number in (6, 7):
            if number not in without:
                x = layers.Dense(
                    units,
                    "relu",
                    kernel_initializer=initializer(),
                    bias_initializer="ones",
                    name=f"fc{number}",
                )(x)
                x = layers.Dropout(0.5, name=f"drop{number}")(x)
        return classifier(x, classes)

    return finished(image, maps["pool5"], top, include_top, pooling, weights, name)


def alexnet_backbone(
    image: keras.KerasTensor,
    without: Sequence[int] = (),
    stem: str = "imagenet",
    width: float = 1.0,
    initialization: str = "normal",
    pools: Mapping[int, int] = POOLS,
    cover: bool = True,
) -> dict[str, keras.KerasTensor]:
    """The feature maps of AlexNet: conv1 to pool5, without the fully connected layers.

    The layers have AlexNet's names whatever the picture's size and the poolings, so that weights go
    from one net to the other by name.

    Args:
        image: the `keras.Input` [N, H, W, channels].
        without, stem, width, initialization: as of `AlexNet`, which checks them.
        pools: sides of the windows of the poolings after conv1, conv2 and conv5.
        cover: whether zeros at the far sides fill the last windows, as in AlexNet; else the last
            windows are those that fit.

    Returns:
        as `feature_maps`: conv1, norm1, pool1, ..., conv5, pool5.
    """
    window, stride, padding = STEMS[stem][0]
    initializer = INITIALIZATIONS[initialization]

    def convolution(x, number, filters, window, groups=1, bias=0.0, stride=1, padding="same"):
        kind = TowerConv2D if groups > 1 else layers.Conv2D
        x = kind(
            2 * scaled(filters // 2, width),  # as many in either tower
            window,
            stride,
            padding,
            data_format="channels_last",
            groups=groups,
            activation="relu",
            kernel_initializer=initializer(),
            bias_initializer=keras.initializers.Constant(bias),
            name=f"conv{number}",
        )(x)
        if number in (1, 2):
            x = normalization(x, number)
        if number in pools:
            x = pooling(x, number, pools[number], cover)
        return x

    covered = cover and padding == "valid"
    x = covering(image, window, stride, name="conv1_padding") if covered else image
    x = convolution(x, 1, 96, window, stride=stride, padding=padding)
    x = convolution(x, 2, 256, 5, groups=2, bias=1.0)
    if 3 not in without:
        x = convolution(x, 3, 384, 3)
        x = convolution(x, 4, 384, 3, groups=2, bias=1.0)
    x = convolution(x, 5, 256, 3, groups=1 if 3 in without else 2, bias=1.0)
    return feature_maps(image, x)
