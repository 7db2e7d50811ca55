"""Inception with batch normalisation: Ioffe, Szegedy, Batch Normalization: Accelerating Deep
Network Training by Reducing Internal Covariate Shift, ICML 2015, section 4.2 and Figure 5."""

import keras
from keras import layers

from keras_models.classification.building import (
    checked_choice,
    checked_classes,
    checked_shape,
    feature_maps,
    last_maps,
    scaled,
)
from keras_models.classification.top import finished
from keras_models.layers import LocalResponseNormalization

# Figure 5: #1x1, #3x3 reduce, #3x3, double #3x3 reduce, double #3x3, kind of pooling, projection.
# Modules without 1 x 1 convolutions have stride 2 and pass the pooled maps through.
# 4c and 4d: 96 projections make the 576 maps of Figure 5's output sizes, and are in the authors'
# later code; with the 128 of other implementations they would put out 608.
MODULES = {
    "3a": (64, 64, 64, 64, 96, "average", 32),
    "3b": (64, 64, 96, 64, 96, "average", 64),
    "3c": (0, 128, 160, 64, 96, "max", 0),
    "4a": (224, 64, 96, 96, 128, "average", 128),
    "4b": (192, 96, 128, 96, 128, "average", 128),
    "4c": (160, 128, 160, 128, 160, "average", 96),
    "4d": (96, 128, 192, 160, 192, "average", 96),
    "4e": (0, 128, 192, 192, 256, "max", 0),
    "5a": (352, 192, 320, 160, 224, "average", 128),
    "5b": (352, 192, 320, 192, 224, "max", 128),
}
ACTIVATIONS = ("relu", "sigmoid")
STEMS = ("imagenet", "cifar")
SMALLEST_SIDE = {"imagenet": 32, "cifar": 4}
# Of conv1: appendix, below Figure 5.
SEPARABLE = {
    "depth_multiplier": 8,
    "depthwise_initializer": "he_normal",
    "pointwise_initializer": "he_normal",
}


def BNInception(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    batch_normalization: bool = True,
    activation: str = "relu",
    local_response: bool = False,
    dropout: float = 0.0,
    stem: str = "imagenet",
    width: float = 1.0,
    include_top: bool = True,
    pooling: str | None = None,
    weights: str | None = None,
    name: str = "bn_inception",
) -> keras.Model:
    """The Inception net of the batch normalisation paper.

    Against GoogLeNet the 5 x 5 convolutions are two of 3 x 3, there are three modules of 28 x 28,
    pooling is in turn by average and maximum, and 3c and 4e halve the size inside. conv1 is
    separable with 8 filters a channel. The nets of Figures 2 and 3:

    - Inception (the baseline): batch_normalization=False, local_response=True, dropout=0.4;
    - BN-Baseline: the same with batch normalisation before each nonlinearity;
    - BN-x5 and BN-x30: neither response normalisation nor dropout (section 4.2.1), the default;
      the rest of their difference is in the training;
    - BN-x5-Sigmoid: as BN-x5 with activation="sigmoid".

    Layers are named conv1, pool1, conv2_reduce, conv2, pool2, inception_3a_1x1, ...,
    inception_3a_double_3x3_2, ..., inception_3a (the concatenation), ..., pool5; behind each
    convolution come ..._bn and ..._relu (or ..._sigmoid). The paper gives no initialisation;
    this is He's. Section 4.2 speaks of 13.6 million parameters; the rows of Figure 5 come to 11.2
    million, and the paper does not say what the others are.

    Args:
        input_shape: height, width and channels, each side at least 32 (4 with the "cifar" stem).
        classes: 2 or more.
        batch_normalization: per map, with scale and shift; the convolutions then have no bias.
        activation: "relu" or "sigmoid".
        local_response: response normalisation as in GoogLeNet, before conv2 and before pool2.
        dropout: rate before the classifier.
        stem: "imagenet"; or "cifar" for small pictures: conv1 3 x 3 with stride 1 and not
            separable, no pool1 and no pool2.
        width: all numbers of maps are multiplied by this and rounded; 1.0 is published.
        include_top: whether the net ends with its classifier; without it, with the
            maps of inception_5b.
        pooling: without the top, "avg" or "max" over all positions of the maps; None for the maps.
        weights: path of a .weights.h5 or .keras file, or None for a random start.
        name: of the model.

    Returns:
        a model [N, H, W, channels] -> float32 logits [N, classes].

    Raises:
        ValueError: too small an input, an unknown activation or stem, too few classes, a width
            that is not positive.
    """
    checked_choice("activation", activation, ACTIVATIONS)
    shape = checked_shape(input_shape, SMALLEST_SIDE[checked_choice("stem", stem, STEMS)])
    checked_classes(classes)

    image = keras.Input(shape, name="image")
    maps = bn_inception_backbone(
        image, batch_normalization, activation, local_response, stem, width
    )

    def top(x):
        x = layers.GlobalAveragePooling2D(data_format="channels_last", name="pool5")(x)
        if dropout:
            x = layers.Dropout(dropout, name="dropout")(x)
        return layers.Dense(classes, dtype="float32", name="logits")(x)

    return finished(image, last_maps(maps), top, include_top, pooling, weights, name)


