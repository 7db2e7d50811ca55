import io
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tfx.components import Pusher
from tfx.components.pusher.executor import Executor as PusherExecutor
from tfx.dsl.components.common.importer import Importer
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline
from tfx.proto.pusher_pb2 import PushDestination
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from components import answers, tasks
from components.canary import checks, executor
from components.canary.component import Canary
from components.tasks import Output


def _artifact(kind, uri):
    artifact = kind()
    artifact.uri = str(uri)
    return artifact


def _canary(model, examples, output):
    Path(output).mkdir()
    blessing = _artifact(standard_artifacts.InfraBlessing, output)
    executor.Executor().Do(
        {
            "model": [_artifact(standard_artifacts.Model, model)],
            "examples": [_artifact(standard_artifacts.Examples, examples)],
        },
        {"blessing": [blessing]},
        {},
    )
    return blessing, json.loads(Path(output, "canary.json").read_text(encoding="utf-8"))


def _pusher_takes(blessing):
    return PusherExecutor().CheckBlessing({"infra_blessing": [blessing]})


def test_a_good_model_is_blessed(digits_run, digits, tmp_path):
    blessing, found = _canary(digits_run.model, digits_run.examples, tmp_path / "out")
    assert found["reasons"] == []
    assert found["blessed"] and _pusher_takes(blessing)
    assert (tmp_path / "out" / "INFRA_BLESSED").exists()
    assert found["asked"] == 16
    places = [int(name.removeprefix("test#")) for name in found["ids"]]
    labels = [digits_run.names[digits[1][-digits_run.test_images :][place]] for place in places]
    assert [set(answer) for answer in found["answers"]] == [{"answer", "score"}] * 16
    given = [answer["answer"] for answer in found["answers"]]
    assert sum(map(str.__eq__, labels, given)) > 12
    assert set(found["latency"]) == {"gRPC", "REST"}
    assert all(0 < each["median_ms"] <= each["highest_ms"] for each in found["latency"].values())
    assert set(found["agreement"]) == {"SavedModel", "gRPC", "gRPC, in one batch", "REST"}
    assert max(found["agreement"].values()) < 1e-4


def _refused(model, digits_run, tmp_path):
    blessing, found = _canary(model, digits_run.examples, tmp_path / "out")
    assert not found["blessed"] and not _pusher_takes(blessing)
    assert blessing.get_int_custom_property("blessed") == 0
    assert (tmp_path / "out" / "INFRA_NOT_BLESSED").exists()
    assert not (tmp_path / "out" / "INFRA_BLESSED").exists()
    assert found["reasons"]
    return "\n".join(found["reasons"])


@pytest.fixture
def nan_model(digits_run, untrained_network, export_model, tmp_path):
    network = untrained_network()
    network.set_weights([weights * np.nan for weights in network.get_weights()])
    export_model(network, list(digits_run.names), str(tmp_path / "nan"))
    return str(tmp_path / "nan")


def test_a_model_of_nan_is_not_blessed(nan_model, digits_run, tmp_path):
    why = _refused(nan_model, digits_run, tmp_path)
    assert "the signature predict answers with NaN in scores" in why


def test_a_model_of_too_few_classes_is_not_blessed(
    digits_run, untrained_network, export_model, tmp_path
):
    export_model(untrained_network(7), list(digits_run.names[:7]), str(tmp_path / "model"))
    why = _refused(tmp_path / "model", digits_run, tmp_path)
    assert "gRPC: scores of shape [16, 7], not [16, 10]" in why


def test_a_model_of_other_names_is_not_blessed(digits_run, export_model, tmp_path):
    names = [name.upper() for name in digits_run.names]
    export_model(digits_run.network, names, str(tmp_path / "model"))
    why = _refused(tmp_path / "model", digits_run, tmp_path)
    assert "labels that the examples do not have: " in why


def test_a_model_with_names_in_another_order_is_not_blessed(digits_run, export_model, tmp_path):
    export_model(digits_run.network, list(digits_run.names[::-1]), str(tmp_path / "model"))
    why = _refused(tmp_path / "model", digits_run, tmp_path)
    assert "has the highest score" in why


def test_a_folder_without_a_model_is_not_blessed(digits_run, tmp_path):
    (tmp_path / "model").mkdir()
    why = _refused(tmp_path / "model", digits_run, tmp_path)
    assert "SavedModel file does not exist" in why


