"""PReLU-nets: He, Zhang, Ren, Sun, Delving Deep into Rectifiers: Surpassing Human-Level
Performance on ImageNet Classification, ICCV 2015, Tables 1 and 3."""

import keras
from keras import initializers, layers

from keras_models.classification.building import (
    checked_choice,
    checked_classes,
    checked_shape,
    feature_maps,
    last_maps,
    scaled,
)
from keras_models.classification.top import finished
from keras_models.layers import SpatialPyramidPooling2D, prelu

# The 14-layer model of Table 1 (E of He and Sun 2015) and the large ones of Table 3: filters of
# conv1 and its pooling; side of the filters, how many in each stage; bins of the pyramid.
MODELS = {
    "E": (64, 3, 2, ((128, 4), (256, 6)), (6, 3, 2, 1)),
    "A": (96, 2, 3, ((256, 5), (512, 5), (512, 5)), (7, 3, 2, 1)),
    "B": (96, 2, 3, ((256, 6), (512, 6), (512, 6)), (7, 3, 2, 1)),
    "C": (96, 2, 3, ((384, 6), (768, 6), (896, 6)), (7, 3, 2, 1)),
}
ACTIVATIONS = {"relu": None, "channel-shared": "all", "channel-wise": "channel"}
STEMS = ("imagenet", "cifar")
# Of the slopes of PReLU, section 2.1.
INITIAL_SLOPE = 0.25
SMALLEST_SIDE = {"imagenet": 32, "cifar": 8}


def PReLUNet(
    model: str = "E",
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    activation: str = "channel-wise",
    stem: str = "imagenet",
    width: float = 1.0,
    include_top: bool = True,
    pooling: str | None = None,
    weights: str | None = None,
    name: str | None = None,
) -> keras.Model:
    """The small model E (14 layers) and the large models A (19), B (22) and C (22, wider).

    A 7 x 7 convolution with stride 2, stages of equal convolutions (2 x 2 in E, 3 x 3 in the
    others) with maximum pooling between them, spatial pyramid pooling, two layers of 4,096 units
    with dropout of 50 %, and the logits. A, B and C have maps of 56 x 56, 28 x 28 and 14 x 14 and
    take 1.91, 2.32 and 5.35 x 10^10 multiply-adds (Table 3: 1.90, 2.32, 5.30). E's 36 x 36 and
    18 x 18 and the padding are not in Table 1. Layers are named conv1, pool1, conv2_1, ..., spp,
    fc1, fc2, logits (fc3), and the activations behind them ..._prelu or ..._relu.

    Weights start as N(0, 2 / ((1 + a^2) fan-in)), Eqn. 15, a the slope at the start (0.25, or 0
    with ReLU, which is Eqn. 10), biases at 0. Slopes have no weight decay in the paper.

    Args:
        model: "E", "A", "B" or "C".
        input_shape: height, width and channels, each side at least 32 (8 with the "cifar" stem).
            The paper's pictures are RGB minus the mean at each pixel.
        classes: 2 or more.
        activation: "relu", or PReLU with one slope a layer ("channel-shared") or a map
            ("channel-wise").
        stem: "imagenet"; or "cifar" for small pictures: conv1 3 x 3 with stride 1, no pool1.
        width: all numbers of maps and units are multiplied by this and rounded; 1.0 is published.
        include_top: whether the net ends with its classifier; without it, with the
            last maps before the pyramid.
        pooling: without the top, "avg" or "max" over all positions of the maps; None for the maps.
        weights: path of a .weights.h5 or .keras file, or None for a random start.
        name: of the model; by default "prelu_net_" and its letter.

    Returns:
        a model [N, H, W, channels] -> float32 logits [N, classes].

    Raises:
        ValueError: an unknown model, activation or stem, too small an input, too few classes, a
            width that is not positive.
    """
    checked_choice("model", model, MODELS)
    shared = ACTIVATIONS[checked_choice("activation", activation, ACTIVATIONS)]
    shape = checked_shape(input_shape, SMALLEST_SIDE[checked_choice("stem", stem, STEMS)])
    checked_classes(classes)
    start = _start(shared)
    image = keras.Input(shape, name="image")
    maps = prelu_net_backbone(image, model, activation, stem, width)

    def top(x):
        x = SpatialPyramidPooling2D(MODELS[model][-1], data_format="channels_last", name="spp")(x)
        for fc in ("fc1", "fc2"):
            units = scaled(4096, width)
            x = layers.Dense(units, kernel_initializer=start.clone(), name=fc)(x)
            x = layers.Dropout(0.5, name=f"{fc}_dropout")(_rectified(x, shared, fc))
        return layers.Dense(
            classes, kernel_initializer=start.clone(), dtype="float32", name="logits"
        )(x)

    name = name or f"prelu_net_{model.lower()}"
    return finished(image, last_maps(maps), top, include_top, pooling, weights, name)


def prelu_net_backbone(
    image: keras.KerasTensor,
    model: str = "E",
    activation: str = "channel-wise",
    stem: str = "imagenet",
    width: float = 1.0,
) -> dict[str, keras.KerasTensor]:
    """The feature maps of a net, before its pyramid.

    Args:
        image: the `keras.Input` [N, H, W, channels].
        model, activation, stem, width: as of `PReLUNet`, which checks all but the width.

    Returns:
        as `feature_maps`: conv1, conv1_prelu, pool1, conv2_1, ...
    """
    filters, pool, size, stages, _ = MODELS[model]
    shared = ACTIVATIONS[activation]
    start = _start(shared)

    def convolution(x, filters, size, name, stride=1, padding="same"):
        x = layers.Conv2D(
            scaled(filters, width),
            size,
            strides=stride,
            padding=padding,
            data_format="channels_last",
            kernel_initializer=start.clone(),
            name=name,
        )(x)
        return _rectified(x, shared, name)

    if stem == "cifar":
        x = convolution(image, filters, 3, "conv1")
    else:
        # 36 x 36, which the bins divide, come of 109 x 109, and Table 3's 56 x 56 of 112 x 112.
        padding = "valid" if model == "E" else "same"
        x = convolution(image, filters, 7, "conv1", stride=2, padding=padding)
        x = layers.MaxPooling2D(pool, data_format="channels_last", name="pool1")(x)
    for stage, (maps, count) in enumerate(stages, start=2):
        if stage > 2:
            x = layers.MaxPooling2D(2, data_format="channels_last", name=f"pool{stage - 1}")(x)
        for i in range(1, count + 1):
            x = convolution(x, maps, size, f"conv{stage}_{i}")
    return feature_maps(image, x)


def _start(shared: str | None) -> keras.Initializer:
    """Eqn. 15, or Eqn. 10 for ReLU."""
    variance = 2 / (1 + INITIAL_SLOPE**2) if shared else 2.0
    return initializers.VarianceScaling(variance, "fan_in", "untruncated_normal")


def _rectified(x, shared: str | None, name: str):
    if shared is None:
        return layers.ReLU(name=f"{name}_relu")(x)
    return prelu(shared, rank=len(x.shape), name=f"{name}_prelu")(x)
