"""A network's number to the score that is served."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import keras
import tensorflow as tf

from components.activations import of_probabilities


def check(model: keras.Model, classes: int | None) -> None:
    """Whether the output of a network is one number, which may be above and below 0.

    Raises:
      ValueError: it is not.
    """
    del classes
    if isinstance(model.output, dict):
        raise ValueError(
            f"the network names its outputs, {', '.join(model.output)}; wanted is one without a "
            "name"
        )
    for output in model.outputs:
        if tuple(output.shape) != (None, 1):
            raise ValueError(f"the network gives {tuple(output.shape)}; wanted is one, (None, 1)")
        if (name := of_probabilities(output)) is not None:
            raise ValueError(
                f"the network ends in {name}, and gives probabilities; wanted is the number before "
                "it, above 0 where both pictures show the same: the loss takes logits"
            )


def served(scores: tf.Tensor, names: tf.Tensor, size: Sequence[int]) -> dict[str, tf.Tensor]:
    """Numbers [N, 1] to `score`, float32 [N].

    Args:
      scores: the network's output.
      names: of classes; there are none.
      size: of the network's input; a score has none.
    """
    del names, size
    return {"score": tf.cast(scores, tf.float32)[:, 0]}


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
