"""`convnets judge --model` on small real SavedModels and images."""

import json

import pytest
import tensorflow as tf
from click.testing import CliRunner

from pipelines import cli, judging, recipes
from pipelines.console import screens

SHADES = (0, 100, 200)


def write_examples(folder):
    """One image of each shade, whose label is the shade's place."""
    (folder / "Split-test").mkdir(parents=True)
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    with tf.io.TFRecordWriter(str(folder / "Split-test" / "0.gz"), options) as writer:
        for label, shade in enumerate(SHADES):
            encoded = tf.io.encode_png(tf.fill([4, 4, 1], tf.cast(shade, tf.uint8))).numpy()
            features = {
                "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded])),
                "image/id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"%d" % label])),
                "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    (folder / "labels.txt").write_text("black\ngrey\nlight\n")


def write_model(folder, scores):
    """A SavedModel that gives every image the same scores."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve(examples):
        return {"scores": tf.tile(tf.constant([scores]), [tf.size(examples), 1])}

    tf.saved_model.save(tf.Module(), str(folder), {"serving_default": serve})


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    write_examples(root / "examples")
    write_model(root / "black", [0.6, 0.3, 0.1])
    write_model(root / "grey" / "1", [0.6, 0.3, 0.1])
    write_model(root / "grey" / "2", [0.1, 0.7, 0.2])
    (root / "runs").mkdir()
    run = {"recipe": "lenet", "size": "small", "dataset": "/shades", "started": "2026-11-23T12:00"}
    (root / "runs" / "1.json").write_text(json.dumps({**run, "examples": str(root / "examples")}))
    return root


@pytest.fixture
def judge(root, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")

    def run(*models):
        options = [option for model in models for option in ("--model", str(root / model))]
        arguments = ["judge", "lenet", "--root", str(root), *options]
        result = CliRunner().invoke(cli.main, arguments)
        assert result.exit_code == 0, result.output
        return result.output

    return run


def test_one_model_by_the_recipes_protocol(judge):
    text = judge("black")
    assert "lenet (small) on 3 test images of /shades, protocol 1-crop" in text
    assert "error 66.67 %, cross-entropy" in text
    assert "no: other data" in text


def test_what_was_judged_is_among_the_papers(judge, root):
    judge("black", "grey")
    papers = CliRunner().invoke(cli.main, ["papers", "mnist", "--root", str(root)])
    assert papers.exit_code == 0, papers.output
    assert "2 x 1-crop" in papers.output


def test_ensembles_stand_beside_the_papers_own(root):
    recipe = recipes.find("ciresan-mnist", "paper")
    assert judging._of_ensembles(recipe, 35) == ["ciresan2012-mnist-mcdnn35"]
    assert judging._of_ensembles(recipe, 1) == []


def test_several_models_are_an_ensemble(judge):
    text = judge("black", "grey")
    assert "protocol 2 x 1-crop" in text
    # The mean of the probabilities: 0.35, 0.5 and 0.15.
    assert "cross-entropy 1.2134" in text


@pytest.mark.parametrize("said", [{"task": "classification"}, {}])
def test_figures_are_printed_as_the_task_has_them(said):
    metrics = {"error": 0.5, "top5_error": None, "cross_entropy": 0.25}
    metrics["steps_to_72.2_accuracy"] = 12000
    judgement = {"recipe": "net", "size": "small", "dataset": "shades", "protocol": "1-crop"}
    judgement |= {"examples": 2, "metrics": metrics, "rows": [], **said}
    _, measured, _ = screens.judgement_screen(judgement).renderables
    assert str(measured) == (
        "error 50.00 %, cross-entropy 0.2500 nats, steps to 72.2 % accuracy 12,000"
    )


def test_what_is_needed_on_ones_own_data_is_printed():
    least = {"metric": "accuracy", "value": 0.625, "text": "needs 62.5 %: why"}
    judgement = {"recipe": "net", "size": "small", "dataset": "shades", "protocol": "1-crop"}
    judgement |= {"examples": 8, "metrics": {"error": 0.5}, "rows": []}
    for figure, line in (
        (0.5, "accuracy 50.00 %, not enough: needs 62.5 %: why"),
        (0.625, "accuracy 62.50 %, enough: needs 62.5 %: why"),
        (None, "accuracy is not defined, not enough: needs 62.5 %: why"),
    ):
        shown = screens.judgement_screen({**judgement, "needed": {**least, "figure": figure}})
        assert str(shown.renderables[2]) == line


def test_on_other_data_than_the_recipes_own_the_judge_asks_for_more_than_chance():
    recipe = recipes.find("lenet")
    assert "chance" not in judging.judged(recipe)
    assert judging.judged(recipe.on_data("shades"))["chance"] == 0.05
