"""A task of several inputs, which is made here and known nowhere else, goes through every stage."""

import csv
import dataclasses
import datetime
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import skimage.data
import tensorflow as tf
import tensorflow_transform as tft
from click.testing import CliRunner
from PIL import Image
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.types import standard_artifacts
from tfx.utils import json_utils, proto_utils

from components import examples, inputs, tasks, trusted
from components.canary import executor as canary
from components.evaluate.executor import Executor
from components.evaluate.verdict import evaluation_reasons
from components.ingest import features
from components.ingest.contract import Encoding, Record, to_example
from components.ingest.proposals.finding import Proposals, of_file, padded
from components.judge.executor import _write as write_judgement
from components.judge.executor import judge
from components.report.executor import render
from components.served import task as served_task
from components.train import data
from components.train.graph import check, functional
from components.train.run import run_fn
from pipelines import build
from pipelines.cli import main
from pipelines.exports import find as find_format
from pipelines.exports.engine import export
from pipelines.exports.runs import Trained

FRAMES = 3
BOXES = 4
TRAIN, TEST = 48, 12
RECIPE = {
    "name": "kin",
    "size": "small",
    "dataset": "photographs",
    "summary": "whether pictures are of one brightness",
    "paper": "none",
    "model": "keras_models.classification:Kin",
    "model_args": {"frames": FRAMES, "boxes": BOXES},
    "loss": {"class": "keras.losses:BinaryCrossentropy", "from_logits": True},
    "optimizer": {"class": "keras.optimizers:Adam", "learning_rate": 0.1},
    "augment": [{"step": "flip"}, {"step": "translate", "pixels": 2}],
    "distorted_copies": 0,
    "weight_decay": 0.0,
    "task": "kinship",
    "task_args": {"frames": FRAMES, "proposals": BOXES},
    "validation_split": 0.1,
    "auxiliary_weight": 0.3,
    "fully_convolutional": False,
    "preprocess": {
        "size": [16, 20],
        "channels": 3,
        "fit": "stretch",
        "range": [0.0, 1.0],
        "mean": "per_channel",
    },
    "ingest": {"shorter_side": None, "format": "keep", "quality": 95},
    "batch_size": 12,
    "epochs": 8,
    "seed": 1,
    "strategy": "one_device",
    "mixed_precision": False,
    "jit_compile": False,
    "steps_per_execution": 1,
    "features": ["together"],
}


@pytest.fixture(scope="module")
def kinship():
    with pytest.MonkeyPatch.context() as patch:
        folder = Path(__file__).parent / "made_tasks"
        patch.setattr(tasks, "__path__", [*tasks.__path__, str(folder)])
        patch.setattr("keras_models.classification.Kin", network, raising=False)
        patch.setenv(trusted.VARIABLE, __name__.partition(".")[0])
        tasks.names.cache_clear()
        yield tasks.find("kinship").bound(RECIPE["task_args"])
    tasks.names.cache_clear()
    for name in [name for name in sys.modules if name.startswith("components.tasks.kinship")]:
        del sys.modules[name]
    del tasks.kinship


def network(input_shape, frames, boxes=BOXES) -> keras.Model:
    """Compares the brightness of the first picture with that of the others.

    How much of it the boxes take has a small part in the answer.
    """
    shown = {
        "first": keras.Input(input_shape, name="first"),
        "second": keras.Input(input_shape, name="second"),
        "clip": keras.Input((frames, *input_shape), name="clip"),
        "proposals": keras.Input((boxes, 4), name="proposals"),
    }
    first = keras.layers.GlobalAveragePooling2D()(shown["first"])
    others = [
        keras.layers.GlobalAveragePooling2D()(shown["second"]),
        keras.layers.GlobalAveragePooling3D()(shown["clip"]),
    ]
    apart = [keras.ops.abs(first - other) for other in others]
    together = keras.layers.Concatenate(name="together")(apart)
    taken = 1e-3 * keras.ops.sum(shown["proposals"], axis=1)
    everything = keras.layers.Concatenate()([together, taken])
    return keras.Model(shown, keras.layers.Dense(1)(everything), name="kin")


