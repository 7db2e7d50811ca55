"""Why a model was blessed or not, in words."""

from __future__ import annotations

import json
from pathlib import Path

import tensorflow_model_analysis as tfma

from pipelines.recipe import Recipe

_ACCURACY = "sparse_categorical_accuracy"


def evaluation_reasons(folder: str, recipe: Recipe) -> list[str]:
    """What the Evaluator measured beside what the recipe asks for.

    Args:
      folder: a ModelEvaluation artifact.
      recipe: for its thresholds.

    Returns:
      A sentence for each threshold.
    """
    accuracy = _accuracy(folder, tfma.CANDIDATE_KEY)
    least = recipe.thresholds["accuracy"]
    reasons = [f"accuracy {accuracy:.4f}, {_verdict(accuracy >= least)} {least:.4f}"]
    baseline = _accuracy(folder, tfma.BASELINE_KEY)
    if baseline is not None:
        least = baseline - recipe.thresholds["change"]
        reasons.append(
            f"the last blessed model has {baseline:.4f}; {accuracy:.4f} is "
            f"{_verdict(accuracy >= least)} {least:.4f}"
        )
    return reasons


def canary_reasons(folder: str) -> list[str]:
    """What the canary asked and, where it failed, why.

    Args:
      folder: an InfraBlessing artifact of components.canary.
    """
    outcome = json.loads(Path(folder, "canary.json").read_text(encoding="utf-8"))
    return outcome["reasons"] or [f"the server answered {outcome['asked']} real images"]


def _verdict(enough: bool) -> str:
    return "at least the wanted" if enough else "less than the wanted"


def _accuracy(folder: str, model: str) -> float | None:
    output = tfma.load_eval_result(folder, model_name="" if model == tfma.CANDIDATE_KEY else model)
    metrics = output.get_metrics_for_slice() if output.slicing_metrics else None
    return metrics[_ACCURACY]["doubleValue"] if metrics else None
