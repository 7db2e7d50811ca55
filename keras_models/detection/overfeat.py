"""Sermanet, Eigen, Zhang, Mathieu, Fergus, LeCun, OverFeat: Integrated Recognition, Localization
and Detection using Convolutional Networks, ICLR 2014: the detector of sections 4 and 5."""

from collections.abc import Sequence

import keras
from keras import layers

from keras_models.classification.building import (
    INITIALIZATIONS,
    checked_choice,
    checked_shape,
    last_maps,
)
from keras_models.classification.fully_convolutional import DenseAsConv2D
from keras_models.classification.overfeat import (
    STEMS,
    VARIANTS,
    overfeat_backbone,
)
from keras_models.classification.top import start_from_file, with_weights
from keras_models.detection.sliding_windows import SlidingWindowDetector, SlidingWindows

# Table 5: the shorter sides of the pictures at the six scales, as shares of the largest.
PUBLISHED_SCALES = tuple(side / 461 for side in (245, 281, 317, 389, 425, 461))
REGRESSORS = ("class", "shared")
_WINDOW_OF_CIFAR = 32


def OverFeatDetector(
    input_shape: tuple[int, int, int] = (461, 569, 3),
    classes: int = 200,
    variant: str = "accurate",
    stem: str = "imagenet",
    scales: Sequence[float] = PUBLISHED_SCALES,
    regressor: str = "class",
    units: int | None = None,
    regressor_units: tuple[int, int] = (4096, 1024),
    width: float = 1.0,
    initialization: str = "normal",
    dropout: float = 0.5,
    threshold: float = 0.7,
    top_classes: int = 5,
    candidates: int = 64,
    least_score: float = 0.1,
    detections: int = 100,
    positive: float = 0.5,
    negative: float = 0.3,
    negatives: int = 32,
    seed: int | None = None,
    base: str | None = None,
    weights: str | None = None,
    name: str = "overfeat_detector",
) -> keras.Model:
    """Classifier and box regressor slid over the picture at several scales, their boxes merged.

    At each scale the picture goes through the convolutions of `OverFeat`. Their last pooling is
    taken at every offset, and over its maps slide the classifier, here with a background class, and
    a regressor of two hidden layers, which says where the box's edges are, seen from the window
    (section 4.1). The boxes of the classes with the highest scores at each scale are merged
    greedily, class by class, and their scores added up (section 4.3).

    The net computes its own loss (`SlidingWindowDetector`), classifier and regressor together: "we
    show that different tasks can be learned simultaneously using a single shared network". In
    section 4.2 the regressor is trained after the classifier, on its fixed features.

    Args:
        input_shape: height, width and channels. At each scale both sides have at least the pixels
            of a window: 221 (accurate), 231 (fast), or 32 (the "cifar" stem).
        classes: of objects, without the background; 1 or more.
        variant, stem, units, width, initialization: as of `OverFeat`.
        scales: what the sides of the picture are multiplied by.
        regressor: "class", a last layer for each class, or "shared", one for all of them.
        regressor_units: of the regressor's hidden layers.
        dropout: rate after the hidden layers of the classifier; narrow nets learn with less.
        threshold: t of section 4.3, in the units of `match_scores`; the paper does not print it.
        top_classes: k of section 4.3, at each scale; not printed either.
        candidates, least_score: which windows of each class are merged: at most so many, the
            highest scores first, and those of a higher probability. The paper has no such limits;
            boxes of doubtful windows spoil the means.
        detections: K.
        positive, negative, negatives, seed: as of `SlidingWindows`.
        base: path of a trained `OverFeat`, a .keras file: all layers but the last ones start with
            its weights.
        weights: path of a .weights.h5 or .keras file, or None for a random start.
        name: of the model.

    Returns:
        a model [N, H, W, channels] -> a dict of float32 `boxes` [N, K, 4] in fractions of the
        picture, `scores` [N, K], falling, `classes` int32 [N, K], and for the loss `logits`
        [N, P, classes + 1] and `codes` [N, P, classes or 1, 4] of all P windows, as of
        `SlidingWindows`. In training boxes are not merged: all places of the first three are
        unused.

    Raises:
        ValueError: an unknown variant, stem, initialization or regressor; no scale, or one at which
            the picture is smaller than a window; no class; overlaps or numbers of windows that
            `SlidingWindows` refuses; a base that is no such file.
    """
    checked_choice("variant", variant, VARIANTS)
    checked_choice("stem", stem, STEMS)
    checked_choice("initialization", initialization, INITIALIZATIONS)
    checked_choice("regressor", regressor, REGRESSORS)
    if classes < 1:
        raise ValueError(f"classes must be 1 or more, not {classes!r}.")
    side = VARIANTS[variant].side if stem == "imagenet" else _WINDOW_OF_CIFAR
    pictures = _pictures(checked_shape(input_shape, 1), scales, side)
    image = keras.Input(tuple(input_shape), name="image")
    chain = _chain(image, variant, stem, width, initialization)
    window, stride = _window(chain, (None, side, side, input_shape[-1]))
    apart = chain[-1].pool_size[0]
    boxes = classes if regressor == "class" else 1
    classifier = _classifier(classes, window, apart, variant, units, initialization, dropout)
    edges = _regressor(boxes, window, apart, regressor_units, initialization)

    logits, codes, maps = [], [], []
    for number, (height, across) in enumerate(pictures, 1):
        picture = layers.Resizing(
            height, across, data_format="channels_last", name=f"scale{number}"
        )(image)
        pooled = _through(chain, picture)
        of_scale = _through(classifier, pooled)
        maps.append(tuple(of_scale.shape[1:3]))
        logits.append(_flat(of_scale, (classes + 1,), f"logits{number}"))
        codes.append(_flat(_through(edges, pooled), (boxes, 4), f"codes{number}"))
    logits, codes = _joined(logits, "logits"), _joined(codes, "codes")
    merged = SlidingWindows(
        pictures,
        maps,
        stride,
        side,
        threshold,
        top_classes,
        candidates,
        least_score,
        detections,
        positive,
        negative,
        negatives,
        seed,
        dtype="float32",
        name="windows",
    )([logits, codes])
    model = SlidingWindowDetector(image, {**merged, "logits": logits, "codes": codes}, name=name)
    if base is not None:
        start_from_file(model, base)
    return with_weights(model, weights)


