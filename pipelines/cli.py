"""The command line `convnets`.

Nothing heavy is imported here or in `commands`: every command answers `--help`, and refuses what it
cannot do, before TensorFlow or TFX is touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from pipelines import recipe_text, recipes, served
from pipelines.commands import (
    claims,
    data,
    evaluating,
    export,
    history,
    kubeflow,
    predicting,
    running,
    schedule,
    serving,
)
from pipelines.commands.common import (
    INTERRUPTED,
    console,
    packages_option,
    recipe_of,
    status,
    user_errors,
)
from pipelines.commands.recipe_options import recipe_options


class _Commands(click.Group):
    """A group whose commands end on Ctrl-C with the status that shells know."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            # In a terminal the cursor stands behind "^C".
            click.echo("\nstopped", err=True)
            ctx.exit(INTERRUPTED)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="convnets")
def main() -> None:
    """The networks of the papers: trained, judged beside the published figures, served."""


@click.command("list")
def list_recipes() -> None:
    """The recipes."""
    from pipelines.console import screens

    found = recipes.everything()
    console().print(screens.recipes_screen(found.recipes))
    for line in found.broken:
        click.echo(f"Note: {line}", err=True)


@click.command("show")
@click.argument("recipe")
@recipe_options
@packages_option
@click.option("--toml", "form", flag_value="toml", help="As a file to change: convnets run FILE.")
@click.option("--json", "form", flag_value="json", help="The same in JSON.")
@click.option(
    "--layers",
    is_flag=True,
    help="The network's costs layer by layer, and its paper's counts part by part.",
)
def show_recipe(
    recipe: str, size: str | None, settings: Sequence[str], form: str | None, layers: bool
) -> None:
    """A recipe, the published figures that its result is set beside, and what its network costs."""
    from pipelines.console import screens

    chosen = recipe_of(recipe, size, settings)
    if form is not None:
        click.echo(recipe_text.FORMS[form](chosen), nl=False)
        return
    screen = console()
    screen.print(screens.recipe_screen(chosen))
    served.quiet_libraries()
    with user_errors(), status(screen, "counting") as say:
        from pipelines import cost_cache, costs

        try:
            cost = cost_cache.count(chosen, lambda: say("loading Keras and counting"))
        except costs.Uncounted as error:
            screen.print(f"What the network costs is not known: {error}", soft_wrap=True)
            return
    if layers:
        screen.print(screens.layers_table(cost), screens.parts_screen(costs.parts(chosen, cost)))
    screen.print(screens.cost_screen(cost, costs.published(chosen, cost)))


for _command in (
    list_recipes,
    show_recipe,
    running.run_recipe,
    running.judge,
    running.papers,
    serving.serve,
    predicting.predict,
    evaluating.evaluate,
    serving.load_test,
    export.export,
    data.data_commands,
    claims.try_claims,
    kubeflow.compile_recipe,
    kubeflow.submit,
    schedule.schedule,
    history.history,
    history.rollback,
    history.tensorboard,
):
    main.add_command(_command)