def picture(random: np.random.Generator, kind: int) -> bytes:
    """A part of a photograph, in the dark or in the light."""
    y, x = random.integers(0, 300, 2)
    pixels = skimage.data.astronaut()[y : y + 24, x : x + 30] // 3 + 170 * np.uint8(kind)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def kin(kinship, analyse, tmp_path_factory) -> SimpleNamespace:
    """Examples, and what the Trainer makes of them."""
    del kinship
    root = tmp_path_factory.mktemp("kin")
    random = np.random.default_rng(0)
    pictures = {}
    for split, count in (("train", TRAIN), ("test", TEST)):
        folder = root / "examples" / f"Split-{split}"
        folder.mkdir(parents=True)
        options = tf.io.TFRecordOptions(compression_type="GZIP")
        with tf.io.TFRecordWriter(str(folder / "data_tfrecord-00000-of-00001.gz"), options) as file:
            for number in range(count):
                kind, same = random.integers(0, 2, 2)
                other = kind if same else 1 - kind
                pictures[f"{split}{number}"] = made = {
                    "image/encoded": picture(random, kind),
                    "pair/encoded": picture(random, other),
                    # More than the network is shown, and not of each example as many.
                    "frames/encoded": [picture(random, other) for _ in range(3 + number % 4)],
                    "same": int(same),
                }
                encoding = Encoding(proposals=tasks.of_recipe(RECIPE).proposals)
                example = to_example(Record(f"{split}{number}", made), encoding)
                file.write(example.SerializeToString())
    (root / "examples" / "labels.txt").write_text("")
    (root / "transform").mkdir()
    config = {"preprocess": RECIPE["preprocess"]}
    graph = analyse(str(root / "examples"), config, root / "transform")
    run_fn(
        FnArgs(
            train_files=[f"{root}/examples/Split-train/*"],
            eval_files=[],
            transform_output=graph,
            serving_model_dir=str(root / "model" / "Format-Serving"),
            model_run_dir=str(root / "run"),
            custom_config={"recipe": json.dumps(RECIPE), "checkpoints": str(root / "checkpoints")},
        )
    )
    return SimpleNamespace(
        examples=str(root / "examples"),
        graph=graph,
        model=str(root / "model"),
        serving=str(root / "model" / "Format-Serving"),
        run=str(root / "run"),
        pictures=pictures,
    )


@pytest.fixture(scope="module")
def judged(kin):
    return judge([kin.serving], kin.examples, "1-crop", [], RECIPE)


def test_ingestion_knows_what_it_needs(kinship):
    assert "kinship" in features.known_tasks()
    wanted = ("pair/encoded", "frames/encoded", "same")
    assert features.needed("kinship") == wanted
    assert "kinship" in features.served(wanted)
    assert "kinship" not in features.served(("pair/encoded", "same"))


def images_of(kin, task: tasks.Task) -> data.Images:
    graph = tft.TFTransformOutput(kin.graph)
    return data.Images([f"{kin.examples}/Split-train/*"], graph, task)


def test_batches_hold_each_input_by_its_name(kin, kinship):
    images = images_of(kin, kinship)
    pixels, targets = next(iter(data.training_batches(images, RECIPE)))
    assert {name: tuple(each.shape) for name, each in pixels.items()} == {
        "first": (12, 16, 20, 3),
        "second": (12, 16, 20, 3),
        "clip": (12, FRAMES, 16, 20, 3),
        "proposals": (12, BOXES, 4),
    }
    assert set(targets.numpy()) == {0, 1}
    validation = data.validation_batches(images, RECIPE)
    whole = np.concatenate([each["clip"] for each, _ in validation])
    stored, _ = next(iter(images.batches))
    assert whole.shape == stored["clip"].shape == (TRAIN, FRAMES, 16, 20, 3)
    mean = images.mean.numpy()
    expected = (stored["clip"].numpy().astype(np.float32) - mean) / 255
    np.testing.assert_allclose(whole, expected, atol=1e-6)


@pytest.mark.parametrize("alike", [True, False])
def test_one_draw_moves_all_inputs_or_each_has_its_own(alike, kin, kinship):
    """Of one picture in every place, what is seen differs only by what was drawn."""
    task = dataclasses.replace(kinship, alike=alike)
    images = images_of(kin, task)
    (record,) = images.records.take(1)
    shown = tf.train.Example.FromString(record.numpy())
    feature = shown.features.feature
    encoded = feature["image/encoded"].bytes_list.value[0]
    for name, count in (("pair/encoded", 1), ("frames/encoded", FRAMES)):
        feature[name].bytes_list.value[:] = [encoded] * count
    images.records_of = lambda share: tf.data.Dataset.from_tensors(shown.SerializeToString())
    recipe = {**RECIPE, "augment": [{"step": "translate", "pixels": 6}], "batch_size": 8}
    apart = []
    for pixels, _ in data.training_batches(images, recipe).take(3):
        frames = pixels["clip"].numpy()
        assert (frames == frames[:, :1]).all(), "the pictures of a stack move alike"
        others = (pixels["second"].numpy(), frames[:, 0])
        apart += [np.abs(pixels["first"].numpy() - other).max() for other in others]
    assert (max(apart) == 0) if alike else (min(apart) > 0)


