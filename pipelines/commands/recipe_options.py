"""The options that change a recipe, for every command that takes one."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from components import trusted
from pipelines import optimizers, recipes
from pipelines.commands.common import settings_option, size_option, user_errors
from pipelines.recipe_files import Found

_OPTIONS = (
    size_option,
    click.option(
        "--model",
        metavar="MODULE:NAME",
        help="Your own network in the place of the recipe's, such as mynets:Net.",
    ),
    click.option("--epochs", type=int, help="Passes through the training images."),
    click.option("--batch-size", type=int, help="Images of one step."),
    click.option("--lr", type=float, help="The highest learning rate; a schedule keeps its shape."),
    click.option("--seed", type=int, help="Seed of the weights, the order and the distortions."),
    settings_option,
)


def recipe_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command `--size`, `--set` and short options for what is set most.

    The command has an argument `recipe`; it gets `size`, and `settings` that hold all the others.
    The package of `--model` is allowed; where the command has `allow_packages`, it is one of these.
    """

    @functools.wraps(command)
    def with_settings(
        *,
        recipe: str,
        size: str | None,
        settings: tuple[str, ...],
        model: str | None,
        lr: float | None,
        **others: Any,
    ) -> Any:
        packages = [_package(model)] if model is not None else []
        if "allow_packages" in others:
            packages = others["allow_packages"] = (*others["allow_packages"], *packages)
        else:
            click.get_current_context().with_resource(trusted.allowing(packages, [Path.cwd()]))
        numbers = {key: others.pop(key) for key in ("epochs", "batch_size", "seed")}
        # What is set may be an argument of the network.
        settings = (*_of_model(model), *settings, *_of_numbers(numbers))
        if lr is not None:
            with user_errors(), trusted.allowing(packages):
                settings = (*settings, _of_rate(lr, recipes.found(recipe, size), settings))
        return command(recipe=recipe, size=size, settings=settings, **others)

    for option in reversed(_OPTIONS):
        with_settings = option(with_settings)
    return with_settings


def _of_rate(rate: float, found: Found, settings: Sequence[str]) -> str:
    with found.allowed():
        return optimizers.rate_setting(found.recipe.override(settings).optimizer, rate)


def _package(model: str) -> str:
    """The package, or the module outside of one, of `MODULE:NAME`."""
    module, _, name = model.partition(":")
    if not (name.isidentifier() and all(part.isidentifier() for part in module.split("."))):
        raise click.UsageError(
            f"--model takes a module and a name in it, such as mynets:Net, not {model!r}"
        )
    return module.partition(".")[0]


def _of_model(model: str | None) -> Iterator[str]:
    if model is not None:
        yield f"model={json.dumps(model)}"


def _of_numbers(numbers: dict[str, int | None]) -> Iterator[str]:
    for key, value in numbers.items():
        if value is not None:
            yield f"{key}={value}"
