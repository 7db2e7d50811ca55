"""A network as the graph of layers that is trained, measured and served."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from components.settings import check_choice
from components.tasks import Task
from keras_models.classification.building import recursion
from keras_models.classification.fully_convolutional import fully_convolutional as at_every_position

# What TensorFlow adds to its messages: where it was.
_TENSORFLOWS = re.compile(r"\{\{.*?\}\} | \[Op:\w+\].*")
# What Keras puts around what a layer has raised, and before what it has found out itself.
_KERAS_WRAPS = re.compile(
    r"Exception encountered when calling (?P<layer>.*?)\.\n\n(?P<reason>.*?)"
    r"(?:\n\nArguments received .*)?",
    re.DOTALL,
)
_KERAS_INFERS = re.compile(r"Could not automatically infer .* Error encountered:\s*", re.DOTALL)
_STYLE = re.compile(r"\x1b\[\d*m")
_MOST_SHOWN = 300  # characters of a message
# Their layers can be saved.
_LIBRARIES = ("keras", "keras_models")


@dataclass(frozen=True)
class ServedParts:
    """What the served model needs of a network.

    Attributes:
      network: gives the outputs that are served.
      fully_convolutional: the same at every position of larger pictures; None where it is not
        served.
      taps: gives the outputs of the `features` by name; None without any.
    """

    network: keras.Model
    fully_convolutional: keras.Model | None
    taps: keras.Model | None


def functional(model: Any, input_shape: Sequence[int], task: Task) -> keras.Model:
    """A model of any kind as one of Keras' functional API, with the same layers and weights.

    `keras.Sequential` and models with a `call` of their own may not even be built yet.

    Args:
      model: what a recipe's `model` has returned.
      input_shape: (height, width, channels).
      task: whose inputs it takes.

    Raises:
      ValueError: it is no Keras model, or takes other images.
    """
    if not isinstance(model, keras.Model):
        raise ValueError(f"the network must be a keras.Model, not {type(model).__name__}")
    if not task.one_picture:
        return _of_several(model, input_shape, task)
    if isinstance(model, keras.Sequential):
        if not model.built:
            model.build((None, *input_shape))
        _check_input(model, input_shape)
        # Not the model called: its layers keep one place in one graph, and are found by name.
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    if getattr(model, "inputs", None):
        _check_input(model, input_shape)
        return model
    # TensorFlow takes no scope that begins with a line, as the name of a class `_Net` does.
    model.name = model.name.lstrip("_") or "network"
    image = keras.Input(tuple(input_shape))
    return keras.Model(image, model(image))


def _check_input(model: keras.Model, input_shape: Sequence[int]) -> None:
    """Raises ValueError where a model takes other than an image of this shape; None is any side."""
    shapes = [tuple(each.shape) for each in model.inputs]
    wanted = (None, *input_shape)
    if len(shapes) != 1 or not _fits(shapes[0], wanted):
        found = " and ".join(map(str, shapes))
        raise ValueError(f"the network takes {found}; the images are {wanted}")


def _fits(shape: Sequence[int | None], wanted: Sequence[int | None]) -> bool:
    """Whether an input of a shape takes what is wanted; None is any side."""
    return len(shape) == len(wanted) and all(
        a in (None, b) for a, b in zip(shape, wanted, strict=True)
    )


def _of_several(model: keras.Model, input_shape: Sequence[int], task: Task) -> keras.Model:
    """The model, once it is known to take a mapping of the task's inputs.

    Raises:
      ValueError: it does not.
    """
    wanted = {
        name: (None, *([frames] if frames else []), *input_shape)
        for name, frames in task.stacks.items()
    }
    wanted |= {name: (None, count, 4) for name, count in task.box_counts.items()}
    given = getattr(model, "input", None)
    shapes = (
        {name: tuple(each.shape) for name, each in given.items()}
        if isinstance(given, Mapping)
        else {}
    )
    if shapes.keys() != wanted.keys() or not all(
        _fits(shapes[name], wanted[name]) for name in wanted
    ):
        raise ValueError(f"{model.name} must take a mapping of inputs of the shapes {wanted}")
    return model


def served_parts(
    model: keras.Model, features: Sequence[str], fully_convolutional: bool
) -> ServedParts:
    """The parts of a network that are served.

    Args:
      model: as `functional` gives it; of several outputs without names the first is served.
      features, fully_convolutional: the recipe's.

    Raises:
      ValueError: a layer in `features` that the network does not have, or a network that cannot be
        made fully convolutional.
    """
    names = [layer.name for layer in model.layers]
    for name in features:
        check_choice("layer in features", name, names)
    taps = {name: model.get_layer(name).output for name in features}
    # Named outputs are all answers; of others the first is, and the rest helps in training.
    served = model.output if isinstance(model.output, dict) else model.outputs[0]
    with recursion():
        network = keras.Model(model.input, served)
        return ServedParts(
            network=network,
            fully_convolutional=at_every_position(network) if fully_convolutional else None,
            taps=keras.Model(model.input, taps) if taps else None,
        )


def check(
    model: keras.Model,
    task: Task,
    classes: int | None,
    features: Sequence[str],
    fully_convolutional: bool,
) -> None:
    """Whether a network can be saved and served once it is trained.

    Args:
      model: as `functional` gives it.
      task: what it has to answer.
      classes: how many there are; None where the task has none.
      features, fully_convolutional: the recipe's.

    Raises:
      ValueError: it cannot.
    """
    if fully_convolutional and not task.one_picture:
        raise ValueError(f"fully_convolutional is of one picture, and {task.name} takes several")
    task.part("answers").check(model, classes)
    served_parts(model, features, fully_convolutional)
    for layer in model._flatten_layers():
        # Keras reads no function of Python's again, which might be anybody's.
        if isinstance(layer, keras.layers.Lambda) and layer.function.__name__ == "<lambda>":
            raise ValueError(
                f"{layer.name} cannot be saved: use keras.ops or a layer of your own in the place "
                "of a Lambda layer"
            )
    for layer in model.layers:
        if isinstance(layer, keras.Model) or not _is_of_a_library(layer):
            _check_saving(layer)


def _is_of_a_library(layer: keras.Layer) -> bool:
    return type(layer).__module__.partition(".")[0] in _LIBRARIES


def _check_saving(layer: keras.Layer) -> None:
    """Raises ValueError where Keras cannot write a layer down, or read it again."""
    try:
        keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    except Exception as error:  # of whatever kind: the layer's own code runs
        name = type(layer).__name__
        raise ValueError(
            f"{name} cannot be saved: give it a get_config() that returns the arguments of "
            f"{name}.__init__(), pass **kwargs on to super().__init__(), and put "
            f"@keras.saving.register_keras_serializable() above it ({first_line(error)})"
        ) from error


def first_line(error: Exception) -> str:
    """Of what an error says, the first line; the name of its class where it says nothing.

    Of an error in a layer, which Keras wraps, what the layer has raised.
    """
    # A KeyError would put its text in quotes.
    said = error.args[0] if isinstance(error, KeyError) and error.args else error
    text = _STYLE.sub("", _TENSORFLOWS.sub("", str(said))).strip()
    if wrapped := _KERAS_WRAPS.fullmatch(text):
        reason = _KERAS_INFERS.sub("", wrapped["reason"])
        text = f"{wrapped['layer']}: {reason}"
    lines = text.splitlines() or [type(error).__name__]
    return lines[0] if len(lines[0]) <= _MOST_SHOWN else f"{lines[0][:_MOST_SHOWN]}..."
