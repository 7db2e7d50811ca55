"""A `.keras` file: the network that is served, without optimizer, losses or second heads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from components import model_run
from components.answers import Answers
from pipelines.exports.original import Answering, Original

_KERAS = "keras"
# A process that knows no more than a user's: the file, and the modules that the file needs.
_PROGRAM = """
import importlib, sys
import keras, numpy
path, given, answered, *modules = sys.argv[1:]
sys.setrecursionlimit(10_000)
for name in modules:
    importlib.import_module(name)
model = keras.models.load_model(path)
with numpy.load(given) as images:
    images = {name: images[name] for name in images.files}
images = images[""] if set(images) == {""} else images
outputs = model.predict(images, verbose=0)
outputs = outputs if isinstance(outputs, dict) else {"": outputs}
numpy.savez(answered, **outputs)
"""
_LONGEST = 300


def write(original: Original, path: Path, precision: str) -> None:
    """Writes the network.

    Args:
      original: the model.
      path: of the file.
      precision: float32.
    """
    del precision
    model_run.write(original.network(), path)


def needs(path: Path) -> list[str]:
    """The modules that have to be imported before Keras reads a file; none but Keras' own: none."""
    with zipfile.ZipFile(path) as file:
        config = json.loads(file.read("config.json"))
    found = set(_modules(config))
    # Its own `__init__` registers all that it has.
    return sorted({"keras_models" if _top(name) == "keras_models" else name for name in found})


def _modules(config: Any) -> Iterator[str]:
    """The modules of the objects in a configuration that are not Keras'."""
    if isinstance(config, dict):
        module = config.get("module")
        package, has_package, _ = str(config.get("registered_name")).rpartition(">")
        if "class_name" in config and isinstance(module, str):
            if _top(module) not in (_KERAS, "builtins"):
                yield module
        elif "class_name" in config and has_package and package in sys.modules:
            yield package
    each = config.values() if isinstance(config, dict) else config
    if isinstance(config, (dict, list)):
        for value in each:
            yield from _modules(value)


def _top(module: str) -> str:
    return module.partition(".")[0]


def reader(original: Original, path: Path) -> Answering:
    """The file, read and asked in a new process: what is registered in this one does not help."""
    modules = needs(path)

    def answer(records: tf.Tensor) -> Answers:
        return original.answers_of(_asked(path, modules, original.normalized(records)), records)

    return answer


def _asked(path: Path, modules: list[str], images: Any) -> Any:
    """The network's outputs about images, or such by input, from a process of its own.

    Raises:
      ValueError: it cannot read the file.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, answered = Path(folder, "in.npz"), Path(folder, "out.npz")
        np.savez(given, **(images if isinstance(images, dict) else {"": images}))
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, str(path), str(given), str(answered), *modules],
            env={**environment, "KERAS_BACKEND": keras.backend.backend()},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it ended early"])[-1]
            raise ValueError(f"a new process cannot read the file: {last[:_LONGEST]}")
        with np.load(answered) as outputs:
            found = {name: outputs[name] for name in outputs.files}
    return found[""] if set(found) == {""} else found
