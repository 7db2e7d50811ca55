"""Eigen, Puhrsch, Fergus, Depth Map Prediction from a Single Image using a Multi-Scale Deep
Network, NIPS 2014."""

from collections.abc import Sequence

import keras
from keras import layers

from keras_models.classification.building import scaled
from keras_models.depth.scales import (
    answer_sides,
    bordered,
    coarse_features,
    convolution,
    fine_features,
    finished,
    picture,
    refined,
)

# Pixels of the picture from one answer to the next.
STEP = 4
WINDOW = 5
# Figure 1: of the fine net's first layer, with the coarse map as one of them, and of its second.
MAPS = 64


def CoarseFineDepth(
    input_shape: tuple[int, int, int] = (228, 304, 3),
    fine: bool = True,
    backbone: str = "alexnet",
    width: float = 1.0,
    units: int = 4096,
    feature_scale: float = 0.01,
    pixel_scale: float = 1 / 76.18,
    train: Sequence[int] | None = None,
    base: str | None = None,
    weights: str | None = None,
    name: str = "coarse_fine_depth",
) -> keras.Model:
    """The coarse net of Figure 1 and the fine one that corrects its map.

    Scale 1, the coarse net: AlexNet's five convolutions, with poolings of 2 x 2, 2 x 2 and 3 x 3
    (maps of 27 x 37, 13 x 18 and 6 x 8), a fully connected layer with dropout 0.5 and one that
    gives the whole map. Scale 2, the fine net: 63 maps of 9 x 9 windows with stride 2 and pooling,
    joined to the coarse map, 64 maps and the answer, of 5 x 5 windows. A picture of 228 x 304 has
    55 x 74 answers; `scales.answer_pixels` says where they are. At the published size the coarse
    net has 69,344,614 parameters, both together 69,464,051.

    Section 3.1.2 trains the coarse net, `fine=False`, and then the fine one with the coarse one
    fixed, `train=(2,), base=...`.

    The figure does not say what is in the coarse net but for the windows and the maps. Here
    conv2, conv4 and conv5 have AlexNet's two towers and the normalisations are where AlexNet has
    them, so that the weights of `AlexNet` fit. The authors' code divides the log depths by their
    standard deviation, 0.457; here they are not.

    Args:
        input_shape: height, width and channels, each side at least 55. The paper halves NYU's
            pictures and takes crops. RGB of 0..255 minus the mean of the training set.
        fine: whether the fine net is there; else the answer is the coarse map.
        backbone: "alexnet", or "vgg" as in the net of 2015.
        width: the numbers of maps are multiplied by this and rounded; 1.0 is published.
        units: of the first fully connected layer.
        feature_scale: what the maps of the last pooling are multiplied by; 0.01 for the large ones
            of ImageNet nets on pixels of 0..255 (the authors' code), 1 for nets that start at
            random on small numbers.
        pixel_scale: what the pixels are multiplied by for the fine net, which has no
            normalisations: 1 over their standard deviation (76.18 on NYU in the authors' code).
        train: which scales are trained: (1,), (2,) or (1, 2); None for all.
        base: path of a trained net, a .keras file: an AlexNet of this package, or this net; layers
            of the same names start from its weights. "imagenet" with "vgg" for those of
            keras.applications' VGG16 (downloaded).
        weights: path of a .weights.h5 or .keras file, or None for a random start.
        name: of the model.

    Returns:
        a model [N, H, W, channels] -> float32 log depths [N, h, w, 1], natural logarithm of metres.

    Raises:
        ValueError: an unknown backbone, too small an input, a width that is not positive, other
            scales to train, a base that does not fit.
    """
    image = picture(input_shape, backbone)
    pixels = bordered(layers.Rescaling(pixel_scale, name="scale2_pixels")(image))
    sides = answer_sides(pixels, STEP)
    x = coarse_features(image, backbone, width, units, feature_scale)
    x = layers.Dense(
        sides[0] * sides[1], kernel_initializer="he_normal", dtype="float32", name="scale1_fc2"
    )(x)
    depth = layers.Reshape((*sides, 1), dtype="float32", name="scale1_depth")(x)
    if fine:
        maps = scaled(MAPS, width)
        x = fine_features(pixels, max(1, maps - 1), STEP // 2, "scale2")
        x = layers.Concatenate(name="scale2_join")([depth, x])
        x = refined(x, [maps], WINDOW, "scale2")
        depth = convolution(x, 1, WINDOW, "scale2_depth", activation=None, dtype="float32")
    net = keras.Model(image, depth, name=name)
    scales = (1, 2) if fine else (1,)
    return finished(net, scales if train is None else train, base, weights)
