"""Objects named in a recipe by import path."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from typing import Any

_KNOWN = re.compile(r"\$(?P<name>\w+)(?: \* (?P<factor>[\d.]+))?")


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
      **known: numbers that only the run knows; an argument `"$steps"` stands for
        `known["steps"]`, and `"$steps * 0.5"` for the half of it, rounded down, at
        least 1.

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
    if isinstance(value, (list, tuple)):
        return [_value(item, known) for item in value]
    if isinstance(value, str) and (found := _KNOWN.fullmatch(value)):
        # Of few images a part of an epoch may be less than a step, which no schedule takes.
        return max(1, int(known[found["name"]] * float(found["factor"] or 1)))
    return value
