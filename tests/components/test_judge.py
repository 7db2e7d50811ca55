import csv
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from tfx import types
from tfx.dsl.components.common.importer import Importer
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline
from tfx.types import standard_artifacts

from components import progress
from components.artifacts import Judgement
from components.judge import executor, results
from components.judge.component import Judge


def _artifact(kind, uri):
    artifact = kind()
    artifact.uri = str(uri)
    return artifact


def _judge(examples, model, output, protocol="1-crop", benchmarks=(), recipe=None):
    Path(output).mkdir()
    executor.Executor().Do(
        {
            "examples": [_artifact(standard_artifacts.Examples, examples)],
            "model": [_artifact(standard_artifacts.Model, model)],
        },
        {"judgement": [_artifact(Judgement, output)]},
        {
            "protocol": protocol,
            "benchmarks": json.dumps(list(benchmarks)),
            "recipe": json.dumps(recipe),
        },
    )
    return results.read_judgement(output)


@pytest.fixture
def judgement(digits_run, tmp_path):
    return _judge(
        digits_run.examples,
        digits_run.model,
        tmp_path / "out",
        benchmarks=["lecun1998-lenet5"],
        recipe=digits_run.recipe,
    )


def test_measures_what_keras_measures(judgement, digits_run, digits):
    images, labels = (part[-digits_run.test_images :] for part in digits)
    logits = digits_run.network.predict(images[..., None] / 16.0, verbose=0)
    assert judgement["metrics"]["error"] == pytest.approx((logits.argmax(axis=1) != labels).mean())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert judgement["metrics"]["cross_entropy"] == pytest.approx(
        float(loss(labels, logits)), rel=1e-4
    )
    assert 0 < judgement["metrics"]["error"] < 0.5
    assert judgement["metrics"]["top5_error"] < judgement["metrics"]["error"]
    assert judgement["examples"] == digits_run.test_images
    assert judgement["not_finite"] == 0


def test_says_what_was_judged(judgement, digits_run):
    assert judgement["recipe"] == "digits"
    assert judgement["labels"] == list(digits_run.names)
    (row,) = judgement["rows"]
    assert row["ours"] == pytest.approx(100 * judgement["metrics"]["error"])
    assert not row["comparable"]
    assert row["why"] == "other data: the paper's is mnist, ours digits"


def test_says_what_more_than_chance_is(digits_run, digits, tmp_path):
    recipe = {**digits_run.recipe, "chance": 0.05}
    found = _judge(digits_run.examples, digits_run.model, tmp_path / "own", recipe=recipe)
    labels = digits[1][-digits_run.test_images :]
    n, most = len(labels), np.bincount(labels).max()
    least = found["needed"]
    assert (least["metric"], least["figure"]) == ("accuracy", 1 - found["metrics"]["error"])
    assert least["value"] == (stats.binom.isf(0.05, n, most / n) + 1) / n < 0.2
    assert f"gets {100 * most / n:.1f} % of {n} test images ({most})" in least["text"]


def test_says_nothing_of_it_on_the_papers_data(judgement):
    assert judgement["needed"] is None


def test_keeps_every_answer(judgement, digits_run, digits, tmp_path):
    saved = np.load(tmp_path / "out" / "predictions.npz")
    assert saved["scores"].shape == (digits_run.test_images, 10)
    assert saved["scores"].dtype == np.float32
    places = [int(name.removeprefix("test#")) for name in saved["id"]]
    assert sorted(places) == list(range(digits_run.test_images))
    assert (saved["rows"][:, 0] == digits[1][-digits_run.test_images :][places]).all()
    assert (saved["scores"].argmax(axis=1) != saved["rows"][:, 0]).mean() == pytest.approx(
        judgement["metrics"]["error"]
    )


