"""Judging a SavedModel outside the pipeline, on images that a run has already ingested."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipelines import runs
from pipelines.recipe import Recipe


def judge_model(model: Path, recipe: Recipe, root: Path) -> dict[str, Any]:
    """Measures a SavedModel by a recipe's protocol, on the test images of its last run.

    Args:
      model: a SavedModel, or a folder of versions, of which the newest is taken.
      recipe: gives the protocol and the published figures.
      root: where runs of the recipe have left their examples.

    Returns:
      the content of a `judgement.json`.

    Raises:
      ValueError: no SavedModel there, no run with examples, or a model of other classes.
    """
    model = _saved_model(model)
    last = next(
        (
            each
            for each in reversed(runs.summaries(root, recipe.name))
            if each.get("examples") and Path(each["examples"]).is_dir()
        ),
        None,
    )
    if last is None:
        raise ValueError(
            f"{root} holds no images of {recipe.name}; first: convnets run {recipe.name}"
        )

    from components.judge import executor

    # The images decide what is comparable: they may be the user's own.
    facts = {**json.loads(recipe.to_json()), "dataset": last["dataset"], "size": last["size"]}
    judged = executor.judge(str(model), last["examples"], recipe.protocol, recipe.benchmarks, facts)
    return judged.judgement


def _saved_model(folder: Path) -> Path:
    """`folder` if it is a SavedModel, or else its newest version."""
    found = [folder, *(each for each in folder.iterdir() if each.name.isdigit())]
    models = [each for each in found if (each / "saved_model.pb").is_file()]
    if not models:
        raise ValueError(
            f"{folder}: no SavedModel (saved_model.pb), and no folder of versions of one"
        )
    return max(models, key=lambda each: int(each.name) if each.name.isdigit() else -1)
