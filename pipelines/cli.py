"""The command line `convnets`.

Nothing heavy is imported here: every command answers `--help`, and refuses what it cannot do,
before TensorFlow or TFX is touched.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines import bases, recipes, run_kubeflow, served
from pipelines.beam import Beam, beam_options
from pipelines.recipe import SIZES, Recipe, RecipeError
from pipelines.served import GRPC_PORT, REST_PORT

if TYPE_CHECKING:
    from rich.console import Console

DEFAULT_ROOT = Path("runs")
# 128 + SIGINT, as shells count it.
_INTERRUPTED = 130
_ON_THIS_MACHINE = Beam()

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

    console().print(screens.recipes_screen(recipes.all_recipes()))


@main.command("show")
@click.argument("recipe")
@_size
@_settings
@click.option("--layers", is_flag=True, help="The network's costs layer by layer, too.")
def show_recipe(recipe: str, size: str, settings: Sequence[str], layers: bool) -> None:
    """A recipe, the published figures that its result is set beside, and what its network costs."""
    from pipelines import screens

    chosen = _recipe(recipe, size, settings)
    screen = console()
    screen.print(screens.recipe_screen(chosen))
    served.quiet_libraries()
    with _user_errors(), screen.status("loading Keras and counting"):
        from pipelines import costs

        cost = costs.count(chosen)
    if layers:
        screen.print(screens.layers_table(cost))
    screen.print(screens.cost_screen(cost, costs.published(chosen, cost)))


@main.command("run")
@click.argument("recipe")
@_size
@_root
@_settings
@click.option(
    "--data",
    metavar="DIR",
    help="Your own images, in a folder or spans (photos/span-{SPAN}), or tfds:NAME.",
)
@click.option("--window", type=int, help="Train on so many spans of --data, the newest and before.")
@click.option("--seed", type=int, help="Seed of the weights, the order and the distortions.")
@beam_options
@click.option("--verbose", is_flag=True, help="Show the libraries' logs.")
def run_recipe(
    recipe: str,
    size: str,
    root: Path,
    settings: Sequence[str],
    data: str | None,
    window: int | None,
    seed: int | None,
    beam_runner: str,
    beam_arguments: Sequence[str],
    verbose: bool,
) -> None:
    """Trains a recipe, judges it beside the paper and pushes it to be served.

    What has been done already comes from the cache; an interrupted run is continued.
    """
    if seed is not None:
        settings = (*settings, f"seed={seed}")
    if window is not None:
        settings = (*settings, f"window={window}")
    beam = _beam(beam_runner, beam_arguments)
    chosen = _checked_data(_recipe(recipe, size, settings, data))
    if run(chosen, root, console(), verbose, beam)["error"]:
        sys.exit(1)


def run(
    recipe: Recipe,
    root: Path,
    screen: Console,
    verbose: bool = False,
    beam: Beam = _ON_THIS_MACHINE,
) -> dict[str, Any]:
    """Runs a recipe, shows its progress and, at the end, what it came to.

    Returns:
      the run's summary, as `ROOT/runs/RUN.json` has it.

    Raises:
      click.ClickException: another run is using the root, the root cannot be written, or the
        network that the recipe is to retrain is not there.
      SystemExit: the user has interrupted the run.
    """
    from pipelines import display, process, screens

    root = root.absolute()
    try:
        recipe = bases.on_base(recipe, root)
    except RecipeError as error:
        raise click.ClickException(str(error)) from error
    this = process.new_run(recipe.name, root)
    board = display.Board()
    plain = json.loads(recipe.to_json())
    on_log = click.echo if verbose else None
    try:
        with display.watching(screen, board, plain=verbose) as on_event:
            code = process.execute(
                this, plain, process.RUNNER, on_event, on_log, dataclasses.asdict(beam)
            )
    except (process.RootBusy, OSError) as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        screen.print("stopped; the same command goes on from where this run came to")
        sys.exit(_INTERRUPTED)
    summary = process.outcome(this, plain, code, board.rows())
    summary["seconds"] = summary["seconds"] or board.seconds
    screen.print(screens.end_screen(summary, _next_commands(summary, root), this.log))
    return summary


@main.command("judge")
@click.argument("recipe", required=False)
@_root
@click.option(
    "--model",
    "models",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Judge this SavedModel now, on the test images of the recipe's last run. "
    "Repeatable: the mean of the probabilities of several.",
)
def judge(recipe: str | None, root: Path, models: Sequence[Path]) -> None:
    """The published figures beside ours, of the last run of one recipe or of each."""
    from pipelines import runs, screens

    known = _recipe(recipe, "small") if recipe else None
    if not models:
        latest = {each["recipe"]: each for each in runs.judgements(root, recipe)}
    elif known is None:
        raise click.UsageError("--model needs the RECIPE on whose images it is judged")
    else:
        from pipelines import judging

        served.quiet_libraries()
        with _user_errors(), console().status("loading TensorFlow and judging"):
            latest = {known.name: judging.judge_models(models, known.name, root.absolute())}
    if not latest:
        raise click.ClickException(_nothing_run(recipe, root))
    for judgement in latest.values():
        console().print(screens.judgement_screen(judgement))


@main.command("papers")
@click.argument("words", nargs=-1, metavar="[WORD]...")
@_root
def papers(words: Sequence[str], root: Path) -> None:
    """Every published figure, beside what has been run so far.

    Each WORD leaves only the figures of a data set (cifar10), a paper (krizhevsky) or a net (vgg).
    """
    from pipelines import runs, screens

    with _user_errors():
        figures = screens.figures_about(words)
    console().print(screens.papers_screen(figures, runs.judgements(root)))


@main.command("serve")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@_root
@click.option("--port", default=GRPC_PORT, show_default=True, help="gRPC port; 0: a free one.")
@click.option("--rest-port", default=REST_PORT, show_default=True, help="REST port; 0: a free one.")
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option(
    "--engine",
    type=click.Choice(["embedded", "tfserving"]),
    default="embedded",
    show_default=True,
    help="tfserving: tensorflow_model_server, from PATH.",
)
def serve(
    names: Sequence[str], root: Path, port: int, rest_port: int, host: str | None, engine: str
) -> None:
    """Serves the pushed models, all or those named, over gRPC and REST.

    A model that is pushed later takes the place of its older version at once.
    """
    if engine == "tfserving" and host is not None:
        raise click.UsageError("tensorflow_model_server listens on every address; leave --host out")
    with _user_errors():
        models = served.pushed(root, names)
        if engine == "tfserving":
            config = root.absolute() / "models.config"
            served.replace_by_tensorflow_serving(models, port, rest_port, config)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    screen = console()
    with _user_errors(), contextlib.ExitStack() as stack:
        with screen.status("loading TensorFlow and the models"):
            grpc, rest = stack.enter_context(
                served.server(models, port, rest_port, host or "127.0.0.1")
            )
        for name in models:
            screen.print(f"{name}: {rest}/v1/models/{name}")
        screen.print(f"gRPC on {grpc}; Ctrl-C ends the server")
        stop.wait()


@main.command("predict")
@click.argument(
    "images",
    nargs=-1,
    required=True,
    metavar="IMAGE...",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@_root
@click.option("--model", help="Its name; needed where more than one has been pushed.")
@click.option(
    "--server",
    metavar="HOST:PORT",
    help="The server to ask (gRPC). Without it, the one on this machine's port "
    f"{GRPC_PORT} or, where there is none, one for this call alone.",
)
def predict(images: Sequence[Path], root: Path, model: str | None, server: str | None) -> None:
    """What a served model takes images for (PNG or JPEG, of any size)."""
    from pipelines import screens

    screen = console()
    with _user_errors(), contextlib.ExitStack() as stack:
        if server is None and served.listens(local := f"127.0.0.1:{GRPC_PORT}"):
            server = local
        model = model or served.only_model(root)
        if server is None:
            models = served.pushed(root, [model])
            with screen.status("no server is running: loading TensorFlow and the model"):
                server, _ = stack.enter_context(served.server(models))
        answers = served.ask(server, model, images)
        screen.print(screens.answers_table([str(image) for image in images], answers))


@main.group("data")
def data_commands() -> None:
    """Data: fetched, and looked at before anything is trained."""


@data_commands.command("inspect")
@click.argument("source")
@click.option("--task", help="Of data that serve several, which; such as segmentation.")
@click.option(
    "--sheet",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("contact-sheet.png"),
    show_default=True,
    help="Where the pictures go, a PNG file.",
)
def inspect_data(source: str, task: str | None, sheet: Path) -> None:
    """Counts, sizes, dead letters, duplicates and pictures of SOURCE, which is what --data takes.

    The images are read as a run reads them, and nothing of them is kept but the contact sheet.
    """
    served.quiet_libraries()
    screen = console()
    with _user_errors():
        from pipelines import inspection

        with screen.status("loading TensorFlow and reading the images"):
            found = inspection.inspect(source, sheet, task)
    screen.print(inspection.screen(found))


@data_commands.command("get")
@click.argument("name")
def get_data(name: str) -> None:
    """Fetches data and verifies them: mnist, cifar10, or tfds:NAME."""
    served.quiet_libraries()
    screen = console()
    with _user_errors():
        from pipelines import inspection

        with screen.status(f"fetching {name}"):
            found = inspection.get(name)
    screen.print(inspection.fetched_screen(found))


@main.command("compile")
@click.argument("recipe")
@_size
@_settings
@click.option(
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write.",
)
@click.option("--data", metavar="URI", help="Where the cluster finds the images.")
@click.option(
    "--root",
    metavar="URI",
    default=run_kubeflow.ROOT,
    show_default=True,
    help="A folder that every step can reach, for artifacts and models: a bucket, or a volume.",
)
@click.option(
    "--image",
    metavar="NAME",
    default=run_kubeflow.IMAGE,
    show_default=True,
    help="Container image that has this package installed.",
)
@beam_options
def compile_recipe(
    recipe: str,
    size: str,
    settings: Sequence[str],
    output: Path,
    data: str | None,
    root: str,
    image: str,
    beam_runner: str,
    beam_arguments: Sequence[str],
) -> None:
    """Writes a recipe's pipeline for Kubeflow Pipelines."""
    beam = _beam(beam_runner, beam_arguments)
    chosen = _recipe(recipe, size, settings, data)
    screen = console()
    served.quiet_libraries()
    with _user_errors(), screen.status("loading TFX and compiling"):
        run_kubeflow.compile_recipe(chosen, str(output), root, image, beam)
    screen.print(f"wrote {output}")


