"""The functions of the package."""

from __future__ import annotations

import atexit
import contextlib
import json
import numbers
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pipelines.recipes
from components import trusted
from components.ingest import features
from components.ingest.regular_files import SourceError
from components.settings import check_choice
from convnets import arguments, tracking, watching
from convnets.results import Comparison, Run, RunFailed
from pipelines import models, optimizers, recipe_files, running, served
from pipelines.beam import Beam
from pipelines.history import runs as past_runs
from pipelines.process import RootBusy
from pipelines.recipe import Recipe, RecipeError

if TYPE_CHECKING:
    from convnets.models import Model
    from convnets.servers import Server
    from pipelines.inspection import Inspection

# `convnets` has the errors, too.
__all__ = [
    "RecipeError",
    "RootBusy",
    "SourceError",
    "compare",
    "inspect",
    "load",
    "recipe",
    "recipes",
    "run",
    "runs",
    "serve",
]
Progress = bool | Callable[[Mapping[str, Any]], None]
_ROOT = "runs"
# What arguments take, for messages.
_RECIPE = "a recipe, its name or its file"
_DATA = 'a folder, the name of bundled data, or "tfds:NAME"'
# Short names of keys.
_SHORT = {"name": "served_name"}
# What the caller's code has named stays allowed while the process lives.
_TRUSTED = contextlib.ExitStack()
atexit.register(_TRUSTED.close)
_ON_THIS_MACHINE = Beam()


class Recipes(dict[str, dict[str, Recipe]]):
    """Recipes by name, then by size; in a notebook a list by paper."""

    def __repr__(self) -> str:
        return f"<{len(self)} recipes: {', '.join(self)}>"

    def _repr_html_(self) -> str:
        from pipelines.console import html, screens

        return html.of(screens.recipes_screen(self))


def recipes() -> Recipes:
    """Every recipe, those of installed packages among them, by name, then by size.

    >>> "lenet" in convnets.recipes()
    True
    """
    return Recipes(pipelines.recipes.everything().recipes)


def recipe(
    recipe: Recipe | str | Path,
    size: str | None = None,
    data: str | Path | None = None,
    **values: Any,
) -> Recipe:
    """A recipe, with values changed.

    Args:
      recipe: its name, as `recipes` lists them; `"keras:NAME"` for a network of
        keras.applications; a file of your own: .toml, .json or .py of a recipe, .keras of a
        network; or what this function has given.
      size: `"paper"` for exactly the published set-up, `"small"` for minutes on two cores; None for
        the small one, or the only one.
      data: your own images, in a folder, or `"tfds:NAME"`; None for the paper's.
      **values: by key what is changed. Two underscores lead into a key: `optimizer__weight_decay`
        is `--set optimizer.weight_decay`. `lr` is the highest learning rate; a schedule keeps its
        shape. `name` is that of the served model. A network, loss or optimizer of your own is named
        by its import path, `model="mynets:Net"`; what you name is trusted, and its code is run.

    Raises:
      RecipeError: an unknown recipe, size or key (near matches named), or a value that it may not
        have.
      TypeError: an argument of another type.

    >>> convnets.recipe("lenet", epochs=3, optimizer__learning_rate=0.01).epochs
    3
    """
    arguments.text("size", size)
    arguments.optional_path("data", data, _DATA)
    if isinstance(recipe, Recipe):
        if size not in (None, recipe.size):
            raise RecipeError(f"size is of a recipe that is named; this one is {recipe.size}")
        chosen = recipe
    else:
        arguments.path("recipe", recipe, _RECIPE)
        # First: a recipe's file may name what the caller does.
        _trust(recipe_files.packages_in(values))
        found = pipelines.recipes.found(str(recipe), size)
        _trust(found.packages, found.folder)
        chosen = found.recipe
    return changed(chosen if data is None else chosen.on_data(str(data)), values)


# `run` calls its first argument so.
_recipe = recipe


