"""The packages whose objects a recipe may name: recipes travel, and an import runs code.

Keras and this package's networks are trusted. Others are those that the person who runs a recipe
lists: by `--allow-package`, or in the environment, by which child processes and the steps on
Kubeflow know them, too. A recipe itself cannot list any.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator

from components.settings import RecipeError

# Names of packages and modules, separated by commas.
VARIABLE = "CONVNETS_ALLOW_PACKAGES"
_ALWAYS = ("keras", "keras_models")


def listed() -> tuple[str, ...]:
    """The packages that were allowed besides Keras and `keras_models`."""
    return tuple(filter(None, map(str.strip, os.environ.get(VARIABLE, "").split(","))))


def is_allowed(module: str) -> bool:
    """Whether a module is, or lies in, a package that is allowed."""
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
def allowing(names: Iterable[str]) -> Iterator[None]:
    """Allows more packages inside, and in the processes that are started there.

    Raises:
      RecipeError: what is no name of a package.
    """
    names = tuple(names)
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")):
            raise RecipeError(f"--allow-package takes a package such as mynets, not {name!r}")
    before = os.environ.get(VARIABLE)
    if names:
        os.environ[VARIABLE] = ",".join(dict.fromkeys([*listed(), *names]))
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = before
