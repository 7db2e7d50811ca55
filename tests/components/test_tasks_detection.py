"""Detection through every stage, with a small net on pictures of squares and bars."""

import csv
import datetime
import io
import json
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from click.testing import CliRunner
from PIL import Image
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.types import standard_artifacts
from tfx.utils import json_utils, proto_utils

import convnets
from components import constant, examples, tasks, trusted
from components.canary import executor as canary
from components.evaluate.executor import Executor
from components.evaluate.verdict import evaluation_reasons
from components.ingest.contract import Encoding, Record, to_example
from components.judge import scoring
from components.judge.executor import _write as write_judgement
from components.judge.executor import judge
from components.report.executor import render
from components.tasks.detection import answers, matching, targets, words
from components.train import data
from components.train.checks import check_losses
from components.train.first_call import check as check_call
from components.train.graph import check as check_graph
from components.train.network import for_outputs
from components.train.run import run_fn
from components.train.signatures import ServingModule
from pipelines import build
from pipelines.cli import main
from pipelines.exports import FORMATS
from pipelines.exports.engine import export
from pipelines.exports.runs import Trained
from tests.components.made_detector import GridDetector

NAMES = ("square", "bar")
HEIGHT, WIDTH = 60, 80
TRAIN, TEST = 160, 24
RECIPE = {
    "name": "grid",
    "size": "small",
    "dataset": "squares",
    "summary": "squares and bars",
    "paper": "none",
    "model": "tests.components.made_detector:GridDetector",
    "model_args": {"width": 8},
    "loss": None,
    "optimizer": {"class": "keras.optimizers:Adam", "learning_rate": 0.01},
    "augment": [{"step": "flip"}],
    "distorted_copies": 0,
    "weight_decay": 0.0,
    "task": "detection",
    "task_args": {},
    "validation_split": 0.1,
    "auxiliary_weight": 0.3,
    "fully_convolutional": False,
    "preprocess": {
        "size": [64, 64],
        "channels": 3,
        "fit": "pad",
        "range": [0.0, 1.0],
        "mean": "per_channel",
    },
    "ingest": {"shorter_side": None, "format": "keep", "quality": 95},
    "batch_size": 16,
    "epochs": 12,
    "seed": 1,
    "strategy": "one_device",
    "mixed_precision": False,
    "jit_compile": False,
    "steps_per_execution": 1,
    "features": [],
}
TASK = tasks.find("detection")


