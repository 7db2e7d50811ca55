"""Ciresan, Meier, Schmidhuber, Multi-column Deep Neural Networks for Image Classification, CVPR
2012, and what came before and after it: nets that the papers write as one line."""

import collections
import math
import re
from collections.abc import Sequence

import keras
from keras import layers, ops

from keras_models.classification.building import (
    checked_classes,
    checked_shape,
    feature_maps,
    last_maps,
)
from keras_models.classification.top import with_weights
from keras_models.layers import scaled_tanh

# channels x sides, then C: convolution of so many maps and that window, MP: max pooling of that
# window, N: fully connected layer of so many units. The last one is the classes'.
ARCHITECTURES = {
    "mnist": "1x29x29-20C4-MP2-40C5-MP3-150N-10N",
    "chinese-characters": "1x48x48-100C3-MP2-200C2-MP2-300C2-MP2-400C2-MP2-500N-3755N",
    "traffic-signs": "3x48x48-100C7-MP2-150C4-150MP2-250C4-250MP2-300N-43N",
    "cifar-10": "3x32x32-300C3-MP2-300C2-MP2-300C3-MP2-300C2-MP2-300N-100N-10N",
}
INPUT = re.compile(r"(\d+)x(\d+)x(\d+)")
OUTPUT = re.compile(r"(\d+)N")
HIDDEN = re.compile(r"(?P<maps>\d+)C(?P<window>\d+)|\d*MP(?P<pool>\d+)|(?P<units>\d+)N")
# All weights start uniform in +-0.05.
INITIAL = 0.05


def Ciresan(
    architecture: str = "mnist",
    input_shape: tuple[int, int, int] | None = None,
    classes: int | None = None,
    weights: str | None = None,
    name: str = "ciresan",
) -> keras.Model:
    """A net of convolutions, max poolings and fully connected layers, from the papers' notation.

    Every unit squashes by the scaled hyperbolic tangent 1.7159 tanh(2/3 a); weights and biases
    start uniform in +-0.05. Poolings do not overlap; where the maps are no multiple of the window
    the last one is cut off at the border. The layers are conv1, pool1, conv2, ..., fc1, ...,
    logits.

    Args:
        architecture: "mnist" (NIST's letters too), "chinese-characters", "traffic-signs",
            "cifar-10", or a line such as "1x29x29-20C4-MP2-40C5-MP3-150N-10N".
        input_shape: height, width and channels; None for those of the architecture. The papers'
            pixels are in -1..1.
        classes: 2 or more; None for those of the architecture.
        weights: path of a .weights.h5 or .keras file, or None for a random start.
        name: of the model.

    Returns:
        a model [N, H, W, channels] -> float32 logits [N, classes].

    Raises:
        ValueError: a line that cannot be read, a picture that its layers leave nothing of, fewer
            than 2 classes.
    """
    tokens = _tokens(architecture)
    published, outputs = INPUT.fullmatch(tokens[0]), OUTPUT.fullmatch(tokens[-1])
    if not published or not outputs:
        raise ValueError(
            f"architecture must be one of {tuple(ARCHITECTURES)} or a line such as "
            f"{ARCHITECTURES['mnist']!r}, not {architecture!r}."
        )
    channels, height, width = map(int, published.groups())
    image = keras.Input(checked_shape(input_shape or (height, width, channels), 1), name="image")
    x = last_maps(maps) if (maps := ciresan_backbone(image, architecture)) else image
    for number, token in enumerate(_parts(architecture)[1], 1):
        x = _layer(x, token, number)
    classes = checked_classes(int(outputs[1]) if classes is None else classes)
    logits = layers.Dense(classes, dtype="float32", name="logits", **_initial())(_flat(x))
    return with_weights(keras.Model(image, logits, name=name), weights)


