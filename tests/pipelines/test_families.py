"""Every family of networks is trained, exported and judged, in a few steps on a few real images.

Three go the whole pipeline: a plain net, one with auxiliary outputs, one that is evaluated fully
convolutionally. LeNet's run is that of test_whole_run.py, that of the residual nets for CIFAR
test_transfer.py's.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components import model_run
from components.ingest.sources import resolve
from components.judge.executor import judge
from pipelines import judging, recipes, run_local
from pipelines.build import create_pipeline
from pipelines.local_runner import LocalRunner
from pipelines.paths import Paths
from pipelines.stages import STAGES
from tests.photos import write_crops

# Pipelines of one name share what they have cached.
NAME = "family"
FAMILIES = [
    ("ciresan-signs", "small", ()),
    ("dropconnect-cifar10", "small", ()),
    ("stochastic-pooling", "small", ()),
    # The published size takes days: its net and its protocol on smaller views.
    (
        "alexnet",
        "paper",
        ("preprocess.size=[64,64]", "preprocess.resize=73", "model_args.units=16"),
    ),
    ("zfnet", "small", ()),
    # Its net at every offset of the last pooling, at six scales.
    (
        "overfeat",
        "paper",
        (
            "preprocess.size=[77,77]",
            "preprocess.resize=89",
            "model_args.units=16",
            "model_args.width=0.1",
        ),
    ),
    (
        "vgg16",
        "paper",
        (
            "preprocess.size=[32,32]",
            "preprocess.resize=37",
            "model_args.units=16",
            "model_args.width=0.1",
        ),
    ),
    ("googlenet", "small", ("seed=3", "epochs=8")),
    ("bn-x5", "small", ()),
    ("prelu-net", "small", ()),
    ("resnet18", "small", ()),
    ("highway-mnist", "small", ()),
]
WHOLE = ("stochastic-pooling", "googlenet", "vgg16")
FEW = ("epochs=1", "batch_size=8", "steps_per_execution=1", "distorted_copies=0")
FEW += ("thresholds.chance=null",)


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """A folder per class of crops of two photographs."""
    return write_crops(tmp_path_factory.mktemp("photos"), 30, 80)


@pytest.fixture(scope="module")
def ingested(photos, tmp_path_factory) -> str:
    """The metadata of a root where the stages have run that are the same for every family."""
    paths = Paths(str(tmp_path_factory.mktemp("ingested")))
    recipe = replace(recipes.find("lenet").on_data(str(photos)), name=NAME)

    def stop(stage, *_, **__):
        if stage == "Transform":
            raise InterruptedError

    with pytest.raises(InterruptedError):
        LocalRunner(stop).run(create_pipeline(recipe, resolve(recipe.dataset), paths))
    return paths.metadata


def families(whole: bool):
    """The parameters of the families that go the whole pipeline, or of the others."""
    chosen = [each for each in FAMILIES if (each[0] in WHOLE) is whole]
    names = [f"{name}-{size}" for name, size, _ in chosen]
    return pytest.mark.parametrize(("name", "size", "changes"), chosen, ids=names)


def recipe_of(name, size, changes, photos):
    recipe = replace(recipes.find(name, size).on_data(str(photos)), name=NAME)
    return recipe.override([*FEW, *changes])


@pytest.mark.slow
@families(whole=False)
def test_it_trains_and_is_judged(name, size, changes, photos, ingested, tmp_path):
    shutil.copy(ingested, tmp_path)
    recipe = recipe_of(name, size, changes, photos)
    uris = {}

    def record(stage, state, artifacts=None, **_):
        uris.update({(stage, kind): each.uri for kind, each in (artifacts or {}).items()})

    pipeline = create_pipeline(recipe, resolve(recipe.dataset), Paths(str(tmp_path)))
    LocalRunner(record, last="Trainer").run(pipeline)
    judged = judge(
        [f"{uris['Trainer', 'Model']}/Format-Serving"],
        uris["ImageExampleGen", "Examples"],
        recipe.protocol,
        recipe.benchmarks,
        judging.judged(recipe),
        model_run.history(uris["Trainer", "ModelRun"]),
    )
    check(judged.judgement, recipe)
    assert np.isfinite(judged.answers.kept["scores"]).all()


def check(judgement, recipe):
    assert judgement["protocol"] == recipe.protocol
    assert not any(row["comparable"] for row in judgement["rows"])


@pytest.mark.slow
@families(whole=True)
def test_it_trains_is_judged_and_pushed(name, size, changes, photos, ingested, tmp_path):
    shutil.copy(ingested, tmp_path)
    recipe = recipe_of(name, size, changes, photos)
    request = {"run_id": "few", "recipe": json.loads(recipe.to_json()), "root": str(tmp_path)}
    (tmp_path / "request.json").write_text(json.dumps(request))
    code = run_local.main(str(tmp_path / "request.json"))
    run = json.loads((tmp_path / "runs" / "few.json").read_text())
    assert (code, run["error"]) == (0, None)
    place = STAGES.index("Transform")
    assert {entry["stage"]: entry["state"] for entry in run["stages"]} == {
        **dict.fromkeys(STAGES[:place], "cached"),
        # The validator looks at what this root serves.
        **dict.fromkeys(("PreviousData", "ExampleValidator", *STAGES[place:]), "done"),
    }
    judgement = json.loads(Path(run["judgement"]).read_text())
    check(judgement, recipe)
    assert (Path(run["pushed"]) / "saved_model.pb").exists()
