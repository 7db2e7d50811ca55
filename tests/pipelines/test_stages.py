"""The stages that are shown before TFX is loaded are those of the pipeline."""

from dataclasses import replace

import pytest

from pipelines import recipes
from pipelines.console import display
from pipelines.paths import Paths
from pipelines.recipe import RecipeError
from pipelines.stages import STAGES, WORK, stages

LENET = recipes.find("lenet")
DEPTH = recipes.find("eigen-depth")
TRANSFER = recipes.find("transfer-cifar-resnet20-mnist")
RECIPES = {
    "plain": LENET,
    "fixed data": replace(LENET, fixed="mnist"),
    "search": recipes.find("lenet-relu").override(["tune.trials=2"]),
    "transfer": replace(
        TRANSFER,
        transfer={**TRANSFER.transfer, "model_run": "/run", "transform_graph": "/graph"},
    ),
    # What the layers of a network know of depths no classifier can say: nothing is probed.
    "transfer of depth": replace(
        DEPTH,
        transfer={"from": "alexnet", "model_run": "/run", "transform_graph": "/graph"},
    ),
}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_they_are_those_of_the_pipeline_in_its_order(recipe, tmp_path):
    from components.ingest.sources import resolve
    from pipelines.build import create_pipeline

    data = resolve("rooms" if recipe.task == "depth" else "mnist")
    fixed = data if recipe.fixed else None
    pipeline = create_pipeline(recipe, data, Paths(str(tmp_path)), fixed=fixed)
    assert tuple(component.id for component in pipeline.components) == stages(recipe)


def test_a_transfer_that_is_not_probed_takes_no_layers():
    assert "Probe" not in stages(RECIPES["transfer of depth"])
    transfer = {**TRANSFER.transfer, "benchmarks": {}}
    with pytest.raises(RecipeError, match="one class an image, and depth has none: leave them out"):
        replace(DEPTH, transfer=transfer)


def test_every_stage_says_what_it_does():
    assert {name for recipe in RECIPES.values() for name in stages(recipe)} == WORK.keys()
    assert stages(LENET) == STAGES
    assert display.work("ImageExampleGen-span-3") == WORK["ImageExampleGen"]