def ciresan_backbone(
    image: keras.KerasTensor, architecture: str = "mnist"
) -> dict[str, keras.KerasTensor]:
    """The feature maps of a net, before its first fully connected layer.

    Args:
        image: the `keras.Input` [N, H, W, channels].
        architecture: as of `Ciresan`, which checks it.

    Returns:
        as `feature_maps`: conv1, pool1, conv2, ...; none of a net of fully connected layers alone.

    Raises:
        ValueError: a layer that cannot be read, or that does not fit.
    """
    x = image
    numbers = collections.Counter()
    for token in _parts(architecture)[0]:
        kind = "conv" if "C" in token else "pool"
        numbers[kind] += 1
        x = _layer(x, token, numbers[kind])
    return {} if x is image else feature_maps(image, x)


def MultiColumn(columns: Sequence[keras.Model], name: str = "multi_column") -> keras.Model:
    """Several trained nets as one: softmax(output) is the mean of the columns' scores (Eqn 1).

    A column whose pictures are preprocessed in its own way is a net that begins with that layer.

    Args:
        columns: nets of one input shape and one number of classes.
        name: of the model.

    Returns:
        a model [N, H, W, channels] -> float32 logits [N, classes], the logarithms of the mean
        scores. It shares the columns' weights.

    Raises:
        ValueError: no columns, or columns of several shapes.
    """
    shapes = {(column.input_shape, column.output_shape) for column in columns}
    if len(shapes) != 1:
        raise ValueError(
            "columns must be one or more nets of the same input shape and number of classes, not "
            f"{[(column.input_shape[1:], column.output_shape[-1]) for column in columns]}."
        )
    image = keras.Input(columns[0].input_shape[1:], name="image")
    scores = [
        # The same net under a name of its own.
        ops.log_softmax(keras.Model(column.input, column.output, name=f"column{number}")(image))
        for number, column in enumerate(columns, 1)
    ]
    logits = ops.logsumexp(ops.stack(scores), axis=0) - math.log(len(columns))
    return keras.Model(image, logits, name=name)


def _tokens(architecture: str) -> list[str]:
    return ARCHITECTURES.get(architecture, architecture).split("-")


def _parts(architecture: str) -> tuple[list[str], list[str]]:
    """The hidden layers of an architecture: those before the first fully connected one, and it and
    those behind it."""
    hidden = _tokens(architecture)[1:-1]
    first = next((i for i, token in enumerate(hidden) if OUTPUT.fullmatch(token)), len(hidden))
    return hidden[:first], hidden[first:]


def _layer(x: keras.KerasTensor, token: str, number: int) -> keras.KerasTensor:
    """The output of the layer that a token of the notation names, the `number`-th of its kind."""
    found = HIDDEN.fullmatch(token)
    if not found:
        raise ValueError(
            f"{token!r} is no layer: 20C4 is a convolution of 20 maps and 4 x 4 windows, MP2 a max "
            "pooling of 2 x 2 windows, 150N a fully connected layer of 150 units."
        )
    maps, window, pool, units = (int(n) if n else None for n in found.groups())
    kind = "fc" if units else "conv" if maps else "pool"
    sides = x.shape[1:-1]
    if not units and (not sides or min(sides) < (window or pool)):
        raise ValueError(f"{token} does not fit on maps of {' x '.join(map(str, sides)) or 1}.")
    name = f"{kind}{number}"
    if units:
        return layers.Dense(units, scaled_tanh, name=name, **_initial())(_flat(x))
    if pool:
        return layers.MaxPooling2D(pool, None, "same", "channels_last", name=name)(x)
    return layers.Conv2D(
        maps,
        window,
        data_format="channels_last",
        activation=scaled_tanh,
        name=name,
        **_initial(),
    )(x)


def _flat(x: keras.KerasTensor) -> keras.KerasTensor:
    return x if len(x.shape) == 2 else layers.Flatten(name="flat")(x)


def _initial() -> dict[str, keras.Initializer]:
    return {
        f"{weight}_initializer": keras.initializers.RandomUniform(-INITIAL, INITIAL)
        for weight in ("kernel", "bias")
    }
