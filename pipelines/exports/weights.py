"""A `.weights.h5` file: for the network that the recipe's own code builds."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from components.answers import Answers
from components.train.graph import functional, served_parts
from components.train.network import precision as number_format
from components.train.objects import build_network
from components.train.objects import network as find_network
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
    shape = {"input_shape": list(original.shape)}
    arguments = {**shape, **classes, **_arguments(original)}
    return {"model": original.recipe["model"], "arguments": arguments}


def reader(original: Original, path: Path) -> Answering:
    """The network built anew, with the weights of the file."""
    network, whole = _built(original)
    network.load_weights(path)
    served = served_parts(whole, (), False).network

    def answer(records: tf.Tensor) -> Answers:
        images = original.normalized(records)
        images = tf.nest.map_structure(tf.constant, images)
        return original.answers_of(served(images, training=False), records)

    return answer


def _built(original: Original) -> tuple[keras.Model, keras.Model]:
    """The network as its code gives it, and the same, built, as a graph of layers."""
    recipe = original.recipe
    classes = len(original.names) if original.task.has_classes else None
    with number_format(recipe["mixed_precision"]):
        network = build_network(recipe["model"], original.shape, classes, _arguments(original))
        return network, functional(network, original.shape, original.task)


def _arguments(original: Original) -> dict[str, Any]:
    """The recipe's, without the weights that the training began with: the file replaces them."""
    recipe = original.recipe
    start = inspect.signature(find_network(recipe["model"])).parameters.get("weights")
    is_needed = start is None or start.default is inspect.Parameter.empty
    given = recipe["model_args"].items()
    return {key: value for key, value in given if key != "weights" or is_needed}