def test_distorted_copies_are_refused(kin, kinship):
    with pytest.raises(ValueError, match="several inputs"):
        data.training_batches(images_of(kin, kinship), {**RECIPE, "distorted_copies": 1})


def test_frames_are_spread_over_the_stack():
    assert inputs.spread(10, 5).tolist() == [1, 3, 5, 7, 9]
    assert inputs.spread(4, 4).tolist() == [0, 1, 2, 3]
    assert inputs.spread(2, 3).tolist() == [0, 1, 1]
    assert inputs.spread(tf.constant(10, tf.int64), 5).numpy().tolist() == [1, 3, 5, 7, 9]


def test_an_example_is_read_in_the_same_way_inside_and_outside_of_a_graph(kin, kinship):
    records = list(examples.records(kin.examples, "test").as_numpy_iterator())
    together = inputs.of_records(tf.constant(records), kinship)
    for number, record in enumerate(records):
        alone = inputs.of_record(record, kinship)
        assert list(alone) == ["second", "first", "clip", "proposals"]
        for name, value in alone.items():
            found = together[name][number].numpy()
            if name == "proposals":
                np.testing.assert_array_equal(found, value)
                assert found.max() == 1, "the whole picture is among them"
            else:
                assert (found.tolist() if name == "clip" else found) == value


@pytest.mark.parametrize(
    ("build_it", "reason"),
    [
        (lambda shape: network(shape, FRAMES + 1), "must take a mapping of inputs"),
        (lambda shape: network(shape, FRAMES, BOXES + 1), "must take a mapping of inputs"),
        (lambda shape: keras.Sequential([keras.Input(shape)]), "must take a mapping of inputs"),
    ],
)
def test_a_network_of_other_inputs_is_refused(build_it, reason, kinship):
    with pytest.raises(ValueError, match=reason):
        functional(build_it((16, 20, 3)), (16, 20, 3), kinship)


def test_several_inputs_cannot_be_scanned(kinship):
    model = functional(network((16, 20, 3), FRAMES), (16, 20, 3), kinship)
    check(model, kinship, None, ["together"], False)
    with pytest.raises(ValueError, match="fully_convolutional is of one picture"):
        check(model, kinship, None, [], True)


def test_the_served_model_takes_files_pixels_and_examples(kin, kinship):
    served = tf.saved_model.load(kin.serving)
    assert served_task(kin.serving) == kinship
    shapes = {
        name: {key: tuple(spec.shape) for key, spec in each.structured_input_signature[1].items()}
        for name, each in served.signatures.items()
    }
    sides = (16, 20, 3)
    assert shapes == {
        "serving_default": {
            "first": (None,),
            "second": (None,),
            "clip": (None, FRAMES),
            "proposals": (None, BOXES, 4),
        },
        "examples": {"examples": (None,)},
        "predict": {
            "first": (None, *sides),
            "second": (None, *sides),
            "clip": (None, FRAMES, *sides),
            "proposals": (None, BOXES, 4),
        },
        "features": {"examples": (None,)},
    }
    records = tf.constant(list(examples.records(kin.examples, "test").as_numpy_iterator()))
    (by_example,) = served.signatures["examples"](examples=records).values()
    files = inputs.of_records(records, kinship)
    (by_file,) = served.signatures["serving_default"](**files).values()
    np.testing.assert_allclose(by_file, by_example, rtol=1e-5)
    taps = served.signatures["features"](examples=records)["together"]
    assert taps.shape == (TEST, 6)


def test_the_judge_measures_it(judged):
    judgement = judged.judgement
    assert judgement["task"] == "kinship" and judgement["task_args"]["frames"] == FRAMES
    assert judgement["metrics"]["mistaken"] <= 0.25 < judgement["constant"]["mistaken"]
    assert judged.answers.kept["kin"].shape == (TEST,)