def bn_inception_backbone(
    image: keras.KerasTensor,
    batch_normalization: bool = True,
    activation: str = "relu",
    local_response: bool = False,
    stem: str = "imagenet",
    width: float = 1.0,
) -> dict[str, keras.KerasTensor]:
    """The feature maps of the net, without its classifier.

    Args:
        image: the `keras.Input` [N, H, W, channels].
        batch_normalization, activation, local_response, stem, width: as of `BNInception`, which
            checks activation and stem.

    Returns:
        as `feature_maps`: conv1, conv1_bn, conv1_relu, pool1, ..., inception_3a, ...,
        inception_5b.
    """

    def convolution(x, filters, size, name, stride=1, kind=layers.Conv2D, **arguments):
        x = kind(
            scaled(filters, width),
            size,
            strides=stride,
            padding="same",
            data_format="channels_last",
            use_bias=not batch_normalization,
            name=name,
            **arguments or {"kernel_initializer": "he_normal"},
        )(x)
        if batch_normalization:
            x = layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
        return layers.Activation(activation, name=f"{name}_{activation}")(x)

    def local_normalization(x, name):
        if not local_response:
            return x
        return LocalResponseNormalization(data_format="channels_last", name=name)(x)

    if stem == "imagenet":
        x = convolution(image, 64, 7, "conv1", 2, layers.SeparableConv2D, **SEPARABLE)
        x = _pooling(x, "max", 2, "pool1")
    else:
        x = convolution(image, 64, 3, "conv1")
    x = local_normalization(x, "norm1")
    x = convolution(x, 64, 1, "conv2_reduce")
    x = local_normalization(convolution(x, 192, 3, "conv2"), "norm2")
    if stem == "imagenet":
        x = _pooling(x, "max", 2, "pool2")
    for module, row in MODULES.items():
        x = _inception(x, row, convolution, f"inception_{module}")
    return feature_maps(image, x)


def _pooling(x, kind: str, stride: int, name: str):
    pool = {"max": layers.MaxPooling2D, "average": layers.AveragePooling2D}[kind]
    return pool(3, strides=stride, padding="same", data_format="channels_last", name=name)(x)


def _inception(x, row, convolution, name):
    """A row of Figure 5."""
    ones, reduce3, threes, reduce_double, doubles, pooling, projection = row
    stride = 1 if ones else 2
    three = convolution(x, reduce3, 1, f"{name}_3x3_reduce")
    three = convolution(three, threes, 3, f"{name}_3x3", stride)
    double = convolution(x, reduce_double, 1, f"{name}_double_3x3_reduce")
    double = convolution(double, doubles, 3, f"{name}_double_3x3_1")
    double = convolution(double, doubles, 3, f"{name}_double_3x3_2", stride)
    pool = _pooling(x, pooling, stride, f"{name}_pool")
    branches = [three, double, pool]
    if ones:
        one = convolution(x, ones, 1, f"{name}_1x1")
        pool = convolution(pool, projection, 1, f"{name}_pool_proj")
        branches = [one, three, double, pool]
    return layers.Concatenate(name=name)(branches)
