"""The parts of the multi-scale nets of Eigen, Puhrsch, Fergus 2014 and Eigen, Fergus 2015: what the
coarsest scale sees of a picture, what the finer ones see, and which layers are whose."""

from collections.abc import Collection

import keras
import numpy as np
from keras import layers

from keras_models.classification import imagenet_weights
from keras_models.classification.alexnet import alexnet_backbone
from keras_models.classification.building import checked_choice, checked_shape, scaled
from keras_models.classification.published import with_imagenet_weights
from keras_models.classification.top import start_from_file, with_weights
from keras_models.classification.vgg import vgg_backbone
from keras_models.depth.cropping import MARGIN, POOL, STRIDE, WINDOW

# Convolutions of scale 1, and the smallest side that they leave something of.
BACKBONES = {"alexnet": 55, "vgg": 36}
# Figure 1 of 2014 has maps of 37 x 27, 18 x 13 and 8 x 6 of pictures of 304 x 228.
ALEXNET_POOLS = {1: 2, 2: 2, 5: 3}
# Figure 1 of 2015 has maps of 150 x 112 after the first stage.
VGG_UNPADDED = ("conv1_1", "conv1_2")
# The pixel of the picture that the first of the answers stands for, in either direction.
FIRST_PIXEL = 5


def picture(input_shape: tuple[int, int, int], backbone: str) -> keras.KerasTensor:
    """The input of a net.

    Raises:
        ValueError: an unknown backbone, too small an input.
    """
    smallest = BACKBONES[checked_choice("backbone", backbone, BACKBONES)]
    return keras.Input(checked_shape(input_shape, smallest), name="image")


def coarse_features(
    image: keras.KerasTensor, backbone: str, width: float, units: int, feature_scale: float
) -> keras.KerasTensor:
    """Scale 1 up to its first fully connected layer, [N, units] with dropout 0.5 in training."""
    if backbone == "vgg":
        maps = vgg_backbone(image, "D", width, "he", VGG_UNPADDED)
    else:
        maps = alexnet_backbone(
            image, width=width, initialization="he", pools=ALEXNET_POOLS, cover=False
        )
    x = layers.Rescaling(feature_scale, name="scale1_rescaled")(maps["pool5"])
    x = layers.Flatten(name="scale1_flat")(x)
    x = layers.Dense(units, "relu", kernel_initializer="he_normal", name="scale1_fc1")(x)
    return layers.Dropout(0.5, name="scale1_drop1")(x)


def bordered(pixels: keras.KerasTensor) -> keras.KerasTensor:
    """The picture with the zeros around it that `fine_features` takes."""
    return layers.ZeroPadding2D(MARGIN, data_format="channels_last", name="scale2_margin")(pixels)


def fine_features(
    pixels: keras.KerasTensor, filters: int, pool_stride: int, scale: str
) -> keras.KerasTensor:
    """What a finer scale sees of the picture: 9 x 9 windows with stride 2, maxima of 3 x 3.

    Args:
        pixels: of `bordered`.
        filters: of the convolution.
        pool_stride: of the maxima: 2 for maps of a quarter of the picture's sides, 1 for a half.
        scale: the first part of the layers' names.
    """
    x = convolution(pixels, filters, WINDOW, f"{scale}_conv1", STRIDE, "valid")
    name = f"{scale}_pool1"
    return layers.MaxPooling2D(POOL, pool_stride, data_format="channels_last", name=name)(x)


def answer_sides(pixels: keras.KerasTensor, step: int) -> tuple[int, int]:
    """Height and width of the answers of a scale that has one for `step` pixels, 4 or 2.

    Args:
        pixels: of `bordered`.
    """
    return tuple(_answer_side(side, step) for side in pixels.shape[1:3])


def _answer_side(bordered_side: int, step: int) -> int:
    convolved = (bordered_side - WINDOW) // STRIDE + 1
    return (convolved - POOL) // (step // STRIDE) + 1