def test_tfma_measures_the_same(kin, judged, tmp_path):
    stored, model = standard_artifacts.Examples(), standard_artifacts.Model()
    stored.uri, stored.split_names = kin.examples, '["train", "test"]'
    model.uri = kin.model
    evaluation, blessing = standard_artifacts.ModelEvaluation(), standard_artifacts.ModelBlessing()
    evaluation.uri, blessing.uri = str(tmp_path / "evaluation"), str(tmp_path / "blessing")
    thresholds = {"mistaken": 0.5, tasks.CHANGE: 0.0}
    recipe = SimpleNamespace(task="kinship", task_args=RECIPE["task_args"], thresholds=thresholds)
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
    value = judged.judgement["metrics"]["mistaken"]
    (reason,) = evaluation_reasons(evaluation.uri, tasks.find("kinship"), thresholds)
    assert reason == f"mistaken pictures {value:.4f}, at most the wanted 0.5000"


def test_the_canary_asks_in_every_way(kin, kinship):
    asked = canary.questions(kin.examples, kinship)
    found = canary.examine(kin.serving, kinship, asked, [])
    assert found["reasons"] == [] and found["blessed"] and found["asked"] == TEST
    assert set(found["agreement"]) == {"SavedModel", "gRPC", "gRPC, in one batch", "REST"}
    assert max(found["agreement"].values()) < 1e-5
    assert set(found["answers"][0]) == {"kin"}


def test_the_page_is_made(kin, judged, tmp_path):
    write_judgement(str(tmp_path), judged)
    (Path(kin.examples) / "dead_letters").mkdir(exist_ok=True)
    page = render(
        kin.examples,
        kin.run,
        str(tmp_path),
        datetime.datetime(2026, 1, 1),
        transform_uri=kin.graph,
    )
    assert "of the pictures mistaken" in page and "Augmentation" in page


def test_a_person_asks_about_files(kin, tmp_path):
    versions = tmp_path / "serving" / "kin"
    versions.mkdir(parents=True)
    (versions / "1").symlink_to(kin.serving)
    shown = kin.pictures["test0"]
    frames = shown["frames/encoded"][:FRAMES]
    paths = []
    for number, content in enumerate((shown["pair/encoded"], shown["image/encoded"], *frames)):
        paths.append(str(tmp_path / f"{number}.png"))
        Path(paths[-1]).write_bytes(content)
    root = ["--root", str(tmp_path)]
    # Files of two questions, the second of them the same.
    outcome = CliRunner().invoke(main, ["predict", *paths, *paths, *root, "--json"])
    assert outcome.exit_code == 0, outcome.output
    one, two = map(json.loads, outcome.stdout.splitlines())
    assert one["files"] == paths and one == two
    served = tf.saved_model.load(kin.serving)
    settings = Proposals(**served_task(kin.serving).proposals)
    (kin_of,) = served.signatures["serving_default"](
        second=tf.constant([shown["pair/encoded"]]),
        first=tf.constant([shown["image/encoded"]]),
        clip=tf.constant([frames]),
        proposals=padded(of_file(shown["image/encoded"], settings), BOXES)[None],
    ).values()
    assert one["kin"] == pytest.approx(float(kin_of[0]), rel=1e-4)
    table = tmp_path / "kin.csv"
    Path(bad := str(tmp_path / "bad.png")).write_bytes(b"no picture")
    asked = [*paths, *paths[:4], bad]
    outcome = CliRunner().invoke(main, ["predict", *asked, *root, "--csv", str(table)])
    assert outcome.exit_code == 1 and f"{bad}: {bad}: neither PNG nor JPEG" in outcome.stderr
    header, answered, missed = csv.reader(table.open())
    assert header == ["second", "first", "clip_1", "clip_2", "clip_3", "kin", "error"]
    assert answered == [*paths, str(one["kin"]), ""]
    assert missed == [*paths[:4], bad, "", f"{bad}: neither PNG nor JPEG"]
    outcome = CliRunner().invoke(main, ["predict", *paths[:3], *root])
    assert outcome.exit_code == 1
    assert "asked about 5 at a time: second, first, clip (3 images)" in " ".join(
        outcome.output.split()
    )


@pytest.mark.parametrize("kind", ["keras", "savedmodel"])
def test_its_exports_answer_as_it_is_served(kin, tmp_path, kind):
    places = (kin.serving, kin.run, kin.examples, kin.graph)
    trained = Trained("kin", "kin", "1", *map(Path, places))
    found = export(trained, find_format(kind), tmp_path / f"kin.{kind}")
    facts = json.loads(found.facts.read_text())
    given = {each["name"]: each["shape"][1:] for each in facts["input"]}
    assert list(given) == ["second", "first", "clip", "proposals"]
    assert given["proposals"][1:] == [4] and given["clip"][:1] == [3]
