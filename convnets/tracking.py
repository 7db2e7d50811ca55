"""Runs noted in MLflow, where it is asked for."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components import extras
from components.settings import RecipeError, check_choice

if TYPE_CHECKING:
    from convnets.results import Run

TRACKERS = ("mlflow",)
_EXPERIMENT = "convnets"
_NOTED = ("report", "judgement", "predictions", "keras", "model")


def check(tracker: str) -> None:
    """Whether runs can be noted.

    Raises:
      RecipeError: an unknown tracker, or one that is not installed; the text says how it is.
    """
    check_choice("tracker", tracker, TRACKERS)
    try:
        import mlflow  # noqa: F401
    except ImportError as error:
        raise RecipeError(
            f"MLflow is not installed ({error}); {extras.command('mlflow')} brings it"
        ) from error


class NotNoted(UserWarning):
    """A run that could not be noted; the run itself is kept below its root."""


def tried(run: Run) -> str:
    """`note`, or why it could not be done: a run of hours is not lost to a tracker."""
    try:
        return note(run)
    except Exception as error:  # of whatever kind: servers, disks, versions of MLflow
        message = f"not noted: {str(error) or type(error).__name__}"
        warnings.warn(f"{run.id} is {message}", NotNoted, stacklevel=3)
        return message


def note(run: Run) -> str:
    """Notes a run in MLflow: the recipe, the figures by epoch and on the test split, the files.

    Where it is noted is for MLflow's own settings to say: `MLFLOW_TRACKING_URI`, else
    `mlflow.db` in this folder; and `MLFLOW_EXPERIMENT_NAME`, else `convnets`.

    Args:
      run: one that has ended, or failed.

    Returns:
      where it is, for a reader.
    """
    import mlflow

    if not os.environ.get("MLFLOW_EXPERIMENT_NAME") and not os.environ.get("MLFLOW_EXPERIMENT_ID"):
        mlflow.set_experiment(_EXPERIMENT)
    # Of a run that failed the state says so, and what is known of it is noted all the same.
    with mlflow.start_run(run_name=run.id) as noted:
        mlflow.log_params(run.settings)
        mlflow.set_tags({"recipe": run.summary["recipe"], "data": run.summary["dataset"]})
        if "training" in run.paths:
            for epoch, row in run.history.iterrows():
                mlflow.log_metrics(row.dropna().to_dict(), step=int(epoch))
        mlflow.log_metrics({f"test_{name}": value for name, value in run.figures.items()})
        for name in _NOTED:
            if name in run.paths:
                _log(mlflow, run.paths[name], name)
        if run.error:
            mlflow.set_tag("error", run.error)
    if run.error:
        mlflow.MlflowClient().set_terminated(noted.info.run_id, "FAILED")
    return f"run {noted.info.run_id} of {mlflow.get_tracking_uri()}"


def _log(mlflow: Any, path: Path, name: str) -> None:
    if path.is_dir():
        mlflow.log_artifacts(str(path), name)
    else:
        mlflow.log_artifact(str(path))
