"""Why a model was blessed or not, in words."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow_model_analysis as tfma
from tfx.dsl.io import fileio

ACCURACY = "sparse_categorical_accuracy"
# What it has above the answer that is always the commonest class.
GAIN = "gain_over_majority"


def evaluation_reasons(folder: str, thresholds: Mapping[str, float], data: str = "") -> list[str]:
    """What an Evaluator measured beside what the recipe asks for.

    Args:
      folder: a ModelEvaluation artifact.
      thresholds: the recipe's.
      data: which data they were, where there were several.

    Returns:
      A sentence for each threshold.
    """
    place = f"on the {data} data: " if data else ""
    accuracy = _metrics(folder, tfma.CANDIDATE_KEY)[ACCURACY]
    majority = accuracy - _metrics(folder, tfma.CANDIDATE_KEY)[GAIN]
    least, of = max((thresholds["accuracy"], "wanted"), (majority, "commonest class's"))
    reasons = [f"{place}accuracy {accuracy:.4f}, {_verdict(accuracy >= least, of)} {least:.4f}"]
    before = _metrics(folder, tfma.BASELINE_KEY)
    if before:
        baseline = before[ACCURACY]
        least = baseline - thresholds["change"]
        reasons.append(
            f"{place}the model before has {baseline:.4f}; {accuracy:.4f} is "
            f"{_verdict(accuracy >= least)} {least:.4f}"
        )
    return reasons


def canary_reasons(folder: str) -> list[str]:
    """What the canary asked and, where it failed, why.

    Args:
      folder: an InfraBlessing artifact of components.canary.
    """
    with fileio.open(os.path.join(folder, "canary.json"), "rb") as file:
        outcome = json.loads(file.read())
    return outcome["reasons"] or [f"the server answered {outcome['asked']} real images"]


def told(
    evaluations: Sequence[str],
    blessed: Sequence[bool],
    canary: str,
    thresholds: Mapping[str, float],
) -> dict[str, Any]:
    """Whether a model replaces the served one, and why.

    Args:
      evaluations: the ModelEvaluation artifacts: on the newest data, and on the fixed ones.
      blessed: whether evaluations and canary blessed it.
      canary: the InfraBlessing artifact.
      thresholds: the recipe's.

    Returns:
      blessed, reasons.
    """
    names = ("newest", "fixed") if len(evaluations) > 1 else ("",)
    reasons = [
        reason
        for folder, name in zip(evaluations, names, strict=True)
        for reason in evaluation_reasons(folder, thresholds, name)
    ]
    return {"blessed": all(blessed), "reasons": reasons + canary_reasons(canary)}


def _verdict(enough: bool, of: str = "wanted") -> str:
    return f"{'at least' if enough else 'less than'} the {of}"


def _metrics(folder: str, model: str) -> dict[str, float]:
    """Those of a model by name; {} where it was not measured."""
    output = tfma.load_eval_result(folder, model_name="" if model == tfma.CANDIDATE_KEY else model)
    metrics = output.get_metrics_for_slice() if output.slicing_metrics else None
    return {name: metrics[name]["doubleValue"] for name in (ACCURACY, GAIN)} if metrics else {}
