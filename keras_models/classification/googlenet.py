"""GoogLeNet: Szegedy, Liu, Jia, Sermanet, Reed, Anguelov, Erhan, Vanhoucke, Rabinovich, Going
Deeper with Convolutions, CVPR 2015, section 5, Table 1 and Figure 3."""

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

# Table 1: #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj.
MODULES = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
AUXILIARY = {"4a": "aux1", "4d": "aux2"}
STEMS = ("imagenet", "cifar")
# 5 x 5 windows of the auxiliary classifiers after strides of 16 (or 2); strides of 32 (or 4).
SMALLEST_SIDE = {
    ("imagenet", True): 65,
    ("imagenet", False): 32,
    ("cifar", True): 9,
    ("cifar", False): 4,
}


def GoogLeNet(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    auxiliary: bool = True,
    separable: bool = True,
    stem: str = "imagenet",
    width: float = 1.0,
    include_top: bool = True,
    pooling: str | None = None,
    weights: str | None = None,
    name: str = "googlenet",
) -> keras.Model:
    """GoogLeNet as published, with both auxiliary classifiers; 1.5 G multiply-adds without them.

    All convolutions, also inside the modules, are followed by ReLU. Layers are named conv1,
    pool1, norm1, conv2_reduce, conv2, norm2, pool2, inception_3a_1x1, ..., inception_3a (the
    concatenation), ..., pool5, and those of the auxiliary classifiers aux1_... (after 4a) and
    aux2_... (after 4d). The paper gives no constants of the response normalisation, which are
    those of Krizhevsky, Sutskever, Hinton 2012 here, and no initialisation, which is He's.

    Args:
        input_shape: height, width and channels; each side at least 65 with auxiliary classifiers
            and 32 without (9 and 4 with the "cifar" stem). The paper's pictures are RGB minus
            the mean.
        classes: 2 or more.
        auxiliary: with the two auxiliary classifiers of section 5: average pooling 5 x 5 stride
            3, 128 1 x 1 convolutions, 1,024 units, dropout of 70 %, logits. In training their
            losses count 0.3 each.
        separable: conv1 in two steps, 8 filters of 7 x 7 for each channel and 64 1 x 1
            convolutions over them. Table 1's 2.7 K parameters and 34 M operations of conv1 are
            those (and Ioffe and Szegedy 2015 say it of their net); False for one convolution of
            9.4 K, as in Figure 3.
        stem: "imagenet"; or "cifar" for small pictures: conv1 3 x 3 with stride 1 (never
            separable), no pool1 and no pool2.
        width: all numbers of maps are multiplied by this and rounded; 1.0 is published.
        include_top: whether the net ends with its classifiers; without them, with the maps of
            inception_5b.
        pooling: without the top, "avg" or "max" over all positions of the maps; None for the maps.
        weights: path of a .weights.h5 or .keras file, or None for a random start.
        name: of the model.

    Returns:
        a model [N, H, W, channels] -> float32 logits [N, classes]; with auxiliary classifiers a
        list of three, their logits second and third.

    Raises:
        ValueError: too small an input, an unknown stem, too few classes, a width that is not
            positive.
    """
    checked_choice("stem", stem, STEMS)
    shape = checked_shape(input_shape, SMALLEST_SIDE[stem, bool(auxiliary)])
    checked_classes(classes)

    def maps(n: int) -> int:
        return scaled(n, width)

    image = keras.Input(shape, name="image")
    found = googlenet_backbone(image, separable, stem, width)
    extra = [
        _auxiliary(found[f"inception_{module}"], classes, maps, aux)
        for module, aux in (AUXILIARY.items() if auxiliary else ())
    ]

    def top(x):
        x = layers.GlobalAveragePooling2D(data_format="channels_last", name="pool5")(x)
        x = layers.Dropout(0.4, name="dropout")(x)
        logits = layers.Dense(classes, dtype="float32", name="logits")(x)
        return [logits, *extra] if auxiliary else logits

    return finished(image, last_maps(found), top, include_top, pooling, weights, name)


def googlenet_backbone(
    image: keras.KerasTensor, separable: bool = True, stem: str = "imagenet", width: float = 1.0
) -> dict[str, keras.KerasTensor]:
    """The feature maps of GoogLeNet, without its classifiers.

    Args:
        image: the `keras.Input` [N, H, W, channels].
        separable, stem, width: as of `GoogLeNet`, which checks the stem.

    Returns:
        as `feature_maps`: conv1, pool1, norm1, ..., inception_3a, ..., inception_5b.
    """

    def maps(n: int) -> int:
        return scaled(n, width)

    x = _stem(image, stem, separable, maps)
    for module, published in MODULES.items():
        x = _inception(x, [maps(n) for n in published], f"inception_{module}")
        if module in ("3b", "4e"):
            x = _max_pooling(x, f"pool{module[0]}")
    return feature_maps(image, x)


def _convolution(x, filters: int, size: int, name: str, stride: int = 1):
    return layers.Conv2D(
        filters,
        size,
        strides=stride,
        padding="same",
        data_format="channels_last",
        activation="relu",
        kernel_initializer="he_normal",
        name=name,
    )(x)


def _max_pooling(x, name: str, stride: int = 2):
    return layers.MaxPooling2D(
        3, strides=stride, padding="same", data_format="channels_last", name=name
    )(x)


def _stem(x, stem, separable, maps):
    """Everything before inception (3a)."""
    if stem == "cifar":
        x = _convolution(x, maps(64), 3, "conv1")
    elif separable:
        x = layers.SeparableConv2D(
            maps(64),
            7,
            strides=2,
            padding="same",
            data_format="channels_last",
            depth_multiplier=8,
            activation="relu",
            depthwise_initializer="he_normal",
            pointwise_initializer="he_normal",
            name="conv1",
        )(x)
    else:
        x = _convolution(x, maps(64), 7, "conv1", stride=2)
    if stem == "imagenet":
        x = _max_pooling(x, "pool1")
    x = LocalResponseNormalization(data_format="channels_last", name="norm1")(x)
    x = _convolution(x, maps(64), 1, "conv2_reduce")
    x = _convolution(x, maps(192), 3, "conv2")
    x = LocalResponseNormalization(data_format="channels_last", name="norm2")(x)
    return _max_pooling(x, "pool2") if stem == "imagenet" else x


def _inception(x, widths, name):
    """Figure 2(b)."""
    ones, reduce3, threes, reduce5, fives, projection = widths
    one = _convolution(x, ones, 1, f"{name}_1x1")
    three = _convolution(x, reduce3, 1, f"{name}_3x3_reduce")
    three = _convolution(three, threes, 3, f"{name}_3x3")
    five = _convolution(x, reduce5, 1, f"{name}_5x5_reduce")
    five = _convolution(five, fives, 5, f"{name}_5x5")
    pool = _max_pooling(x, f"{name}_pool", stride=1)
    pool = _convolution(pool, projection, 1, f"{name}_pool_proj")
    return layers.Concatenate(name=name)([one, three, five, pool])


def _auxiliary(x, classes, maps, name):
    x = layers.AveragePooling2D(5, strides=3, data_format="channels_last", name=f"{name}_pool")(x)
    x = _convolution(x, maps(128), 1, f"{name}_conv")
    x = layers.Flatten(data_format="channels_last", name=f"{name}_flat")(x)
    x = layers.Dense(
        maps(1024), activation="relu", kernel_initializer="he_normal", name=f"{name}_fc"
    )(x)
    x = layers.Dropout(0.7, name=f"{name}_dropout")(x)
    return layers.Dense(classes, dtype="float32", name=f"{name}_logits")(x)