def console() -> Console:
    """Where everything is printed: texts as they are, no markup in them."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


@contextlib.contextmanager
def _user_errors() -> Iterator[None]:
    """What the user can put right is one line, without a traceback."""
    from serving.errors import ServingError

    try:
        yield
    except (ValueError, OSError, ServingError, run_kubeflow.KubeflowMissing) as error:
        raise click.ClickException(str(error)) from error


def _recipe(name: str, size: str, settings: Sequence[str] = (), data: str | None = None) -> Recipe:
    try:
        recipe = recipes.find(name, size)
        if data is not None:
            recipe = recipe.on_data(data)
        return recipe.override(settings)
    except RecipeError as error:
        raise click.ClickException(str(error)) from error


def _beam(runner: str, arguments: Sequence[str]) -> Beam:
    beam = Beam(runner, tuple(arguments))
    with _user_errors():
        beam.check()
    return beam


def _checked_data(recipe: Recipe) -> Recipe:
    """The recipe with its data found, and named so that the name holds in every process."""
    from components.ingest import sources

    try:
        source, *_ = sources.window(recipe.dataset, recipe.window, recipe.task)
    except (sources.SourceError, OSError) as error:
        raise click.ClickException(str(error)) from error
    if recipe.dataset == "mnist" or source.kind == "tfds" or "://" in recipe.dataset:
        return recipe
    return dataclasses.replace(recipe, dataset=source.pattern or source.base)


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
