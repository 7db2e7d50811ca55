"""Judging SavedModels outside the pipeline, on images that a run has already ingested."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components import tasks
from components.judge import benchmarks, protocols, results
from components.preprocess import steps
from pipelines import models as named
from pipelines import recipes
from pipelines.history import runs
from pipelines.paths import plain
from pipelines.recipe import Recipe


def judged(recipe: Recipe) -> dict[str, Any]:
    """What the Judge has to know of the recipe.

    A net that is tested in the middle of the scales that it was trained with is tested at all of
    them where a protocol says so: its `preprocess.resize` is then both ends (Simonyan and
    Zisserman 2015, section 4).
    """
    values = recipe.for_stage("judge")
    values["deviations"] = recipes.deviations(recipe)
    sampled = steps.sampling(recipe.augment) or {}
    scales = [sampled[key] for key in ("low", "high") if key in sampled]
    if scales and sum(scales) == 2 * (recipe.preprocess["resize"] or 0):
        values["preprocess"] = {**recipe.preprocess, "resize": scales}
    if recipe.thresholds[tasks.CHANCE] is not None:
        values[tasks.CHANCE] = recipe.thresholds[tasks.CHANCE]
    return values


def judge_models(
    models: Sequence[Path], name: str, root: Path, settings: Sequence[str] = ()
) -> dict[str, Any]:
    """Measures SavedModels by a recipe's protocol, on the test images of its last run.

    Args:
      models: each a SavedModel, or a folder of versions, of which the newest is taken. Several are
        an ensemble: the mean of their probabilities is judged, also beside the paper's ensembles
        of as many.
      name: of the recipe, or its file, which gives the protocol and the published figures.
      root: where runs of the recipe have left their examples.
      settings: changes of the recipe, such as `protocol=multi-scale`.

    Returns:
      the content of a `judgement.json`, which is also written to `ROOT/judged/`.

    Raises:
      ValueError: no SavedModel there, no run with examples, or a model of other classes.
      RecipeError: settings that the recipe does not take.
    """
    folders = [plain(str(named.of_path(model).absolute())) for model in models]
    file, name = name, recipes.find(name).name
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

    # The images decide what is comparable, and what is enough: they may be the user's own.
    recipe = recipes.find(file, last["size"]).on_data(last["dataset"]).override(settings)
    facts = judged(recipe)
    figures = dict.fromkeys([*recipe.benchmarks, *_of_ensembles(recipe, len(models))])
    judgement = executor.judge(
        folders, last["examples"], recipe.protocol, list(figures), facts
    ).judgement
    folder = runs.judged_folder(root)
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S-%f")
    (folder / f"{name}-{now}.json").write_text(json.dumps(judgement), encoding="utf-8")
    return judgement


def _of_ensembles(recipe: Recipe, models: int) -> list[str]:
    """What the recipe's paper publishes of as many networks by its protocol."""
    if models == 1:
        return []
    papers = {figure.paper for figure in benchmarks.find(recipe.benchmarks)}
    wanted = results.data_name(recipe.dataset), protocols.of_ensemble(recipe.protocol, models)
    return [
        figure.id
        for figure in benchmarks.all_benchmarks().values()
        if figure.paper in papers and (figure.data, figure.protocol) == wanted
    ]
