"""Faces from a folder of people through every stage to a model that is asked about two of them."""

import csv
import datetime
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import skimage.data
import tensorflow as tf
from click.testing import CliRunner
from PIL import Image
from tensorflow_model_analysis import constants
from tfx.components.trainer.fn_args_utils import FnArgs

import convnets
from components import examples, tasks
from components.canary import executor as canary
from components.evaluate.figures import _Figures
from components.ingest.sources import resolve
from components.judge.executor import _write as write_judgement
from components.judge.executor import judge
from components.report.executor import render
from components.train.run import run_fn
from components.validate import copies, facts
from pipelines import inspection, recipes
from pipelines.cli import main

TASK = tasks.find("verification")
PEOPLE, EACH = 8, 4
SIDES = (24, 20)


@pytest.fixture(scope="module")
def people(tmp_path_factory) -> Path:
    """Parts of photographs that overlap stand for the pictures of one person."""
    folder = tmp_path_factory.mktemp("people")
    photograph = Image.fromarray(skimage.data.astronaut()).convert("L")
    for person in range(PEOPLE):
        (folder / f"p{person}").mkdir()
        for number in range(EACH):
            left, top = 55 * person + number, 45 * person + 2 * number
            part = photograph.crop((left, top, left + 40, top + 48)).resize(SIDES[::-1])
            part.save(folder / f"p{person}" / f"{number}.png")
    said = {"people": {"test": ["p5", "p6", "p7"]}}
    (folder / "dataset.json").write_text(json.dumps(said))
    return folder


@pytest.fixture(scope="module")
def run(people, analyse, tmp_path_factory) -> SimpleNamespace:
    """What ingestion and the Trainer leave."""
    root = tmp_path_factory.mktemp("run")
    (root / "examples").mkdir()
    inspection.ingest(resolve(str(people), "verification"), str(root / "examples"))
    recipe = recipes.find("face-pixels").override(
        [f"preprocess.size={[*SIDES]}", "epochs=6", "optimizer.learning_rate=0.3", "batch_size=8"]
    )
    kept = recipe.for_stage("train")
    (root / "transform").mkdir()
    graph = analyse(
        str(root / "examples"), {"preprocess": dict(recipe.preprocess)}, root / "transform"
    )
    run_fn(
        FnArgs(
            train_files=[f"{root}/examples/Split-train/*"],
            eval_files=[],
            transform_output=graph,
            serving_model_dir=str(root / "serving" / "faces" / "1"),
            model_run_dir=str(root / "model_run"),
            custom_config={"recipe": json.dumps(kept), "checkpoints": str(root / "checkpoints")},
        )
    )
    return SimpleNamespace(
        root=root,
        examples=str(root / "examples"),
        graph=graph,
        model=str(root / "serving" / "faces" / "1"),
        model_run=str(root / "model_run"),
        recipe=kept,
    )


@pytest.fixture(scope="module")
def judged(run):
    return judge([run.model], run.examples, "1-crop", [], run.recipe)


def test_the_network_has_learnt_where_the_same_begins(run, judged):
    found = judged.judgement["metrics"]
    assert found["accuracy"] > 0.8 > judged.judgement["constant"]["accuracy"]
    assert found["roc_area"] > 0.9 and found["equal_error_rate"] < 0.2
    assert 0 <= found["accuracy_standard_error"] < 0.2
    scores = judged.answers.rows[:, 0]
    assert (scores > 0).any() and (scores < 0).any()


def test_tfma_measures_the_same(run, judged):
    combine = _Figures("verification", "{}", "")
    combine.setup()
    rows = combine.create_accumulator()
    served = tf.saved_model.load(run.model).signatures["examples"]
    for record in examples.records(run.examples, "test"):
        parsed = tf.io.parse_single_example(record, TASK.part("targets").FEATURES)
        features = {name: value.numpy() for name, value in parsed.items()}
        score = served(examples=record[None])["score"].numpy()[0]
        rows = combine.add_input(rows, _Element(features, score))
    (value,) = combine.extract_output(rows).values()
    assert value == pytest.approx(judged.judgement["metrics"]["accuracy"])