def record(split: str, number: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Record:
    """A picture of up to three shapes; the first one of each split has none."""
    rng = np.random.default_rng([number, split == "test"])
    pixels = rng.integers(90, 110, (*size, 3)).astype(np.uint8)
    boxes, labels, difficult = [], [], []
    for _ in range(rng.integers(1, 4) if number else 0):
        label = int(rng.integers(2))
        high = int(rng.integers(10, 24))
        wide = high if label == 0 else 2 * high
        top, left = rng.integers(0, size[0] - high), rng.integers(0, size[1] - wide)
        box = (top, left, top + high, left + wide)
        if matching.overlaps([box], np.reshape(boxes, (-1, 4))).any():
            continue
        # A light frame around what says the class.
        pixels[top : box[2], left : box[3]] = 230
        pixels[top + 3 : box[2] - 3, left + 3 : box[3] - 3] = (
            (200, 20, 20) if label else (20, 20, 200)
        )
        boxes.append(box)
        labels.append(label)
        difficult.append(int(rng.uniform() < 0.1))
    sides = np.tile(size, 2)
    features = {
        "image/encoded": pixels,
        "objects/bbox": (np.reshape(boxes, (-1, 4)) / sides).reshape(-1),
        "objects/label": np.array(labels, np.int64),
        "objects/label/text": [NAMES[label] for label in labels],
        "objects/difficult": np.array(difficult, np.int64),
    }
    return Record(f"{split}{number}", features)


def written(folder: Path, records_of: dict[str, list[Record]]) -> str:
    for split, found in records_of.items():
        (folder / f"Split-{split}").mkdir(parents=True)
        options = tf.io.TFRecordOptions(compression_type="GZIP")
        path = folder / f"Split-{split}" / "data_tfrecord-00000-of-00001.gz"
        with tf.io.TFRecordWriter(str(path), options) as file:
            for each in found:
                file.write(to_example(each, Encoding()).SerializeToString())
    (folder / "labels.txt").write_text("".join(f"{name}\n" for name in NAMES))
    return str(folder)


@pytest.fixture(scope="module", autouse=True)
def _trusted():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(trusted.VARIABLE, "tests")
        yield


@pytest.fixture(scope="module")
def squares(analyse, tmp_path_factory) -> SimpleNamespace:
    """Examples, and the graph of Transform."""
    root = tmp_path_factory.mktemp("squares")
    counts = {"train": TRAIN, "test": TEST}
    uri = written(
        root / "examples",
        {split: [record(split, n) for n in range(count)] for split, count in counts.items()},
    )
    (root / "transform").mkdir()
    graph = analyse(uri, {"preprocess": RECIPE["preprocess"]}, root / "transform")
    return SimpleNamespace(root=root, examples=uri, graph=graph)


@pytest.fixture(scope="module")
def grid(squares) -> SimpleNamespace:
    """What the Trainer makes of them."""
    root = squares.root
    run_fn(
        FnArgs(
            train_files=[f"{squares.examples}/Split-train/*"],
            eval_files=[],
            transform_output=squares.graph,
            serving_model_dir=str(root / "model" / "Format-Serving"),
            model_run_dir=str(root / "run"),
            custom_config={"recipe": json.dumps(RECIPE), "checkpoints": str(root / "checkpoints")},
        )
    )
    return SimpleNamespace(
        **vars(squares),
        model=str(root / "model"),
        serving=str(root / "model" / "Format-Serving"),
        run=str(root / "run"),
    )


@pytest.fixture(scope="module")
def judged(grid):
    return judge([grid.serving], grid.examples, "1-crop", [], {**RECIPE, tasks.CHANCE: 0.05})


def images_of(squares) -> data.Images:
    graph = tft.TFTransformOutput(squares.graph)
    return data.Images([f"{squares.examples}/Split-train/*"], graph, TASK)


def test_batches_hold_as_many_boxes_as_their_fullest_picture(squares):
    images = images_of(squares)
    net = GridDetector((64, 64, 3), 2)
    for made in (data.training_batches, data.validation_batches):
        batches = for_outputs(net, made(images, RECIPE), targets)
        lengths = set()
        for pixels, found in batches.take(10):
            boxes, classes = found["boxes"].numpy(), found["classes"].numpy()
            assert pixels.shape[1:] == (64, 64, 3) and len(boxes) == len(classes) == len(pixels)
            there = classes >= 0
            lengths.add(classes.shape[1])
            assert there.any(axis=0).all() and (boxes[~there] == 0).all()
            assert (boxes[there][:, 2:] > boxes[there][:, :2]).all()
            assert boxes.min() >= 0 and boxes.max() <= 1
        assert len(lengths) > 1 or made is data.validation_batches


def test_what_is_difficult_is_not_trained_on(squares):
    net = GridDetector((64, 64, 3), 2)
    batches = for_outputs(net, data.validation_batches(images_of(squares), RECIPE), targets)
    found = sum(int((each["classes"].numpy() >= 0).sum()) for _, each in batches)
    every = [record("train", n).features["objects/difficult"] for n in range(TRAIN)]
    marked = sum(int(each.sum()) for each in every)
    assert marked > 5 and found == sum(map(len, every)) - marked


@pytest.mark.parametrize(
    ("fit", "steps"),
    [
        ("pad", ()),
        ("crop", ("flip",)),
        ("stretch", ("affine",)),
        ("pad", ("affine", "flip")),
        ("crop", ("area_aspect", "flip")),
    ],
)
def test_boxes_move_with_the_picture(squares, fit, steps):
    """What is in a box is of the colour of its class, in every picture that a net is shown."""
    augment = {
        "affine": {"step": "affine", "translate": 4, "scale": 0.2},
        "area_aspect": {"step": "area_aspect", "area": [0.5, 1.0]},
    }
    recipe = {
        **RECIPE,
        "augment": [augment.get(step, {"step": step}) for step in steps],
        "preprocess": {**RECIPE["preprocess"], "fit": fit, "mean": "none"},
        "batch_size": 32,
    }
    images = images_of(squares)
    images.mean = images.mean * 0
    seen = 0
    for pixels, found in data.training_batches(images, recipe).take(2):
        for picture, boxes, classes in zip(
            pixels.numpy(), found["boxes"], found["classes"], strict=True
        ):
            # What is drawn is light or of a colour, and what is around it grey.
            drawn = (picture.min(axis=-1) > 0.6) | (np.ptp(picture, axis=-1) > 0.2)
            for box, label in zip(boxes.numpy() * 64, classes.numpy(), strict=True):
                top, left, bottom, right = box.round().astype(int)
                if (box[2:] - box[:2] < 8).any() or min(top, left) < 4 or max(bottom, right) > 60:
                    continue
                middle = picture[(top + bottom) // 2, (left + right) // 2]
                assert (middle[0] > middle[2]) == bool(label)
                assert drawn[top + 1 : bottom - 1, left + 1 : right - 1].mean() > 0.9
                around = drawn[top - 3 : bottom + 3, left - 3 : right + 3].copy()
                around[2:-2, 2:-2] = False
                # Another shape may be near.
                assert around.sum() < 0.35 * (around.size - around[2:-2, 2:-2].size)
                seen += 1
    assert seen > 20


def test_a_run_is_refused_where_the_network_gives_no_detections():
    image = keras.Input((64, 64, 3))
    plain = keras.Model(image, keras.layers.Dense(4)(image))
    with pytest.raises(ValueError, match="gives outputs without names and no boxes, scores"):
        answers.check(plain, 2)
    net = GridDetector((64, 64, 3), 2)
    outputs = dict(net.output)
    with pytest.raises(ValueError, match=r"gives classes of float32 \(None, 12\)"):
        answers.check(keras.Model(net.input, {**outputs, "classes": outputs["scores"]}), 2)
    with pytest.raises(ValueError, match="not as many of each"):
        answers.check(keras.Model(net.input, {**outputs, "scores": outputs["scores"][:, :5]}), 2)


def test_its_network_passes_what_is_checked_before_a_run():
    net = GridDetector((64, 64, 3), 2)
    check_graph(net, TASK, 2, [], False)
    check_losses(net, RECIPE, 2)
    check_call(net, TASK, 2, (64, 64))


def test_it_learns(judged):
    judgement = judged.judgement
    assert judgement["metrics"]["map50"] > 0.5 > judgement["constant"]["map50"]
    assert judgement["needed"]["metric"] == "map50" and judgement["not_finite"] == 0
    assert judged.answers.kept["boxes"].shape == (TEST, 12, 4)


def sent(number: int, size: tuple[int, int], kind: str = "PNG") -> bytes:
    """The bytes of a test picture at another size."""
    pixels = record("test", number).features["image/encoded"]
    file = io.BytesIO()
    Image.fromarray(pixels).resize(size[::-1]).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(
    ("fit", "shorter_side", "resize"),
    [("stretch", None, None), ("pad", 48, None), ("pad", None, 72), ("crop", 48, 72)],
)
def test_boxes_are_in_pixels_of_what_was_sent(fit, shorter_side, resize):
    """A net that finds what is light says where it is in pictures of several shapes."""
    preprocess = {**RECIPE["preprocess"], "fit": fit, "resize": resize}
    recipe = {**RECIPE, "preprocess": preprocess}
    recipe["ingest"] = {**RECIPE["ingest"], "shorter_side": shorter_side}
    mean = tf.zeros([resize or 64, resize or 64, 3])
    served = ServingModule(finder(), None, mean, NAMES, recipe)
    sizes = np.array([(96, 128), (200, 130), (64, 64)])
    boxes = (np.array([0.4, 0.35, 0.55, 0.6]) * np.tile(sizes, 2)).round().astype(int)
    files = []
    for size, (top, left, bottom, right) in zip(sizes, boxes, strict=True):
        pixels = np.zeros((*size, 3), np.uint8)
        pixels[top:bottom, left:right] = 255
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        files.append(file.getvalue())
    found = {name: each.numpy() for name, each in served.serve(tf.constant(files)).items()}
    # Within a pixel of the network's input.
    step = sizes.max(axis=1) / 64 + 1
    assert (np.abs(found["boxes"][:, 0] - boxes) < step[:, None]).all()
    assert found["count"].tolist() == [1, 1, 1]
    assert (found["boxes"][:, 1:] == 0).all()


def finder() -> keras.Model:
    """The box around what is light, of class 0, and a second place that is not used."""
    image = keras.Input((64, 64, 3))
    outputs = Light()(image)
    return keras.Model(image, outputs)


@keras.saving.register_keras_serializable(package="detection_tests")
class Light(keras.layers.Layer):
    def call(self, image):
        light = keras.ops.max(image, axis=-1) > 0.5
        sides = []
        for axis in (2, 1):
            hit = keras.ops.cast(keras.ops.any(light, axis=axis), "float32")
            places = keras.ops.arange(64, dtype="float32")
            sides.append(
                [
                    keras.ops.min(keras.ops.where(hit > 0, places, 64.0), axis=1) / 64,
                    (keras.ops.max(keras.ops.where(hit > 0, places, -1.0), axis=1) + 1) / 64,
                ]
            )
        (ymin, ymax), (xmin, xmax) = sides
        box = keras.ops.stack([ymin, xmin, ymax, xmax], axis=-1)
        boxes = keras.ops.stack([box, keras.ops.zeros_like(box)], axis=1)
        scores = keras.ops.zeros_like(boxes[..., 0]) + keras.ops.convert_to_tensor([0.9, 0.0])
        classes = keras.ops.zeros_like(boxes[..., 0]) + keras.ops.convert_to_tensor([0.0, -1.0])
        return {"boxes": boxes, "scores": scores, "classes": keras.ops.cast(classes, "int32")}


def test_a_turned_photograph_is_answered_as_it_is_looked_at():
    served = ServingModule(finder(), None, tf.zeros([64, 64, 3]), NAMES, RECIPE)
    pixels = np.zeros((90, 120, 3), np.uint8)
    pixels[10:30, 20:60] = 255
    lying = Image.fromarray(pixels).transpose(Image.Transpose.ROTATE_90)
    exif = lying.getexif()
    exif[0x0112] = 6  # to be turned by 90 degrees to the right
    file = io.BytesIO()
    lying.save(file, "JPEG", exif=exif, quality=95)
    found = served.serve(tf.constant([file.getvalue()]))["boxes"].numpy()[0, 0]
    np.testing.assert_allclose(found, [10, 20, 30, 60], atol=3)


def test_pixels_are_answered_in_their_own(grid):
    served = tf.saved_model.load(grid.serving)
    records = tf.constant(list(examples.records(grid.examples, "test").as_numpy_iterator()))
    by_file = served.signatures["serving_default"](examples=records)
    assert {name: tuple(each.shape) for name, each in by_file.items()} == {
        "boxes": (TEST, 12, 4),
        "scores": (TEST, 12),
        "classes": (TEST, 12),
        "count": (TEST,),
    }
    encoded = tf.io.parse_example(records, {"image/encoded": tf.io.FixedLenFeature([], tf.string)})
    pixels = tf.stack([tf.io.decode_png(each) for each in encoded["image/encoded"]])
    padded = tf.image.resize_with_crop_or_pad(
        tf.image.resize(tf.cast(pixels, tf.float32), [48, 64], antialias=True), 64, 64
    )
    by_pixels = served.signatures["predict"](image=tf.round(padded))
    np.testing.assert_allclose(by_pixels["scores"], by_file["scores"], atol=1e-3)
    there = by_file["classes"].numpy() >= 0
    expected = (by_pixels["boxes"].numpy() - [8, 0, 8, 0]) * 80 / 64
    expected = np.clip(expected, 0, [60, 80, 60, 80])
    np.testing.assert_allclose(expected[there], by_file["boxes"].numpy()[there], atol=0.05)


def test_an_ensemble_puts_lists_together(judged):
    given = judged.answers.kept
    alone = scoring.together([given], TASK)
    np.testing.assert_array_equal(alone["boxes"], given["boxes"])
    twice = scoring.together([given, given], TASK)
    expected = TASK.part("metrics").combined([given, given])
    for name, values in expected.items():
        np.testing.assert_array_equal(twice[name], values)
    # What overlaps a surer detection is suppressed.
    assert 0 < twice["count"].sum() <= given["count"].sum()


def test_tfma_measures_the_same(grid, judged, tmp_path):
    stored, model = standard_artifacts.Examples(), standard_artifacts.Model()
    stored.uri, stored.split_names = grid.examples, '["train", "test"]'
    model.uri = grid.model
    evaluation, blessing = standard_artifacts.ModelEvaluation(), standard_artifacts.ModelBlessing()
    evaluation.uri, blessing.uri = str(tmp_path / "evaluation"), str(tmp_path / "blessing")
    thresholds = {"map50": 0.2, tasks.CHANGE: 0.0}
    recipe = SimpleNamespace(task="detection", task_args={}, thresholds=thresholds)
    Executor().Do(
        {"examples": [stored], "model": [model]},
        {"evaluation": [evaluation], "blessing": [blessing]},
        {
            "eval_config": proto_utils.proto_to_json(build._eval_config(recipe)),
            "example_splits": json_utils.dumps(["test"]),
            "fairness_indicator_thresholds": json_utils.dumps(None),
        },
    )
    assert blessing.get_int_custom_property("blessed") == 1
    value = judged.judgement["metrics"]["map50"]
    (reason,) = evaluation_reasons(evaluation.uri, TASK, thresholds)
    assert f"{value:.4f}" in reason


def test_a_constant_list_is_not_enough_on_own_data(grid):
    same = constant.rows(grid.examples, TASK)
    least = constant.needed(same, TASK, 0.05)
    figure = TASK.part("metrics").figures(same, {})["map50"]
    assert figure < least["value"] < 0.2 and "mean box of each class" in least["text"]


def test_the_canary_asks_in_every_way(grid):
    asked = canary.questions(grid.examples, TASK)
    found = canary.examine(grid.serving, TASK, asked, NAMES)
    assert found["reasons"] == [] and found["blessed"]
    assert max(found["agreement"].values()) < 1e-3
    assert set(found["answers"][0]) == {"objects", "surest", "score"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda boxes: boxes * 3, "boxes outside of the picture"),
        (lambda boxes: -boxes[..., [2, 3, 0, 1]], "boxes outside of the picture"),
        (lambda boxes: boxes[..., [2, 1, 0, 3]], "a box that ends before it begins"),
    ],
)
def test_the_canary_refuses(grid, change, reason):
    served = tf.saved_model.load(grid.serving)
    asked = canary.questions(grid.examples, TASK)
    records = tf.constant([each.example for each in asked])
    given = {
        name: each.numpy()
        for name, each in served.signatures["serving_default"](examples=records).items()
    }
    given["boxes"] = change(given["boxes"])
    sides = {"SavedModel": np.tile([[HEIGHT, WIDTH]], (len(asked), 1))}
    ids = [each.id for each in asked]
    found = canary.reasons({"SavedModel": given}, ids, TASK, NAMES, 0, sides)
    assert len(found) == 1 and reason in found[0]


