"""Objects named in a recipe by import path.

What a recipe names may be its sender's: nothing is imported but from packages that are trusted
(`components.trusted`), and nothing is called but a network, or a class of the kind that is wanted.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from components import trusted
from components.settings import RecipeError

# By the kind that is wanted, the base classes of which an object's class has one.
KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "loss": ("keras.losses:Loss",),
        "optimizer": ("keras.optimizers:Optimizer",),
        "schedule or optimizer": (
            "keras.optimizers.schedules:LearningRateSchedule",
            "keras.optimizers:Optimizer",
        ),
    }
)
# The kind of the objects among the arguments.
ARGUMENTS = MappingProxyType(
    {
        "loss": "loss",
        "optimizer": "schedule or optimizer",
        "schedule or optimizer": "schedule or optimizer",
    }
)
# What a network takes of the run.
INPUT_SHAPE = "input_shape"
OF_THE_RUN = (INPUT_SHAPE, "classes")
_MODELS = ("Model", "Functional", "Sequential")
_OWN = ("components", "keras_models")
_KNOWN = re.compile(r"\$(?P<name>\w+)(?: \* (?P<factor>[\d.]+))?")


def load(path: str) -> Any:
    """The object at `"package.module:Name"` of this package, for paths that it has written itself.

    Raises:
      ValueError: there is no such module or name.
    """
    module, _, name = path.partition(":")
    if module.partition(".")[0] not in _OWN:
        raise ValueError(f"{path} is not of this package")
    return _imported(module, name)


def network(path: str) -> Callable[..., Any]:
    """The network at an import path: a function that gives a keras.Model.

    Raises:
      RecipeError: its package is not allowed, or it is no network.
      ValueError: there is no such module or name.
    """
    found = _trusted("model", path)
    if not _is_network(found):
        raise RecipeError(
            f"model: {path} is no network: a function that takes {' and '.join(OF_THE_RUN)}, or "
            "that is annotated to return keras.Model"
        )
    return found


def build_network(
    path: str, input_shape: Sequence[int], classes: int | None, arguments: Mapping[str, Any]
) -> Any:
    """The keras.Model that the network at an import path gives; its arguments are plain data.

    Args:
      path: of the network.
      input_shape: height, width and channels; a class that does not take it is not given it.
      classes: how many there are; None where the data have none.
      arguments: of the network, by name.

    Raises:
      RecipeError: as `network`.
      ValueError: an unknown path, or arguments that the network does not take.
    """
    function = network(path)
    of_the_run = {} if classes is None else {"classes": classes}
    if not isinstance(function, type) or _takes(function, INPUT_SHAPE):
        of_the_run[INPUT_SHAPE] = tuple(input_shape)
    try:
        return function(**of_the_run, **arguments)
    except Exception as error:  # of whatever kind: it may be the user's own code
        raise ValueError(_not_made(path, function, arguments, error)) from error


def build(spec: Mapping[str, Any], kind: str, **known: Any) -> Any:
    """The object that `{"class": path, ...arguments}` describes.

    Args:
      spec: arguments may be such mappings themselves.
      kind: one of `KINDS`.
      **known: numbers that only the run knows; an argument `"$steps"` stands for
        `known["steps"]`, and `"$steps * 0.5"` for the half of it, rounded down, at
        least 1.

    Raises:
      RecipeError: the class's package is not allowed, or it is of another kind.
      ValueError: an unknown path, or arguments that the class does not take.
    """
    found = _trusted(kind, spec["class"])
    bases = tuple(_imported(*base.split(":")) for base in KINDS[kind])
    if not (isinstance(found, type) and issubclass(found, bases)):
        raise RecipeError(f"{spec['class']} is no Keras {kind}")
    arguments = {
        key: _value(value, ARGUMENTS[kind], known) for key, value in spec.items() if key != "class"
    }
    try:
        return found(**arguments)
    except Exception as error:  # of whatever kind: it may be the user's own code
        raise ValueError(_not_made(spec["class"], found, arguments, error)) from error


def _not_made(
    path: str, function: Callable[..., Any], arguments: Mapping[str, Any], error: Exception
) -> str:
    """Why a function or class gave nothing: where in its own file, and which values are odd."""
    where = ""
    file = getattr(sys.modules.get(path.partition(":")[0]), "__file__", None)
    lines = [at.lineno for at in traceback.extract_tb(error.__traceback__) if at.filename == file]
    if lines and path.partition(".")[0] not in _OWN:
        where = f", line {lines[-1]} of {os.path.basename(file)}"
    kind = "" if isinstance(error, (OSError, TypeError, ValueError)) else type(error).__name__
    odd = "".join(
        f"; {name} is {arguments[name]!r}, and {default!r} by default"
        for name, default in _defaults(function).items()
        if name in arguments and not _is_like(arguments[name], default)
    )
    return f"{path}{where}: {kind}{': ' * bool(kind)}{error}{odd}"


def _defaults(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        given = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return {}
    stated = {each.name: each.default for each in given if each.default is not each.empty}
    return {name: value for name, value in stated.items() if value is not None}


def _is_like(value: Any, default: Any) -> bool:
    """Whether a value is of its default's type; lists are JSON's tuples, and integers are real."""
    if bool in (type(value), type(default)):
        return type(value) is type(default)
    alike = {list: (list, tuple), int: (int, float)}.get(type(value), type(value))
    return isinstance(default, alike)


def _trusted(where: str, path: str) -> Any:
    """The object at a path; its module, and the one in which it was defined, are trusted."""
    module, _, name = path.partition(":")
    trusted.check(where, module)
    found = _imported(module, name)
    if not callable(found):
        raise RecipeError(f"{where} {path}: of type {type(found).__name__}, which cannot be called")
    made = found
    while isinstance(made, functools.partial):
        made = made.func
    # A module has the names that it has imported, too.
    trusted.check(f"{where} {path}", getattr(made, "__module__", None) or type(made).__name__)
    return found


def _imported(module: str, name: str) -> Any:
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{module}:{name}: {error}") from error


def _is_network(found: Any) -> bool:
    """Whether this is a model's class, or declared as a network by arguments or annotation."""
    model = _imported("keras", "Model")
    if isinstance(found, type) and issubclass(found, model):
        return True
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):
        return False
    returned = signature.return_annotation
    if isinstance(returned, str):
        says_so = returned.rpartition(".")[2] in _MODELS
    else:
        says_so = isinstance(returned, type) and issubclass(returned, model)
    return says_so or set(OF_THE_RUN) <= set(signature.parameters)


def _takes(found: type, argument: str) -> bool:
    """Whether a class, or one that it is derived from, names an argument of its initializer."""
    own = [each.__init__ for each in found.__mro__ if "__init__" in vars(each)]
    return any(argument in inspect.signature(each).parameters for each in own)


def _value(value: Any, kind: str, known: Mapping[str, Any]) -> Any:
    if isinstance(value, Mapping) and "class" in value:
        return build(value, kind, **known)
    if isinstance(value, (list, tuple)):
        return [_value(item, kind, known) for item in value]
    if isinstance(value, str) and (found := _KNOWN.fullmatch(value)):
        # Of few images a part of an epoch may be less than a step, which no schedule takes.
        return max(1, int(known[found["name"]] * float(found["factor"] or 1)))
    return value
