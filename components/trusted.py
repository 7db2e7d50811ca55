"""The packages whose objects a recipe may name: recipes travel, and an import runs code.

Keras and this package's networks are trusted. Others are those that the person who runs a recipe
lists: by `--allow-package` or `--model`, or in the environment, by which child processes and the
steps on Kubeflow know them, too. A recipe itself cannot list any; one that is Python code of the
user's own runs what it likes anyway.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path

from components.settings import RecipeError

# Names of packages and modules, separated by commas.
VARIABLE = "CONVNETS_ALLOW_PACKAGES"
_ALWAYS = ("keras", "keras_models")
_PYTHON_PATH = "PYTHONPATH"
_own_code_runs: ContextVar[bool] = ContextVar("own_code_runs", default=False)


def listed() -> tuple[str, ...]:
    """The packages that were allowed besides Keras and `keras_models`."""
    return tuple(filter(None, map(str.strip, os.environ.get(VARIABLE, "").split(","))))


def is_allowed(module: str) -> bool:
    """Whether a module is, or lies in, a package that is allowed."""
    if _own_code_runs.get():
        return True
    return any(f"{module}.".startswith(f"{name}.") for name in (*_ALWAYS, *listed()))


def check(where: str, module: str) -> None:
    """Checks the module of an object that a recipe names, before it is imported.

    Args:
      where: the recipe's key.
      module: its full name.

    Raises:
      RecipeError: its package is not allowed; the text says how to.
    """
    if not is_allowed(module):
        top = module.partition(".")[0]
        raise RecipeError(
            f"{where}: recipes may not run the code of {top}; if you trust it, add "
            f"--allow-package {top}"
        )


@contextlib.contextmanager
def allowing(names: Iterable[str], folders: Iterable[Path] = ()) -> Iterator[None]:
    """Allows more packages inside, and in the processes that are started there.

    Args:
      names: of packages and modules; without any nothing changes.
      folders: where Python looks for them, too.

    Raises:
      RecipeError: what is no name of a package.
    """
    names = tuple(names)
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")):
            raise RecipeError(f"--allow-package takes a package such as mynets, not {name!r}")
    if not names:
        yield
        return
    allowed = ",".join(dict.fromkeys([*listed(), *names]))
    with importable(folders), _variable(VARIABLE, allowed):
        yield


@contextlib.contextmanager
def importable(folders: Iterable[Path]) -> Iterator[None]:
    """Has Python look for modules in these folders, too, here and in processes started inside."""
    places = dict.fromkeys(str(each.absolute()) for each in folders)
    if not places:
        yield
        return
    before = list(sys.path)
    sys.path[:0] = [each for each in places if each not in before]
    paths = os.pathsep.join([*places, *filter(None, [os.environ.get(_PYTHON_PATH)])])
    try:
        with _variable(_PYTHON_PATH, paths):
            yield
    finally:
        sys.path[:] = before


@contextlib.contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before


@contextlib.contextmanager
def own_code() -> Iterator[None]:
    """Allows all packages inside, where the user's own Python code is run."""
    token = _own_code_runs.set(True)
    try:
        yield
    finally:
        _own_code_runs.reset(token)