def test_the_page_is_made(grid, judged, tmp_path):
    write_judgement(str(tmp_path), judged)
    (Path(grid.examples) / "dead_letters").mkdir(exist_ok=True)
    date = datetime.datetime(2026, 1, 1)
    page = render(grid.examples, grid.run, str(tmp_path), date, transform_uri=grid.graph)
    for heading in (
        *("Precision and recall", "By class and size", "What is wrong"),
        *("The worst pictures", "The best pictures", "Augmentation"),
    ):
        assert heading in page


def test_a_person_asks_about_files(grid, tmp_path):
    versions = tmp_path / "serving" / "grid"
    versions.mkdir(parents=True)
    (versions / "1").symlink_to(grid.serving)
    (path := tmp_path / "shapes.png").write_bytes(sent(1, (120, 160)))
    root = ["--root", str(tmp_path)]
    told = CliRunner().invoke(main, ["predict", str(path), *root, "--json"])
    assert told.exit_code == 0, told.output
    answer = json.loads(told.stdout)
    served = tf.saved_model.load(grid.serving).signatures["serving_default"]
    direct = served(examples=tf.constant([path.read_bytes()]))
    np.testing.assert_allclose(answer["boxes"], direct["boxes"][0], atol=1e-3)
    assert answer["count"] == int(direct["count"][0]) > 0
    table, drawn = tmp_path / "found.csv", tmp_path / "drawn"
    asked = ["predict", str(path), *root, "--csv", str(table), "--top-k", "2"]
    told = CliRunner().invoke(main, [*asked, "--draw", str(drawn)])
    assert told.exit_code == 0, told.output
    header, row = csv.reader(table.open())
    box = ["ymin", "xmin", "ymax", "xmax"]
    assert header[:9] == ["file", "count", "class", "score", *box, "class_2"]
    assert row[2] == NAMES[answer["classes"][0]] and len(row) == len(header)
    np.testing.assert_allclose([float(each) for each in row[4:8]], answer["boxes"][0], atol=1e-3)
    with Image.open(drawn / "shapes.png") as picture, Image.open(path) as before:
        assert picture.size == before.size == (160, 120)
        assert np.any(np.asarray(picture) != np.asarray(before.convert("RGB")))
    told = CliRunner().invoke(main, ["predict", str(path), *root])
    assert told.exit_code == 0 and "surest" in told.output


