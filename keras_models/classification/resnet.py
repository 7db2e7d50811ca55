"""Residual networks: He, Zhang, Ren, Sun, Deep Residual Learning for Image Recognition, 2015
(CVPR 2016), section 3 and Table 1."""

import functools

import keras
from keras import initializers, layers, ops

from keras_models.classification.building import (
    block_name,
    checked_choice,
    checked_classes,
    checked_shape,
    feature_maps,
    last_maps,
)
from keras_models.classification.resnet_weights import published_resnet
from keras_models.classification.top import Ending, finished

# Blocks of conv2_x, conv3_x, conv4_x, conv5_x (Table 1).
BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
SHORTCUTS = ("A", "B", "C")
# The strides of the net multiply to 32.
SMALLEST_SIDE = 32
# That of keras.applications, so that its weights give the same answers here.
EPSILON = 1.001e-5


def ResNet18(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    shortcut: str = "A",
    include_top: bool = True,
    pooling: str | None = None,
    weights: str | None = None,
    name: str = "resnet18",
) -> keras.Model:
    """The residual net of 18 layers; 1.8 G multiply-adds. As `ResNet34`."""
    checked_choice("shortcut", shortcut, SHORTCUTS)
    ending = Ending(include_top, pooling, weights, name)
    return _network(18, input_shape, classes, shortcut, ending)


def ResNet34(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    shortcut: str = "A",
    include_top: bool = True,
    pooling: str | None = None,
    weights: str | None = None,
    name: str = "resnet34",
) -> keras.Model:
    """The residual net of 34 layers; 3.6 G multiply-adds.

    Blocks of two 3 x 3 convolutions (Figure 5 left), each convolution without bias and followed by
    batch normalisation; the sum with the shortcut before the second ReLU. Where a stage begins,
    the first convolution has stride 2 and the shortcut follows `shortcut`. Layers are named as in
    the authors' models: conv1, pool1, res2a_branch2a, ..., res2a (the sum), ..., pool5; past six
    blocks a, b1, b2, ... Weights start as He, Zhang, Ren, Sun 2015, Eqn. 10.

    Args:
        input_shape: height, width and channels, each side at least 32, or None without the top. The
            paper's pictures are RGB minus the mean of the training pictures at each pixel, not
            divided.
        classes: 2 or more.
        shortcut: where the size changes, "A" subsamples and fills the new maps with zeros (no
            parameters), "B" is a 1 x 1 convolution; with "C" every shortcut is a 1 x 1
            convolution (section 4.1 and Table 3). Table 2 is with A.
        include_top: whether the net ends with its classifier; without it, with the maps before
            pool5.
        pooling: without the top, "avg" or "max" over all positions of the maps; None for the maps.
        weights: path of a .weights.h5 or .keras file, or None for a random start.
        name: of the model.

    Returns:
        a model [N, H, W, channels] -> float32 logits [N, classes].

    Raises:
        ValueError: too small an input, an unknown shortcut, too few classes.
    """
    checked_choice("shortcut", shortcut, SHORTCUTS)
    ending = Ending(include_top, pooling, weights, name)
    return _network(34, input_shape, classes, shortcut, ending)


def Plain18(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    include_top: bool = True,
    pooling: str | None = None,
    weights: str | None = None,
    name: str = "plain18",
) -> keras.Model:
    """`ResNet18` without shortcuts."""
    ending = Ending(include_top, pooling, weights, name)
    return _network(18, input_shape, classes, None, ending)


def Plain34(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    include_top: bool = True,
    pooling: str | None = None,
    weights: str | None = None,
    name: str = "plain34",
) -> keras.Model:
    """`ResNet34` without shortcuts (Figure 3 middle); 3.6 G multiply-adds."""
    ending = Ending(include_top, pooling, weights, name)
    return _network(34, input_shape, classes, None, ending)


