"""Reads a ModelRun artifact as the Trainer writes it: the network, the recipe, the history."""

import importlib
import json
import os
import sys
import tempfile
from collections.abc import Iterable
from typing import Any

import keras
from tfx.dsl.io import fileio
from tfx.utils import io_utils

from components import trusted
from components.train import objects
from components.train.graph import first_line
from keras_models.classification.building import recursion


def network(uri: str) -> keras.Model:
    """The trained network, not compiled."""
    # The module that built the network registers the layers that reading it needs.
    objects.network(recipe(uri)["model"])
    with tempfile.TemporaryDirectory() as folder:
        # Keras reads from a disk, the artifact may lie elsewhere.
        path = os.path.join(folder, "model.keras")
        io_utils.copy_file(os.path.join(uri, "model.keras"), path)
        with recursion():
            return keras.models.load_model(path, compile=False)


def read(path: str | os.PathLike[str], modules: Iterable[str] = ()) -> keras.Model:
    """A network from a `.keras` file on a disk, not compiled.

    Args:
      path: the file, of whomever.
      modules: those that register layers of it; ours are known.

    Raises:
      RecipeError: one of them is of a package that is not allowed, and has not been imported.
      ValueError: it cannot be read.
    """
    # Its own `__init__` registers the layers that files of ours need.
    for name in dict.fromkeys(("keras_models", *modules)):
        # To import what a user's own code has imported runs nothing more.
        if name not in sys.modules:
            trusted.check(os.path.basename(path), name)
            importlib.import_module(name)
    try:
        with recursion():
            return keras.models.load_model(path, compile=False)
    except Exception as error:  # of whatever kind: the layers' own code runs
        raise ValueError(f"{path} cannot be read: {first_line(error)}") from error


def write(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Writes a network of any depth as a `.keras` file on a disk."""
    with recursion():
        model.save(path)


def recipe(uri: str) -> dict[str, Any]:
    """The recipe, without what only judging needs."""
    return _json(uri, "recipe.json")


def history(uri: str) -> list[dict[str, float]]:
    """An entry an epoch: epoch, loss, accuracy, val_loss, val_accuracy, learning_rate, seconds."""
    return _json(uri, "history.json")


def notes(uri: str) -> list[str]:
    """What the training did otherwise than the recipe says; none of runs from before there were
    such notes."""
    return _json(uri, "notes.json") if fileio.exists(os.path.join(uri, "notes.json")) else []


def _json(uri: str, name: str) -> Any:
    with fileio.open(os.path.join(uri, name), "rb") as file:
        return json.loads(file.read())
