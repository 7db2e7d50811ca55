"""Log depths and normals at some pixels to depths and normals at every pixel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import keras
import tensorflow as tf

from components.maps import graph
from components.tasks.depth import answers as depth
from components.tasks.normals import answers as normals

_NAMES = ("depth", "normals")


def check(model: keras.Model, classes: int | None) -> None:
    """Whether a network has outputs of the two names, and both are maps.

    Raises:
      ValueError: it does not.
    """
    del classes
    if not isinstance(model.output, dict) or set(model.output) != set(_NAMES):
        given = sorted(model.output) if isinstance(model.output, dict) else "outputs without names"
        raise ValueError(f"the network gives {given}; wanted is a mapping of depth and normals")
    graph.check(model.output["depth"], 1, "log depths")
    graph.check(model.output["normals"], 3, "normals")


def served(
    outputs: Mapping[str, tf.Tensor], names: tf.Tensor, size: Sequence[int]
) -> dict[str, tf.Tensor]:
    """`depth`, float32 [N, height, width], and `normals`, [N, height, width, 3].

    Args:
      outputs: the network's, by name.
      names: of the classes; there are none.
      size: height and width of the network's input.
    """
    return {
        **depth.served(outputs["depth"], names, size),
        **normals.served(outputs["normals"], names, size),
    }


def signatures(
    serve: Callable[[tf.Tensor], Mapping[str, tf.Tensor]], names: tf.Tensor
) -> dict[str, tf.types.experimental.ConcreteFunction]:
    """No others."""
    del serve, names
    return {}


def finish(folder: str) -> tuple[str, ...]:
    """Nothing is left to be done."""
    del folder
    return ()
