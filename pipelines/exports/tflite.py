"""A `.tflite` file: pixels in, answers out, one picture at a time."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from components.answers import Answers
from pipelines.exports.original import Answering, Original, joined, pixel_function
from pipelines.exports.quiet import converting

# Pictures of the training split, by which the ranges of the quantised numbers are found.
_CALIBRATION = 200
_NAME = "TensorFlow's converter to TensorFlow Lite"


def write(original: Original, path: Path, precision: str) -> None:
    """Converts the model.

    Args:
      original: the model.
      path: of the file.
      precision: `float32`; `float16`, of the weights; `int8`, of weights and of what is computed,
        with floats where TensorFlow Lite has no operation in whole numbers. Inputs and outputs are
        float32 in all of them.

    Raises:
      ValueError: the network has operations that TensorFlow Lite lacks.
    """
    pictures = list(_calibration(original)) if precision == "int8" else []
    with tempfile.TemporaryDirectory() as folder, converting(_NAME):
        _save(original, folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if precision == "int8":
            converter.representative_dataset = lambda: iter(pictures)
        path.write_bytes(converter.convert())


def _save(original: Original, folder: str) -> None:
    """Writes what is converted, a SavedModel of one signature."""
    module = tf.Module()
    # The module that is saved has to hold the variables that its function reads.
    module.original = original.saved_model
    signature = pixel_function(original, batch=1)
    tf.saved_model.save(module, folder, signatures={"serving_default": signature})


def _calibration(original: Original) -> Iterator[dict[str, np.ndarray]]:
    """Training pictures as pixels, float32 [1, H, W, C] by the name of the input."""
    for batch in original.records("train", _CALIBRATION).batch(32):
        yield from _one_by_one(original, batch)


def _one_by_one(original: Original, records: tf.Tensor) -> Iterator[dict[str, np.ndarray]]:
    """The pixels of each question."""
    pixels = {name: each.numpy() for name, each in original.named(original.pixels(records)).items()}
    for place in range(len(records)):
        yield {name: each[place : place + 1] for name, each in pixels.items()}


def reader(original: Original, path: Path) -> Answering:
    """The file in TensorFlow Lite's interpreter, asked about one picture after the other."""
    with warnings.catch_warnings():
        # That the interpreter moves to a package of its own.
        warnings.simplefilter("ignore")
        interpreter = tf.lite.Interpreter(str(path), num_threads=os.cpu_count())
    ask = interpreter.get_signature_runner()

    def answer(records: tf.Tensor) -> Answers:
        questions = _one_by_one(original, records)
        return original.of_pixels(joined([ask(**each) for each in questions]), records)

    return answer
