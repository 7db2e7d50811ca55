"""What several commands share: options, the console, and errors in one line."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from components import trusted
from pipelines import recipe_files, recipes, served
from pipelines.beam import Beam
from pipelines.console.terminal import console as console
from pipelines.kubeflow import KubeflowMissing
from pipelines.recipe import SIZES, Recipe, RecipeError

if TYPE_CHECKING:
    from rich.console import Console

DEFAULT_ROOT = Path("runs")
INTERRUPTED = 130  # 128 + SIGINT, as shells count it.


class GivenPath(click.Path):
    """A path that is not empty: an unset variable of a shell is not the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path, as click has it; a usage error for an empty text."""
        if value == "":
            self.fail("a path is wanted, not an empty text", param, ctx)
        return super().convert(value, param, ctx)


root_option = click.option(
    "--root",
    type=GivenPath(file_okay=False, path_type=Path),
    default=DEFAULT_ROOT,
    show_default=True,
    help="Folder of the artifacts, the models and the logs.",
)
size_option = click.option(
    "--size",
    metavar="|".join(SIZES),
    help="paper: exactly the published set-up; small: minutes on two cores.  "
    "[default: small, or the only one]",
)
settings_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a value of the recipe, such as epochs=3. Repeatable.",
)


def _allow(context: click.Context, _: click.Parameter, names: Sequence[str]) -> None:
    try:
        context.with_resource(trusted.allowing(names, [Path.cwd()]))
    except RecipeError as error:
        raise click.UsageError(str(error), context) from error


ALLOW_HELP = "Trust the code of this package, which the recipe or the file names. Repeatable."
packages_option = click.option(
    "--allow-package",
    multiple=True,
    metavar="NAME",
    expose_value=False,
    callback=_allow,
    help=ALLOW_HELP,
)


@contextlib.contextmanager
def status(screen: Console, text: str) -> Iterator[Callable[[str], None]]:
    """Says in a terminal what is being done while the block lasts; yields what changes the text.

    Nothing moves: rich moves things in a thread that imports as it draws, and TFDS, while it is
    imported itself, replaces Python's `import` for all threads.
    """
    from rich.live import Live
    from rich.text import Text

    def shown(text: str) -> Text:
        return Text(f"{text} ...", style="dim")

    with Live(shown(text), console=screen, auto_refresh=False, transient=True) as live:
        yield lambda text: live.update(shown(text), refresh=True)


@contextlib.contextmanager
def user_errors() -> Iterator[None]:
    """What the user can put right is one line, without a traceback."""
    from serving.errors import ServingError

    try:
        yield
    except (ValueError, OSError, ServingError, KubeflowMissing) as error:
        raise click.ClickException(str(error)) from error


def recipe_of(
    name: str, size: str | None, settings: Sequence[str] = (), data: str | None = None
) -> Recipe:
    """The recipe of a name, or in a file; what naming it allows holds until the command ends."""
    if recipe_files.is_file(name):
        served.quiet_libraries()  # Python code of the user's own may import them.
    try:
        found = recipes.found(name, size)
        click.get_current_context().with_resource(found.allowed())
        recipe = found.recipe
        if data is not None:
            recipe = recipe.on_data(data)
        return recipe.override(settings)
    except RecipeError as error:
        raise click.ClickException(str(error)) from error


def beam_of(runner: str, arguments: Sequence[str]) -> Beam:
    beam = Beam(runner, tuple(arguments))
    with user_errors():
        beam.check()
    return beam
