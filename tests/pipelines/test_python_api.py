"""The package `convnets`: docs/python.md on one's own images, in a script and a notebook."""

import doctest
import importlib.util
import inspect
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import convnets
from components import trusted
from convnets import calls, tracking
from pipelines import evaluation, process, recipe_text


def test_a_run_on_ones_own_images(documented):
    run = documented["run"]
    assert run.error is None and run.summary["dead_letters"] == 1
    assert (run.paths["model"] / "assets" / "labels.txt").read_text() == "cat\ncoffee\n"
    assert run.judgement["labels"] == ["cat", "coffee"]
    assert not run.published["comparable"].any()
    assert 0 <= run.figures["error"] <= 1
    assert run.blessed and run.paths["pushed"].parent.name == "lenet-relu-photos"
    assert run.recipe.epochs == 20 and run.recipe.dataset.endswith("photos")


def test_the_history_is_a_table(documented):
    history = documented["again"].history
    assert list(history.index) == [*range(1, 21)]
    assert {"loss", "accuracy", "learning_rate", "seconds"} <= set(history.columns)


def test_the_same_recipe_comes_from_the_cache(documented):
    again = documented["again"]
    assert again.id != documented["run"].id
    assert {each["state"] for each in again.summary["stages"]} == {"cached", "done"}
    assert again.paths["keras"] == documented["run"].paths["keras"]


def test_everything_is_where_it_is_said_to_be(documented):
    paths = documented["again"].paths
    assert {"model", "keras", "tensorboard", "predictions", "report", "log"} <= paths.keys()
    assert all(path.is_absolute() and path.exists() for path in paths.values())


def test_the_network_and_the_served_model_answer_alike(documented, folder):
    network, model, answers = (documented[name] for name in ("network", "model", "answers"))
    assert isinstance(network, keras.Model)
    assert [each.names for each in answers] == [("photos/cat/01.png",), ("photos/coffee/01.png",)]
    assert model.names == ["cat", "coffee"]
    scores = np.array([each.answer["scores"] for each in answers])
    assert scores.shape == (2, 2) and np.allclose(scores.sum(axis=1), 1, atol=1e-5)
    pixels = np.array(Image.open(folder / "photos" / "cat" / "01.png"))
    (again,) = model.predict(pixels)
    assert np.allclose(again.answer["scores"], scores[0], atol=1e-6)
    assert (folder / "net.keras").exists()


def test_an_unreadable_image_stops_no_other(documented, folder):
    model = documented["model"]
    bad, good = folder / "photos" / "cat" / "truncated.jpg", folder / "photos" / "cat" / "01.png"
    answers = model.predict([bad, good])
    assert answers[0].answer is None and answers[0].error
    assert answers[1].answer["classes"] in model.names
    assert list(answers.table["error"] != "") == [True, False]
    with pytest.raises(ValueError, match=r"truncated\.jpg"):
        model.predict(bad)
    assert len(model.predict(folder / "photos")) == 201


def test_images_of_all_kinds_in_one_list(documented, folder):
    model, path = documented["model"], folder / "photos" / "cat" / "01.png"
    opened = Image.open(path)
    pixels = np.asarray(opened)
    several = np.stack([pixels, pixels])
    with path.open("rb") as file:
        alike = [path, str(path), path.read_bytes(), file, opened, opened.convert("RGBA"), several]
        found = model.predict([*alike, 7, pixels / 255, pixels.astype(np.float32)])
    assert [each.answer is None for each in found] == [False] * 8 + [True] * 2 + [False]
    whole = [each.answer["scores"] for each in found if each.answer is not None]
    assert np.allclose(whole, whole[0], atol=1e-6)
    assert "not of type int" in found[8].error and "floats from 0 to 1" in found[9].error
    assert len(model.predict(several)) == len(model.predict(pd.Series([path, path]))) == 2
    assert len(model.predict(iter([path]))) == len(model.predict(opened)) == 1


def test_a_folder_without_images_is_an_error(documented, tmp_path):
    with pytest.raises(ValueError, match=r"no .* file in it"):
        documented["model"].predict(tmp_path)


def test_a_run_is_loaded_once(documented):
    run = documented["run"]
    assert run.served() is run.served() is convnets.load(run)


