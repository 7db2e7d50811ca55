"""The search, in real processes, on real MNIST images."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from keras_tuner.engine.trial import TrialStatus
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import json_utils

from components import settings, trusted
from components.settings import RecipeError
from components.train.run import run_fn
from components.tune import search, space, trial
from components.tune.executor import Executor
from components.tune.orders import Order

RATE = "optimizer.learning_rate"
RECIPE = {
    "model": "keras_models.classification.lenet:LeNet1",
    "model_args": {},
    "loss": {"class": "keras.losses:SparseCategoricalCrossentropy", "from_logits": True},
    "optimizer": {
        "class": "keras.optimizers:Adam",
        "learning_rate": {
            "class": "keras.optimizers.schedules:CosineDecay",
            "initial_learning_rate": 0.001,
            "decay_steps": "$steps",
        },
    },
    "augment": [],
    "distorted_copies": 0,
    "weight_decay": 0.0,
    "task": "classification",
    "validation_split": 0.05,
    "auxiliary_weight": 0.3,
    "preprocess": {
        "size": [32, 32],
        "resize": None,
        "channels": 1,
        "fit": "pad",
        "range": [0.0, 1.0],
        "mean": "none",
    },
    "batch_size": 64,
    "epochs": 30,
    "seed": 0,
    "mixed_precision": False,
    "jit_compile": False,
    "steps_per_execution": 1,
}


def config(folder: Path, **tune) -> dict[str, str]:
    values = {"search": "random", "trials": 3, "epochs": 1, "parallel": 1} | tune
    recipe = json.dumps(RECIPE | {"tune": values})
    return {"recipe": recipe, "checkpoints": str(folder / "checkpoints")}


@pytest.fixture(scope="module")
def fn_args(mnist_examples, transformed):
    def fn_args(folder: Path, **tune) -> FnArgs:
        return FnArgs(
            train_files=[f"{mnist_examples}/Split-train/*"],
            transform_graph_path=str(Path(transformed["none"].transform_savedmodel_dir).parent),
            custom_config=config(folder, **tune),
        )

    return fn_args


@pytest.fixture(scope="module")
def execute(mnist_examples, transformed):
    """Runs the executor as TFX does; returns the folders of its outputs."""

    def execute(folder: Path, **tune) -> tuple[Path, Path]:
        examples = standard_artifacts.Examples()
        examples.uri = mnist_examples
        examples.split_names = artifact_utils.encode_split_names(["train", "test"])
        graph = standard_artifacts.TransformGraph()
        graph.uri = str(Path(transformed["none"].transform_savedmodel_dir).parent)
        best, results = standard_artifacts.HyperParameters(), standard_artifacts.TunerResults()
        for artifact, name in ((best, "best"), (results, "results")):
            (folder / name).mkdir()
            artifact.uri = str(folder / name)
        Executor(Executor.Context(tmp_dir=str(folder), unique_id="1")).Do(
            {"examples": [examples], "transform_graph": [graph]},
            {"best_hyperparameters": [best], "tuner_results": [results]},
            {
                "tuner_fn": "components.tune.search.tuner_fn",
                "train_args": json.dumps({"splits": ["train"]}),
                "eval_args": json.dumps({"splits": ["train"]}),
                "custom_config": json_utils.dumps(config(folder, **tune)),
            },
        )
        return folder / "best", folder / "results"

    return execute


def searched(arguments: FnArgs) -> search.Search:
    # By its module, which TFX loads anew.
    result = search.tuner_fn(arguments)
    result.tuner.search(**result.fit_kwargs)
    return result.tuner


DEADLY = """
import os
import keras

class Rate(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, status):
        os._exit(status)