def test_what_is_likelier_there_than_not_is_told():
    answer = {
        "boxes": np.array([[1, 2, 8, 9], [10, 10, 20, 20], [0, 0, 5, 5], [0, 0, 0, 0]], np.float32),
        "scores": np.array([0.9, 0.6, 0.4, 0], np.float32),
        "classes": np.array([1, 1, 0, -1]),
        "count": np.int32(3),
    }
    assert words.row(answer, NAMES) == ("2 bar", "bar", "0.9000")
    assert words.row(answer, ()) == ("2 1", "1", "0.9000")
    assert [text for _, _, text in words.likely(answer, NAMES, 1)] == ["bar 0.90", "bar 0.60"]
    assert len(words.likely(answer, NAMES, 3)) == 3
    nothing = {**answer, "count": np.int32(0)}
    assert words.row(nothing, NAMES) == ("none", "", "")
    assert words.values(nothing, NAMES, 1) == (0, *[None] * 6)


def test_python_asks_it_too(grid, tmp_path):
    (path := tmp_path / "shapes.png").write_bytes(sent(1, (120, 160)))
    model = convnets.load(grid.serving)
    (found,) = model.predict(path)
    assert (model.task.name, model.names) == ("detection", [*NAMES])
    served = tf.saved_model.load(grid.serving).signatures["serving_default"]
    direct = served(examples=tf.constant([path.read_bytes()]))
    np.testing.assert_allclose(found.answer["boxes"], direct["boxes"][0], atol=1e-3)


