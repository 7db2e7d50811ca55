"""A `.weights.h5` file: for the network that the recipe's own code builds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from components.answers import Answers
from components.train.graph import functional, served_parts
from components.train.network import precision as number_format
from components.train.objects import build_network
from pipelines.exports.original import Answering, Original


def write(original: Original, path: Path, precision: str) -> None:
    """Writes the weights of the whole network, second heads too: its code builds these as well.

    Args:
      original: the model.
      path: of the file.
      precision: float32.
    """
    del precision
    network, whole = _built(original)
    whole.set_weights(original.whole_network().get_weights())
    network.save_weights(path)


def construction(original: Original) -> dict[str, Any]:
    """How the network is built that takes the weights, as plain data."""
    classes = {"classes": len(original.names)} if original.task.has_classes else {}
    arguments = original.recipe["model_args"]
    shape = {"input_shape": list(original.shape)}
    return {"model": original.recipe["model"], "arguments": {**shape, **classes, **arguments}}


def reader(original: Original, path: Path) -> Answering:
    """The network built anew, with the weights of the file."""
    network, whole = _built(original)
    network.load_weights(path)
    served = served_parts(whole, (), False).network

    def answer(records: tf.Tensor) -> Answers:
        images = original.normalized(records)
        return original.answers_of(served(tf.constant(images), training=False))

    return answer


def _built(original: Original) -> tuple[keras.Model, keras.Model]:
    """The network as its code gives it, and the same, built, as a graph of layers."""
    recipe = original.recipe
    classes = len(original.names) if original.task.has_classes else None
    with number_format(recipe["mixed_precision"]):
        network = build_network(recipe["model"], original.shape, classes, recipe["model_args"])
        return network, functional(network, original.shape)
