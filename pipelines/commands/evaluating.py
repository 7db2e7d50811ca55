"""`convnets evaluate`: any model of ours, judged on any data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from pipelines import models, served
from pipelines.commands.common import (
    console,
    packages_option,
    recipe_of,
    root_option,
    settings_option,
    size_option,
    status,
    user_errors,
)

_MISSED = 10


@click.command("evaluate")
@click.argument("model")
@root_option
@click.option("--data", required=True, metavar="DIR", help="As `convnets run --data` takes it.")
@click.option("--protocol", metavar="NAME", help="How one image becomes one answer, as 10-crop.")
@click.option(
    "--recipe",
    "name",
    metavar="RECIPE",
    help="How images are prepared for a .keras file that does not say; whose protocol is taken, "
    "and beside whose published figures the model is set.",
)
@size_option
@settings_option
@packages_option
def evaluate(
    model: str,
    root: Path,
    data: str,
    protocol: str | None,
    name: str | None,
    size: str,
    settings: Sequence[str],
) -> None:
    """Judges a model on the test split of any data, as `convnets run` judges its own.

    MODEL is a pushed model's name, a run's id, or the path of a SavedModel or a .keras file. Its
    figures stand beside published ones of the same data and protocol alone. --size and --set are of
    --recipe.
    """
    from pipelines.console import screens

    if settings and name is None:
        raise click.UsageError("--set is for --recipe")
    recipe = recipe_of(name, size, settings) if name else None
    with user_errors():
        path = models.find(model, root)
        served.quiet_libraries()
        with status(console(stderr=True), "loading TensorFlow") as say:
            from pipelines import evaluation

            found = evaluation.evaluate(path, data, recipe, protocol, root.absolute(), say)
    screen = console()
    screen.print(screens.judgement_screen(found.judgement))
    if found.dead_letters:
        lost = sum(each["count"] for each in found.dead_letters)
        screen.print(f"{lost:,} could not be used:")
        for each in found.dead_letters[:_MISSED]:
            screen.print(f"  {each['id']}: {each['reason']}")
        if len(found.dead_letters) > _MISSED:
            screen.print(f"  and {len(found.dead_letters) - _MISSED:,} more")
