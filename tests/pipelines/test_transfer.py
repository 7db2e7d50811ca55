"""A network trained on some photographs, and its top learnt anew on others: the whole pipeline."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data

from components.ingest.sources import resolve
from components.judge.benchmarks import all_benchmarks
from components.judge.results import data_name
from pipelines import recipes
from pipelines.build import create_pipeline
from pipelines.local_runner import LocalRunner
from pipelines.paths import Paths
from pipelines.recipe import RecipeError
from pipelines.stages import STAGES, stages
from tests.photos import write_crops

RECIPE = recipes.find("transfer-cifar-resnet20-mnist")
AFTER = {"rocket": skimage.data.rocket, "woman": skimage.data.astronaut}
FEW = [*("--set", "batch_size=8", "--set", "steps_per_execution=1"), "--set"]
FEW += ["thresholds.accuracy=0", "--set", "thresholds.chance=null"]


def test_only_transfer_recipes_are_probed():
    assert stages(recipes.find("lenet")) == STAGES
    assert set(stages(RECIPE)) == {*STAGES, "Probe"}


@pytest.mark.parametrize("data", ["caltech101", "caltech256"])
def test_table_7_stands_beside_the_layers_of_the_paper_size_alone(data):
    paper, small = (recipes.find(f"transfer-zfnet-{data}", size) for size in ("paper", "small"))
    figures = [one for each in paper.transfer["benchmarks"].values() for one in each.values()]
    table = [each.id for each in all_benchmarks().values() if each.table == "Table 7"]
    assert sorted(figures) == sorted(one for one in table if f"zeiler2014-{data}" in one)
    assert set(paper.transfer["benchmarks"]) < set(paper.transfer["layers"])
    assert small.transfer["benchmarks"] == {}
    assert data_name(paper.dataset) == data


def test_without_the_folders_of_the_base_there_is_no_pipeline(tmp_path):
    with pytest.raises(RecipeError, match=r"cifar-resnet20.*transfer\.model_run and transfer\."):
        create_pipeline(RECIPE, None, Paths(str(tmp_path)))


def run(name: str, data: Path, root: Path, *settings: str) -> dict:
    """`convnets run`; the summary that it left."""
    arguments = ["run", name, "--data", str(data), "--root", str(root), *FEW, *settings]
    command = [sys.executable, "-m", "pipelines", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (summary,) = (root / "runs").glob(f"{name}-2*.json")
    return json.loads(summary.read_text())


def weights(summary: dict) -> dict[str, np.ndarray]:
    from components import model_run

    network = model_run.network(summary["model_run"])
    return {variable.path: np.array(variable) for variable in network.variables}


def mean(summary: dict) -> np.ndarray:
    from components.preprocess.transform import stored_mean

    return stored_mean(summary["transform_graph"])


@pytest.mark.slow
def test_the_top_is_learnt_on_frozen_layers_that_are_probed(tmp_path):
    root = tmp_path / "root"
    slowly = ("--set", "epochs=4", "--set", "optimizer.learning_rate=0.01")
    base = run("cifar-resnet20", write_crops(tmp_path / "before", 40, 80), root, *slowly)
    again = run(
        RECIPE.name,
        write_crops(tmp_path / "after", 40, 80, photos=AFTER),
        root,
        "--set",
        "epochs=8",
    )
    assert [entry["stage"] for entry in again["stages"]] == list(stages(RECIPE))
    assert (Path(again["pushed"]) / "saved_model.pb").exists()
    judgement = json.loads(Path(again["judgement"]).read_text())
    assert judgement["metrics"]["error"] < 0.5

    before, after = weights(base), weights(again)
    assert before.keys() == after.keys()
    for path, value in before.items():
        assert np.array_equal(value, after[path]) == (not path.startswith("logits")), path
    np.testing.assert_array_equal(mean(base), mean(again))

    probed = json.loads(Path(again["probes"]).read_text())
    assert probed["from"] == "cifar-resnet20"
    layers = [row["layer"] for row in probed["rows"] if row["examples_per_class"] == 60]
    assert layers == RECIPE.transfer["layers"]
    assert probed["rows"][-1]["svm"] > 0.5
    assert "What each layer knows" in Path(again["report"]).read_text()


@pytest.mark.slow
def test_scale_3_of_depth_is_trained_behind_the_others(tmp_path):
    few = ["epochs=2", "batch_size=8", "model_args.width=0.125", "model_args.units=16"]
    networks, given = [], {}
    for each in ("eigen-depth-scales12", "eigen-depth-scale3"):
        # Of one name, so that what both have is computed once.
        recipe = replace(recipes.find(each).on_data("rooms:train=32,test=4"), name="scales")
        if recipe.transfer:
            recipe = replace(recipe, transfer=recipe.transfer | given)
        networks.append(trained(recipe.override(few), tmp_path, given))
    before, after = ({v.path: np.array(v) for v in net.weights} for net in networks)
    for path, value in after.items():
        if path.startswith("scale3"):
            assert path not in before
        else:
            np.testing.assert_array_equal(value, before[path], err_msg=path)
    assert all(layer.trainable for layer in networks[1].layers)


def trained(recipe, root: Path, found: dict[str, str]):
    """The network of a recipe, once it is trained; `found` gets the folders of a transfer."""
    from components import model_run

    def record(stage, state, artifacts=None, **_):
        for kind, each in (artifacts or {}).items():
            if kind in ("ModelRun", "TransformGraph"):
                key = "model_run" if kind == "ModelRun" else "transform_graph"
                found[key] = each.uri

    pipeline = create_pipeline(recipe, resolve(recipe.dataset), Paths(str(root)))
    LocalRunner(record, last="Trainer").run(pipeline)
    return model_run.network(found["model_run"])
