"""Sermanet, Eigen, Zhang, Mathieu, Fergus, LeCun, OverFeat: Integrated Recognition, Localization
and Detection using Convolutional Networks, ICLR 2014."""

from typing import NamedTuple

import keras
from keras import layers

from keras_models.classification.building import (
    INITIALIZATIONS,
    checked_choice,
    checked_shape,
    classifier,
    feature_maps,
    last_maps,
    scaled,
)
from keras_models.classification.top import finished
from keras_models.layers import OffsetMaxPooling2D


class Convolution(NamedTuple):
    """A convolution with its ReLU, and the max pooling after it; windows do not overlap."""

    maps: int
    window: int
    stride: int = 1
    padding: str = "valid"
    pool: int = 1


class Variant(NamedTuple):
    """One of the two published nets.

    Attributes:
        side: of the pictures it was trained on.
        convolutions: from the picture on.
        units: of the two fully connected layers before the classifier.
        smallest: the smallest side that the poolings leave something of.
    """

    side: int
    convolutions: tuple[Convolution, ...]
    units: tuple[int, int]
    smallest: int


VARIANTS = {
    # Table 1.
    "fast": Variant(
        231,
        (
            Convolution(96, 11, 4, pool=2),
            Convolution(256, 5, pool=2),
            Convolution(512, 3, padding="same"),
            Convolution(1024, 3, padding="same"),
            Convolution(1024, 3, padding="same", pool=2),
        ),
        (3072, 4096),
        71,
    ),
    # Table 3.
    "accurate": Variant(
        221,
        (
            Convolution(96, 7, 2, pool=3),
            Convolution(256, 7, pool=2),
            Convolution(512, 3, padding="same"),
            Convolution(512, 3, padding="same"),
            Convolution(1024, 3, padding="same"),
            Convolution(1024, 3, padding="same", pool=3),
        ),
        (4096, 4096),
        77,
    ),
}
# "cifar" is not in the paper: it keeps pictures of 32 from vanishing.
STEMS = ("imagenet", "cifar")
_SMALLEST_OF_CIFAR = 8


def OverFeat(
    input_shape: tuple[int, int, int] = (231, 231, 3),
    classes: int = 1000,
    variant: str = "fast",
    stem: str = "imagenet",
    units: int | None = None,
    width: float = 1.0,
    initialization: str = "normal",
    include_top: bool = True,
    pooling: str | None = None,
    weights: str | None = None,
    name: str = "overfeat",
) -> keras.Model:
    """The fast net of Table 1, for pictures of 231 x 231, or the accurate one of Table 3, for
    221 x 221.

    Five or six convolutions with ReLU, max pooling whose windows do not overlap, no contrast
    normalisation, two fully connected layers with dropout 0.5 and the classifier. Weights start
    normal with standard deviation 0.01 (section 3.1); the paper does not say how biases start:
    at 0. At 1,000 classes: 145,920,872 parameters (fast; the paper's 145 million) and 144,656,488
    (accurate; 144 million).

    `fully_convolutional` makes of it the net of section 3.3: the last pooling at every offset, the
    classifier at every position of what it gives, and of each class the maximum over all
    positions. The positions are 12 pixels apart instead of 36 (accurate), 16 instead of 32 (fast).

    Args:
        input_shape: height, width and channels; each side at least 71 (fast), 77 (accurate) or 8
            (the "cifar" stem).
        classes: 2 or more.
        variant: "fast" or "accurate".
        stem: "imagenet", or "cifar" for pictures of about 32: the first two convolutions of 5 x 5,
            without strides and with zeros around, and all poolings of 2 x 2.
        units: width of both fully connected layers; None as published.
        width: the numbers of maps are multiplied by this and rounded; 1.0 is published.
        initialization: "normal" as published, or "he" for narrow nets, whose signal dies with
            weights so small: He et al. 2015, section 2.2.
        include_top: whether the net ends with its classifier; without it, with the maps of the last
            pooling.
        pooling: without the top, "avg" or "max" over all positions of the maps; None for the maps.
        weights: path of a .weights.h5 or .keras file, or None for a random start.
        name: of the model.

    Returns:
        a model [N, H, W, channels] -> float32 logits [N, classes].

    Raises:
        ValueError: an unknown variant, stem or initialization, too small an input, fewer than 2
            classes, a width that is not positive.
    """
    checked_choice("variant", variant, VARIANTS)
    checked_choice("stem", stem, STEMS)
    checked_choice("initialization", initialization, INITIALIZATIONS)
    published = VARIANTS[variant]
    smallest = published.smallest if stem == "imagenet" else _SMALLEST_OF_CIFAR
    image = keras.Input(checked_shape(input_shape, smallest), name="image")
    maps = overfeat_backbone(image, variant, stem, width, initialization)

    def top(x):
        x = layers.Flatten(name="flat")(x)
        first = len(published.convolutions) + 1
        for number, published_units in enumerate(published.units, first):
            x = layers.Dense(
                units or published_units,
                "relu",
                kernel_initializer=INITIALIZATIONS[initialization](),
                name=f"fc{number}",
            )(x)
            x = layers.Dropout(0.5, name=f"drop{number}")(x)
        return classifier(x, classes)

    return finished(image, last_maps(maps), top, include_top, pooling, weights, name)


def overfeat_backbone(
    image: keras.KerasTensor,
    variant: str = "fast",
    stem: str = "imagenet",
    width: float = 1.0,
    initialization: str = "normal",
    every_offset: bool = False,
) -> dict[str, keras.KerasTensor]:
    """The feature maps of OverFeat: conv1 to pool5 of the fast net, to pool6 of the accurate one.

    Args:
        image: the `keras.Input` [N, H, W, channels].
        variant, stem, width, initialization: as of `OverFeat`, which checks them.
        every_offset: whether the last pooling is taken at every offset, as of `OffsetMaxPooling2D`.

    Returns:
        as `feature_maps`: conv1, pool1, conv2, pool2, conv3, ...
    """
    x = image
    convolutions = _convolutions(variant, stem)
    for number, (maps, window, stride, padding, pool) in enumerate(convolutions, 1):
        x = layers.Conv2D(
            scaled(maps, width),
            window,
            stride,
            padding,
            data_format="channels_last",
            activation="relu",
            kernel_initializer=INITIALIZATIONS[initialization](),
            name=f"conv{number}",
        )(x)
        pooled = f"pool{number}"
        if number == len(convolutions):
            x = OffsetMaxPooling2D(pool, every_offset, "channels_last", name=pooled)(x)
        elif pool > 1:
            x = layers.MaxPooling2D(pool, data_format="channels_last", name=pooled)(x)
    return feature_maps(image, x)


def _convolutions(variant: str, stem: str) -> tuple[Convolution, ...]:
    published = VARIANTS[variant].convolutions
    if stem == "imagenet":
        return published
    pools = [one._replace(pool=min(one.pool, 2)) for one in published]
    first = [one._replace(window=5, stride=1, padding="same") for one in pools[:2]]
    return (*first, *pools[2:])
