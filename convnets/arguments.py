"""What is given to the functions of the package, checked before anything is done."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Callable
from pathlib import Path
from typing import Any


def check(name: str, value: Any, types: type | tuple[type, ...], words: str) -> None:
    """Checks an argument's type.

    Args:
      name: the argument's.
      value: what is given.
      types: those that it may have.
      words: what it takes, for the message.

    Raises:
      TypeError: it has another.
    """
    if not isinstance(value, types):
        raise wrong(name, value, words)


def wrong(name: str, value: Any, words: str) -> TypeError:
    """The error of an argument that takes something else."""
    return TypeError(f"{name} takes {words}, not {reprlib.repr(value)}")


def text(name: str, value: Any) -> None:
    """Checks that an argument is a text, or None."""
    check(name, value, (str, type(None)), "a text")


def flag(name: str, value: Any) -> None:
    """Checks that an argument is True or False."""
    check(name, value, bool, "True or False")


def function(name: str, value: Callable[..., Any] | None) -> None:
    """Checks that an argument can be called, or is None."""
    if value is not None and not callable(value):
        raise wrong(name, value, "a function")


def count(name: str, value: Any, least: int, most: int | None = None) -> None:
    """Checks that an argument is a whole number in a range.

    Raises:
      TypeError: it is no whole number.
      ValueError: it is out of the range.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise wrong(name, value, "a whole number")
    if value < least or (most is not None and value > most):
        range_ = f"{least} or more" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name} takes a whole number, {range_}, not {value}")


def path(name: str, value: Any, words: str = "a path") -> None:
    """Checks that an argument is a path.

    Raises:
      TypeError: it is none.
      ValueError: it is empty.
    """
    check(name, value, (str, os.PathLike), words)
    if not os.fspath(value):
        raise ValueError(f"{name} takes {words}, not an empty text")


def optional_path(name: str, value: Any, words: str = "a path") -> None:
    """Checks that an argument is a path, or None."""
    if value is not None:
        path(name, value, words)


def root(value: Any) -> Path:
    """The folder of runs, absolute.

    Raises:
      TypeError: it is no path.
      ValueError: it is empty, or a file.
    """
    path("root", value, "the path of a folder")
    if Path(value).exists() and not Path(value).is_dir():
        raise ValueError(f"root takes a folder, and {value} is a file")
    return Path(value).absolute()
