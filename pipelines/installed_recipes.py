"""Recipes of installed packages: entry points of the group `convnets.recipes`.

Each names a `Recipe`, several, or a module that has them as `RECIPE` or `RECIPES`. They are
imported when a name is asked for that is none of this package's, and when all are listed.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Collection
from dataclasses import dataclass, field

from components import trusted
from components.settings import RecipeError
from pipelines import recipe_files
from pipelines.recipe import Recipe

GROUP = "convnets.recipes"


@dataclass
class Installed:
    """What the installed packages have.

    Attributes:
      recipes: by name, then by size.
      broken: why there are no recipes of a package, a line for each.
    """

    recipes: dict[str, dict[str, Recipe]] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)


def read(taken: Collection[str] = ()) -> Installed:
    """Imports the recipes of all installed packages.

    Args:
      taken: names that no other recipe may have.
    """
    found = Installed()
    of_packages: dict[str, str] = {}
    for point in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda each: each.name):
        package = point.dist.name if point.dist else point.module
        try:
            recipes = _of(point)
            for recipe in recipes:
                if recipe.name in taken or of_packages.get(recipe.name, package) != package:
                    raise RecipeError(f"the name {recipe.name!r} is taken by another recipe")
        except (Exception, SystemExit) as error:  # of whatever kind: the package's code runs
            found.broken.append(
                f"the recipes {point.name!r} of the package {package} cannot be read: "
                f"{recipe_files.message_of(error)}"
            )
            continue
        for recipe in recipes:
            of_packages[recipe.name] = package
            found.recipes.setdefault(recipe.name, {})[recipe.size] = recipe
    return found


def _of(point: importlib.metadata.EntryPoint) -> list[Recipe]:
    with trusted.own_code():
        return [recipe_files.checked(each) for each in recipe_files.recipes_of(point.load())]
