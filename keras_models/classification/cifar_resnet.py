"""The residual networks for CIFAR-10: He, Zhang, Ren, Sun, Deep Residual Learning for Image
Recognition, 2015, section 4.2 and Table 6."""

import functools

import keras
from keras import layers

from keras_models.classification.building import (
    block_name,
    checked_classes,
    checked_shape,
    feature_maps,
    last_maps,
    recursion,
)
from keras_models.classification.resnet import basic_block, classified, normalized_convolution
from keras_models.classification.top import Ending, finished

FILTERS = (16, 32, 64)
# Two strides of 2, and 3 x 3 windows.
SMALLEST_SIDE = 8


def CifarResNet(
    depth: int = 20,
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    filters: tuple[int, int, int] = FILTERS,
    include_top: bool = True,
    pooling: str | None = None,
    weights: str | None = None,
    name: str | None = None,
) -> keras.Model:
    """The residual net of 6n+2 layers for pictures of 32 x 32.

    A 3 x 3 convolution, then three stages of n blocks of two 3 x 3 convolutions with 16, 32 and
    64 maps of 32 x 32, 16 x 16 and 8 x 8, global average pooling and the classifier. All
    shortcuts are identities (option A), so it has exactly the parameters of `CifarPlainNet`:
    0.27, 0.46, 0.66, 0.85, 1.7 and 19.4 million at 20, 32, 44, 56, 110 and 1202 layers. Blocks are
    named as those of `ResNet34`: stages res2, res3, res4. At 1202 layers `keras.models.load_model`
    and `keras.Model` of parts need `building.recursion()` around them; `weights` does not.

    Args:
        depth: 6n+2: 8, 14, 20, ...
        input_shape: height, width and channels, each side at least 8, or None without the top. The
            paper's pictures are RGB minus the mean of the training pictures at each pixel.
        classes: 2 or more.
        filters: maps of the three stages; (16, 32, 64) is published.
        include_top: whether the net ends with its classifier; without it, with the
            maps before pool5.
        pooling: without the top, "avg" or "max" over all positions of the maps; None for the maps.
        weights: path of a .weights.h5 or .keras file, or None for a random start.
        name: of the model; by default "cifar_resnet" and the depth.

    Returns:
        a model [N, H, W, channels] -> float32 logits [N, classes].

    Raises:
        ValueError: a depth that is not 6n+2, not three stages, too small an input, too few classes.
    """
    ending = Ending(include_top, pooling, weights, name or f"cifar_resnet{depth}")
    return _network(depth, input_shape, classes, filters, "A", ending)


def CifarPlainNet(
    depth: int = 20,
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    filters: tuple[int, int, int] = FILTERS,
    include_top: bool = True,
    pooling: str | None = None,
    weights: str | None = None,
    name: str | None = None,
) -> keras.Model:
    """`CifarResNet` without shortcuts; the paper trains 20, 32, 44, 56 layers (and 110 in vain)."""
    ending = Ending(include_top, pooling, weights, name or f"cifar_plain{depth}")
    return _network(depth, input_shape, classes, filters, None, ending)


def _network(depth, input_shape, classes, filters, shortcut, ending):
    if len(filters) != len(FILTERS):
        raise ValueError(f"filters must be the maps of the three stages, not {filters!r}.")
    if depth < 8 or depth % 6 != 2:
        raise ValueError(f"depth must be 6n+2 (8, 14, 20, ...), not {depth!r}.")
    shape = checked_shape(input_shape, SMALLEST_SIDE, not ending.include_top)
    image = keras.Input(shape, name="image")
    top = functools.partial(classified, classes=checked_classes(classes))
    with recursion(4 * depth):
        maps = cifar_resnet_backbone(image, depth, filters, shortcut)
        return finished(image, last_maps(maps), top, *ending)


def cifar_resnet_backbone(
    image: keras.KerasTensor,
    depth: int = 20,
    filters: tuple[int, int, int] = FILTERS,
    shortcut: str | None = "A",
) -> dict[str, keras.KerasTensor]:
    """The feature maps of a net, without its classifier.

    Args:
        image: the `keras.Input` [N, H, W, channels].
        depth, filters: as of `CifarResNet`, which checks them.
        shortcut: "A", or None for the plain nets.

    Returns:
        as `feature_maps`: conv1, bn_conv1, conv1_relu, ..., res2a, res2a_relu, ...
    """
    blocks = depth // 6
    x = normalized_convolution(image, filters[0], 3, 1, "conv1")
    x = layers.ReLU(name="conv1_relu")(x)
    for stage, maps in enumerate(filters, start=2):
        for i in range(blocks):
            stride = 2 if i == 0 and stage > 2 else 1
            x = basic_block(x, maps, stride, shortcut, block_name(stage, i, blocks))
    return feature_maps(image, x)
