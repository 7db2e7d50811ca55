"""Eigen, Fergus, Predicting Depth, Surface Normals and Semantic Labels with a Common Multi-Scale
Convolutional Architecture, ICCV 2015."""

from collections.abc import Mapping, Sequence

import keras
from keras import layers

from keras_models.classification.building import checked_choice, scaled
from keras_models.depth.cropping import CropTrained, TrainingCrop, WholeMap
from keras_models.depth.scales import (
    answer_sides,
    bordered,
    coarse_features,
    convolution,
    fine_features,
    finished,
    picture,
    refined,
    scaled_maps,
)
from keras_models.layers import UnitVectors

WINDOW = 5
# Maps of scale 1's answer, and how many answers of scale 2 there are for one of them, a side.
COARSE_MAPS, COARSE_STEP = 64, 4
# Maps of the first convolution of scales 2 and 3, and of those between it and the answer. In the
# drawing, scale 2's answer takes the place of one of the 64.
CHANNELS = {
    "table": {2: (96, (64, 64, 64)), 3: (96, (64, 64))},
    "drawing": {2: (64, (64, 64)), 3: (64, (64, 64))},
}
# Channels of each answer.
ANSWERS = {"depth": 1, "normals": 3}


def MultiScaleDepth(
    input_shape: tuple[int, int, int] = (228, 304, 3),
    answers: Sequence[str] = ("depth",),
    scales: int = 3,
    backbone: str = "alexnet",
    channels: str = "table",
    width: float = 1.0,
    units: int = 4096,
    feature_scale: float = 0.01,
    pixel_scale: float = 1 / 76.18,
    train: Sequence[int] | None = None,
    crop: Sequence[int] | None = None,
    base: str | None = None,
    weights: str | None = None,
    name: str = "multi_scale_depth",
) -> keras.Model:
    """The net of Figure 1 for depth, for surface normals, or for both.

    Scale 1: the convolutions of AlexNet or VGG D, a fully connected layer with dropout 0.5 and one
    of 64 maps of 14 x 19, which are enlarged to scale 2's. Scale 2: maps of 9 x 9 windows with
    stride 2 and pooling of the picture, joined to scale 1's, convolutions of 5 x 5 and an answer of
    55 x 74. Scale 3: such maps at twice the resolution, joined to scale 2's answer, convolutions
    and the answer of 109 x 147, for pictures of 228 x 304 (crops of 240 x 320).
    `scales.answer_pixels` says where the answers are, every 4th pixel in scale 2, every 2nd in
    scale 3.

    Section 3 trains scales 1 and 2 jointly, `scales=2`, then scale 3 with the others fixed on
    random crops of 55 x 74, `train=(3,), crop=(55, 74), base=...`.

    With two answers, scale 1 is shared by the two tasks (section 4.4), and so are the first
    convolutions of scales 2 and 3, as in the authors' code; the layers behind them are there once
    a task. Scale 3 of either sees both answers of scale 2.

    At the published size, with the table's channels, the AlexNet net for depth has 123,185,922
    parameters (for both 123,923,848) and the VGG net for depth 217,355,458.

    Different from the authors' code: AlexNet's convolutions have its two towers, so that its
    weights fit; log depths are not divided by their standard deviation, 0.457; scale 2's answer has
    no bias of its own for each pixel. Where the code lets scale 2's answer take the place of some
    of the table's 96 maps of scale 3, here all of them stay, as in the table.

    Args:
        input_shape: height, width and channels, each side at least 55 (36 with "vgg"). RGB of
            0..255 minus the mean of the training set.
        answers: some of "depth" and "normals".
        scales: 3, or 2: the net without scale 3.
        backbone: "alexnet" or "vgg", the convolutions of scale 1.
        channels: "table" for the numbers of maps in the paper's table: 96 maps of the picture
            joined to scale 1's 64, then three layers of 64; 96 joined to scale 2's answer, then two
            layers of 64. "drawing" for those of the drawing that talks show: 64 joined to 64, then
            two layers of 64; 63 joined to scale 2's answer, then two layers of 64.
        width: all numbers of maps are multiplied by this and rounded; 1.0 is published.
        units: of the first fully connected layer.
        feature_scale: what the maps of the last pooling are multiplied by; 0.01 for the large ones
            of ImageNet nets on pixels of 0..255 (the authors' code), 1 for nets that start at
            random on small numbers.
        pixel_scale: what the pixels are multiplied by for scales 2 and 3, which have no
            normalisations: 1 over their standard deviation (76.18 on NYU in the authors' code).
        train: which scales are trained, as (1, 2) or (3,); None for all.
        crop: height and width of the crops of scale 3's answer in training, or None for the whole.
            In training the model then answers with -inf outside the crop, and its own
            `compute_loss` has NaN for the targets there.
        base: path of a trained net, a .keras file: AlexNet or VGG D of this package, or this net
            with the same or fewer scales; layers of the same names start from its weights.
            "imagenet" with "vgg" for those of keras.applications' VGG16 (downloaded).
        weights: path of a .weights.h5 or .keras file, or None for a random start.
        name: of the model.

    Returns:
        a model [N, H, W, channels] -> float32 log depths [N, h, w, 1], natural logarithm of metres,
        or unit normals [N, h, w, 3] (x to the right, y down, z into the scene); of two answers both
        by name.

    Raises:
        ValueError: an unknown backbone, channels or answer, no answer, other numbers of scales, too
            small an input, a width that is not positive, other scales to train, too large a crop, a
            crop without scale 3, a base that does not fit.
    """
    checked_choice("scales", scales, (2, 3))
    maps = CHANNELS[checked_choice("channels", channels, CHANNELS)]
    if crop is not None and scales < 3:
        raise ValueError("crop is for the training of scale 3, which scales=2 leaves out.")
    wanted = _checked_answers(answers)
    image = picture(input_shape, backbone)
    pixels = bordered(layers.Rescaling(pixel_scale, name="scale2_pixels")(image))
    x = coarse_features(image, backbone, width, units, feature_scale)
    coarse = _coarse_maps(x, answer_sides(pixels, 4), scaled(COARSE_MAPS, width))

    first, others = maps[2]
    x = fine_features(pixels, scaled(first, width), 2, "scale2")
    x = layers.Concatenate(name="scale2_join")([coarse, x])
    outputs = _answers(x, wanted, scaled_maps(others, width), "scale2")
    if scales == 3:
        first, others = maps[3]
        first = scaled(first, width) - (sum(wanted.values()) if channels == "drawing" else 0)
        filters = (max(1, first), *scaled_maps(others, width))
        outputs = _finest(pixels, outputs, wanted, filters, crop)
    kind = CropTrained if crop is not None else keras.Model
    outputs = outputs if len(outputs) > 1 else next(iter(outputs.values()))
    net = kind(image, outputs, name=name)
    return finished(net, range(1, scales + 1) if train is None else train, base, weights)


