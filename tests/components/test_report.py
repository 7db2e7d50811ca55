import base64
import datetime
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import keras
import matplotlib
import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import confusion_matrix
from tfx.dsl.components.common.importer import Importer
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline
from tfx.types import standard_artifacts

from components import tasks
from components.artifacts import Judgement
from components.judge import benchmarks, results
from components.report import executor, maps, pages, pictures
from components.report.component import Report
from components.report.evidence import Evidence
from components.tasks.classification import confusion, mistakes, probes

TASK = tasks.find("classification")
NOON = datetime.datetime(2026, 3, 1, 12, 0)


def _write_judgement(folder, run, digits, scores=None, figures=("lecun1998-lenet5",)):
    images, labels = (part[-run.test_images :] for part in digits)
    if scores is None:
        logits = run.network.predict(images[..., None] / 16.0, verbose=0)
        scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    rows = TASK.part("metrics").rows({"scores": scores}, labels, {})
    measured = TASK.part("metrics").figures(rows, {})
    judgement = {
        "task": TASK.name,
        "task_args": {},
        "recipe": "digits",
        "size": "small",
        "dataset": "digits",
        "protocol": "1-crop",
        "examples": len(labels),
        "metrics": measured,
        "not_finite": int((~np.isfinite(scores).all(axis=1)).sum()),
        "labels": list(run.names),
        "rows": [
            results.compare(row, measured, run.recipe, "1-crop") for row in benchmarks.find(figures)
        ],
    }
    Path(folder).mkdir()
    Path(folder, "judgement.json").write_text(json.dumps(judgement))
    ids = np.array([f"test#{index}" for index in range(len(labels))])
    np.savez(Path(folder, "predictions.npz"), rows=rows, id=ids, scores=scores)
    return scores, labels


class _Page(HTMLParser):
    """Collects what a browser would have to fetch, the images and the text."""

    def __init__(self, markup):
        super().__init__()
        self.fetched, self.images, self.text, self.open = [], [], [], []
        self.feed(markup)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag not in ("meta", "img", "use", "path", "rect"):
            self.open.append(tag)
        if tag == "img":
            self.images.append(attrs)
        for key in ("src", "href", "xlink:href"):
            if key in attrs and not attrs[key].startswith(("data:", "#")):
                self.fetched.append(attrs[key])

    def handle_endtag(self, tag):
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text.append(data.strip())