def test_what_a_model_came_to_is_said_in_a_line():
    judgement = {"metrics": {"error": 0.25, "top5_error": None}, "examples": 4, "dataset": "photos"}
    found = evaluation.Evaluation(judgement, ())
    assert repr(found) == "<Evaluation on 4 test images of photos: error=0.25>"


def test_the_columns_of_answers_are_in_one_order(documented, folder):
    bad, good = folder / "photos" / "cat" / "truncated.jpg", folder / "photos" / "cat" / "01.png"
    for asked in ([bad, good], [good, bad], [good]):
        table = documented["model"].predict(asked).table
        assert list(table.columns) == ["file", "class", "score", "error"]


def test_an_export_is_replaced_where_that_is_asked_for(documented, folder):
    with pytest.raises(ValueError, match="is there already"):
        documented["again"].export("keras", to=folder / "net.keras")
    assert documented["again"].export("keras", to=folder / "net.keras", overwrite=True).size


def test_what_was_inspected_is_said_in_a_line(documented, folder):
    found = convnets.inspect(folder / "photos", sheet=folder / "sheet.png")
    assert str(folder / "photos") in repr(found) and len(repr(found)) < 500


@pytest.mark.parametrize("runs", ["an-id", [3], None])
def test_only_runs_are_compared(runs):
    with pytest.raises(TypeError, match="runs"):
        convnets.compare(runs)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run: run.export("keras", to=3), "to takes"),
        (lambda run: run.export(3), "format takes"),
        (lambda run: run.export("tflite", precision=8), "precision takes"),
        (lambda run: run.export("keras", overwrite="yes"), "overwrite takes True or False"),
        (lambda run: run.served().predict([], batch_size="32"), "batch_size takes a whole number"),
        (lambda run: run.served().evaluate(3), "data takes"),
        (lambda run: run.served().evaluate("mnist", recipe="lenet"), "recipe takes what"),
        (lambda run: run.served().evaluate("mnist", protocol=10), "protocol takes"),
    ],
)
def test_an_argument_of_another_type_of_runs_and_models(documented, call, message):
    with pytest.raises(TypeError, match=f"^{message}"):
        call(documented["run"])


def test_runs_side_by_side_show_what_differs(documented, stand_in, monkeypatch, tmp_path):
    monkeypatch.setattr(process, "RUNNER", stand_in("summary(blessed=False)"))
    other = convnets.run("lenet", root=tmp_path, progress=False, weight_decay=0.5)
    table = convnets.compare([documented["run"], other]).table
    assert list(table.index) == [documented["run"].id, other.id]
    assert table["weight_decay"].iloc[1] == 0.5
    assert "model_args.classifier" in table and "steps_per_execution" not in table
    assert 0 <= table["error"].iloc[0] <= 1 and np.isnan(table["error"].iloc[1])


def test_what_a_notebook_shows_is_escaped_html(documented):
    html = documented["run"]._repr_html_()
    assert html.startswith("<pre") and "lenet-relu (small) on" in html
    assert "photos" in convnets.recipe("lenet", data="<photos>")._repr_html_()
    assert "<photos>" not in convnets.recipe("lenet", data="<photos>")._repr_html_()


def test_all_that_is_public_is_there_with_types_and_the_documented_calls():
    assert sorted(convnets.__all__) == convnets.__all__ and set(convnets.__all__) <= {
        *dir(convnets)
    }
    for name in convnets.__all__:
        public = getattr(convnets, name)
        assert public.__doc__
        called = public.__init__ if inspect.isclass(public) else public
        if inspect.isfunction(called):
            hints = {*called.__annotations__} - {"return"}
            assert hints == {*inspect.signature(called).parameters} - {"self"}, name
    assert (Path(convnets.__file__).parent / "py.typed").exists()


def test_data_that_are_not_there_are_an_error_of_the_package(tmp_path):
    with pytest.raises(convnets.SourceError, match="no such folder"):
        convnets.run("lenet", data=tmp_path / "none", root=tmp_path / "root")


def test_the_examples_of_the_docstrings():
    result = doctest.testmod(calls, extraglobs={"convnets": convnets})
    assert result.attempted >= 2 and not result.failed


def test_importing_it_imports_nothing_else():
    script = "import sys, convnets; print(sum('.' not in name for name in sys.modules))"
    bare = "import sys, importlib, typing; print(sum('.' not in name for name in sys.modules))"
    counts = [
        int(subprocess.run([sys.executable, "-c", each], capture_output=True, check=True).stdout)
        for each in (script, bare)
    ]
    assert counts[0] - counts[1] <= 2