def test_a_model_without_the_signature_is_not_blessed(digits_run, tmp_path):
    tf.saved_model.save(tf.Module(), path_utils.serving_model_dir(str(tmp_path / "model")))
    why = _refused(tmp_path / "model", digits_run, tmp_path)
    assert why == "ValueError: the SavedModel has no signature serving_default"


def test_an_empty_split_is_no_fault_of_the_model(digits_run, digits, write_images, tmp_path):
    write_images(tmp_path / "examples", "test", digits[0][:0], [])
    (tmp_path / "examples" / "labels.txt").write_text("\n".join(digits_run.names))
    with pytest.raises(ValueError, match="the test split is empty, there is nothing to ask"):
        _canary(digits_run.model, tmp_path / "examples", tmp_path / "out")


_TASK = tasks.find("classification")
_NAMES = ["cat", "dog", "owl"]
_RIGHT = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]], np.float32)
_BELOW = np.array([[1.0, 0.1, -0.1], [0.1, 0.1, 0.8]], np.float32)


def _answers(scores, *classes):
    return {"scores": scores, "classes": np.array(classes, object)}


@pytest.mark.parametrize(
    ("scores", "labels", "reason"),
    [
        (_RIGHT, ["cat", "owl"], None),
        (_RIGHT[:1], ["cat", "owl"], "1 answers to 2 questions in scores"),
        (_RIGHT, ["cat"], "1 answers to 2 questions in classes"),
        (_RIGHT * [[1], [np.nan]], ["cat", "owl"], "scores not finite for 1 of 2 images"),
        (_RIGHT * 2, ["cat", "owl"], "scores that sum to 2, not to 1"),
        (_BELOW, ["cat", "owl"], "a score below zero: -0.1"),
        (_RIGHT, ["cat", "fox"], "labels that the examples do not have: fox"),
        (_RIGHT, ["cat", "dog"], "label dog where owl has the highest score"),
        (_RIGHT[:, 0], ["cat", "owl"], "scores of shape [2], not [2, 3]"),
    ],
)
def test_each_objection(scores, labels, reason):
    found = checks.reasons({"gRPC": _answers(scores, *labels)}, ["a", "b"], _TASK, _NAMES)
    assert found == ([f"gRPC: {reason}"] if reason else [])


def test_an_output_that_is_not_there_is_named():
    given = {"gRPC": {"scores": _RIGHT}}
    assert checks.reasons(given, ["a", "b"], _TASK, _NAMES) == ["gRPC: no classes"]


def test_between_equal_scores_either_label_is_right():
    scores = np.array([[0.4, 0.4, 0.2]], np.float32)
    for label in ("cat", "dog"):
        assert checks.reasons({"REST": _answers(scores, label)}, ["a"], _TASK, _NAMES) == []


def test_ways_that_disagree_are_named():
    given = {
        "SavedModel": _answers(_RIGHT, "cat", "owl"),
        "gRPC": _answers(_RIGHT + np.float32(1e-6), "cat", "owl"),
        "REST": _answers(_RIGHT[::-1], "owl", "cat"),
    }
    assert checks.reasons(given, ["a", "b"], _TASK, _NAMES) == [
        "REST and SavedModel disagree: scores differ by 0.7"
    ]


def test_the_file_that_ways_disagree_about_is_named():
    near = _RIGHT + np.float32([[0, 0, 0], [0.01, -0.01, 0]])
    given = {
        "SavedModel": _answers(_RIGHT, "cat", "owl"),
        "gRPC": _answers(near, "cat", "owl"),
        "REST": _answers(_RIGHT[[0, 0]], "cat", "cat"),
    }
    assert checks.reasons(given, ["a", "b.jpg (turned upright)"], _TASK, _NAMES, 1) == [
        "REST and SavedModel disagree for the file b.jpg (turned upright) as it was found: "
        "scores differ by 0.7"
    ]


@pytest.fixture
def ranges(tmp_path, monkeypatch):
    """A task of one output, a map in metres, in a folder of its own as tasks are."""
    folder = tmp_path / "ranges"
    folder.mkdir()
    (folder / "__init__.py").write_text(_RANGES)
    (folder / "checks.py").write_text(
        "def objections(answers, names):\n"
        "    return ['a range below zero'] if (answers['metres'] < 0).any() else []\n"
    )
    (folder / "words.py").write_text(
        "def columns():\n    return ('nearest',)\n\n\n"
        "def row(answer, names):\n    return (f\"{answer['metres'].min():.1f} m\",)\n"
    )
    monkeypatch.setattr(tasks, "__path__", [*tasks.__path__, str(tmp_path)])
    tasks.names.cache_clear()
    yield tasks.find("ranges")
    tasks.names.cache_clear()
    for name in [name for name in sys.modules if name.startswith("components.tasks.ranges")]:
        del sys.modules[name]
    del tasks.ranges