def ResNet50(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    shortcut: str = "B",
    include_top: bool = True,
    pooling: str | None = None,
    weights: str | None = None,
    name: str = "resnet50",
) -> keras.Model:
    """The residual net of 50 layers; 25,557,032 trainable parameters, 3.8 G multiply-adds.

    Blocks of 1 x 1, 3 x 3 and 1 x 1 convolutions (Figure 5 right). Where a stage begins, the first
    1 x 1 convolution has the stride, as in the authors' models. The rest as `ResNet34`.

    Args:
        input_shape, classes, include_top, pooling, name: as `ResNet34`.
        shortcut: as `ResNet34`. Table 4 is with B.
        weights: also "imagenet", with shortcut "B": those of keras.applications, downloaded, for
            pictures of any size. They want RGB as `preprocess_input` makes it. With other than
            1,000 classes all but the logits get them.

    Returns, raises: as `ResNet34`; FileNotFoundError where ImageNet weights cannot be downloaded,
        with the file that is wanted.
    """
    checked_choice("shortcut", shortcut, SHORTCUTS)
    ending = Ending(include_top, pooling, weights, name)
    return _bottleneck(50, input_shape, classes, shortcut, ending)


def ResNet101(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    shortcut: str = "B",
    include_top: bool = True,
    pooling: str | None = None,
    weights: str | None = None,
    name: str = "resnet101",
) -> keras.Model:
    """The residual net of 101 layers; 7.6 G multiply-adds. As `ResNet50`."""
    checked_choice("shortcut", shortcut, SHORTCUTS)
    ending = Ending(include_top, pooling, weights, name)
    return _bottleneck(101, input_shape, classes, shortcut, ending)


def ResNet152(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    shortcut: str = "B",
    include_top: bool = True,
    pooling: str | None = None,
    weights: str | None = None,
    name: str = "resnet152",
) -> keras.Model:
    """The residual net of 152 layers; 11.3 G multiply-adds. As `ResNet50`."""
    checked_choice("shortcut", shortcut, SHORTCUTS)
    ending = Ending(include_top, pooling, weights, name)
    return _bottleneck(152, input_shape, classes, shortcut, ending)


