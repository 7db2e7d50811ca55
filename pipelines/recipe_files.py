"""Recipes in files of the user's own: TOML, JSON and Python."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from components import trusted
from components.settings import RecipeError, near_matches
from pipelines import recipe_text
from pipelines.recipe import Recipe
from pipelines.recipe_text import Malformed

_PYTHON = ".py"
_TEXTS = {
    ".toml": (recipe_text.from_toml, recipe_text.lines_of_toml),
    ".json": (recipe_text.from_json, recipe_text.lines_of_json),
}
SUFFIXES = (*_TEXTS, _PYTHON)
# What a module calls its recipes.
_NAMES = ("RECIPES", "RECIPE")
_OBJECT = re.compile(r"([^\W\d]\w*)[\w.]*:\w+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_WEIGHTS = (".keras", ".h5")
_READ_HERE = "__read_as_a_recipe__"


@dataclass(frozen=True)
class Found:
    """A recipe, and what naming it allows.

    Attributes:
      recipe: the recipe.
      packages: those whose code it may run, besides what is allowed always: all that it names,
        where it is itself the user's own Python code.
      folder: where these, and others that are allowed, are looked for, too.
    """

    recipe: Recipe
    packages: tuple[str, ...] = ()
    folder: Path | None = None

    def allowed(self) -> AbstractContextManager[None]:
        """Allows the packages inside."""
        names = (*trusted.listed(), *self.packages)
        return trusted.allowing(names, [self.folder, Path.cwd()] if self.folder else [])


def is_file(name: str) -> bool:
    """Whether a recipe of this name is a file, there or not."""
    return Path(name).suffix.lower() in SUFFIXES


def read(path: str | Path) -> Recipe:
    """The recipe in a file; of a Python file with several sizes of it, the small one.

    Args:
      path: of a file of TOML or JSON with the keys of a `Recipe`, or of Python with a `RECIPE`,
        or `RECIPES` that differ in their size. Without a `name` it is called as the file is;
        `paper` and `summary` may be left out, too. Paths in it count from the file's folder.

    Raises:
      RecipeError: there is no such file, or no recipe in it; file, line and near matches are named.
    """
    return find(path).recipe


def find(path: str | Path, size: str | None = None) -> Found:
    """What `read` gives, and what it may run.

    Args:
      path: as `read` takes it.
      size: which of several sizes; None for the small one or, without one, the only one.

    Raises:
      RecipeError: as `read`; or it has no such size.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise RecipeError(f"there is no file {str(path)!r}{_beside(path)}")
    if path.suffix.lower() == _PYTHON:
        sizes = _of_python(path)
    else:
        recipe = _of_text(path)
        sizes = {recipe.size: recipe}
    recipe = of_size(sizes, size)
    is_code = path.suffix.lower() == _PYTHON
    return Found(recipe, packages(recipe) if is_code else (), path.absolute().parent)


def of_size(sizes: Mapping[str, Recipe], size: str | None) -> Recipe:
    """The one of a size; without one the small one, or the only one.

    Raises:
      RecipeError: there is none of it.
    """
    if size is None:
        size = "small" if "small" in sizes else next(iter(sizes))
    if size not in sizes:
        raise RecipeError(f"unknown size {size!r}: {near_matches(size, sizes)}")
    return sizes[size]


def packages(recipe: Recipe) -> tuple[str, ...]:
    """The packages, and modules outside of them, whose objects a recipe names."""
    return packages_in((recipe.model, recipe.loss, recipe.optimizer, recipe.tune))


def packages_in(values: Any) -> tuple[str, ...]:
    """The packages whose objects any of the texts in values names, but for those that are allowed.

    Args:
      values: plain data, of lists and mappings however deep.
    """
    named = filter(None, map(_OBJECT.fullmatch, _texts_in(values)))
    return tuple(dict.fromkeys(each[1] for each in named if not trusted.is_allowed(each[1])))


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _texts_in(each)


def _beside(path: Path) -> str:
    """Ends a message about a file that is not there."""
    if not path.parent.is_dir():
        return f": there is no folder {str(path.parent)!r}"
    there = [str(each) for each in path.parent.iterdir() if each.suffix.lower() in SUFFIXES]
    return f": {near_matches(str(path), there)}" if there else ""


def _of_text(path: Path) -> Recipe:
    parse, lines_of = _TEXTS[path.suffix.lower()]
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} cannot be read: {error}") from error
    try:
        values = parse(text)
    except Malformed as error:
        raise RecipeError(f"{_place(path, error.line)}: {error}") from error
    try:
        if not isinstance(values, dict):
            raise RecipeError(f"a recipe is values by key, not {type(values).__name__}")
        name = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")
        values = {"name": name, "paper": "", "summary": "", **values}
        with trusted.allowing(trusted.listed(), [path.parent, Path.cwd()]):
            return checked(_from_folder(Recipe.from_json(json.dumps(values)), path))
    except RecipeError as error:
        line = _line(str(error), lines_of(text))
        raise RecipeError(f"{_place(path, line)}: {error}") from error


