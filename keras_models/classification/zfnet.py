"""Zeiler, Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014."""

import keras
from keras import layers

from keras_models.classification import building
from keras_models.classification.building import (
    INITIALIZATIONS,
    checked_choice,
    checked_shape,
    classifier,
    covering,
    feature_maps,
    normalization,
    scaled,
)
from keras_models.classification.top import finished

# Of conv1 and conv2: (window, stride, padding); and the smallest side that the poolings after
# them leave something of. "cifar" is not in the paper: it keeps pictures of 32 from vanishing.
STEMS = {
    "imagenet": (((7, 2, "valid"), (5, 2, "valid")), 44),
    "cifar": (((3, 1, "same"), (5, 1, "same")), 8),
}
# Section 3: filters whose root mean square exceeds it are scaled back to it.
MOST_RMS = 0.1


def ZFNet(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    maps: tuple[int, int, int] = (384, 384, 256),
    units: int = 4096,
    stem: str = "imagenet",
    width: float = 1.0,
    initialization: str = "normal",
    include_top: bool = True,
    pooling: str | None = None,
    weights: str | None = None,
    name: str = "zfnet",
) -> keras.Model:
    """The 8-layer net of Figure 3: AlexNet with a first layer of 7 x 7 windows and stride 2 and
    without towers.

    Maps of 110 (conv1), 55 (pool1), 26 (conv2), 13 (pool2 to conv5) and 6 (pool5) a side for
    pictures of 224. Contrast normalisation across maps follows the first two poolings, dropout
    0.5 the fully connected layers. Weights start normal with standard deviation 10^-2 (the paper
    says "initialized to 10^-2"), biases at 0, and the convolutions' filters are kept from a root
    mean square above 10^-1 in training (section 3). The paper does not print the constants of
    the normalisation; they are AlexNet's.

    Args:
        input_shape: height, width and channels, each side at least 44 (8 with the "cifar" stem).
            The paper's pictures are RGB minus the mean picture of the training set.
        classes: 2 or more.
        maps: of conv3, conv4 and conv5; Table 3 has (512, 1024, 512) too.
        units: width of fc6 and fc7; Table 3 has 2,048 and 8,192 too.
        stem: "imagenet", or "cifar" for pictures of about 32: conv1 of 3 x 3, no strides.
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
        ValueError: an unknown stem or initialization, not three maps, too small an input, fewer
            than 2 classes, a width that is not positive.
    """
    checked_choice("stem", stem, STEMS)
    checked_choice("initialization", initialization, INITIALIZATIONS)
    image = keras.Input(checked_shape(input_shape, STEMS[stem][1]), name="image")
    found = zfnet_backbone(image, maps, stem, width, initialization)

    def top(x):
        x = layers.Flatten(name="flat")(x)
        for number in (6, 7):
            x = layers.Dense(
                units,
                "relu",
                kernel_initializer=INITIALIZATIONS[initialization](),
                name=f"fc{number}",
            )(x)
            x = layers.Dropout(0.5, name=f"drop{number}")(x)
        return classifier(x, classes)

    return finished(image, found["pool5"], top, include_top, pooling, weights, name)


def zfnet_backbone(
    image: keras.KerasTensor,
    maps: tuple[int, int, int] = (384, 384, 256),
    stem: str = "imagenet",
    width: float = 1.0,
    initialization: str = "normal",
    centred: bool = False,
) -> dict[str, keras.KerasTensor]:
    """The feature maps of the net: conv1 to pool5, without the fully connected layers.

    Args:
        image: the `keras.Input` [N, H, W, channels].
        maps, stem, width, initialization: as of `ZFNet`, which checks stem and initialization.
        centred: whether zeros on all sides centre the windows on the pixels 0, 16, 32, ..., so that
            a place of the maps is one of the picture, as in the authors' code of spatial pyramid
            pooling and Faster R-CNN. Sides may be None then.

    Returns:
        as `feature_maps`: conv1, pool1, norm1, ..., conv5, pool5.

    Raises:
        ValueError: not three maps, a width that is not positive.
    """
    (first, second), _ = STEMS[stem]
    if len(maps) != 3:
        raise ValueError(f"maps must be those of conv3, conv4 and conv5, not {maps!r}.")
    initializer = INITIALIZATIONS[initialization]

    def bordered(x, window, stride, name):
        """`x` with what of zeros the windows need."""
        if not centred:
            return covering(x, window, stride, name)
        return layers.ZeroPadding2D(window // 2, data_format="channels_last", name=name)(x)

    def pooled(x, number):
        # After a ReLU zeros are never a maximum that the window does not have.
        return building.pooling(bordered(x, 3, 2, f"pool{number}_padding"), number, cover=False)

    def convolution(x, number, maps, window, stride=1, padding="same"):
        if padding == "valid":
            x = bordered(x, window, stride, f"conv{number}_padding")
        inputs = window * window * x.shape[-1]
        return layers.Conv2D(
            scaled(maps, width),
            window,
            stride,
            padding,
            data_format="channels_last",
            activation="relu",
            kernel_initializer=initializer(),
            # A filter of n weights with that root mean square has a norm of sqrt(n) times it.
            kernel_constraint=keras.constraints.MaxNorm(MOST_RMS * inputs**0.5, axis=[0, 1, 2]),
            name=f"conv{number}",
        )(x)

    x = normalization(pooled(convolution(image, 1, 96, *first), 1), 1)
    x = normalization(pooled(convolution(x, 2, 256, *second), 2), 2)
    for number, published in zip((3, 4, 5), maps, strict=True):
        x = convolution(x, number, published, 3)
    return feature_maps(image, pooled(x, 5))