def test_it_is_judged_on_a_table_of_boxes(grid, judged, tmp_path):
    rows = []
    for number in range(TEST):
        found = record("test", number).features
        Image.fromarray(found["image/encoded"]).save(tmp_path / f"{number}.png")
        boxes = found["objects/bbox"].reshape(-1, 4) * [HEIGHT, WIDTH, HEIGHT, WIDTH]
        said = zip(found["objects/label/text"], boxes.round(6).tolist(), strict=True)
        own = [(f"{number}.png", text, *box, "test") for text, box in said]
        rows += own or [(f"{number}.png", *[""] * 5, "test")]
    # The training split is not read.
    header = ("path", "label", "ymin", "xmin", "ymax", "xmax", "split")
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows, ("train.png", "bar", 0, 0, 1, 1, "train")])
    (tmp_path / "labels.txt").write_text("".join(f"{name}\n" for name in NAMES))
    evaluation = convnets.load(grid.serving).evaluate(tmp_path)
    assert evaluation.judgement["examples"] == TEST
    # Difficult objects count there: a table does not know them.
    assert evaluation.judgement["metrics"]["map50"] > 0.3
    assert judged.judgement["examples"] == TEST


@pytest.mark.parametrize("kind", ["savedmodel", "weights", "tflite", "onnx"])
def test_it_is_exported(grid, kind, tmp_path):
    if kind == "onnx":
        pytest.importorskip("tf2onnx")
    folders = (grid.serving, grid.run, grid.examples, grid.graph)
    trained = Trained("grid", "grid", "1", *map(Path, folders))
    form = FORMATS[kind]
    found = export(trained, form, tmp_path / f"grid{form.suffix}")
    # Boxes of the file's own pixels, brought to those of the pictures, are the served ones.
    assert found.pictures == 16 and found.difference < 1e-3
    if kind != "weights":
        told = json.loads(found.facts.read_text())
        assert {each["name"] for each in told["output"]} == {
            *("boxes", "scores", "classes", "count")
        }


def test_the_parts_of_the_loss_are_drawn():
    history = [
        {"loss": 3.0, "val_loss": 4.0, "region_box_loss": 1.0, "val_region_box_loss": 2.0},
        {"loss": 2.0, "val_loss": 3.0, "region_box_loss": 0.5},
    ]
    found = TASK.part("pictures").curves(history)
    assert list(found) == ["Region box loss"]
    assert found["Region box loss"].train == [1.0, 0.5]
    assert found["Region box loss"].validation == [2.0, None]
