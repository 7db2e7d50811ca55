"""A model that somebody names: a path, a run, or what has been pushed under a name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components.settings import near_matches
from pipelines.history import runs
from pipelines.paths import Paths

GRAPH, KERAS = "saved_model.pb", ".keras"
NETWORK = "model.keras"


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


def check_given(model: str) -> None:
    """Raises ValueError for an empty text: paths made of it are the folders themselves."""
    if not model:
        raise ValueError("a model's name, a run's id or a path is wanted, not an empty text")


def find(model: str, root: Path) -> Path:
    """The SavedModel or the `.keras` file that is meant; of a run's own file its SavedModel.

    Args:
      model: the name of a pushed model (its newest version), a run's id or its file
        `ROOT/runs/ID.json`, or a path as for `of_path`.
      root: where runs and pushed models are looked for.

    Raises:
      ValueError: there is none; the near matches are named.
    """
    check_given(model)
    pushed = Path(Paths(str(root)).serving)
    if (pushed / model).is_dir() and not Path(model).is_absolute():
        return of_path(pushed / model)
    known = {each["run_id"]: each for each in runs.summaries(root)}
    run = known.get(Path(model).stem if model.endswith(".json") else model)
    if run is not None:
        return of_run(run)
    if not Path(model).exists():
        names = [*known, *(each.name for each in pushed.glob("*/"))]
        hint = near_matches(model, names) if names else f"{root} holds none; convnets run makes one"
        raise ValueError(f"no model {model!r}: {hint}")
    path = of_path(Path(model))
    made = runs_of(path, root) if path.suffix == KERAS else []
    # A run's own file is served with all that is done to its pictures.
    return of_run(made[-1]) if made else path


def runs_of(path: Path, root: Path) -> list[Mapping[str, Any]]:
    """The summaries of the runs that made a model, the last one last.

    Args:
      path: as `find` gives it.
      root: where runs are looked for, beside the folders above the model.
    """
    path = path.resolve()
    roots = [root, *(each for each in path.parents if Path(Paths(str(each)).runs).is_dir())]
    made = [each for one in roots for each in runs.summaries(one) if path in _models(each)]
    return sorted(made, key=lambda summary: summary["started"])


def _models(summary: Mapping[str, Any]) -> Iterator[Path]:
    for key, below in (("pushed", ""), ("model", ""), ("model_run", NETWORK)):
        if summary.get(key):
            yield Path(summary[key], below).resolve()


def of_run(run: Mapping[str, Any]) -> Path:
    """The model of a run: the pushed one or, where it has pushed none, the Trainer's.

    Args:
      run: its summary.

    Raises:
      ValueError: it has none, or it is gone.
    """
    for key in ("pushed", "model"):
        if run.get(key) and Path(run[key]).is_dir():
            return of_path(Path(run[key]))
    raise ValueError(f"{run['run_id']} has no model; first: convnets run {run['recipe']}")
