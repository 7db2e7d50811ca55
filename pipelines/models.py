"""A model that somebody names: a path, a run, or what has been pushed under a name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.settings import near_matches
from pipelines.history import runs
from pipelines.paths import Paths

GRAPH, KERAS = "saved_model.pb", ".keras"


def of_path(path: Path) -> Path:
    """A `.keras` file, a SavedModel, or the newest of a folder of versions.

    Raises:
      ValueError: it is none of these.
    """
    if path.is_file() and path.suffix == KERAS:
        return path
    if not (path / GRAPH).is_file():
        versions = [each.parent for each in path.glob(f"*/{GRAPH}") if each.parent.name.isdigit()]
        if not versions:
            raise ValueError(f"{path}: no SavedModel, no folder of versions of one, and no {KERAS}")
        return max(versions, key=lambda each: int(each.name))
    return path


def find(model: str, root: Path) -> Path:
    """The SavedModel or the `.keras` file that is meant.

    Args:
      model: the name of a pushed model (its newest version), a run's id or its file
        `ROOT/runs/ID.json`, or a path as for `of_path`.
      root: where runs and pushed models are looked for.

    Raises:
      ValueError: there is none; the near matches are named.
    """
    pushed = Path(Paths(str(root)).serving)
    if (pushed / model).is_dir() and not Path(model).is_absolute():
        return of_path(pushed / model)
    known = {each["run_id"]: each for each in runs.summaries(root)}
    run = known.get(Path(model).stem if model.endswith(".json") else model)
    if run is not None:
        return _of_run(run)
    if not Path(model).exists():
        names = [*known, *(each.name for each in pushed.glob("*/"))]
        hint = near_matches(model, names) if names else f"{root} holds none; convnets run makes one"
        raise ValueError(f"no model {model!r}: {hint}")
    return of_path(Path(model))


def _of_run(run: Mapping[str, Any]) -> Path:
    """The model of a run: the pushed one or, where it has pushed none, the Trainer's."""
    for key in ("pushed", "model"):
        if run.get(key) and Path(run[key]).is_dir():
            return of_path(Path(run[key]))
    raise ValueError(f"{run['run_id']} has no model; first: convnets run {run['recipe']}")
