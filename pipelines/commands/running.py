"""`convnets run`, and what the runs came to: `judge` and `papers`."""

from __future__ import annotations

import json
import shlex
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import convnets
from convnets import tracking
from pipelines import served
from pipelines.beam import Beam, beam_options
from pipelines.commands.common import (
    DEFAULT_ROOT,
    INTERRUPTED,
    GivenPath,
    beam_of,
    console,
    packages_option,
    recipe_of,
    root_option,
    settings_option,
    status,
    user_errors,
)
from pipelines.commands.recipe_options import recipe_options
from pipelines.recipe import Recipe

if TYPE_CHECKING:
    from rich.console import Console

_ON_THIS_MACHINE = Beam()


@click.command("run")
@click.argument("recipe")
@recipe_options
@root_option
@packages_option
@click.option(
    "--data",
    metavar="DIR",
    help="Your own images, in a folder or spans (photos/span-{SPAN}), or tfds:NAME.",
)
@click.option("--window", type=int, help="Train on so many spans of --data, the newest and before.")
@click.option("--name", help="Of the served model.  [default: RECIPE, or RECIPE-DATA with --data]")
@click.option("--track", type=click.Choice(tracking.TRACKERS), help="Note the run there, too.")
@beam_options
@click.option("--verbose", is_flag=True, help="Show the libraries' logs.")
def run_recipe(
    recipe: str,
    size: str | None,
    root: Path,
    settings: Sequence[str],
    data: str | None,
    window: int | None,
    name: str | None,
    track: str | None,
    beam_runner: str,
    beam_arguments: Sequence[str],
    verbose: bool,
) -> None:
    """Trains a recipe, judges it beside the paper and pushes it to be served.

    RECIPE is a name (convnets list), keras:NAME, or a file: .toml, .json or .py of a recipe of
    yours, .keras of a network of yours.

    What has been done already comes from the cache; an interrupted run is continued.
    """
    if window is not None:
        settings = (*settings, f"window={window}")
    if name is not None:
        settings = (*settings, f"served_name={json.dumps(name)}")
    beam = beam_of(beam_runner, beam_arguments)
    chosen = recipe_of(recipe, size, settings, data)
    if run(chosen, root, console(), verbose, beam, track)["error"]:
        sys.exit(1)


def run(
    recipe: Recipe,
    root: Path,
    screen: Console,
    verbose: bool = False,
    beam: Beam = _ON_THIS_MACHINE,
    track: str | None = None,
) -> dict[str, Any]:
    """Runs a recipe, shows its progress and, at the end, what it came to.

    Returns:
      the run's summary, as `ROOT/runs/RUN.json` has it.

    Raises:
      click.ClickException: another run is using the root, the root cannot be written, the recipe's
        data or the network that it is to retrain are not there, or another model is served under
        the name.
      SystemExit: the user has interrupted the run.
    """
    from pipelines import process
    from pipelines.console import display, screens

    on_log = click.echo if verbose else None
    try:
        with (
            display.watching(screen, display.Board(), plain=verbose) as on_event,
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore", tracking.NotNoted)  # The last screen says it.
            found = convnets.run(
                recipe, None, root, on_event, track=track, beam=beam, on_log=on_log
            )
    except convnets.RunFailed as failed:
        found = failed.run
    except (process.RootBusy, ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        screen.print("stopped; the same command goes on from where this run came to")
        sys.exit(INTERRUPTED)
    commands = _next_commands(found.summary, found.root)
    end = screens.end_screen(found.summary, commands, found.log, found.tracked)
    screen.print(end, crop=False)
    return found.summary


@click.command("judge")
@click.argument("recipe", required=False)
@root_option
@click.option(
    "--model",
    "models",
    multiple=True,
    type=GivenPath(exists=True, file_okay=False, path_type=Path),
    help="Judge this SavedModel now, on the test images of the recipe's last run. "
    "Repeatable: the mean of the probabilities of several.",
)
@settings_option
def judge(recipe: str | None, root: Path, models: Sequence[Path], settings: Sequence[str]) -> None:
    """The published figures beside ours, of the last run of one recipe or of each.

    With --model, --set protocol=NAME asks them by another protocol.
    """
    from pipelines.console import screens
    from pipelines.history import runs

    known = recipe_of(recipe, None) if recipe else None
    if settings and not models:
        raise click.UsageError("--set is for --model: a run is judged as it was run")
    if not models:
        latest = {each["recipe"]: each for each in runs.judgements(root, known and known.name)}
    elif known is None:
        raise click.UsageError("--model needs the RECIPE on whose images it is judged")
    else:
        from pipelines import judging

        served.quiet_libraries()
        with user_errors(), status(console(), "loading TensorFlow and judging"):
            judgement = judging.judge_models(models, recipe, root.absolute(), settings)
        latest = {known.name: judgement}
    if not latest:
        raise click.ClickException(_nothing_run(recipe, known, root))
    for judgement in latest.values():
        console().print(screens.judgement_screen(judgement))


@click.command("papers")
@click.argument("words", nargs=-1, metavar="[WORD]...")
@root_option
def papers(words: Sequence[str], root: Path) -> None:
    """Every published figure, beside what has been run so far.

    Each WORD leaves only the figures of a data set (cifar10), a paper (krizhevsky) or a net (vgg).
    """
    from pipelines.console import screens
    from pipelines.history import runs

    with user_errors():
        figures = screens.figures_about(words)
    ours = [*runs.judgements(root), *runs.judged(root)]
    console().print(screens.papers_screen(figures, ours))


def _nothing_run(recipe: str | None, known: Recipe | None, root: Path) -> str:
    what = f"no run of {known.name}" if known else "no run"
    return f"{root} holds {what} that was judged; start with: convnets run {recipe or 'lenet'}"


def _next_commands(summary: dict[str, Any], root: Path) -> Iterator[str]:
    place = "" if root == DEFAULT_ROOT.absolute() else f" --root {shlex.quote(str(root))}"
    if summary.get("pushed") and not summary["error"]:
        yield f"convnets serve{place}"
        models = {each.parent.name for each in (root / "serving").glob("*/[0-9]*")}
        model = f" --model {summary['served_name']}" if len(models) > 1 else ""
        yield f"convnets predict IMAGE...{model}{place}"
    if summary.get("judgement"):
        yield f"convnets papers{place}"
