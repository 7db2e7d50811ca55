"""Trained networks in files that other programs read: a module a format, found in `FORMATS`.

A format's module has two functions. `write(original, path, precision)` writes the file or folder.
`reader(original, path)` loads it again, as its users would, and returns what answers serialised
tf.Examples, string [N], by output: NumPy arrays [N, ...]. Nothing here prints or asks.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType, ModuleType

from components.settings import check_choice

__all__ = ["FORMATS", "Format", "find"]


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Attributes:
      name: as `--format` has it.
      suffix: of the file's name.
      module: below this package.
      summary: in a few words.
      takes: what a user gives it: `files` (bytes of image files), `pixels` (0..255, of the
        network's size) or `normalized` (what the network itself takes).
      precisions: those that it can be written in, the first by default.
    """

    name: str
    suffix: str
    module: str
    summary: str
    takes: str
    precisions: tuple[str, ...] = ("float32",)

    def part(self) -> ModuleType:
        """The format's module, imported when it is asked for."""
        return importlib.import_module(f"{__name__}.{self.module}")

    def file_name(self, name: str, precision: str) -> str:
        """What a model called `name` is written to where nobody says otherwise."""
        kind = f".{precision}" if precision != self.precisions[0] else ""
        return f"{name}{kind}{self.suffix}"


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        each.name: each
        for each in (
            Format("keras", ".keras", "keras_file", "the network for Keras", "normalized"),
            Format("savedmodel", ".savedmodel", "saved_model", "the model as served", "files"),
            Format(
                "tflite",
                ".tflite",
                "tflite",
                "for TensorFlow Lite (LiteRT): phones and small devices",
                "pixels",
                ("float32", "float16", "int8"),
            ),
            Format("onnx", ".onnx", "onnx_file", "for ONNX Runtime and others", "pixels"),
            Format(
                "weights", ".weights.h5", "weights", "the weights, for the same code", "normalized"
            ),
        )
    }
)


def find(name: str) -> Format:
    """The format called `name`.

    Raises:
      RecipeError: there is none; the near matches are named.
    """
    check_choice("format", name, FORMATS)
    return FORMATS[name]
