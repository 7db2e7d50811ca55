"""Simonyan, Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition,
ICLR 2015: the nets of Table 1, and the shallow one that section 4.1 compares B with."""

import functools
from collections.abc import Collection

import keras
from keras import layers

from keras_models.classification import imagenet_weights
from keras_models.classification.building import (
    checked_choice,
    checked_classes,
    checked_shape,
    feature_maps,
    scaled,
)
from keras_models.classification.top import finished
from keras_models.layers import LocalResponseNormalization

# Table 1: (maps, side of the window) of the convolutions of each stage; a max pooling ends it.
CONFIGURATIONS: dict[str, tuple[tuple[tuple[int, int], ...], ...]] = {
    "A": (((64, 3),), ((128, 3),), ((256, 3),) * 2, ((512, 3),) * 2, ((512, 3),) * 2),
    "B": (((64, 3),) * 2, ((128, 3),) * 2, ((256, 3),) * 2, ((512, 3),) * 2, ((512, 3),) * 2),
    "C": (
        ((64, 3),) * 2,
        ((128, 3),) * 2,
        ((256, 3), (256, 3), (256, 1)),
        ((512, 3), (512, 3), (512, 1)),
        ((512, 3), (512, 3), (512, 1)),
    ),
    "D": (((64, 3),) * 2, ((128, 3),) * 2, ((256, 3),) * 3, ((512, 3),) * 3, ((512, 3),) * 3),
    "E": (((64, 3),) * 2, ((128, 3),) * 2, ((256, 3),) * 4, ((512, 3),) * 4, ((512, 3),) * 4),
}
CONFIGURATIONS["A-LRN"] = CONFIGURATIONS["A"]
# Section 4.1: B with one convolution of 5 x 5 in place of each pair of 3 x 3.
CONFIGURATIONS["B-5x5"] = tuple(((stage[0][0], 5),) for stage in CONFIGURATIONS["B"])
# Section 3.1: normal with variance 10^-2, which trains net A only, or Glorot and Bengio's. He et
# al. 2015, section 2.2, is what starts nets with fewer maps too.
INITIALIZATIONS = {
    "normal": lambda: keras.initializers.RandomNormal(stddev=0.1),
    "glorot": keras.initializers.GlorotUniform,
    "he": keras.initializers.HeNormal,
}
# Five poolings halve the sides.
SMALLEST_SIDE = 32
# Section 3.1: what deeper nets take over from a trained net A.
FROM_NET_A = ("conv1_1", "conv2_1", "conv3_1", "conv3_2", "fc6", "fc7", "logits")


def VGG(
    configuration: str = "D",
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    units: int = 4096,
    width: float = 1.0,
    initialization: str = "glorot",
    include_top: bool = True,
    pooling: str | None = None,
    weights: str | None = None,
    name: str | None = None,
) -> keras.Model:
    """A net of Table 1: stages of 3 x 3 convolutions (1 x 1 too in C), each ended by a 2 x 2 max
    pooling, and three fully connected layers; dropout 0.5 on the first two.

    The layers are named conv1_1, conv1_2, pool1, ..., pool5, fc6, fc7, logits. At 1,000 classes
    A and A-LRN have 132,863,336 parameters, B 133,047,848, C 133,638,952, D 138,357,544 and
    E 143,667,240 (Table 2: 133, 133, 134, 138, 144 million). "B-5x5" is not in the table: five
    convolutions of 5 x 5 with the receptive fields of B's ten, whose error is 7 points higher
    (section 4.1); 134,503,528 parameters.

    Args:
        configuration: "A", "A-LRN", "B", "B-5x5", "C", "D" (16 layers with weights) or "E" (19).
        input_shape: height, width and channels, each side at least 32, or None without the top. The
            paper's pictures are RGB, 0..255, minus the mean RGB of the training set; not divided.
        classes: 2 or more.
        units: width of fc6 and fc7; fewer for small pictures.
        width: the numbers of maps are multiplied by this and rounded; 1.0 is published.
        initialization: "glorot" uniform, which trains every net from scratch, or "normal", zero
            mean and variance 10^-2, with which the paper trains A and lets the others start from
            it (`start_from_net_a`). Biases are zero (section 3.1). "he" is not in the paper: He et
            al. 2015, section 2.2, which trains narrow nets too.
        include_top: whether the net ends with its classifier; without it, with the maps of pool5.
        pooling: without the top, "avg" or "max" over all positions of the maps; None for the maps.
        weights: path of a .weights.h5 or .keras file; "imagenet" for D and E of the published
            width, keras.applications' weights (downloaded), which want RGB as `preprocess_input`
            makes it; or None for a random start. With other sides than 224, other units or without
            the top the convolutions alone get them; with other than 1,000 classes all but the
            logits.
        name: of the model; None for "vgg_d" and the like.

    Returns:
        a model [N, H, W, channels] -> float32 logits [N, classes].

    Raises:
        ValueError: an unknown configuration or initialization, too small an input, fewer than 2
            classes, a width that is not positive, "imagenet" for a net that keras.applications does
            not have.
        FileNotFoundError: ImageNet weights that cannot be downloaded; the text says which file to
            put where.
    """
    checked_choice("configuration", configuration, CONFIGURATIONS)
    checked_choice("initialization", initialization, INITIALIZATIONS)
    initializer = INITIALIZATIONS[initialization]
    image = keras.Input(checked_shape(input_shape, SMALLEST_SIDE, not include_top), name="image")
    maps = vgg_backbone(image, configuration, width, initialization)

    def top(x):
        x = layers.Flatten(name="flat")(x)
        for fc in ("fc6", "fc7"):
            x = layers.Dense(units, "relu", kernel_initializer=initializer(), name=fc)(x)
            x = layers.Dropout(0.5, name=f"drop{fc[-1]}")(x)
        return layers.Dense(
            checked_classes(classes),
            kernel_initializer=initializer(),
            dtype="float32",
            name="logits",
        )(x)

    name = name or f"vgg_{configuration.lower()}"
    published = None
    if configuration in imagenet_weights.VGG:
        published = functools.partial(imagenet_weights.published_vgg, configuration)
    return finished(image, maps["pool5"], top, include_top, pooling, weights, name, published)


