"""What every net of this package checks before it is built and does when it is."""

import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
from keras import layers

from keras_models.layers import LocalResponseNormalization

# How weights start: as in AlexNet, section 5, which leaves narrow nets without a signal, or by He
# et al. 2015, section 2.2.
INITIALIZATIONS = {
    "normal": lambda: keras.initializers.RandomNormal(stddev=0.01),
    "he": keras.initializers.HeNormal,
}


def checked_shape(
    input_shape: tuple[int | None, int | None, int], smallest: int, any_size: bool = False
) -> tuple[int | None, int | None, int]:
    """The input shape, if it is (height, width, channels) with sides of at least `smallest`.

    Args:
        input_shape: what is asked for.
        smallest: in pixels.
        any_size: whether sides may be None, of pictures of any size; with a classifier the nets are
            built for one size (`fully_convolutional` frees it).

    Raises:
        ValueError: anything else.
    """
    sides = tuple(input_shape)
    known = [n for n in sides[:2] if not (any_size and n is None)] + [*sides[2:]]
    if len(sides) != 3 or not all(isinstance(n, int) and n > 0 for n in known):
        raise ValueError(f"input_shape must be (height, width, channels), not {input_shape!r}.")
    if min(known[:-1], default=smallest) < smallest:
        raise ValueError(
            f"Height and width must be at least {smallest}, not {sides[0]} x {sides[1]}: of "
            "smaller pictures the convolutions and poolings of this net leave nothing."
        )
    return sides


def checked_classes(classes: int) -> int:
    """The number of classes.

    Raises:
        ValueError: fewer than 2.
    """
    if classes < 2:
        raise ValueError(f"classes must be 2 or more, not {classes!r}.")
    return classes


def checked_choice(argument: str, value: Any, allowed: Collection) -> Any:
    """The value of an argument.

    Raises:
        ValueError: it is none of the allowed ones; the message names them.
    """
    if value not in allowed:
        raise ValueError(f"{argument} must be one of {tuple(allowed)}, not {value!r}.")
    return value


def scaled(maps: int, width: float) -> int:
    """A published number of maps times `width`, rounded.

    Raises:
        ValueError: a width that is not positive.
    """
    if width <= 0:
        raise ValueError(f"width must be positive, not {width!r}.")
    return max(1, round(maps * width))


def covering(x: keras.KerasTensor, window: int, stride: int, name: str) -> keras.KerasTensor:
    """`x` with as many zeros below and on the right as windows of that stride need to cover it.

    So the sides become ceil((side - window) / stride) + 1 after the convolution or pooling, as in
    Krizhevsky's cuda-convnet, whose arithmetic the sizes in the papers of its time follow
    (110 -> 55 -> 26 -> 13). The maxima of rectified units do not see the zeros.
    """
    below, right = (-(side - window) % stride for side in x.shape[1:3])
    if not below and not right:
        return x
    padding = ((0, below), (0, right))
    return layers.ZeroPadding2D(padding, data_format="channels_last", name=name)(x)


def normalization(x: keras.KerasTensor, number: int) -> keras.KerasTensor:
    """`x` normalised across maps by a layer "norm1" (or another number): AlexNet, section 3.3."""
    return LocalResponseNormalization(data_format="channels_last", name=f"norm{number}")(x)


def pooling(
    x: keras.KerasTensor, number: int, window: int = 3, cover: bool = True
) -> keras.KerasTensor:
    """Maxima of windows, two pixels from one to the next, in a layer "pool1".

    By default of overlapping windows that cover `x`: AlexNet, section 3.4.
    """
    x = covering(x, window, 2, name=f"pool{number}_padding") if cover else x
    return layers.MaxPooling2D(window, 2, data_format="channels_last", name=f"pool{number}")(x)


def feature_maps(image: keras.KerasTensor, last: keras.KerasTensor) -> dict[str, keras.KerasTensor]:
    """What the backbone function of every family returns: the maps on the way to its last ones.

    Args:
        image: the `keras.Input` [N, H, W, channels].
        last: [N, h, w, C].

    Returns:
        maps [N, h, w, C] by the name of the layer that gives them, in the order of the layers: the
        last ones last.
    """
    with recursion():
        outputs = {layer.name: layer.output for layer in keras.Model(image, last).layers[1:]}
    return {name: maps for name, maps in outputs.items() if len(maps.shape) == 4}


def last_maps(maps: Mapping[str, keras.KerasTensor]) -> keras.KerasTensor:
    """The last ones of `feature_maps`, which a family's own classifier takes."""
    return [*maps.values()][-1]


def classifier(x: keras.KerasTensor, classes: int) -> keras.KerasTensor:
    """float32 logits of `x` whose weights start with standard deviation 0.01: AlexNet, section 5.

    Raises:
        ValueError: fewer than 2 classes.
    """
    return layers.Dense(
        checked_classes(classes),
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        dtype="float32",
        name="logits",
    )(x)


def block_name(stage: int, block: int, blocks: int) -> str:
    """The name of a residual net's block (from 0) of a stage: res2a, res2b, ...

    In stages of more than six: res4a, res4b1, res4b2, ...
    """
    if block and blocks > 6:
        return f"res{stage}b{block}"
    return f"res{stage}{'abcdef'[block]}"


@contextmanager
def recursion(deeper: int = 6_000) -> Iterator[None]:
    """Room for Keras, which walks the graph of a model by one call a layer, and reads one by more:
    the 1202 layers of `CifarResNet` are 4,200 of Keras', and Python allows 1,000 calls.

    Args:
        deeper: how many calls more are allowed inside.
    """
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + deeper)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)