def changed(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """A recipe with values changed as in `convnets.recipe`."""
    _trust(recipe_files.packages_in(values))
    values = {_SHORT.get(key, key): value for key, value in values.items()}
    rate = values.pop("lr", None)
    recipe = recipe.override(
        f"{key.replace('__', '.')}={_text(key, value)}" for key, value in values.items()
    )
    if rate is None:
        return recipe
    if isinstance(rate, bool) or not isinstance(rate, numbers.Real):
        raise RecipeError(f"lr takes a number above 0, not {rate!r}")
    return recipe.override([optimizers.rate_setting(recipe.optimizer, float(rate))])


def _trust(packages: Sequence[str], folder: Path | None = None) -> None:
    """Allows packages from now on; they are found where Python finds them here, too."""
    named = [each for each in packages if not trusted.is_allowed(each)]
    if named:
        places = (folder, Path(sys.path[0]) if sys.path[0] else None)
        _TRUSTED.enter_context(trusted.allowing(named, filter(None, places)))


def _text(key: str, value: Any) -> str:
    try:
        return json.dumps(value, default=_plain)
    except (TypeError, ValueError) as error:
        raise RecipeError(
            f"{key}: values are numbers, texts, lists and mappings of them, and objects by their "
            f'import path, such as "mynets:Net"; not {value!r}'
        ) from error


def _plain(value: Any) -> Any:
    """A path, or a number of NumPy's, as JSON has them."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if getattr(value, "shape", None) == ():
        return value.item()
    raise TypeError


def run(
    recipe: Recipe | str | Path,
    data: str | Path | None = None,
    root: str | Path = _ROOT,
    progress: Progress = True,
    *,
    size: str | None = None,
    track: str | None = None,
    beam: Beam = _ON_THIS_MACHINE,
    on_log: Callable[[str], None] | None = None,
    **values: Any,
) -> Run:
    """Trains a recipe, judges it beside the paper and pushes it to be served.

    What has been done already under this root comes from the cache, and an interrupted run is
    continued. It runs in a process of its own: this one imports no TensorFlow for it.

    Args:
      recipe: what `recipe` gives, or what it takes as a name.
      data: your own images, in a folder, or `"tfds:NAME"`; None for the recipe's.
      root: the folder of artifacts, models and logs.
      progress: whether it is shown, in a terminal or a notebook; or what is called with each event.
      size: of a recipe that is given by its name.
      track: `"mlflow"` notes the run in MLflow at its end, too.
      beam: where the stages that go through all images compute.
      on_log: called with each line that the libraries log.
      **values: as in `recipe`.

    Raises:
      RecipeError, SourceError: what is asked for cannot be run.
      TypeError, ValueError: an argument is none of what it takes.
      RunFailed: the run ended before its end; it has the run, as far as it came.
      RootBusy: another run is using the root.
      KeyboardInterrupt: you have interrupted it; the same call goes on from where it came to.
    """
    root = arguments.root(root)
    watching.check(progress)
    arguments.text("track", track)
    arguments.check("beam", beam, Beam, "a pipelines.beam.Beam")
    arguments.function("on_log", on_log)
    chosen = _recipe(recipe, size, data, **values)
    if track is not None:
        tracking.check(track)
    chosen = running.with_data(chosen)
    with watching.shown(progress) as on_event:
        found = Run(running.run(chosen, root, on_event, on_log, beam), root)
    if track is not None:
        found.tracked = tracking.tried(found)
    if found.error:
        raise RunFailed(found)
    return found


def runs(root: str | Path = _ROOT, recipe: Recipe | str | None = None) -> list[Run]:
    """The runs under a root, oldest first; of one recipe, where it is given or named."""
    root = arguments.root(root)
    recipe = recipe.name if isinstance(recipe, Recipe) else recipe
    arguments.text("recipe", recipe)
    return [Run(summary, root) for summary in past_runs.summaries(root, recipe)]


def compare(runs: Iterable[Run]) -> Comparison:
    """Runs side by side: their figures, and the keys of their recipes that differ.

    Raises:
      TypeError: something else than runs.
    """
    return Comparison(runs)


def load(what: Run | str | Path, root: str | Path = _ROOT) -> Model:
    """A trained model, to be asked about images.

    Args:
      what: the name of a pushed model, of which it takes the newest version; a run, its id or its
        file `ROOT/runs/ID.json`; or the path of a SavedModel, of a folder of versions, or of a
        `.keras` file.
      root: where runs and pushed models are looked for.

    Raises:
      ValueError: there is none (near matches named).
    """
    from convnets.models import Model

    root = arguments.root(root)
    if isinstance(what, Run):
        return what.served()
    arguments.path("what", what, "a run, a model's name or a path")
    return Model(models.find(str(what), root))


def inspect(
    data: str | Path,
    task: str | None = None,
    sheet: str | Path | None = None,
    root: str | Path = _ROOT,
) -> Inspection:
    """Counts, sizes, images that cannot be used, duplicates, and a contact sheet of some data.

    Args:
      data: a folder of images, `"tfds:NAME"`, or the name of bundled data.
      task: of data that serve several, which; such as `"segmentation"`.
      sheet: where the contact sheet goes, a PNG file; by default into the folder `inspected` below
        the root.
      root: that of the runs.

    Raises:
      SourceError: there are no such data, or none of them can be used.
    """
    arguments.path("data", data, _DATA)
    arguments.text("task", task)
    arguments.optional_path("sheet", sheet)
    root = arguments.root(root)
    if task is not None:
        check_choice("task", task, features.known_tasks())
    served.quiet_libraries()
    from pipelines import inspection

    place = Path(sheet) if sheet else inspection.sheet_of(str(data), root)
    return inspection.inspect(str(data), place, task)


def serve(
    what: Run | str | Path | Sequence[str] = (),
    root: str | Path = _ROOT,
    *,
    port: int = 0,
    rest_port: int = 0,
    host: str = "127.0.0.1",
    batching: str | Path | None = None,
    ssl_config: str | Path | None = None,
) -> Server:
    """Serves models from this process over gRPC and REST; returns when all of them answer.

    Args:
      what: a run, whose pushed model it is; names of pushed models; or nothing, for all that have
        been pushed below the root.
      root: that of the runs; of a run its own.
      port, rest_port: of gRPC and REST; 0 for a free one.
      host: the address to listen on.
      batching, ssl_config: files of TensorFlow Serving's BatchingParameters and SSLConfig.

    Raises:
      ValueError: nothing has been pushed, or not under one of these names.
      OSError: a port cannot be had.

    A server ends with `stop()`, or with its `with` block.
    """
    from convnets.servers import Server

    root = arguments.root(root)
    if isinstance(what, Run):
        names, root = [_pushed_name(what)], what.root
    else:
        names = [what] if isinstance(what, str | Path) else what
        arguments.check("what", names, Sequence, "a run or names of models")
        for name in names:
            arguments.path("what", name, "a run or names of models")
    for name, file in (("batching", batching), ("ssl_config", ssl_config)):
        arguments.optional_path(name, file)
    files = (None if each is None else Path(each) for each in (batching, ssl_config))
    return Server(served.pushed(root, [*map(str, names)]), port, rest_port, host, *files)


def _pushed_name(run: Run) -> str:
    pushed = run.paths.get("pushed")
    if pushed is None:
        raise ValueError(f"{run.id} has pushed no model: {'; '.join(run.why) or run.error}")
    return pushed.parent.name
