"""Why a model was blessed or not, in words."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow_model_analysis as tfma
from tfx.dsl.io import fileio

from components import constant
from components.tasks import CHANGE, Metric, Task


def evaluation_reasons(
    folder: str, task: Task, thresholds: Mapping[str, float | None], data: str = ""
) -> list[str]:
    """What an Evaluator measured beside what the recipe asks for.

    Args:
      folder: a ModelEvaluation artifact.
      task: what was measured.
      thresholds: the recipe's.
      data: which data they were, where there were several.

    Returns:
      A sentence for each threshold.
    """
    place = f"on the {data} data: " if data else ""
    found = _metrics(folder, tfma.CANDIDATE_KEY, task)
    before = _metrics(folder, tfma.BASELINE_KEY, task)
    first, *others = task.blessing
    value, bound = found[first.name], thresholds.get(first.name)
    least = constant.read(folder)
    if least and (bound is None or first.passes(least["value"], bound)):
        bound = least["value"]
        reasons = [f"{place}{first.enough(value, f'{value:.4f}', least)}"]
    else:
        enough = f", {_verdict(first, value, bound)}" if bound else ""
        reasons = [f"{place}{first.title} {value:.4f}{enough}"]
    for metric in others:
        if metric.bound is None or (bound and metric.passes(found[metric.name], metric.bound)):
            continue
        verdict = _verdict(metric, found[metric.name], metric.bound)
        reasons.append(f"{place}{metric.title} {found[metric.name]:.4f}, {verdict}")
    if before:
        baseline = before[first.name]
        limit = baseline + thresholds[CHANGE] * (1 if first.less_is_better else -1)
        reasons.append(
            f"{place}the model before has {baseline:.4f}; {value:.4f} is "
            f"{_verdict(first, value, limit)}"
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


def conclusion(
    evaluations: Sequence[str],
    blessed: Sequence[bool],
    canary: str,
    task: Task,
    thresholds: Mapping[str, float],
) -> dict[str, Any]:
    """Whether a model replaces the served one, and why.

    Args:
      evaluations: the ModelEvaluation artifacts: on the newest data, and on the fixed ones.
      blessed: whether evaluations and canary blessed it.
      canary: the InfraBlessing artifact.
      task: what the model answers.
      thresholds: the recipe's.

    Returns:
      blessed, reasons.
    """
    names = ("newest", "fixed") if len(evaluations) > 1 else ("",)
    reasons = [
        reason
        for folder, name in zip(evaluations, names, strict=True)
        for reason in evaluation_reasons(folder, task, thresholds, name)
    ]
    return {"blessed": all(blessed), "reasons": reasons + canary_reasons(canary)}


def _verdict(metric: Metric, value: float, bound: float) -> str:
    words = {
        (False, True): "at least",
        (False, False): "less than",
        (True, True): "at most",
        (True, False): "more than",
    }
    return f"{words[metric.less_is_better, metric.passes(value, bound)]} the wanted {bound:.4f}"


def _metrics(folder: str, model: str, task: Task) -> dict[str, float]:
    """Those of a model by name; {} where it was not measured."""
    output = tfma.load_eval_result(folder, model_name="" if model == tfma.CANDIDATE_KEY else model)
    metrics = output.get_metrics_for_slice() if output.slicing_metrics else None
    if not metrics:
        return {}
    return {each.name: metrics[each.name]["doubleValue"] for each in task.blessing}
