"""Finding the trained network that a transfer recipe starts from."""

import json
import zipfile
from dataclasses import replace

import pytest
from click.testing import CliRunner

from pipelines import cli, recipes
from pipelines.history import bases
from pipelines.recipe import RecipeError

RECIPE = recipes.find("transfer-cifar-resnet20-mnist")
BASE = recipes.find("cifar-resnet20")


def remember(root, run_id, layers=(), size="small", preprocess=BASE.preprocess):
    """What a run of the base leaves behind, as far as it matters here."""
    folders = {key: root / run_id / key for key in ("model_run", "transform_graph")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    recipe = {**json.loads(BASE.to_json()), "preprocess": dict(preprocess)}
    (folders["model_run"] / "recipe.json").write_text(json.dumps(recipe))
    config = {"config": {"layers": [{"config": {"name": name}} for name in layers]}}
    with zipfile.ZipFile(folders["model_run"] / "model.keras", "w") as file:
        file.writestr("config.json", json.dumps(config))
    summary = {
        "run_id": run_id,
        "recipe": BASE.name,
        "size": size,
        "started": f"2026-11-23T{run_id}",
        **{key: str(folder) for key, folder in folders.items()},
    }
    (root / "runs").mkdir(exist_ok=True)
    (root / "runs" / f"{run_id}.json").write_text(json.dumps(summary))


def test_the_newest_run_of_the_same_size_is_the_base(tmp_path):
    layers = RECIPE.transfer["layers"]
    for run_id, size in (("1", "small"), ("2", "small"), ("3", "paper")):
        remember(tmp_path, run_id, layers, size)
    found = bases.on_base(RECIPE, tmp_path)
    assert found.transfer["model_run"] == str(tmp_path / "2" / "model_run")
    assert found.transfer["transform_graph"] == str(tmp_path / "2" / "transform_graph")
    assert bases.on_base(found, tmp_path / "elsewhere") == found


def test_a_run_whose_artifacts_are_gone_is_no_base(tmp_path):
    layers = RECIPE.transfer["layers"]
    remember(tmp_path, "1", layers)
    remember(tmp_path, "2", layers)
    (tmp_path / "2" / "transform_graph").rmdir()
    assert "/1/" in bases.on_base(RECIPE, tmp_path).transfer["model_run"]


def test_ordinary_recipes_need_no_base(tmp_path):
    assert bases.on_base(BASE, tmp_path) is BASE


@pytest.mark.parametrize(
    ("size", "command"),
    [
        ("small", "convnets run cifar-resnet20"),
        ("paper", "convnets run cifar-resnet20 --size paper"),
    ],
)
def test_without_a_base_nothing_is_started(size, command, tmp_path):
    root = tmp_path / "root"
    arguments = ["run", RECIPE.name, "--size", size, "--root", str(root)]
    result = CliRunner().invoke(cli.main, arguments)
    assert result.exit_code == 1
    assert "no trained cifar-resnet20" in result.output
    assert " ".join(result.output.split()).endswith(f"first: {command}")
    assert not root.exists()


def test_a_layer_that_the_base_does_not_have(tmp_path):
    remember(tmp_path, "1", ["conv1", "pool5"])
    recipe = RECIPE.override(['transfer.layers=["conv1", "pol5"]'])
    with pytest.raises(RecipeError, match=r"'pol5'.*did you mean pool5"):
        bases.on_base(recipe, tmp_path)


def test_images_that_the_base_saw_otherwise(tmp_path):
    remember(tmp_path, "1", preprocess={**BASE.preprocess, "mean": "none"})
    with pytest.raises(RecipeError, match=r'preprocess\.mean="none".*"per_pixel"'):
        bases.on_base(RECIPE, tmp_path)


def test_a_base_of_another_task_may_have_seen_other_sizes(tmp_path):
    recipe = replace(recipes.find("r-cnn"), transfer={"from": BASE.name})
    seen = {key: recipe.preprocess[key] for key in ("channels", "range")}
    remember(tmp_path, "1", preprocess={**BASE.preprocess, **seen})
    assert bases.on_base(recipe, tmp_path).transfer["model_run"]
    remember(tmp_path, "2", preprocess={**BASE.preprocess, **seen, "range": [0.0, 2.0]})
    with pytest.raises(RecipeError, match=r"preprocess\.range=\[0\.0, 2\.0\]"):
        bases.on_base(recipe, tmp_path)
