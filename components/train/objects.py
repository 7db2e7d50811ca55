"""Objects named in a recipe by import path."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any


def load(path: str) -> Any:
    """The object at `"package.module:Name"`.

    Raises:
      ValueError: there is no such module or name.
    """
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{path}: {error}") from error


def build(spec: Mapping[str, Any], **known: Any) -> Any:
    """The object that `{"class": path, ...arguments}` describes.

    Args:
      spec: arguments may be such mappings themselves.
      **known: values that only the run knows; an argument `"$steps"` stands for `known["steps"]`.

    Raises:
      ValueError: an unknown path, or arguments that the class does not take.
    """
    arguments = {key: _value(value, known) for key, value in spec.items() if key != "class"}
    try:
        return load(spec["class"])(**arguments)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{spec['class']}: {error}") from error


def _value(value: Any, known: Mapping[str, Any]) -> Any:
    if isinstance(value, Mapping) and "class" in value:
        return build(value, **known)
    if isinstance(value, str) and value.startswith("$"):
        return known[value[1:]]
    return value