def answer_pixels(sides: tuple[int, int], step: int) -> tuple[slice, slice]:
    """Which rows and columns of a picture the answers stand for.

    They are the centres of what the finest scale sees for each: `depth[:, *answer_pixels(...)]` is
    the truth for answers of these sides, as in the authors' code.

    Args:
        sides: height and width of the answers, those of the output shape.
        step: pixels from one answer to the next: 4 for the nets of 2014 and for scale 2 of those of
            2015, 2 for scale 3.
    """
    rows, columns = (slice(FIRST_PIXEL, FIRST_PIXEL + side * step, step) for side in sides)
    return rows, columns


def answer_places(picture_side: int, answer_side: int) -> np.ndarray:
    """Where along a side of a picture the answers of a map stand, float64 [answer_side] in pixels.

    Args:
        picture_side: height or width of the picture.
        answer_side: that of the map. Of the sides that the nets of this package give, the places
            are those of `answer_pixels`; of others, such as the picture's own, the map covers the
            picture evenly.
    """
    for step in (2, 4):
        if answer_side == _answer_side(picture_side + 2 * MARGIN, step):
            return FIRST_PIXEL + step * np.arange(answer_side, dtype=np.float64)
    return (np.arange(answer_side) + 0.5) * picture_side / answer_side - 0.5


def convolution(
    x: keras.KerasTensor,
    filters: int,
    window: int,
    name: str,
    stride: int = 1,
    padding: str = "same",
    activation: str | None = "relu",
    dtype: str | None = None,
) -> keras.KerasTensor:
    """A convolution whose weights start by He et al. 2015, biases at 0: the papers do not say."""
    return layers.Conv2D(
        filters,
        window,
        stride,
        padding,
        data_format="channels_last",
        activation=activation,
        kernel_initializer="he_normal",
        dtype=dtype,
        name=name,
    )(x)


def layers_of_scales(net: keras.Model) -> dict[int, list[layers.Layer]]:
    """The layers of each scale, 1 to 3, in their order.

    Their names say whose they are: "scale2_...", "scale3_...", and of scale 1 "scale1_..." and the
    backbone's, conv1 to pool5 or conv1_1 to pool5. The input is nobody's.
    """
    found: dict[int, list[layers.Layer]] = {1: [], 2: [], 3: []}
    for layer in net.layers:
        if not isinstance(layer, layers.InputLayer):
            head = layer.name.partition("_")[0]
            found[int(head[5:]) if head in ("scale2", "scale3") else 1].append(layer)
    return {scale: members for scale, members in found.items() if members}


def train_scales(net: keras.Model, train: Collection[int]) -> keras.Model:
    """The net, of which the scales `train` are trained and the others fixed.

    Dropout of a fixed scale still draws at random in training, as in the authors' code.

    Raises:
        ValueError: a scale that the net does not have, or none.
    """
    scales = layers_of_scales(net)
    if not train or not set(train) <= set(scales):
        raise ValueError(f"train must be some of {tuple(scales)}, not {tuple(train)}.")
    for scale, members in scales.items():
        for layer in members:
            layer.trainable = scale in train
    return net


def finished(
    net: keras.Model, train: Collection[int], base: str | None, weights: str | None
) -> keras.Model:
    """The net with what its arguments of these names say."""
    if base == "imagenet":
        published = with_imagenet_weights(keras.applications.VGG16, include_top=False)
        imagenet_weights.vgg_convolutions_from_applications(published, net)
    elif base is not None:
        start_from_file(net, base, ("imagenet",))
    return train_scales(with_weights(net, weights), train)


def refined(
    x: keras.KerasTensor, filters: Collection[int], window: int, scale: str
) -> keras.KerasTensor:
    """Convolutions "..._conv2", "..._conv3", ... one after the other."""
    for number, maps in enumerate(filters, 2):
        x = convolution(x, maps, window, f"{scale}_conv{number}")
    return x


def scaled_maps(maps: Collection[int], width: float) -> tuple[int, ...]:
    """Published numbers of maps times `width`."""
    return tuple(scaled(number, width) for number in maps)
