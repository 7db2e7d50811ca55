"""One module a paper; each lists its recipes in `RECIPES`. `_parts` is what several of them use."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.judge.results import data_name
from components.settings import near_matches
from pipelines import installed_recipes, recipe_files, tuning
from pipelines.installed_recipes import Installed
from pipelines.recipe import Recipe, RecipeError
from pipelines.recipe_files import Found
from pipelines.recipes import _pretrained

_DEFAULT = "the default"
# What the names of claims begin with, see `pipelines.claims`.
_CLAIM = "claim-"
# Of `preprocess`: what the network sees of a picture.
_SIZES = ("size", "resize", "channels")


def all_recipes() -> dict[str, dict[str, Recipe]]:
    """Every recipe of this package by name, then by size."""
    recipes: dict[str, dict[str, Recipe]] = {}
    for module in pkgutil.iter_modules(__path__):
        if module.name.startswith("_"):
            continue
        for recipe in importlib.import_module(f"{__name__}.{module.name}").RECIPES:
            recipes.setdefault(recipe.name, {})[recipe.size] = recipe
    return dict(sorted(recipes.items()))


def everything() -> Installed:
    """All recipes, those of installed packages among them, and what is wrong with the latter."""
    own = all_recipes()
    found = installed_recipes.read(own)
    return Installed(dict(sorted({**own, **found.recipes}.items())), found.broken)


def find(name: str, size: str | None = None) -> Recipe:
    """The recipe called `name` in the given size.

    Args:
      name: of a recipe, this package's or an installed one's; a file of the user's own, see
        `recipe_files`; `keras:NAME` for a network of keras.applications, or the path of a .keras
        file, of which a recipe of fine-tuning is made. These have the small size alone.
      size: one of `pipelines.recipe.SIZES`; None for the small one or, without one, the only one.

    Raises:
      RecipeError: no such recipe or size; the near matches are named.
    """
    return found(name, size).recipe


def found(name: str, size: str | None = None) -> Found:
    """What `find` gives, and whose code it may run because the user has named it.

    Raises:
      RecipeError: as `find`.
    """
    if recipe_files.is_file(name):
        return recipe_files.find(name, size)
    if made := _made(name):
        return Found(recipe_files.of_size({made.size: made}, size))
    if name.startswith(_CLAIM):
        raise RecipeError(f"{name!r} is no recipe but a claim: convnets claims {name}")
    known = all_recipes()
    if name in known:
        return Found(recipe_files.of_size(known[name], size))
    others = installed_recipes.read(known)
    if name in others.recipes:
        recipe = recipe_files.of_size(others.recipes[name], size)
        return Found(recipe, recipe_files.packages(recipe))
    files = [name + suffix for suffix in recipe_files.SUFFIXES if Path(name + suffix).is_file()]
    near = near_matches(name, [*known, *others.recipes, *files])
    lines = [f"unknown recipe {name!r}: {near}"]
    raise RecipeError("\n".join([*lines, *others.broken]))


def _made(name: str) -> Recipe | None:
    """The recipe that is made of a network which is trained already; None of any other name."""
    if name.startswith(_pretrained.APPLICATION):
        return _pretrained.of_application(name)
    return _pretrained.of_file(name) if name.endswith(_pretrained.FILE) else None


def deviations(recipe: Recipe) -> list[str]:
    """How the recipe's network, and on the same data its pictures' sizes, differ from those of its
    published figures, the paper size's.

    One text an argument, such as `configuration=A instead of D`.
    """
    paper = all_recipes().get(recipe.name, {}).get("paper")
    if paper is None:
        return []
    if recipe.model != paper.model:
        return [f"{recipe.model} instead of {paper.model}"]
    ours, theirs = dict(recipe.model_args), dict(paper.model_args)
    if data_name(recipe.dataset) == data_name(paper.dataset):
        ours |= _sizes(recipe)
        theirs |= _sizes(paper)
    searched = recipe.tune["space"] if tuning.is_on(recipe.tune) else ()
    return [
        *(
            f"{key}={ours.get(key, _DEFAULT)} instead of {theirs.get(key, _DEFAULT)}"
            for key in sorted({*ours, *theirs})
            if ours.get(key, _DEFAULT) != theirs.get(key, _DEFAULT)
        ),
        *(f"{path} as a search has it" for path in searched if path.startswith("model_args")),
    ]


def _sizes(recipe: Recipe) -> Mapping[str, Any]:
    return {f"preprocess.{key}": recipe.preprocess[key] for key in _SIZES}