"""


def test_what_fails_is_noted_and_the_search_goes_on(execute, tmp_path, monkeypatch):
    (tmp_path / "deadly.py").write_text(DEADLY)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv(trusted.VARIABLE, "deadly")
    rates = [1e39, {"class": "deadly:Rate", "status": 9}, 0.003, {"class": "nowhere:Rate"}]
    tune = {"search": "grid", "trials": 9, "epochs": 2, "parallel": 2, "space": {RATE: rates}}
    best, results = execute(tmp_path, **tune)
    found = json.loads((results / "trials.json").read_text())
    by_rate = {json.dumps(row["values"][RATE]): row for row in found["rows"]}
    assert len(found["rows"]) == len(by_rate) == 4
    not_finite, exited, good, unknown = (by_rate[json.dumps(rate)] for rate in rates)
    assert not_finite["error"] == "the loss is not a finite number after epoch 1"
    assert exited["error"] == "its process ended with exit code 9"
    assert "recipes may not run the code of nowhere" in unknown["error"]
    assert [row["status"] for row in found["rows"]].count("FAILED") == 3
    assert good["status"] == "COMPLETED" and good["epochs"] == 2 and good["score"] > 0.3
    assert found["best"] == good["trial"]

    values = json.loads((best / "best_hyperparameters.txt").read_text())["values"]
    assert settings.applied(RECIPE, values)["optimizer"]["learning_rate"] == 0.003
    (row,) = json.loads((results / "tuner_results.json").read_text())
    assert row["score"] == good["score"]
    assert not list((tmp_path / "checkpoints").iterdir())


def test_a_trial_divides_its_rate_as_the_training_will(train_images, tmp_path):
    images = train_images["none"]
    optimizer = {"class": "keras.optimizers:SGD", "learning_rate": 0.1} | {
        "divide_on_plateau": {"patience": 1, "monitor": "loss", "change": 100.0}
    }
    recipe = RECIPE | {"optimizer": optimizer, "epochs": 3, "batch_size": 600}
    # It ends after two epochs, and goes on later.
    for epochs in (2, 3):
        order = Order({}, epochs, str(tmp_path))
        last = trial._train(order, recipe, images, images, [*"0123456789"])
    # The first epoch is better than none, the second is not better by 100.
    assert last["epoch"] == 3 and last["learning_rate"] == pytest.approx(0.01)


def test_where_all_fail_the_reason_is_told(fn_args, tmp_path):
    wrong = {"model_args.depth": [3, 4]}
    with pytest.raises(search.TuningError, match=r"none of 2 trials came to its end.*depth"):
        searched(fn_args(tmp_path, trials=5, space=wrong))


class PowerCut(BaseException):
    """What a test puts in the place of a kill."""


def test_another_search_is_begun_where_ones_own_modules_have_changed(fn_args, tmp_path):
    """The trials of one with other sources are not gone on with."""
    folders = set()
    for modules in (None, "1", "2"):
        arguments = fn_args(tmp_path, space={"batch_size": [32, 64]})
        arguments.custom_config |= {"modules": modules} if modules else {}
        folders.add(search.tuner_fn(arguments).tuner.project_dir)
    assert len(folders) == 3


@pytest.mark.parametrize(
    ("kind", "parallel"),
    [("grid", 1), pytest.param("hyperband", 2, marks=pytest.mark.slow)],
    ids=["grid", "hyperband"],
)
def test_an_interrupted_search_goes_on(fn_args, tmp_path, monkeypatch, kind, parallel):
    choices = {RATE: [0.0003, 0.001, 0.003, 0.01], "batch_size": [32, 64]}
    tune = {"search": kind, "trials": 6, "epochs": 3, "parallel": parallel, "space": choices}
    ended = []

    def cut(self):
        ended.append(sorted(self.oracle.end_order))
        if len(ended) == 2:
            raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr(search.Search, "_report", cut)
        with pytest.raises(PowerCut):
            searched(fn_args(tmp_path, **tune))
    (project,) = (tmp_path / "checkpoints").iterdir()
    before = {name: (project / f"trial_{name}" / "outcome.json").read_text() for name in ended[1]}
    tuner = searched(fn_args(tmp_path, **tune))
    rows = tuner.rows()
    assert [row["trial"] for row in rows] == list("012345")
    assert all(row["status"] == "COMPLETED" for row in rows)
    for name, outcome in before.items():
        assert (project / f"trial_{name}" / "outcome.json").read_text() == outcome
    if kind == "grid":
        tried = {(row["values"][RATE], row["values"]["batch_size"]) for row in rows}
        assert len(tried) == 6
    else:
        promoted = [
            trial.hyperparameters.values
            for trial in tuner.oracle.trials.values()
            if trial.hyperparameters.values.get("tuner/trial_id")
        ]
        assert promoted
        for values in promoted:
            parent = next(row for row in rows if row["trial"] == values["tuner/trial_id"])
            assert parent["epochs"] == values["tuner/initial_epoch"] == 1
            assert parent["values"] == settings.chosen(values)
        assert sorted({row["epochs"] for row in rows}) == [1, 3]


@pytest.mark.parametrize("seed", range(3))
def test_a_gaussian_process_asks_near_the_best(tmp_path, seed):
    """After three trials at random the process chooses; a search at random stays far away."""

    def distances(kind: str) -> list[float]:
        """Decades from the best rate of a quadratic objective, trial by trial."""
        wide = {RATE: {"low": 1e-5, "high": 1e-1, "sampling": "log"}}
        tune = {"search": kind, "trials": 12, "epochs": 1, "space": wide}
        oracle = search._oracle(RECIPE | {"seed": seed, "tune": tune})
        oracle.verbose = 0
        search.Search(oracle=oracle, directory=tmp_path, project_name=kind)
        apart = []
        while (trial := oracle.create_trial("one")).status == TrialStatus.RUNNING:
            apart.append(abs(math.log10(trial.hyperparameters.values[RATE]) + 2.5))
            oracle.update_trial(trial.trial_id, {"val_accuracy": 1 - apart[-1] ** 2 / 10})
            trial.status = TrialStatus.COMPLETED
            oracle.end_trial(trial)
        return apart

    chosen, drawn = distances("gaussian_process"), distances("random")
    assert len(chosen) == len(drawn) == 12
    assert np.mean(chosen[-4:]) < 0.3 < np.mean(drawn[-4:])
    assert np.mean(chosen[-4:]) < np.mean(chosen[:3]) / 3


def test_the_trainer_takes_the_best_values(fn_args, mnist_examples, tmp_path):
    arguments = fn_args(tmp_path)
    more = {"strategy": "one_device", "fully_convolutional": False, "features": [], "epochs": 1}
    more["ingest"] = {"shorter_side": None, "format": "keep", "quality": 95}
    arguments.custom_config["recipe"] = json.dumps(RECIPE | more)
    arguments.hyperparameters = {"values": {"batch_size": 32, RATE: "0.01", "tuner/epochs": 2}}
    arguments.transform_output = arguments.transform_graph_path
    arguments.eval_files = [f"{mnist_examples}/Split-test/*"]
    arguments.serving_model_dir, arguments.model_run_dir = (
        str(tmp_path / name) for name in ("serving", "run")
    )
    run_fn(arguments)
    trained = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert trained["batch_size"] == 32
    assert trained["optimizer"] == RECIPE["optimizer"] | {"learning_rate": 0.01}
    (epoch,) = json.loads((tmp_path / "run" / "history.json").read_text())
    assert epoch["steps"] == 600 // 32 and epoch["learning_rate"] == pytest.approx(0.01)


def test_values_of_every_kind():
    choices = {
        "batch_size": [64, 128],
        "weight_decay": [0, 0.5],
        "model_args.activation": ["relu", "tanh"],
        "optimizer.nesterov": [True, False],
        "augment": [[], [{"step": "flip"}]],
        "optimizer.momentum": {"low": 0, "high": 0.9, "step": 0.3},
        "distorted_copies": {"low": 1, "high": 4},
    }
    parameters = space.hyperparameters(choices)
    by_name = {each.name: each for each in parameters.space}
    assert list(by_name["weight_decay"].values) == [0.0, 0.5]
    assert list(by_name["distorted_copies"].values) == [1, 2, 3, 4]
    assert list(by_name["optimizer.momentum"].values) == pytest.approx([0.0, 0.3, 0.6, 0.9])
    assert by_name["batch_size"].ordered and not by_name["augment"].ordered
    values = {name: list(each.values)[-1] for name, each in by_name.items()}
    changed = settings.applied(RECIPE, values | {"tuner/epochs": 3})
    assert changed["batch_size"] == 128 and changed["weight_decay"] == 0.5
    assert changed["model_args"] == {"activation": "tanh"}
    assert changed["optimizer"]["nesterov"] is False
    assert changed["augment"] == [{"step": "flip"}]
    assert RECIPE["batch_size"] == 64 and RECIPE["model_args"] == {}
    with pytest.raises(RecipeError, match="did you mean batch_size"):
        settings.applied(RECIPE, {"batchsize": 3})