def test_writes_the_table(judgement, tmp_path):
    with open(tmp_path / "out" / "table.csv", newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert tuple(row) == results.COLUMNS
    assert (row["id"], float(row["paper_value"])) == ("lecun1998-lenet5", 0.95)
    assert float(row["ours"]) == pytest.approx(100 * judgement["metrics"]["error"])


def test_ten_crops_of_digits(digits_run, digits, tmp_path):
    _judge(
        digits_run.examples,
        digits_run.model,
        tmp_path / "out",
        protocol="10-crop",
        recipe=digits_run.recipe,
    )
    saved = np.load(tmp_path / "out" / "predictions.npz")
    images = digits[0][-digits_run.test_images :].astype(np.float32)
    # 256 / 224 of 8 pixels are 9.
    larger = np.round(tf.image.resize(images[..., None], [9, 9], antialias=True).numpy())
    views = [
        larger[:, top : top + 8, left : left + 8]
        for top, left in ((0, 0), (0, 1), (1, 0), (1, 1), (0, 0))
    ]
    views += [view[:, :, ::-1] for view in views]
    scores = np.mean(
        [keras.ops.softmax(digits_run.network.predict(view / 16.0, verbose=0)) for view in views],
        axis=0,
    )
    places = [int(name.removeprefix("test#")) for name in saved["id"]]
    assert saved["scores"] == pytest.approx(scores[places], abs=1e-5)


def test_reports_progress_to_the_last_image(digits_run, tmp_path, monkeypatch):
    events = tmp_path / "events.jsonl"
    monkeypatch.setenv(progress.EVENTS, str(events))
    _judge(digits_run.examples, digits_run.model, tmp_path / "out", recipe=digits_run.recipe)
    last = json.loads(events.read_text().splitlines()[-1])
    assert (last["stage"], last["done"], last["total"]) == ("Judge", 300, 300)


def test_a_model_of_nan_is_wrong_everywhere(digits_run, untrained_network, export_model, tmp_path):
    network = untrained_network()
    network.set_weights([weights * np.nan for weights in network.get_weights()])
    export_model(network, list(digits_run.names), str(tmp_path / "model"))
    judgement = _judge(
        digits_run.examples, tmp_path / "model", tmp_path / "out", recipe=digits_run.recipe
    )
    assert judgement["metrics"]["error"] == 1.0
    assert judgement["metrics"]["cross_entropy"] is None
    assert judgement["not_finite"] == digits_run.test_images


def test_a_model_of_other_classes_is_refused(digits_run, untrained_network, export_model, tmp_path):
    export_model(untrained_network(7), list("abcdefg"), str(tmp_path / "model"))
    with pytest.raises(ValueError, match="gives 7 scores an image, the examples have 10 classes"):
        _judge(digits_run.examples, tmp_path / "model", tmp_path / "out", recipe=digits_run.recipe)


def test_a_label_without_a_name_is_refused(digits_run, digits, write_images, tmp_path):
    write_images(tmp_path / "examples", "test", digits[0][:4], [0, 1, 2, 10])
    (tmp_path / "examples" / "labels.txt").write_text("\n".join(digits_run.names))
    with pytest.raises(ValueError, match="labels from 0 to 10, but names for 0 to 9 only"):
        _judge(tmp_path / "examples", digits_run.model, tmp_path / "out", recipe=digits_run.recipe)


def test_an_empty_split_is_refused(digits_run, digits, write_images, tmp_path):
    examples = tmp_path / "examples"
    write_images(examples, "test", digits[0][:0], [])
    (examples / "labels.txt").write_text("\n".join(digits_run.names))
    with pytest.raises(ValueError, match="the test split is empty"):
        _judge(examples, digits_run.model, tmp_path / "out", recipe=digits_run.recipe)


def test_a_missing_split_is_refused(digits_run, digits, write_images, tmp_path):
    examples = tmp_path / "examples"
    write_images(examples, "train", digits[0][:4], digits[1][:4])
    (examples / "labels.txt").write_text("\n".join(digits_run.names))
    with pytest.raises(ValueError, match="has no test split"):
        _judge(examples, digits_run.model, tmp_path / "out", recipe=digits_run.recipe)


def _component(**changes):
    channels = {
        "examples": types.Channel(type=standard_artifacts.Examples),
        "model": types.Channel(type=standard_artifacts.Model),
    }
    values = {"protocol": "1-crop", "benchmarks": ["lecun1998-lenet5"], "recipe": {"name": "x"}}
    return Judge(**channels, **{**values, **changes})


def test_the_component_refuses_unknown_names_before_anything_runs():
    with pytest.raises(KeyError, match="did you mean 1-crop"):
        _component(protocol="1crop")
    with pytest.raises(KeyError, match="did you mean lecun1998-lenet5"):
        _component(benchmarks=["lecun1998-lenet-5"])
    assert _component().exec_properties["benchmarks"] == '["lecun1998-lenet5"]'


def test_runs_in_a_pipeline(digits_run, tmp_path):
    history = [{"epoch": 1, "val_accuracy": 0.8, "steps": 23.0}]
    (tmp_path / "model_run").mkdir()
    (tmp_path / "model_run" / "history.json").write_text(json.dumps(history))
    model_run = Importer(str(tmp_path / "model_run"), standard_artifacts.ModelRun)
    examples = Importer(digits_run.examples, standard_artifacts.Examples)
    model = Importer(digits_run.model, standard_artifacts.Model)
    judge = Judge(
        examples=examples.outputs["result"],
        model=model.outputs["result"],
        protocol="1-crop",
        benchmarks=["lecun1998-lenet5", "ioffe2015-bn-x5-steps", "ioffe2015-inception-parameters"],
        recipe=digits_run.recipe,
        model_run=model_run.outputs["result"],
    )
    LocalDagRunner().run(
        Pipeline(
            pipeline_name="judging",
            pipeline_root=str(tmp_path / "root"),
            components=[
                examples.with_id("examples"),
                model.with_id("model"),
                model_run.with_id("model_run"),
                judge,
            ],
            metadata_connection_config=sqlite_metadata_connection_config(
                str(tmp_path / "metadata.sqlite")
            ),
        )
    )
    (written,) = (tmp_path / "root" / "Judge" / "judgement").iterdir()
    judgement = results.read_judgement(written)
    assert judgement["examples"] == digits_run.test_images
    assert judgement["metrics"]["steps_to_72.2_accuracy"] == 23
    # What is counted of a network is no matter of the judge.
    assert [row["id"] for row in judgement["rows"]] == ["lecun1998-lenet5", "ioffe2015-bn-x5-steps"]
    assert tf.io.gfile.exists(str(written / "predictions.npz"))


def test_kubeflow_finds_the_artifact_types_by_name():
    """A Kubeflow step imports the type of an artifact by the type's name."""
    from tfx.utils import import_utils

    import components.artifacts

    for kind in (components.artifacts.Judgement, components.artifacts.Report):
        assert import_utils.import_class_by_path(kind.TYPE_NAME) is kind