def _pictures(
    input_shape: tuple[int, int, int], scales: Sequence[float], side: int
) -> list[tuple[int, int]]:
    """Height and width of the picture at each scale."""
    pictures = [tuple(round(length * scale) for length in input_shape[:2]) for scale in scales]
    if not pictures:
        raise ValueError("scales must be one or more.")
    smallest = min(map(min, pictures))
    if smallest < side:
        raise ValueError(
            f"A window has {side} x {side} pixels, and at the scale {min(scales):.4g} a picture of "
            f"{input_shape[0]} x {input_shape[1]} has a side of {smallest}: larger pictures or "
            "scales are needed."
        )
    return pictures


def _chain(image, variant, stem, width, initialization) -> list[layers.Layer]:
    """The layers from the picture to the maps of the last pooling, at every offset."""
    maps = overfeat_backbone(image, variant, stem, width, initialization, every_offset=True)
    return keras.Model(image, last_maps(maps)).layers[1:]


def _window(chain: Sequence[layers.Layer], shape: tuple) -> tuple[tuple[int, int], int]:
    """Rows and columns of pooled maps in a window, and the pixels from one window to the next.

    Args:
        chain: as `_chain` gives it.
        shape: of pictures as large as a window.
    """
    stride = 1
    for layer in chain[:-1]:
        shape = layer.compute_output_shape(shape)
        stride *= layer.strides[0]
    pool = chain[-1].pool_size[0]
    return tuple(length // pool for length in shape[1:3]), stride


def _classifier(
    classes, window, apart, variant, units, initialization, dropout
) -> list[layers.Layer]:
    """Fully connected layers with the names that they have in `OverFeat`."""
    published = VARIANTS[variant]
    head = []
    for number, published_units in enumerate(published.units, len(published.convolutions) + 1):
        head += [
            _full(units or published_units, f"fc{number}", initialization, window, apart),
            layers.Dropout(dropout, name=f"drop{number}"),
        ]
        window, apart = (1, 1), 1
    return [*head, _last(classes + 1, "class_logits")]


def _regressor(boxes, window, apart, units, initialization) -> list[layers.Layer]:
    hidden = []
    for number, width in enumerate(units, 1):
        hidden.append(_full(width, f"regressor{number}", initialization, window, apart))
        window, apart = (1, 1), 1
    return [*hidden, _last(4 * boxes, "edges")]


def _full(units, name, initialization, window, apart) -> layers.Layer:
    dense = layers.Dense(units, "relu", kernel_initializer=INITIALIZATIONS[initialization]())
    return DenseAsConv2D(dense, window, apart, name=name)


def _last(units: int, name: str) -> layers.Layer:
    """A layer of float32 answers that start with standard deviation 0.01."""
    kernel = keras.initializers.RandomNormal(stddev=0.01)
    dense = layers.Dense(units, kernel_initializer=kernel, dtype="float32")
    return DenseAsConv2D(dense, dtype="float32", name=name)


def _through(chain: Sequence[layers.Layer], x: keras.KerasTensor) -> keras.KerasTensor:
    for layer in chain:
        x = layer(x)
    return x


def _flat(x: keras.KerasTensor, shape: tuple[int, ...], name: str) -> keras.KerasTensor:
    """Maps [N, rows, columns, C] as [N, rows * columns, *shape]."""
    return layers.Reshape((-1, *shape), dtype="float32", name=name)(x)


def _joined(of_scales: Sequence[keras.KerasTensor], name: str) -> keras.KerasTensor:
    if len(of_scales) == 1:
        return of_scales[0]
    return layers.Concatenate(axis=1, dtype="float32", name=name)(of_scales)
