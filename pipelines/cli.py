"""The command line `convnets`.

Nothing heavy is imported here: every command answers `--help`, and refuses what it cannot do,
before TensorFlow or TFX is touched.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines import recipes
from pipelines.recipe import SIZES, Recipe, RecipeError

if TYPE_CHECKING:
    from rich.console import Console

DEFAULT_ROOT = Path("runs")

_root = click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_ROOT,
    show_default=True,
    help="Folder of the artifacts, the models and the logs.",
)
_size = click.option(
    "--size",
    default="small",
    show_default=True,
    metavar="|".join(SIZES),
    help="paper: exactly the published set-up; small: minutes on two cores.",
)
_settings = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a value of the recipe, such as epochs=3. Repeatable.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="convnets")
def main() -> None:
    """The networks of the papers: trained, judged beside the published figures, served."""


@main.command("list")
def list_recipes() -> None:
    """The recipes."""
    from pipelines import screens

    _console().print(screens.recipes_table(recipes.all_recipes()))


@main.command("show")
@click.argument("recipe")
@_size
@_settings
def show_recipe(recipe: str, size: str, settings: Sequence[str]) -> None:
    """A recipe, and the published figures that its result is set beside."""
    from pipelines import screens

    _console().print(screens.recipe_screen(_recipe(recipe, size, settings)))


@main.command("run")
@click.argument("recipe")
@_size
@_root
@_settings
@click.option("--data", metavar="DIR", help="Your own images, a folder per class, or tfds:NAME.")
@click.option("--seed", type=int, help="Seed of the weights, the order and the distortions.")
@click.option("--verbose", is_flag=True, help="Show the libraries' logs.")
def run_recipe(
    recipe: str,
    size: str,
    root: Path,
    settings: Sequence[str],
    data: str | None,
    seed: int | None,
    verbose: bool,
) -> None:
    """Trains a recipe, judges it beside the paper and pushes it to be served.

    What has been done already comes from the cache; an interrupted run is continued.
    """
    if seed is not None:
        settings = (*settings, f"seed={seed}")
    chosen = _recipe(recipe, size, settings)
    if run(chosen, _data(chosen, data), root, _console(), verbose)["error"]:
        sys.exit(1)


def run(
    recipe: Recipe, data: str | None, root: Path, console: Console, verbose: bool = False
) -> dict[str, Any]:
    """Runs a recipe, shows its progress and, at the end, what it came to.

    Returns:
      the run's summary, as `ROOT/runs/RUN.json` has it.

    Raises:
      click.ClickException: another run is using the root, or the root cannot be written.
      click.Abort: the user has interrupted the run.
    """
    from pipelines import display, process, screens

    root = root.absolute()
    this = process.new_run(recipe.name, root)
    board = display.Board()
    plain = json.loads(recipe.to_json())
    on_log = click.echo if verbose else None
    try:
        with display.watching(console, board, plain=verbose) as on_event:
            code = process.execute(this, plain, data, process.RUNNER, on_event, on_log)
    except (process.RootBusy, OSError) as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt as error:
        console.print("stopped; the same command goes on from where this run came to")
        raise click.Abort from error
    summary = process.outcome(this, plain, code, board.rows())
    summary["seconds"] = summary["seconds"] or board.seconds
    console.print(screens.end_screen(summary, _next_commands(summary, root), this.log))
    return summary


@main.command("judge")
@click.argument("recipe", required=False)
@_root
@click.option(
    "--model",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Judge this SavedModel now, on the test images of the recipe's last run.",
)
def judge(recipe: str | None, root: Path, model: Path | None) -> None:
    """The published figures beside ours, of the last run of one recipe or of each."""
    from pipelines import runs, screens

    known = _recipe(recipe, "small") if recipe else None
    if model is None:
        latest = {each["recipe"]: each for each in runs.judgements(root, recipe)}
    elif known is None:
        raise click.UsageError("--model needs the RECIPE on whose images it is judged")
    else:
        from pipelines import judging

        with _user_errors(), _console().status("loading TensorFlow and judging"):
            latest = {known.name: judging.judge_model(model, known, root.absolute())}
    if not latest:
        raise click.ClickException(_nothing_run(recipe, root))
    for judgement in latest.values():
        _console().print(screens.judgement_screen(judgement))


@main.command("papers")
@_root
def papers(root: Path) -> None:
    """Every published figure, beside what has been run so far."""
    from pipelines import runs, screens

    _console().print(screens.papers_screen(runs.judgements(root)))


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


@contextlib.contextmanager
def _user_errors() -> Iterator[None]:
    """What the user can put right is one line, without a traceback."""
    try:
        yield
    except (RecipeError, ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _recipe(name: str, size: str, settings: Sequence[str] = ()) -> Recipe:
    try:
        return recipes.find(name, size).override(settings)
    except RecipeError as error:
        raise click.ClickException(str(error)) from error


def _data(recipe: Recipe, data: str | None) -> str | None:
    """`--data` in a form that holds in every process; checked, as is the recipe's own data."""
    from components.ingest import sources

    try:
        sources.resolve(recipe.dataset, data)
    except (sources.SourceError, OSError) as error:
        raise click.ClickException(str(error)) from error
    if data is None or "://" in data or data.startswith("tfds:"):
        return data
    return str(Path(data).expanduser().resolve())


def _nothing_run(recipe: str | None, root: Path) -> str:
    what = f"no run of {recipe}" if recipe else "no run"
    return f"{root} holds {what} that was judged; start with: convnets run {recipe or 'lenet'}"


def _next_commands(summary: dict[str, Any], root: Path) -> Iterator[str]:
    place = "" if root == DEFAULT_ROOT.absolute() else f" --root {shlex.quote(str(root))}"
    if summary.get("pushed") and not summary["error"]:
        yield f"convnets serve{place}"
        yield f"convnets predict IMAGE...{place}"
    if summary.get("judgement"):
        yield f"convnets papers{place}"