def normalized_convolution(x, filters: int, size: int, stride: int, name: str):
    """A convolution without bias and its batch normalisation, named as in the authors' models.

    Windows are centred on the pixels 0, stride, 2 stride, ..., like those of the shortcuts.
    """
    padding = "same"
    if stride > 1 and size > 1:
        # Padding "same" would centre them one pixel further.
        x = layers.ZeroPadding2D(size // 2, data_format="channels_last", name=f"{name}_pad")(x)
        padding = "valid"
    x = layers.Conv2D(
        filters,
        size,
        strides=stride,
        padding=padding,
        data_format="channels_last",
        use_bias=False,
        kernel_initializer=he(),
        name=name,
    )(x)
    normalization = f"bn{name.removeprefix('res')}" if name.startswith("res") else f"bn_{name}"
    return layers.BatchNormalization(momentum=0.9, epsilon=EPSILON, name=normalization)(x)


def basic_block(x, filters: int, stride: int, shortcut: str | None, name: str):
    """Two 3 x 3 convolutions (Figure 5 left); without a shortcut when `shortcut` is None."""
    y = normalized_convolution(x, filters, 3, stride, f"{name}_branch2a")
    y = layers.ReLU(name=f"{name}_branch2a_relu")(y)
    y = normalized_convolution(y, filters, 3, 1, f"{name}_branch2b")
    return _sum(x, y, stride, shortcut, name)


def classified(x, classes: int):
    """Global average pooling and the logits."""
    x = layers.GlobalAveragePooling2D(data_format="channels_last", name="pool5")(x)
    return layers.Dense(classes, kernel_initializer=he(), dtype="float32", name="logits")(x)


def he() -> initializers.Initializer:
    """N(0, 2 / fan-in): He, Zhang, Ren, Sun, Delving Deep into Rectifiers, 2015, Eqn. 10."""
    return initializers.VarianceScaling(2.0, "fan_in", "untruncated_normal")


@keras.saving.register_keras_serializable("keras_models")
class ZeroPaddedShortcut(layers.Layer):
    """Option A of section 3.3: every `stride`-th pixel, and zeros for the maps that are new.

    [N, H, W, C] -> [N, ceil(H / stride), ceil(W / stride), filters]; no parameters.
    """

    def __init__(self, filters: int, stride: int, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.stride = stride

    def call(self, x):
        x = x[:, :: self.stride, :: self.stride]
        return ops.pad(x, ((0, 0), (0, 0), (0, 0), (0, self.filters - x.shape[-1])))

    def compute_output_shape(self, input_shape):
        n, *sides, _ = input_shape
        sides = [side and -(-side // self.stride) for side in sides]
        return (n, *sides, self.filters)

    def get_config(self):
        return super().get_config() | {"filters": self.filters, "stride": self.stride}


def residual_stage(
    x: keras.KerasTensor, stage: int, depth: int, shortcut: str | None
) -> keras.KerasTensor:
    """A stage of Table 1, conv2_x to conv5_x.

    Args:
        x: [N, H, W, C].
        stage: 2 to 5.
        depth: of the net, one of `BLOCKS`.
        shortcut: as of `ResNet34`; None for plain nets.
    """
    block = basic_block if depth < 50 else _bottleneck_block
    count = BLOCKS[depth][stage - 2]
    for i in range(count):
        stride = 2 if i == 0 and stage > 2 else 1
        x = block(x, 32 * 2 ** (stage - 1), stride, shortcut, block_name(stage, i, count))
    return x


def resnet_backbone(
    image: keras.KerasTensor, depth: int = 50, shortcut: str | None = "B", last_stage: int = 5
) -> dict[str, keras.KerasTensor]:
    """The feature maps of a net of Table 1, without its classifier.

    Args:
        image: the `keras.Input` [N, H, W, channels].
        depth: 18, 34, 50, 101 or 152.
        shortcut: as of `ResNet34`; None for plain nets.
        last_stage: the maps end behind conv2_x to conv5_x.

    Returns:
        as `feature_maps`: conv1, bn_conv1, conv1_relu, pool1, ..., res2a, res2a_relu, ...,
        res5c_relu.
    """
    x = normalized_convolution(image, 64, 7, 2, "conv1")
    x = layers.ReLU(name="conv1_relu")(x)
    # After a ReLU zeros are never a maximum that the window does not have.
    x = layers.ZeroPadding2D(1, data_format="channels_last", name="pool1_pad")(x)
    x = layers.MaxPooling2D(3, strides=2, data_format="channels_last", name="pool1")(x)
    for stage in range(2, last_stage + 1):
        x = residual_stage(x, stage, depth, shortcut)
    return feature_maps(image, x)


def _bottleneck(depth, input_shape, classes, shortcut, ending):
    published = functools.partial(published_resnet, depth) if shortcut == "B" else None
    return _network(depth, input_shape, classes, shortcut, ending, published)


def _bottleneck_block(x, filters, stride, shortcut, name):
    """1 x 1 to `filters` maps, 3 x 3, 1 x 1 to four times as many (Figure 5 right)."""
    y = normalized_convolution(x, filters, 1, stride, f"{name}_branch2a")
    y = layers.ReLU(name=f"{name}_branch2a_relu")(y)
    y = normalized_convolution(y, filters, 3, 1, f"{name}_branch2b")
    y = layers.ReLU(name=f"{name}_branch2b_relu")(y)
    y = normalized_convolution(y, 4 * filters, 1, 1, f"{name}_branch2c")
    return _sum(x, y, stride, shortcut, name)


def _sum(x, y, stride, shortcut, name):
    """relu(shortcut of x + y), Eqns. 1 and 2."""
    if shortcut is not None:
        filters = y.shape[-1]
        changes = stride > 1 or x.shape[-1] != filters
        if shortcut == "C" or (shortcut == "B" and changes):
            x = normalized_convolution(x, filters, 1, stride, f"{name}_branch1")
        elif changes:
            x = ZeroPaddedShortcut(filters, stride, name=f"{name}_branch1")(x)
        y = layers.Add(name=name)([x, y])
    return layers.ReLU(name=f"{name}_relu")(y)


def _network(depth, input_shape, classes, shortcut, ending, published=None):
    shape = checked_shape(input_shape, SMALLEST_SIDE, not ending.include_top)
    image = keras.Input(shape, name="image")
    top = functools.partial(classified, classes=checked_classes(classes))
    maps = resnet_backbone(image, depth, shortcut)
    return finished(image, last_maps(maps), top, *ending, published)