def _place(path: Path, line: int | None) -> str:
    return str(path) if line is None else f"{path}, line {line}"


def _line(message: str, lines: Mapping[str, int]) -> int | None:
    """The line that a message is about: of the key that it begins with or else names first."""
    starts = {
        key: match.start()
        for key in lines
        # A word may be the message's own but where it begins it, in quotes, or with a point.
        if (match := re.search(_mention(key), message))
    }
    if not starts:
        return None
    return lines[min(starts, key=lambda key: (starts[key], -len(key)))]


def _mention(key: str) -> str:
    word = re.escape(key)
    if "." in key:
        return rf"(?<![\w.]){word}(?![\w.]*\w)"
    return rf"^(?:unknown )?{word}(?=[:. ])|'{word}'"


def _from_folder(recipe: Recipe, path: Path) -> Recipe:
    """With the paths in a recipe counted from its file's folder."""
    from components.ingest import sources

    folder = path.absolute().parent
    if folder == Path.cwd():
        return recipe

    def placed(value: Any) -> Any:
        if not isinstance(value, str) or "://" in value or sources.is_name(value):
            return value
        return str(folder / Path(value).expanduser())

    def weights(value: Any) -> Any:
        is_file = isinstance(value, str) and value.endswith(_WEIGHTS)
        return placed(value) if is_file else value

    return dataclasses.replace(
        recipe,
        dataset=placed(recipe.dataset),
        fixed=placed(recipe.fixed),
        model_args={key: weights(value) for key, value in recipe.model_args.items()},
    )


def _of_python(path: Path) -> dict[str, Recipe]:
    """The recipe that a Python file makes, by size."""
    try:
        with trusted.own_code(), trusted.importable([path.absolute().parent]):
            found = [checked(_from_folder(each, path)) for each in recipes_of(_module(path))]
    except (Exception, SystemExit) as error:  # of whatever kind: the user's code runs
        raise RecipeError(
            f"{_place(path, _line_of_code(error, path))}: {message_of(error)}"
        ) from error
    names = {each.name for each in found}
    if len(names) > 1:
        raise RecipeError(
            f"{path} has the recipes {', '.join(sorted(names))}: a file has one, in one or more "
            "sizes; a package may have several (docs/own-networks.md)"
        )
    return {each.size: each for each in found}


def _module(path: Path) -> ModuleType:
    """The module that a file is, run anew: it may have been changed since."""
    name = path.stem
    is_ours = getattr(sys.modules.get(name), _READ_HERE, name not in sys.modules)
    if name in sys.stdlib_module_names or not is_ours:
        raise RecipeError(f"Python has another module {name!r}: give the file another name")
    spec = importlib.util.spec_from_file_location(name, path.absolute())
    module = importlib.util.module_from_spec(spec)
    setattr(module, _READ_HERE, True)
    # The network may be in the same file, and is then found under this name.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def checked(recipe: Recipe) -> Recipe:
    """A recipe that is none of this package's, once its name and the objects in it are known good.

    Raises:
      RecipeError: they are not.
    """
    if not _NAME.fullmatch(recipe.name):
        raise RecipeError(
            "name must be of letters, digits, '.', '_' and '-', as it names folders, not "
            f"{recipe.name!r}"
        )
    return recipe.override(())


def recipes_of(found: Any) -> list[Recipe]:
    """Of a recipe, several, or a module that has them.

    Raises:
      RecipeError: there is none.
    """
    if isinstance(found, ModuleType):
        named = [getattr(found, name) for name in _NAMES if hasattr(found, name)]
        if not named:
            raise RecipeError(
                "there is no RECIPE = Recipe(...) in it, nor RECIPES with several sizes"
            )
        found = named[0]
    several = [found] if isinstance(found, Recipe) else found
    if not isinstance(several, Iterable) or isinstance(several, str | Mapping):
        several = [several]
    several = list(several)
    for each in several:
        if not isinstance(each, Recipe):
            raise RecipeError(f"a recipe is a pipelines.recipe.Recipe, not {type(each).__name__}")
    if not several:
        raise RecipeError("there is no recipe in RECIPES")
    return several


def _line_of_code(error: BaseException, path: Path) -> int | None:
    """The innermost line of a file that an error came through."""
    if isinstance(error, SyntaxError) and error.filename == str(path.absolute()):
        return error.lineno
    frames = traceback.extract_tb(error.__traceback__)
    lines = [each.lineno for each in frames if each.filename == str(path.absolute())]
    return lines[-1] if lines else None


def message_of(error: BaseException) -> str:
    """What code of the user's own has raised, in a line."""
    if isinstance(error, RecipeError):
        return str(error)
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