def _checked_answers(answers: Sequence[str]) -> dict[str, int]:
    """How many channels each of the answers has, in one order."""
    if not answers or not set(answers) <= set(ANSWERS):
        raise ValueError(f"answers must be some of {tuple(ANSWERS)}, not {answers!r}.")
    return {name: channels for name, channels in ANSWERS.items() if name in answers}


def _coarse_maps(x, sides: tuple[int, int], maps: int):
    """Scale 1's maps of features, enlarged to `sides`."""
    height, width = (-(-side // COARSE_STEP) for side in sides)
    x = layers.Dense(
        height * width * maps, "relu", kernel_initializer="he_normal", name="scale1_fc2"
    )(x)
    x = layers.Reshape((height, width, maps), name="scale1_maps")(x)
    # In float32: XLA cannot compile TensorFlow's gradient of it in half precision. Not `Resizing`,
    # with which the layers behind it take a call of the net for one in training.
    x = layers.UpSampling2D(
        COARSE_STEP, "channels_last", "bilinear", dtype="float32", name="scale1_enlarged"
    )(x)
    return _cut(x, sides, "scale1_cut")


def _cut(x, sides: tuple[int, int], name: str):
    """The first rows and columns of maps."""
    surplus = [(0, given - side) for given, side in zip(x.shape[1:3], sides, strict=True)]
    return layers.Cropping2D(surplus, data_format="channels_last", name=name)(x)


def _answers(x, answers: Mapping[str, int], maps: Sequence[int], scale: str):
    """The answers of a scale to the maps that all of them share."""
    found = {}
    for answer, channels in answers.items():
        name = f"{scale}_{answer}"
        y = refined(x, maps, WINDOW, name)
        y = convolution(y, channels, WINDOW, name, activation=None, dtype="float32")
        if answer == "normals":
            y = UnitVectors(dtype="float32", name=f"{name}_unit")(y)
        found[answer] = y
    return found


def _finest(
    pixels,
    coarser: Mapping[str, keras.KerasTensor],
    answers: Mapping[str, int],
    filters: Sequence[int],
    crop: Sequence[int] | None,
):
    """Scale 3's answers to the picture and to scale 2's answers.

    Args:
        pixels: of `bordered`.
        coarser: scale 2's answers.
        answers: channels of each.
        filters: of the convolutions.
        crop: of the answers, in training.
    """
    sides = answer_sides(pixels, 2)
    x = list(coarser.values())
    x = layers.Concatenate(dtype="float32", name="scale3_coarser")(x) if len(x) > 1 else x[0]
    x = layers.UpSampling2D(2, data_format="channels_last", name="scale3_enlarged")(x)
    x = _cut(x, sides, "scale3_cut")
    if crop is not None:
        pixels, x, place = TrainingCrop(crop, name="scale3_crop")([pixels, x])
    first, *others = filters
    x = layers.Concatenate(name="scale3_join")([x, fine_features(pixels, first, 1, "scale3")])
    found = _answers(x, answers, others, "scale3")
    if crop is None:
        return found
    return {
        answer: WholeMap(sides, dtype="float32", name=f"scale3_{answer}_whole")([y, place])
        for answer, y in found.items()
    }