_RANGES = """
from components.tasks.task import Metric, Output, Task

TASK = Task(
    name="ranges",
    features=("depth/encoded",),
    outputs=(Output("metres", "float32", (None, None), "distance from the camera in metres"),),
    metrics=(Metric("rms", "RMS", "m", less_is_better=True),),
    blessing=(Metric("rms", "RMS", "m", less_is_better=True),),
    monitor="val_loss",
    monitor_less_is_better=True,
)
"""


@pytest.mark.parametrize(
    ("factor", "apart"), [(1 + 5e-4, None), (1 + 5e-3, "metres differ by 0.4"), (-1, "below zero")]
)
def test_maps_agree_relative_to_their_largest_value(ranges, factor, apart):
    far = np.linspace(2, 80, 24, dtype=np.float32).reshape(2, 3, 4)
    given = {"SavedModel": {"metres": far}, "gRPC": {"metres": far * np.float32(factor)}}
    found = checks.reasons(given, ["a", "b"], ranges, [])
    assert len(found) == bool(apart) and (apart or "") in "".join(found)
    relative = checks.difference(given["gRPC"], given["SavedModel"], ranges)
    assert relative == pytest.approx(abs(factor - 1), rel=1e-2)


def test_maps_of_other_shapes_disagree(ranges):
    given = {way: {"metres": np.ones((2, *sides), np.float32)} for way, sides in _SIDES.items()}
    assert checks.reasons(given, ["a", "b"], ranges, []) == [
        "REST and SavedModel disagree: metres of the shapes [2, 4, 3] and [2, 3, 4]"
    ]


_SIDES = {"SavedModel": (3, 4), "REST": (4, 3)}


def _ranges_model(folder, task, sign=1.0):
    """Answers with one output: the brightness of each pixel, as if it were metres."""

    class Module(tf.Module):
        def __init__(self):
            super().__init__()
            path = folder.parent / tasks.TASK_ASSET
            path.write_text(json.dumps(task.served_facts()))
            self.facts = tf.saved_model.Asset(str(path))

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def serve(self, examples):
            spec = {"image/encoded": tf.io.FixedLenFeature([], tf.string, default_value="")}
            bare = tf.strings.substr(examples, 0, 4) == b"\x89PNG"
            parsed = tf.io.parse_example(tf.where(bare, "", examples), spec)["image/encoded"]
            pixels = tf.map_fn(
                lambda one: tf.ensure_shape(tf.io.decode_png(one, 1), [8, 8, 1])[..., 0],
                tf.where(bare, examples, parsed),
                fn_output_signature=tf.uint8,
            )
            return {"metres": sign * (1.0 + tf.cast(pixels, tf.float32))}

    module = Module()
    tf.saved_model.save(module, path_utils.serving_model_dir(str(folder)), module.serve)


def test_a_model_of_another_task_is_asked_and_blessed(ranges, digits_run, tmp_path):
    _ranges_model(tmp_path / "model", ranges)
    blessing, found = _canary(tmp_path / "model", digits_run.examples, tmp_path / "out")
    assert found["reasons"] == [] and _pusher_takes(blessing)
    assert found["answers"] == [{"nearest": "1.0 m"}] * 16
    assert set(found["agreement"]) == {"SavedModel", "gRPC", "gRPC, in one batch", "REST"}
    assert max(found["agreement"].values()) < 1e-6


def test_a_model_of_another_task_hears_its_objections(ranges, digits_run, tmp_path):
    _ranges_model(tmp_path / "model", ranges, sign=-1.0)
    why = _refused(tmp_path / "model", digits_run, tmp_path)
    assert "gRPC: a range below zero" in why


@pytest.mark.parametrize("facts", ["{", "[]", "{}", '{"task": "divination"}'])
def test_an_unknown_task_is_refused(facts):
    with pytest.raises(ValueError, match="task"):
        tasks.of_facts(facts)


def test_a_model_that_does_not_say_its_task_is_a_classifier():
    assert tasks.of_facts(None) is _TASK