@pytest.fixture(scope="module")
def page(digits_run, digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    _write_judgement(folder / "judgement", digits_run, digits)
    return _rendered(digits_run, folder)


def _rendered(run, tmp_path):
    return executor.render(run.examples, run.model_run, str(tmp_path / "judgement"), NOON)


def test_the_page_needs_nothing_else(page):
    parsed = _Page(page)
    assert parsed.fetched == []
    assert "<script" not in page and "@import" not in page
    assert "url(http" not in page


def test_the_page_says_what_was_run(page, digits_run):
    text = " ".join(_Page(page).text)
    for said in ("digits", "1-crop", "small", "1 Mar 2026, 12:00", "6 epochs, 9 s"):
        assert said in text
    assert "other data: the paper's is mnist, ours digits" in text
    assert "0.95 %" in text
    assert f"{digits_run.network.count_params():,}" in text
    assert f"Network {digits_run.model_run}/model.keras" in text and "predictions.npz" in text


@pytest.mark.parametrize("verified", ["yes", "no"])
def test_the_page_says_which_published_figures_are_not_verified(
    digits_run, digits, tmp_path, verified
):
    _write_judgement(tmp_path / "judgement", digits_run, digits)
    file = tmp_path / "judgement" / "judgement.json"
    judgement = json.loads(file.read_text())
    judgement["rows"][0]["verified"] = verified
    file.write_text(json.dumps(judgement))
    assert ("Not verified" in _rendered(digits_run, tmp_path)) == (verified == "no")


def test_the_page_says_what_was_found_of_the_data(digits_run, digits, tmp_path):
    _write_judgement(tmp_path / "judgement", digits_run, digits)
    folders = (digits_run.examples, digits_run.model_run, str(tmp_path / "judgement"))
    (tmp_path / "verdict.json").write_text('{"line": "span 2: 7 test images in training, too"}')
    page = executor.render(*folders, NOON, verdict_uri=str(tmp_path))
    assert "span 2: 7 test images in training, too" in " ".join(_Page(page).text)


def test_every_picture_has_words(page):
    parsed = _Page(page)
    assert len(parsed.images) > 2
    assert all(image["alt"] for image in parsed.images)
    drawings = re.findall(r"<svg [^>]*>", page)
    assert len(drawings) == 4
    assert all('role="img"' in drawing and "aria-label=" in drawing for drawing in drawings)


def test_drawings_take_the_page_colours(page):
    drawings = "".join(re.findall(r"<svg .*?</svg>", page, re.DOTALL))
    assert "currentColor" in drawings and "var(--test)" in drawings
    assert not re.search(r"#0000\d\d", drawings)


def test_dead_letters_are_counted_and_the_first_named(page):
    text = " ".join(_Page(page).text)
    assert "12 inputs could not be used" in text
    assert "The first 10" in text
    assert "broken/0009.png" in text and "broken/0010.png" not in text
    assert "truncated &lt;PNG&gt;" in page


def test_the_worst_mistakes_are_shown_with_their_images(digits_run, digits, tmp_path):
    scores, labels = _write_judgement(tmp_path / "judgement", digits_run, digits)
    shown = _Page(_rendered(digits_run, tmp_path)).images
    given = scores.argmax(axis=1)
    wrong = np.flatnonzero(given != labels)
    first = wrong[scores[wrong, given[wrong]].argmax()]
    names = digits_run.names
    assert shown[0]["alt"] == f"{names[labels[first]]}, taken for {names[given[first]]}"
    decoded = np.array(Image.open(io.BytesIO(base64.b64decode(shown[0]["src"].split(",")[1]))))
    assert (decoded == digits[0][-digits_run.test_images :][first]).all()


def test_a_perfect_model_has_no_mistakes(digits_run, digits, tmp_path):
    perfect = np.eye(10)[digits[1][-digits_run.test_images :]]
    _write_judgement(tmp_path / "judgement", digits_run, digits, perfect, figures=())
    text = " ".join(_Page(_rendered(digits_run, tmp_path)).text)
    assert "0.00 %" in text
    assert "every answer on the test split is right" in text
    assert "The recipe names no published figure" in text


def test_a_model_of_nan_still_has_a_page(digits_run, digits, tmp_path):
    _write_judgement(
        tmp_path / "judgement", digits_run, digits, np.full((digits_run.test_images, 10), np.nan)
    )
    text = " ".join(_Page(_rendered(digits_run, tmp_path)).text)
    assert "100.00 %" in text
    assert "For 300 images the model gave scores that are not finite" in text


def test_confusion_agrees_with_scikit_learn(digits_run, digits, tmp_path):
    scores, labels = _write_judgement(tmp_path / "judgement", digits_run, digits)
    matrix = mistakes.confusion_matrix(scores, labels)
    assert (matrix == confusion_matrix(labels, scores.argmax(axis=1), labels=range(10))).all()
    rows = mistakes.by_class(matrix, labels)
    assert sum(row.wrong for row in rows) == (scores.argmax(axis=1) != labels).sum()
    assert sum(row.examples for row in rows) == len(labels)


def test_mistakes_of_a_case_worked_by_hand():
    scores = np.array([[0.1, 0.9, 0], [0.2, 0.2, 0.6], [0, 0.3, 0.7], [0, 0, 1], [0, 0, np.nan]])
    labels = np.array([0, 0, 0, 2, 1])
    found = mistakes.worst(scores, labels, ["a", "b", "c", "d", "e"], 2)
    assert [(mistake.id, mistake.given) for mistake in found] == [("a", 1), ("c", 2)]
    matrix = mistakes.confusion_matrix(scores, labels)
    assert matrix.tolist() == [[0, 1, 2], [0, 0, 0], [0, 0, 1]]
    assert mistakes.confusions(matrix, 5) == [(0, 2, 2), (0, 1, 1)]
    rows = mistakes.by_class(matrix, labels)
    assert [(row.examples, row.wrong, row.taken_for) for row in rows] == [
        (3, 3, 2),
        (1, 1, None),
        (1, 0, None),
    ]


def test_interval_of_an_error_rate():
    # Newcombe 1998, Statistics in Medicine 17, table I: 81 of 263 and 0 of 20, Wilson's score.
    assert mistakes.interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert mistakes.interval(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)


def test_curves_are_of_the_training_images_and_of_those_held_out(page):
    text = " ".join(_Page(page).text)
    assert "the validation values are taken at its end, on training images that were held" in text
    assert "Loss by epoch, 6 in all: train from 2 to 0.1555, validation from 1.8 to 0.1649" in page
    assert "Error, % by epoch, 6 in all: train from 60 to 4.666, validation from 50 to" in page
    assert "Learning rate by epoch, 6 in all: from 0.01 to 0.005905" in page


def test_a_history_without_validation_has_fewer_curves(digits_run, digits, tmp_path):
    history = [{"epoch": 1, "loss": 0.5, "accuracy": 0.9}]
    drawn = pictures.curves(history, TASK.part("pictures").curves(history))
    assert [picture.title for picture in drawn] == ["Loss", "Error, %"]
    assert drawn[1].alt.endswith("train from 10 to 10")
    _write_judgement(tmp_path / "judgement", digits_run, digits)
    run = tmp_path / "model_run"
    shutil.copytree(digits_run.model_run, run)
    (run / "history.json").write_text(json.dumps([{**history[0], "seconds": 9.0}]))
    folders = (digits_run.examples, str(run), str(tmp_path / "judgement"))
    assert "validation" not in " ".join(_Page(executor.render(*folders, NOON)).text)


def test_many_classes_lose_their_numbers_but_not_their_shades():
    names = [f"class {label}" for label in range(60)]
    drawn = confusion.drawing(np.eye(60, dtype=np.int64) * 50, names)
    assert "<image" in drawn.markup
    assert "class 59" not in drawn.markup
    assert drawn.alt == "Confusion matrix of 60 classes: 3,000 right, 0 wrong"


def test_filters_of_grey_and_of_colour():
    kernel = np.zeros((3, 3, 1, 2), np.float32)
    kernel[..., 0, 0] = np.linspace(-1, 1, 9).reshape(3, 3)
    image = _decoded(pictures.filters(kernel).markup)
    assert image.shape == (96, 96 + 6 + 96, 4)
    assert image[0, 0, 0] == 0 and image[-1, 95, 0] == 255
    assert (image[:, 102:, :3] == 127).all()
    assert (image[:, 96:102, 3] == 0).all()
    assert pictures.filters(np.random.default_rng(0).normal(size=(11, 11, 3, 96)))
    assert pictures.filters(np.zeros((3, 3, 16, 8))) is None


def _decoded(markup):
    encoded = re.search(r"base64,([^\"]+)", markup).group(1)
    return np.array(Image.open(io.BytesIO(base64.b64decode(encoded))))


@pytest.mark.parametrize(("mode", "kind"), [("CMYK", "JPEG"), ("I;16", "PNG"), ("LA", "PNG")])
def test_thumbnails_of_unusual_images(mode, kind):
    buffer = io.BytesIO()
    Image.new(mode, (400, 200)).save(buffer, kind)
    shown = pictures.thumbnail(buffer.getvalue())
    assert not shown.pixelated
    small = Image.open(io.BytesIO(base64.b64decode(shown.uri.split(",")[1])))
    assert small.size == (160, 80)


def test_the_first_convolution_is_found_inside_another_model():
    inner = keras.Sequential([keras.layers.Input((8, 8, 3)), keras.layers.Conv2D(4, 5)])
    flat = keras.Sequential([keras.layers.Input((8, 8, 3)), keras.layers.Flatten()])
    outer = keras.Sequential([keras.layers.Input((8, 8, 3)), keras.layers.ReLU(), inner])
    assert executor.first_kernel(outer).shape == (5, 5, 3, 4)
    assert executor.first_kernel(flat) is None


def test_runs_in_a_pipeline(digits_run, digits, tmp_path):
    _write_judgement(tmp_path / "judgement", digits_run, digits)
    imported = {
        name: Importer(uri, kind).with_id(name)
        for name, uri, kind in (
            ("examples", digits_run.examples, standard_artifacts.Examples),
            ("model_run", digits_run.model_run, standard_artifacts.ModelRun),
            ("judgement", str(tmp_path / "judgement"), Judgement),
        )
    }
    report = Report(**{name: node.outputs["result"] for name, node in imported.items()})
    LocalDagRunner().run(
        Pipeline(
            pipeline_name="reporting",
            pipeline_root=str(tmp_path / "root"),
            components=[*imported.values(), report],
            metadata_connection_config=sqlite_metadata_connection_config(
                str(tmp_path / "metadata.sqlite")
            ),
        )
    )
    (page,) = (tmp_path / "root" / "Report" / "report").glob("*/index.html")
    assert "digits" in page.read_text(encoding="utf-8")


PROBED = {
    "from": "other-net",
    "test_examples": 1200,
    "published": {},
    "rows": [
        {"layer": layer, "values": 64, "examples_per_class": n, "examples": 10 * n}
        | {"svm": 0.3 + n / 100, "softmax": 0.2 + n / 100}
        for layer, n in (("top", 1), ("conv1", 5), ("top", 5))
    ],
}


def test_the_layers_of_another_network(digits_run, digits, tmp_path):
    _write_judgement(tmp_path / "judgement", digits_run, digits)
    folders = (digits_run.examples, digits_run.model_run, str(tmp_path / "judgement"))
    (tmp_path / "probes.json").write_text(json.dumps(PROBED))
    page = executor.render(*folders, NOON, str(tmp_path))
    text = " ".join(_Page(page).text)
    assert "What each layer knows" in text
    assert "those of other-net" in text and "1,200 test images" in text
    assert "Accuracy of top, % at 1, 5: linear SVM 31.0, 35.0; softmax 21.0, 25.0" in page
    assert "Accuracy by layer, % at conv1, top" in page
    for cells in (["conv1", "64", "35.0 %", "25.0 %"], ["1", "10", "31.0 %", "21.0 %"]):
        assert " ".join(cells) in " ".join(text.split())
    assert _Page(page).fetched == [] and "SVM, paper" not in text
    assert "What each layer knows" not in executor.render(*folders, NOON)


def test_the_papers_figures_stand_beside_those_of_the_layers():
    of_layers, by_number = probes.section({**PROBED, "published": {"top": {"svm": 0.855}}}).tables
    assert of_layers.columns[-2:] == ("linear SVM, paper", "softmax, paper")
    assert [row[-2:] for row in of_layers.rows] == [("", ""), ("85.5 %", "")]
    assert len(by_number.columns) == 4


def test_the_frame_names_no_task():
    """But for `aria-label`, which says a picture's words, and the words of a page that is shown."""
    of_classes = re.compile(r"(?<![\w-])(label|accuracy|scores|classes|confusion)(?![\w-])")
    folder = Path(executor.__file__).parent
    files = [*folder.glob("*.py"), folder / "templates" / "index.html"]
    assert len(files) > 6
    assert {file.name: of_classes.findall(file.read_text()) for file in files} == {
        file.name: [] for file in files
    }


@pytest.mark.parametrize("name", tasks.names())
def test_every_task_has_the_parts_of_the_page(name):
    part = tasks.find(name).part("pictures")
    assert all(callable(getattr(part, each)) for each in ("headline", "facts", "curves"))
    assert callable(part.sections)


def test_what_a_task_shows_is_escaped_and_names_its_sections():
    rows = TASK.part("metrics").rows({"scores": np.eye(2)[[0, 1, 1]]}, np.array([0, 1, 1]), {})
    figures = TASK.part("metrics").figures(rows, {})
    judgement = {"metrics": figures, "not_finite": 0, "labels": ["<cat>", "dog"]}
    evidence = Evidence(judgement, rows, ["a", "b", "c"], {"scores": np.eye(2)[[0, 1, 1]]}, "", [])
    shown = TASK.part("pictures")
    ids = [section.id for section in shown.sections(evidence)]
    assert ids == ["mistakes", "confusion", "classes"]
    assert "<td>&lt;cat&gt;</td>" in shown.sections(evidence)[-1].markup
    head = shown.headline(evidence)
    assert (head.figure, head.words) == ("0.00 %", "test error: 0 of 3 images wrong")
    assert (head.data, head.warning) == ("2 classes", "")
    # With five classes or fewer there is no top-5 error.
    assert [name for name, _ in shown.facts(evidence)] == ["Cross-entropy"]


def test_a_task_without_templates_has_the_frames():
    assert pages.of_task("none").get_template("measured.html")


def _rasters_in(markup):
    parts = re.findall(r"base64,([^\"]+)", markup)
    return [np.array(Image.open(io.BytesIO(base64.b64decode(each)))) for each in parts]


def test_maps_of_one_row_share_their_colours():
    depth = np.linspace(1.0, 4.0, 12).reshape(3, 4)
    true = np.full((6, 8), 4.0)
    true[0, 0] = np.nan
    seen = np.arange(3 * 4 * 3, dtype=np.uint8).reshape(3, 4, 3)
    drawn = maps.row("kitchen 7", "m", seen, {"predicted": depth, "true": true})
    assert drawn.title == "kitchen 7"
    assert drawn.alt == (
        "kitchen 7: picture; predicted 1 to 4 m, mean 2.5; true 4 to 4 m, mean 4; "
        "colours from 1 to 4 m"
    )
    assert f'aria-label="{drawn.alt}"' in drawn.markup
    for said in ("picture", "predicted", "true", "m"):
        assert f">{said}</text>" in drawn.markup
    picture, predicted, of_true, bar = _rasters_in(drawn.markup)
    np.testing.assert_array_equal(picture[..., :3], seen)
    colours = matplotlib.colormaps["viridis"]
    np.testing.assert_array_equal(predicted, colours((depth - 1) / 3, bytes=True))
    assert of_true.shape == (6, 8, 4) and of_true[0, 0, 3] == 0
    assert (of_true.reshape(-1, 4)[1:] == predicted[-1, -1]).all()
    # Stored upside down, and turned in the page.
    np.testing.assert_allclose(bar[-1, 0, :3], predicted[-1, -1, :3], atol=4)
    assert 'transform="scale(1 -1)' in drawn.markup


def test_maps_of_errors_have_colours_of_their_own_from_0():
    depth, error = np.full((2, 2), 4.0), np.array([[0.1, 0.2], [0.4, np.nan]])
    grey = np.zeros((2, 2), np.uint8)
    drawn = maps.row("hall", "m", grey, {"true": depth}, {"error": error})
    assert drawn.alt.endswith(
        "colours from 4 to 4 m; error 0.1 to 0.4 m, mean 0.2333; colours from 0 to 0.4 m"
    )
    _, _, of_error, *_ = _rasters_in(drawn.markup)
    expected = matplotlib.colormaps["magma"](np.ma.masked_invalid(error / 0.4), bytes=True)
    np.testing.assert_array_equal(of_error, expected)
    assert drawn.markup.count(">m</text>") == 2


def test_maps_that_are_colours_are_shown_as_they_are_before_the_others():
    grey, angle = np.zeros((2, 2), np.uint8), np.array([[1.0, 2.0], [3.0, 4.0]])
    colours = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    known = np.concatenate([colours, np.uint8([[[255], [255]], [[255], [0]]])], axis=-1)
    given = {"predicted": colours, "true": known}
    drawn = maps.row("hall", "degrees", grey, {}, {"error": angle}, given)
    assert drawn.alt.startswith("hall: picture; predicted; true; error 1 to 4 degrees")
    _, predicted, true, error, _ = _rasters_in(drawn.markup)
    np.testing.assert_array_equal(predicted[..., :3], colours)
    np.testing.assert_array_equal(true[..., 3], known[..., 3])
    np.testing.assert_array_equal(true[0], known[0])
    assert error.shape == (2, 2, 4)


def test_maps_without_a_value_and_large_ones():
    grey = np.zeros((480, 640), np.uint8)
    unknown = np.full((480, 640), np.inf)
    drawn = maps.row("hall", "", grey, {"true": unknown})
    assert "true without values" in drawn.alt
    assert [each.shape[:2] for each in _rasters_in(drawn.markup)[:2]] == [(192, 256), (160, 214)]