def test_the_learning_rate_by_its_short_name():
    schedule = convnets.recipe("lenet", lr=0.5).optimizer["learning_rate"]
    assert schedule["warmup_target"] == 0.5 and 0 < schedule["initial_learning_rate"] < 0.5


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"epoch": 3}, ["'epoch'", "epochs"]),
        ({"epochs": "many"}, ["epochs", "'many'"]),
        ({"optimizer__learning_rat": 0.1}, ["learning_rat"]),
        ({"lr": "fast"}, ["lr", "'fast'"]),
        ({"lr": -1}, ["-1"]),
        ({"model": np.mean}, ["model", "import path"]),
    ],
)
def test_values_that_a_recipe_may_not_have(values, words):
    with pytest.raises(convnets.RecipeError) as error:
        convnets.recipe("lenet", **values)
    assert all(word in str(error.value) for word in words)


LENET = convnets.recipe("lenet")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: convnets.recipe(3), "recipe takes a recipe, its name or its file, not 3"),
        (lambda: convnets.recipe(["lenet"]), "recipe takes"),
        (lambda: convnets.recipe("lenet", size=3), "size takes"),
        (lambda: convnets.recipe("lenet", data=[1]), "data takes a folder"),
        (lambda: convnets.run(3), "recipe takes"),
        (lambda: convnets.run("lenet", data=np.zeros((2, 2))), "data takes"),
        (lambda: convnets.run("lenet", root=None), "root takes the path of a folder"),
        (lambda: convnets.run("lenet", progress=7), "progress takes True, False, or a function"),
        (lambda: convnets.run("lenet", progress=None), "progress takes"),
        (lambda: convnets.run("lenet", track=3), "track takes"),
        (lambda: convnets.run("lenet", beam="dask"), "beam takes"),
        (lambda: convnets.run("lenet", on_log=3), "on_log takes a function"),
        (lambda: convnets.runs(3), "root takes"),
        (lambda: convnets.runs("runs", recipe=3), "recipe takes"),
        (lambda: convnets.compare(3), "runs takes runs"),
        (lambda: convnets.load(3), "what takes a run"),
        (lambda: convnets.load(LENET), "what takes a run"),
        (lambda: convnets.inspect(None), "data takes"),
        (lambda: convnets.inspect("mnist", task=3), "task takes"),
        (lambda: convnets.inspect("mnist", sheet=3), "sheet takes"),
        (lambda: convnets.serve(3), "what takes a run or names"),
        (lambda: convnets.serve([3]), "what takes a run or names"),
        (lambda: convnets.serve("lenet", batching=3), "batching takes"),
        (lambda: convnets.Server({}, port="a"), "port takes a whole number"),
        (lambda: convnets.Server({}, host=3), "host takes"),
        (lambda: convnets.Server("lenet"), "models takes"),
        (lambda: convnets.Model(3), "path takes"),
        (lambda: convnets.Run("an-id", "runs"), "summary takes"),
    ],
)
def test_an_argument_of_another_type(call, message, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TypeError, match=f"^{message}"):
        call()
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: convnets.run(LENET, size="paper"), "this one is small"),
        (lambda: convnets.run("lenet", root="file"), "root takes a folder, and file is a file"),
        (lambda: convnets.load(""), "not an empty text"),
        (lambda: convnets.inspect("mnist", task="clasification"), "did you mean classification"),
        (lambda: convnets.Server({}, port=99999), "from 0 to 65535"),
    ],
)
def test_an_argument_of_another_value(call, message, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    with pytest.raises(ValueError, match=message):
        call()


def test_values_that_scripts_have():
    recipe = convnets.recipe(LENET, name="digits", epochs=np.int64(3), lr=np.float32(0.5))
    assert (recipe.served_name, recipe.epochs) == ("digits", 3)
    assert convnets.recipe(recipe) == recipe


def test_what_the_callers_code_names_is_trusted(monkeypatch, tmp_path):
    monkeypatch.setenv(trusted.VARIABLE, "")
    (tmp_path / "mynets.py").write_text("def Net(input_shape, classes): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert convnets.recipe("lenet", model="mynets:Net", model_args={}).model == "mynets:Net"
    assert trusted.is_allowed("mynets") and not trusted.is_allowed("others")
    (tmp_path / "filenets.py").write_text("def Net(input_shape, classes): ...\n")
    own = replace(convnets.recipe("lenet-relu"), model="filenets:Net", model_args={})
    path = tmp_path / "own.toml"
    path.write_text(recipe_text.to_toml(own))
    with pytest.raises(convnets.RecipeError, match="if you trust it"):
        convnets.recipe(path)
    assert convnets.recipe(path, model="filenets:Net").model == "filenets:Net"


def test_a_run_that_fails_says_why_and_is_kept(stand_in, monkeypatch, tmp_path):
    monkeypatch.setattr(process, "RUNNER", stand_in("summary(error='no space'); sys.exit(1)"))
    events: list = []
    with pytest.raises(convnets.RunFailed, match="no space") as failed:
        convnets.run("lenet", root=tmp_path, progress=events.append)
    assert failed.value.run.error == "no space" and failed.value.run.log.exists()
    assert failed.value.run.figures == {}
    for ask in (lambda run: run.model(), lambda run: run.history, lambda run: run.served()):
        with pytest.raises(ValueError, match=r"no space|has no model"):
            ask(failed.value.run)
    (kept,) = convnets.runs(tmp_path)
    assert kept.id == failed.value.run.id


class TestTracking:
    """Runs in MLflow, on a database of its own."""

    @pytest.fixture
    def store(self, tmp_path, monkeypatch):
        mlflow = pytest.importorskip("mlflow")
        monkeypatch.chdir(tmp_path)
        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
        yield mlflow
        mlflow.set_tracking_uri(before)

    def test_a_run_is_noted(self, documented, store):
        run = documented["again"]
        tracking.note(run)
        (noted,) = store.search_runs(experiment_names=["convnets"], output_format="list")
        assert noted.data.params["epochs"] == "20"
        assert noted.data.metrics["test_error"] == run.figures["error"]
        losses = store.MlflowClient().get_metric_history(noted.info.run_id, "loss")
        assert [each.value for each in losses] == list(run.history["loss"])
        files = {each.path for each in store.MlflowClient().list_artifacts(noted.info.run_id)}
        assert {"index.html", "model.keras", "model"} <= files
        assert noted.info.status == "FINISHED"

    def test_a_tracker_that_fails_loses_no_run(self, stand_in, monkeypatch, tmp_path, store):
        monkeypatch.setattr(process, "RUNNER", stand_in("summary(blessed=True)"))
        (tmp_path / "file").touch()
        store.set_tracking_uri(f"sqlite:///{tmp_path}/file/mlflow.db")
        with pytest.warns(tracking.NotNoted):
            run = convnets.run("lenet", root=tmp_path, progress=False, track="mlflow")
        assert run.blessed and "not noted" in run.tracked

    def test_an_unknown_tracker_is_refused_before_the_run(self, tmp_path):
        with pytest.raises(convnets.RecipeError, match="mlflow"):
            convnets.run("lenet", root=tmp_path / "root", track="mflow")
        assert not (tmp_path / "root").exists()


NOTEBOOK = """
import convnets
run = convnets.run("lenet-relu", data="photos", epochs=20, batch_size=8)
run
"""
SERVING = """
import asyncio
assert asyncio.get_running_loop()  # of the kernel
with convnets.serve(run) as server:
    from serving.client import Client
    with Client(server.grpc) as client:
        (answer,) = client.predict(*server.models, [open("photos/cat/01.png", "rb").read()])
answer["classes"].decode()
"""


@pytest.mark.skipif(not importlib.util.find_spec("ipykernel"), reason="no notebook's kernel here")
def test_in_a_notebook(documented, folder, alone):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    cells = [nbformat.v4.new_code_cell(each) for each in (NOTEBOOK, SERVING)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = nbclient.NotebookClient(
        notebook, timeout=None, resources={"metadata": {"path": folder}}
    )
    with alone():
        client.execute(env=process.environment())
    progress, shown = notebook.cells[0].outputs[0], notebook.cells[0].outputs[-1]
    assert "Trainer" in progress["data"]["text/html"]
    assert "lenet-relu (small) on" in shown["data"]["text/html"]
    assert notebook.cells[1].outputs[-1]["data"]["text/plain"] in ("'cat'", "'coffee'")