def test_rows_of_rest_with_one_output_and_with_several():
    metres, grade = Output("metres", "float32", (2,), ""), Output("grade", "string", (), "")
    (found,) = answers.of_rest([[1, 2], [3, 4]], [metres]).values()
    assert found.dtype == np.float32 and found.tolist() == [[1, 2], [3, 4]]
    rows = [{"metres": [1, 2], "grade": "good"}, {"metres": [3, 4], "grade": "bad"}]
    both = answers.of_rest(rows, [metres, grade])
    assert both["grade"].tolist() == ["good", "bad"] and both["metres"].shape == (2, 2)
    # The model gives more than its task has, and the task more than the model gives.
    assert answers.of_rest(rows, [metres])["metres"].tolist() == [[1, 2], [3, 4]]
    assert "other" not in answers.of_rest(rows, [metres, Output("other", "float32", (), "")])


def test_answers_of_different_lengths_are_joined():
    parts = [
        {"boxes": np.ones((1, 2, 4), np.float32), "names": np.array([["cat", "dog"]], object)},
        {"boxes": np.ones((1, 1, 4), np.float32), "names": np.array([["owl"]], object)},
    ]
    found = answers.joined(parts)
    assert found["boxes"].shape == (2, 2, 4) and found["boxes"][1].sum() == 4
    assert found["names"].tolist() == [["cat", "dog"], ["owl", ""]]


_SEVEN = 7  # Upside down it is none.


@pytest.fixture
def with_original(digits_run, digits, tmp_path):
    """Examples beside which lies a picture as it was found: other bytes of the same pixels."""

    def with_original(file: bytes, kind: bytes) -> str:
        folder = tmp_path / "examples"
        shutil.copytree(digits_run.examples, folder)
        (folder / "originals").mkdir()
        upright = tf.io.encode_png(digits[0][_SEVEN][..., None]).numpy()
        values = {"encoded": upright, "original": file, "converted": kind, "id": b"6.png"}
        example = tf.train.Example()
        for name, value in values.items():
            example.features.feature[f"image/{name}"].bytes_list.value.append(value)
        options = tf.io.TFRecordOptions(compression_type="GZIP")
        with tf.io.TFRecordWriter(str(folder / "originals" / "all-0.gz"), options) as writer:
            writer.write(example.SerializeToString())
        return str(folder)

    return with_original


def test_a_file_as_it_was_found_is_asked_about(digits_run, digits, with_original, tmp_path):
    same = tf.io.encode_png(digits[0][_SEVEN][..., None], compression=0).numpy()
    _, found = _canary(digits_run.model, with_original(same, b"re-encoded"), tmp_path / "out")
    assert found["reasons"] == [] and found["asked"] == 17
    assert found["ids"][-1] == "6.png (re-encoded)"


def test_a_model_that_turns_no_pictures_is_not_blessed(digits_run, digits, with_original, tmp_path):
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(digits[0][_SEVEN][::-1, ::-1]).save(file, "PNG", exif=exif)
    uri = with_original(file.getvalue(), b"turned upright")
    _, found = _canary(digits_run.model, uri, tmp_path / "out")
    assert not found["blessed"]
    why = "gRPC and SavedModel disagree for the file 6.png (turned upright) as it was found"
    assert found["reasons"][0].startswith(why)


@pytest.mark.parametrize("good", [True, False])
def test_the_pusher_listens_to_the_canary(good, digits_run, nan_model, tmp_path):
    model = Importer(digits_run.model if good else nan_model, standard_artifacts.Model)
    examples = Importer(digits_run.examples, standard_artifacts.Examples)
    canary = Canary(model=model.outputs["result"], examples=examples.outputs["result"])
    pusher = Pusher(
        model=model.outputs["result"],
        infra_blessing=canary.outputs["blessing"],
        push_destination=PushDestination(
            filesystem=PushDestination.Filesystem(base_directory=str(tmp_path / "serving"))
        ),
    )
    LocalDagRunner().run(
        Pipeline(
            pipeline_name="canary",
            pipeline_root=str(tmp_path / "root"),
            components=[model.with_id("model"), examples.with_id("examples"), canary, pusher],
            metadata_connection_config=sqlite_metadata_connection_config(
                str(tmp_path / "metadata.sqlite")
            ),
        )
    )
    assert bool(list(tmp_path.glob("serving/*/saved_model.pb"))) == good
