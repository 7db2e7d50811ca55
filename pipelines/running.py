"""A recipe run on this machine: the engine of `convnets run` and of `convnets.run`."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipelines import process
from pipelines.beam import Beam
from pipelines.history import bases, names
from pipelines.recipe import Recipe

_ON_THIS_MACHINE = Beam()


def with_data(recipe: Recipe) -> Recipe:
    """The recipe with its data found, and named so that the name holds in every process.

    Raises:
      SourceError: there are no such data.
      OSError: they cannot be read.
    """
    from components.ingest import sources

    source, *_ = sources.window(recipe.dataset, recipe.window, recipe.task)
    if sources.is_name(recipe.dataset) or "://" in recipe.dataset:
        return recipe
    return dataclasses.replace(recipe, dataset=source.pattern or source.base)


def run(
    recipe: Recipe,
    root: Path,
    on_event: Callable[[Mapping[str, Any]], None],
    on_log: Callable[[str], None] | None = None,
    beam: Beam = _ON_THIS_MACHINE,
) -> dict[str, Any]:
    """Runs a recipe in a process of its own.

    Args:
      recipe: `with_data`.
      root: the folder of artifacts, models and logs.
      on_event: called with each event of the run (`pipelines.process.execute`).
      on_log: called with each line that the libraries log.
      beam: where the stages that go through all images compute.

    Returns:
      the run's summary, as `ROOT/runs/RUN.json` has it; its `error` says why the run failed.

    Raises:
      RecipeError: the network that the recipe is to retrain is not there, or another model is
        served under the name.
      RootBusy: another run is using the root.
      OSError: the root cannot be written.
      KeyboardInterrupt: the user has interrupted the run, which has been stopped.
    """
    root = root.absolute()
    recipe = bases.on_base(recipe, root)
    names.check(names.in_root(recipe, root), root)
    this = process.new_run(recipe.name, root)
    plain = json.loads(recipe.to_json())
    began = time.monotonic()
    code = process.execute(this, plain, process.RUNNER, on_event, on_log, dataclasses.asdict(beam))
    summary = process.outcome(this, plain, code)
    summary["seconds"] = summary["seconds"] or time.monotonic() - began
    return summary
