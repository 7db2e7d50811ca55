"""Judging SavedModels outside the pipeline, on images that a run has already ingested."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines import recipes, runs


def judge_models(models: Sequence[Path], name: str, root: Path) -> dict[str, Any]:
    """Measures SavedModels by a recipe's protocol, on the test images of its last run.

    Args:
      models: each a SavedModel, or a folder of versions, of which the newest is taken. Several are
        an ensemble: the mean of their probabilities is judged.
      name: of the recipe, which gives the protocol and the published figures.
      root: where runs of the recipe have left their examples.

    Returns:
      the content of a `judgement.json`.

    Raises:
      ValueError: no SavedModel there, no run with examples, or a model of other classes.
    """
    folders = [str(_saved_model(model)) for model in models]
    last = next(
        (
            each
            for each in reversed(runs.summaries(root, name))
            if each.get("examples") and Path(each["examples"]).is_dir()
        ),
        None,
    )
    if last is None:
        raise ValueError(f"{root} holds no images of {name}; first: convnets run {name}")

    from components.judge import executor

    recipe = recipes.find(name, last["size"])
    # The images decide what is comparable: they may be the user's own.
    facts = {**json.loads(recipe.to_json()), "dataset": last["dataset"]}
    judged = executor.judge(folders, last["examples"], recipe.protocol, recipe.benchmarks, facts)
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
