"""The run whose model is exported: found by the recipe's name, its id, its file or its model."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.settings import near_matches
from pipelines import models
from pipelines.history import runs

# Folders of a run beside its model's, by their keys in its summary.
_KEPT = ("model_run", "examples", "transform_graph")


@dataclass(frozen=True)
class Trained:
    """What a run has left.

    Attributes:
      recipe: its name.
      name: under which the model is served, or would be; exports are called by it.
      run_id: the run's.
      model: the SavedModel: the pushed one or, where the run has pushed none, the Trainer's.
      model_run: folder of the network as Keras saves it, the recipe and the history.
      examples: folder of the images, split by split.
      transform_graph: folder of the Transform graph, which holds what is subtracted from pixels.
    """

    recipe: str
    name: str
    run_id: str
    model: Path
    model_run: Path
    examples: Path
    transform_graph: Path


def find(run: str, root: Path) -> Trained:
    """The run meant by `run`.

    Args:
      run: a recipe's or a model's name (its last run that has a model), a run's id, a file
        `ROOT/runs/ID.json`, or the SavedModel, the folder of its versions or the `.keras` file of a
        run.
      root: where runs are looked for; for a path, the folders above it as well.

    Raises:
      ValueError: no such run, or one whose files are gone.
    """
    known = runs.summaries(root)
    named = [each for each in known if run in _names(each)]
    if named:
        return _last_whole(named)
    path = Path(run)
    if not path.exists():
        raise ValueError(_unknown(run, known, root))
    if path.suffix == ".json":
        return _last_whole([_summary(path)])
    return _last_whole(_runs_of_model(path, root))


def _unknown(run: str, known: Sequence[Mapping[str, Any]], root: Path) -> str:
    if not known:
        return f"{root} holds no runs; first: convnets run lenet"
    names = {name for each in known for name in _names(each)}
    return f"no run {run!r} in {root}: {near_matches(run, names)}"


def _names(summary: Mapping[str, Any]) -> tuple[str, ...]:
    return (summary["recipe"], _served_name(summary), summary["run_id"])


def _summary(path: Path) -> Mapping[str, Any]:
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is no summary of a run: {error}") from error
    if not isinstance(summary, dict) or not {"run_id", "recipe"} <= summary.keys():
        raise ValueError(f"{path} is no summary of a run, as ROOT/runs/*.json are")
    return summary


def _runs_of_model(path: Path, root: Path) -> list[Mapping[str, Any]]:
    """The runs that made a model, the last one last."""
    path = models.of_path(path)
    made = models.runs_of(path, root)
    if not made:
        raise ValueError(
            f"{path.resolve()} is of no run in {root}: nothing says which pictures it was trained "
            "and tested on, so that an export of it could be compared with it; give the run's "
            "--root"
        )
    return made


def _last_whole(summaries: Sequence[Mapping[str, Any]]) -> Trained:
    """The last run that has all that an export needs.

    Raises:
      ValueError: none has; the text says what the last one lacks.
    """
    for summary in reversed(summaries):
        with contextlib.suppress(ValueError):
            return _trained(summary)
    return _trained(summaries[-1])


def _trained(summary: Mapping[str, Any]) -> Trained:
    """What a run has left; raises ValueError where it is not all that an export needs."""
    model = models.of_run(summary)
    kept = {key: Path(summary.get(key) or "") for key in _KEPT}
    lost = [
        key.replace("_", " ") for key in _KEPT if not summary.get(key) or not kept[key].is_dir()
    ]
    if lost:
        raise ValueError(
            f"{summary['run_id']} has no {' and no '.join(lost)}; first: convnets run "
            f"{summary['recipe']}"
        )
    return Trained(
        recipe=summary["recipe"],
        name=_served_name(summary),
        run_id=summary["run_id"],
        model=model,
        **kept,
    )


def _served_name(summary: Mapping[str, Any]) -> str:
    """Of a run of an earlier version its recipe's."""
    return summary.get("served_name", summary["recipe"])