def VGG16(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    include_top: bool = True,
    pooling: str | None = None,
    weights: str | None = None,
    name: str = "vgg16",
) -> keras.Model:
    """Configuration D of Table 1, 16 layers with weights; 138,357,544 parameters.

    Args, returns, raises: as `VGG`.
    """
    return VGG(
        "D",
        input_shape,
        classes,
        include_top=include_top,
        pooling=pooling,
        weights=weights,
        name=name,
    )


def VGG19(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    include_top: bool = True,
    pooling: str | None = None,
    weights: str | None = None,
    name: str = "vgg19",
) -> keras.Model:
    """Configuration E of Table 1, 19 layers with weights; 143,667,240 parameters.

    Args, returns, raises: as `VGG`.
    """
    return VGG(
        "E",
        input_shape,
        classes,
        include_top=include_top,
        pooling=pooling,
        weights=weights,
        name=name,
    )


def vgg_backbone(
    image: keras.KerasTensor,
    configuration: str = "D",
    width: float = 1.0,
    initialization: str = "glorot",
    unpadded: Collection[str] = (),
) -> dict[str, keras.KerasTensor]:
    """The feature maps of a VGG net: conv1_1 to pool5, without the fully connected layers.

    Args:
        image: the `keras.Input` [N, H, W, channels].
        configuration, width, initialization: as of `VGG`, which checks them.
        unpadded: names of the convolutions that get no zeros around their maps; none in VGG.

    Returns:
        as `feature_maps`: conv1_1, conv1_2, pool1, ..., pool5.
    """
    initializer = INITIALIZATIONS[initialization]
    x = image
    for stage, convolutions in enumerate(CONFIGURATIONS[configuration], 1):
        for number, (filters, window) in enumerate(convolutions, 1):
            name = f"conv{stage}_{number}"
            x = layers.Conv2D(
                scaled(filters, width),
                window,
                padding="valid" if name in unpadded else "same",
                data_format="channels_last",
                activation="relu",
                kernel_initializer=initializer(),
                name=name,
            )(x)
        if configuration == "A-LRN" and stage == 1:
            # Table 1 has the normalisation after the first convolution; its constants are
            # AlexNet's.
            x = LocalResponseNormalization(data_format="channels_last", name="norm1")(x)
        x = layers.MaxPooling2D(2, data_format="channels_last", name=f"pool{stage}")(x)
    return feature_maps(image, x)


def start_from_net_a(net: keras.Model, net_a: keras.Model) -> keras.Model:
    """Gives `net` the first four convolutions and the three fully connected layers of a trained
    net A; the others keep their random weights (section 3.1).

    The four are A's conv1_1, conv2_1, conv3_1 and conv3_2, which go to the layers of that name.

    Args:
        net: B, C, D or E.
        net_a: A or A-LRN with as many classes, units and channels, and of the same input size.

    Returns:
        `net`.
    """
    for name in FROM_NET_A:
        net.get_layer(name).set_weights(net_a.get_layer(name).get_weights())
    return net