class _Element(dict):
    """What TFMA hands a metric of one example."""

    def __init__(self, features, score):
        super().__init__({constants.FEATURES_KEY: features})
        # As TFMA has the only output of a model.
        self.get_predictions = lambda model: score[None]


def test_the_canary_lets_it_through(run):
    asked = canary.questions(run.examples, TASK)
    found = canary.examine(run.model, TASK, asked, [])
    assert found["reasons"] == [] and found["blessed"]
    assert set(found["answers"][0]) == {"answer", "score"}


def test_the_page_shows_the_curve_and_the_hardest_pairs(run, judged, tmp_path):
    write_judgement(str(tmp_path), judged)
    (Path(run.examples) / "dead_letters").mkdir(exist_ok=True)
    page = render(
        run.examples,
        run.model_run,
        str(tmp_path),
        datetime.datetime(2026, 1, 1),
        transform_uri=run.graph,
    )
    assert "ROC curve" in page and "The hardest pairs" in page
    assert "the mean over 10 folds" in page and "standard error" in page
    assert page.count("picture of a pair that is") == 2 * 12


def test_pairs_that_share_a_picture_are_no_copies_of_each_other(run):
    table = facts.read(run.examples)
    assert len(table) == 96
    assert copies.duplicates(table) == [] and copies.leaks(table) == []
    assert table["likeness"].nunique() == len(table)


def test_two_pictures_are_asked_about(run, people, tmp_path):
    model = convnets.load(run.model)
    same, other = (str(people / each) for each in ("p5/1.png", "p6/0.png"))
    first = str(people / "p5" / "0.png")
    alike, apart = model.predict([(first, same), (first, other)])
    assert alike.answer["score"] > apart.answer["score"]
    assert alike.names == (first, same)
    flat = model.predict([first, same, first, other])
    assert [each.answer for each in flat] == [alike.answer, apart.answer]
    asked = ["predict", first, same, first, other, "--root", str(tmp_path), "--model", run.model]
    drawn = tmp_path / "drawn"
    told = CliRunner().invoke(
        main, [*asked, "--csv", str(tmp_path / "a.csv"), "--draw", str(drawn)]
    )
    assert told.exit_code == 0, told.output
    header, *rows = csv.reader((tmp_path / "a.csv").open())
    assert header == ["image", "pair", "answer", "score", "error"]
    assert [row[2] for row in rows] == [
        "same" if each.answer["score"] > 0 else "different" for each in (alike, apart)
    ]
    # Both pictures, and what is said of them below.
    with Image.open(drawn / "0.png") as picture:
        assert picture.width >= 2 * SIDES[1] and picture.height > SIDES[0]
        left = np.asarray(picture.convert("L"))[: SIDES[0], : SIDES[1]]
    np.testing.assert_array_equal(left, np.asarray(Image.open(first)))
    told = CliRunner().invoke(main, [*asked[:2], "--root", str(tmp_path), "--model", run.model])
    assert told.exit_code == 1 and "asked about 2 at a time: image, pair" in told.output


def test_it_is_evaluated_on_other_people(run, people, judged):
    found = convnets.load(run.model).evaluate(people, root=run.root)
    wanted = judged.judgement["metrics"]
    assert found.judgement["metrics"]["roc_area"] == pytest.approx(wanted["roc_area"])


def test_inspect_shows_pairs(people, tmp_path):
    sheet = tmp_path / "sheet.png"
    arguments = ["data", "inspect", str(people), "--task", "verification", "--sheet", str(sheet)]
    told = CliRunner().invoke(main, arguments, env={"COLUMNS": "200"})
    assert told.exit_code == 0, told.output
    assert "people, verification" in told.output
    with Image.open(sheet) as drawn:
        # Two rows of pairs side by side, with their names before them.
        assert drawn.width > 8 * 2 * 80 and drawn.height > 2 * 90
