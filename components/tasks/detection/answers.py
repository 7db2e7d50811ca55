"""A detection net's boxes, scores and classes as they are served."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import keras
import tensorflow as tf

_WANTED = {"boxes": ((4,), "float"), "scores": ((), "float"), "classes": ((), "int")}


def check(model: keras.Model, classes: int | None) -> None:
    """Whether a network gives boxes, scores and classes.

    Raises:
      ValueError: it does not.
    """
    del classes
    wanted = "wanted are boxes (None, K, 4), scores (None, K) and whole numbers classes (None, K)"
    found = model.output if isinstance(model.output, Mapping) else {}
    if missing := [name for name in _WANTED if name not in found]:
        given = ", ".join(found) or "outputs without names"
        raise ValueError(f"the network gives {given} and no {', '.join(missing)}; {wanted}")
    numbers = set()
    for name, (after, kind) in _WANTED.items():
        shape, dtype = tuple(found[name].shape), keras.backend.standardize_dtype(found[name].dtype)
        if len(shape) != 2 + len(after) or shape[2:] != after or not dtype.startswith(kind):
            raise ValueError(f"the network gives {name} of {dtype} {shape}; {wanted}")
        numbers.add(shape[1])
    if len(numbers) > 1:
        shapes = " and ".join(f"{name} {tuple(found[name].shape)}" for name in _WANTED)
        raise ValueError(f"the network gives {shapes}, not as many of each; {wanted}")


def served(
    outputs: Mapping[str, tf.Tensor], names: tf.Tensor, size: Sequence[int]
) -> dict[str, tf.Tensor]:
    """`boxes` [N, K, 4] in parts of the input's sides, `scores`, `classes` and `count`.

    Args:
      outputs: of the network; what only its loss needs is left out.
      names: of the classes, which are served by their numbers.
      size: height and width of the network's input.
    """
    del names, size
    classes = tf.cast(outputs["classes"], tf.int32)
    return {
        "boxes": tf.cast(outputs["boxes"], tf.float32),
        "scores": tf.cast(outputs["scores"], tf.float32),
        "classes": classes,
        "count": tf.reduce_sum(tf.cast(classes >= 0, tf.int32), axis=1),
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
