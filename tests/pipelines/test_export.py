"""`convnets export` on small runs of real images, one a task."""

import io
import json
import os
import re
import shlex
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from components import trusted
from pipelines import cli, exports
from pipelines.exports import places, runs
from pipelines.history import allowed

DOCS = Path(__file__).parents[2] / "docs" / "exports.md"
COMMANDS = re.findall(r"^(convnets export .*?)(?: +#.*)?$", DOCS.read_text("utf-8"), re.MULTILINE)
TRAIN, TEST = 300, 60
CLASSIFICATION = {
    "name": "lenet",
    "task": "classification",
    "model": "keras_models.classification.lenet:LeNet5",
    "model_args": {"classifier": "softmax"},
    "preprocess": {
        "size": [32, 32],
        "resize": None,
        "channels": 1,
        "fit": "pad",
        "range": [-0.1, 1.175],
        "mean": "per_pixel",
    },
}
DEPTH = {
    "name": "eigen-depth",
    "task": "depth",
    "model": "keras_models.depth:MultiScaleDepth",
    "model_args": {"width": 0.05, "units": 8, "feature_scale": 1.0, "pixel_scale": 1.0},
    "preprocess": {
        "size": [60, 80],
        "resize": None,
        "channels": 3,
        "fit": "stretch",
        "range": [0.0, 4.0],
        "mean": "per_channel",
    },
}
BOTH = {
    **DEPTH,
    "name": "eigen-depth-normals",
    "task": "depth_normals",
    "model_args": {**DEPTH["model_args"], "answers": ["depth", "normals"]},
}
PAIRS = {
    "name": "face-pixels",
    "task": "verification",
    "model": "keras_models.verification:PixelDistance",
    "model_args": {},
    "preprocess": {
        "size": [32, 28],
        "resize": None,
        "channels": 1,
        "fit": "crop",
        "range": [-1.0, 1.0],
        "mean": "per_channel",
    },
}
REGIONS = {
    "name": "r-cnn",
    "task": "detection",
    "task_args": {"proposals": 8},
    "model": "keras_models.detection:RCNN",
    "model_args": {"backbone": "lenet", "size": 32, "context": 2, "detections": 5},
    "preprocess": {
        "size": [40, 64],
        "resize": None,
        "channels": 3,
        "fit": "pad",
        "range": [0.0, 1.0],
        "mean": "per_channel",
    },
}
ALIKE = {
    "ingest": {"shorter_side": None, "format": "keep", "quality": 95, "align": None},
    "task_args": {},
    "mixed_precision": False,
    "features": [],
    "fully_convolutional": False,
}


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def write_split(folder: Path, split: str, images, truths) -> None:
    """Examples as ingestion writes them; a truth is a label, or arrays by feature."""
    import tensorflow as tf

    def of_bytes(value: bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    def of_array(values: np.ndarray):
        if values.dtype == np.float32:
            return tf.train.Feature(float_list=tf.train.FloatList(value=values.ravel()))
        return of_bytes(png(values))

    (folder / f"Split-{split}").mkdir(parents=True)
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    path = folder / f"Split-{split}" / "data_tfrecord-00000-of-00001.gz"
    with tf.io.TFRecordWriter(str(path), options) as writer:
        for number, (image, truth) in enumerate(zip(images, truths, strict=True)):
            features = {
                "image/encoded": of_bytes(png(image)),
                "image/id": of_bytes(f"{split}#{number}".encode()),
            }
            if isinstance(truth, tuple):
                features["pair/encoded"] = of_bytes(png(truth[0]))
                same = tf.train.Int64List(value=[truth[1]])
                features["same"] = tf.train.Feature(int64_list=same)
            elif isinstance(truth, dict):
                features |= {name: of_array(values) for name, values in truth.items()}
            else:
                label = tf.train.Int64List(value=[int(truth)])
                features["label"] = tf.train.Feature(int64_list=label)
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())


def write_graph(examples: Path, preprocess: dict, folder: Path) -> str:
    """Analyses the training split as the Transform component does."""
    import apache_beam as beam
    import tensorflow as tf
    import tensorflow_transform as tft
    import tensorflow_transform.beam as tft_beam
    from tfx_bsl.public import tfxio

    from components.preprocess.transform import preprocessing_fn

    spec = {"image/encoded": tf.io.FixedLenFeature([1], tf.string)}
    schema = tft.DatasetMetadata.from_feature_spec(spec).schema
    source = tfxio.TFExampleRecord(f"{examples}/Split-train/*", ["tests"], schema=schema)
    with beam.Pipeline() as pipeline, tft_beam.Context(temp_dir=str(folder / "tmp")):
        data = (pipeline | source.BeamSource(), source.TensorAdapterConfig())
        transform_fn = data | tft_beam.AnalyzeDataset(
            lambda inputs: preprocessing_fn(inputs, {"preprocess": preprocess})
        )
        _ = transform_fn | tft_beam.WriteTransformFn(str(folder / "graph"))
        metadata = tft.DatasetMetadata(schema)
        _ = metadata | tft_beam.WriteMetadata(str(folder / "graph" / "metadata"), pipeline)
    return str(folder / "graph")


def write_run(root: Path, recipe: dict, splits: dict, names: list[str], epochs: int) -> None:
    """What a run leaves below a root, with its summary, written by the parts that a run has."""
    import keras
    import tensorflow as tf
    import tensorflow_transform as tft

    from components import model_run
    from components.preprocess.transform import centre, decode, normalize, stored_mean
    from components.train.objects import build_network
    from components.train.signatures import ServingModule

    recipe = {**ALIKE, **recipe}
    folder, preprocess = root / "artifacts" / recipe["name"], recipe["preprocess"]
    for split, (images, truths) in splits.items():
        write_split(folder / "examples", split, images, truths)
    lines = "".join(f"{name}\n" for name in names)
    (folder / "examples" / "labels.txt").write_text(lines)
    graph = write_graph(folder / "examples", preprocess, folder)
    mean = stored_mean(graph)
    keras.utils.set_random_seed(0)
    shape = (*preprocess["size"], preprocess["channels"])
    network = build_network(recipe["model"], shape, len(names) or None, recipe["model_args"])
    if epochs:
        images, labels = splits["train"]
        pixels = centre(decode(tf.constant([*map(png, images)]), preprocess), preprocess)
        network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        network.fit(
            normalize(pixels, centre(mean, preprocess), preprocess),
            labels.astype("int64"),
            epochs=epochs,
            verbose=0,
        )
    served = ServingModule(network, tft.TFTransformOutput(graph), mean, names, recipe)
    version = root / "serving" / recipe["name"] / "7"
    served.save(str(version))
    (folder / "model_run").mkdir()
    model_run.write(network, folder / "model_run" / "model.keras")
    # As of a fine-tuning, whose first weights nobody has any more.
    arguments = {**recipe["model_args"], "weights": "gone.keras"}
    trained = json.dumps({**recipe, "model_args": arguments})
    (folder / "model_run" / "recipe.json").write_text(trained)
    (root / "runs").mkdir(exist_ok=True)
    summary = {
        "run_id": f"{recipe['name']}-1",
        "recipe": recipe["name"],
        "started": "2026-11-23T12:00:00",
        "examples": str(folder / "examples"),
        "transform_graph": graph,
        "model": None,
        "model_run": str(folder / "model_run"),
        "pushed": str(version),
    }
    (root / "runs" / f"{recipe['name']}-1.json").write_text(json.dumps(summary))


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Below it a LeNet that has learnt some MNIST, and two networks of maps that have not."""
    import importlib.resources

    from components.ingest.idx import read_split

    root = tmp_path_factory.mktemp("root")
    mnist = Path(str(importlib.resources.files("convnets_data"))) / "mnist"
    digits = {
        split: tuple(values[:count] for values in read_split(mnist, pattern))
        for split, pattern, count in (("train", "train-*", TRAIN), ("test", "t10k-*", TEST))
    }
    write_run(root, CLASSIFICATION, digits, [f"digit {n}" for n in range(10)], epochs=4)
    rng = np.random.default_rng(0)
    rooms = {
        split: (
            rng.integers(0, 256, (4, 45, 60, 3), np.uint8),
            [
                {
                    "depth/encoded": rng.integers(500, 9000, (45, 60)).astype(np.uint16),
                    "normals/encoded": rng.integers(0, 256, (45, 60, 3), np.uint8),
                }
                for _ in range(4)
            ],
        )
        for split in ("train", "test")
    }
    write_run(root, DEPTH, rooms, [], epochs=0)
    write_run(root, BOTH, rooms, [], epochs=0)
    pairs = {
        split: (images[:40], [(images[k + 1], int(labels[k] == labels[k + 1])) for k in range(40)])
        for split, (images, labels) in digits.items()
    }
    write_run(root, PAIRS, pairs, [], epochs=0)
    corners = rng.uniform(0, 0.6, (4, 8, 2))
    found = np.concatenate([corners, corners + rng.uniform(0.1, 0.4, (4, 8, 2))], -1)
    scenes = (rooms["test"][0], [{"proposals": each} for each in found.astype(np.float32)])
    write_run(root, REGIONS, {"train": scenes, "test": scenes}, ["a", "b"], epochs=0)
    return root


@pytest.fixture
def export(root, tmp_path, monkeypatch):
    """Runs `convnets export` in an empty folder and returns what it says."""
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(cli.main, ["export", *arguments, "--root", str(root)])
        assert result.exit_code == code, result.output
        return result.output

    return run


@pytest.fixture(scope="module")
def exported(root, tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """A folder with the LeNet in every format and precision, and what the command said of each.

    They are what the document's commands write.
    """
    folder = tmp_path_factory.mktemp("exported")
    output = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in COMMANDS:
            arguments = [*shlex.split(command)[1:], "--root", str(root)]
            result = CliRunner(env={"COLUMNS": "300"}).invoke(cli.main, arguments)
            assert result.exit_code == 0, result.output
            place = Path(re.search(r"written +(\S+) ", result.output)[1])
            if place.parent != folder:
                shutil.move(place, folder)
            output[place.name] = result.output
    (folder / "digit.png").write_bytes(_test_image(root))
    return folder, output


def _test_image(root: Path) -> bytes:
    from components import examples

    folder = str(root / "artifacts" / "lenet" / "examples")
    return next(iter(examples.images(folder, "test", ["test#0"]).values()))


def served_by(path: Path, image: bytes) -> np.ndarray:
    import tensorflow as tf

    model = tf.saved_model.load(str(path))
    return model.signatures["serving_default"](examples=tf.constant([image]))["scores"].numpy()


def facts_of(folder: Path, name: str) -> dict:
    return json.loads((folder / f"{name}.preprocessing.json").read_text())


CODE = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)


@pytest.mark.parametrize("code", CODE, ids=["keras", "weights", "tflite", "onnx"])
def test_the_documented_code_gets_the_served_answers(root, exported, monkeypatch, code):
    import keras

    monkeypatch.chdir(exported[0])
    found: dict = {}
    exec(code, found)
    if "scores" not in found:  # The weights, for the network that the .keras file holds whole.
        whole: dict = {}
        exec(CODE[0], whole)
        ready = (whole["pixels"] - whole["mean"]) * (whole["high"] - whole["low"]) / 255
        found["scores"] = keras.ops.softmax(found["network"](ready + whole["low"]))
    wanted = served_by(root / "serving" / "lenet" / "7", _test_image(root))
    assert np.abs(keras.ops.convert_to_numpy(found["scores"]) - wanted).max() < 1e-5


def test_every_format_and_every_documented_command_is_there(exported):
    folder, output = exported
    every = exports.FORMATS.values()
    assert {*output} == {
        kind.file_name("lenet", each) for kind in every for each in kind.precisions
    }
    assert all("test pictures: apart by" in text for text in output.values())
    assert "first import keras_models" in output["lenet.keras"]
    assert not [name for name in os.listdir(folder) if name.startswith(".")]


def test_the_savedmodel_is_the_served_one_with_a_note_inside(root, exported):
    folder, _ = exported
    facts = json.loads((folder / "lenet.savedmodel" / "preprocessing.json").read_text())
    assert facts["input"]["dtype"] == "string"
    outputs = {each["name"]: each["shape"] for each in facts["output"]}
    assert outputs == {"scores": [None, 10], "classes": [None]}
    image = _test_image(root)
    wanted = served_by(root / "serving" / "lenet" / "7", image)
    assert (served_by(folder / "lenet.savedmodel", image) == wanted).all()


def test_half_and_whole_numbers_make_smaller_files(exported):
    folder, output = exported
    names = ("lenet.tflite", "lenet.float16.tflite", "lenet.int8.tflite")
    whole, half, quarter = (os.path.getsize(folder / name) for name in names)
    assert half < 0.6 * whole and quarter < 0.4 * whole
    assert re.search(r"accuracy +[0-9.]+ % +[0-9.]+ %", output["lenet.int8.tflite"])
    assert "accuracy" not in output["lenet.tflite"]


def test_the_note_says_what_goes_in_and_what_comes_out(exported):
    facts = facts_of(exported[0], "lenet.keras")
    assert facts["import_before_loading"] == ["keras_models"]
    assert facts["steps"][-1] == "(pixels - mean) * (1.175 - -0.1) / 255 + -0.1"
    assert facts["classes"][3] == "digit 3"
    facts = facts_of(exported[0], "lenet.int8.tflite")
    assert facts["input"]["shape"] == [1, 32, 32, 1]
    assert [(each["name"], each["shape"]) for each in facts["output"]] == [("scores", [1, 10])]


@pytest.mark.parametrize(
    ("recipe", "kind", "answers"),
    [
        (DEPTH, "tflite", {"depth": [60, 80]}),
        (DEPTH, "onnx", {"depth": [60, 80]}),
        (BOTH, "tflite", {"depth": [60, 80], "normals": [60, 80, 3]}),
    ],
)
def test_another_task_goes_the_same_way(export, tmp_path, recipe, kind, answers):
    name = recipe["name"]
    assert "test pictures: apart by" in export(name, "--format", kind)
    facts = facts_of(tmp_path, f"{name}.{kind}")
    assert facts["input"]["values"] == "pixels, 0..255"
    assert {each["name"]: each["shape"][1:] for each in facts["output"]} == answers
    assert "classes" not in facts
    assert sorted(os.listdir(tmp_path)) == [f"{name}.{kind}", f"{name}.{kind}.preprocessing.json"]


@pytest.mark.parametrize("kind", exports.FORMATS)
def test_a_network_of_several_inputs(export, tmp_path, kind):
    assert "test pictures: apart by" in export("face-pixels", "--format", kind)
    (path,) = tmp_path.rglob("*preprocessing.json")
    facts = json.loads(path.read_text())
    assert [each["name"] for each in facts["input"]] == ["image", "pair"]
    shape = [] if kind == "savedmodel" else [32, 28, 1]
    assert all(each["shape"][1:] == shape for each in facts["input"])
    if facts["input"][0]["values"].startswith("pixels"):
        assert [each["name"] for each in facts["output"]] == ["score"]


# The converters to the others have no way to write how regions are cut out and warped.
@pytest.mark.parametrize("kind", ["keras", "savedmodel", "weights"])
def test_a_network_that_is_shown_boxes(export, tmp_path, kind):
    assert "test pictures: apart by" in export("r-cnn", "--format", kind)
    (path,) = tmp_path.rglob("*preprocessing.json")
    facts = json.loads(path.read_text())
    given = {each["name"]: each for each in facts["input"]}
    assert list(given) == ["image", "proposals"]
    assert given["proposals"]["dtype"] == "float32"
    assert given["proposals"]["shape"][1:] == [8, 4]


def test_a_file_that_answers_otherwise_is_not_written(export, root, tmp_path):
    import keras

    network = root / "artifacts" / "lenet" / "model_run" / "model.keras"
    shutil.copy(network, tmp_path.parent / "kept.keras")
    try:
        other = keras.models.load_model(network, compile=False)
        other.set_weights([-value for value in other.get_weights()])
        other.save(network)
        output = export("lenet", "--format", "weights", "--to", "new/a.weights.h5", code=1)
    finally:
        shutil.move(tmp_path.parent / "kept.keras", network)
    assert "it does not answer as the served model does" in output
    assert not os.listdir(tmp_path)


def test_nothing_is_overwritten_unasked(export, tmp_path):
    (tmp_path / "lenet.onnx").write_text("mine")
    output = export("lenet", "--format", "onnx", code=1)
    assert "is there already; --overwrite replaces it" in output
    assert (tmp_path / "lenet.onnx").read_text() == "mine"
    (tmp_path / "lenet.weights.h5").write_text("mine")
    (tmp_path / "lenet.weights.h5.mean.npy").write_text("of another")
    export("lenet", "--format", "weights", "--overwrite")
    assert (tmp_path / "lenet.weights.h5").stat().st_size > 1000
    assert np.load(tmp_path / "lenet.weights.h5.mean.npy").shape == (32, 32, 1)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("lenet", "--format", "tfilte"), "did you mean tflite"),
        (("lenet", "--format", "onnx", "--precision", "int8"), "precision of onnx"),
        (("lenet", "--format", "tflite", "--to", "a.bin"), "ends in .tflite"),
        (("lennet", "--format", "onnx"), "did you mean lenet"),
        ((".", "--format", "onnx"), "no SavedModel, no folder of versions"),
    ],
)
def test_what_cannot_be_is_told_at_once(export, tmp_path, arguments, words):
    assert words in export(*arguments, code=1)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    "run",
    [
        "lenet",
        "lenet-1",
        "{root}/runs/lenet-1.json",
        "{root}/serving/lenet",
        "{root}/serving/lenet/7",
        "{root}/artifacts/lenet/model_run/model.keras",
    ],
)
def test_a_run_is_found_by_each_of_its_names(root, run):
    assert runs.find(run.format(root=root), root).run_id == "lenet-1"
    if "{root}/serving" in run:
        assert runs.find(run.format(root=root), root / "elsewhere").run_id == "lenet-1"


def test_a_run_is_found_by_the_name_that_its_model_is_served_under(root, tmp_path):
    summary = json.loads((root / "runs" / "lenet-1.json").read_text())
    (tmp_path / "runs").mkdir()
    named = json.dumps({**summary, "served_name": "lenet-photos"})
    (tmp_path / "runs" / "lenet-1.json").write_text(named)
    found = runs.find("lenet-photos", tmp_path)
    assert found.model == runs.find("lenet", root).model
    assert (found.recipe, found.name) == ("lenet", "lenet-photos")


def test_a_model_of_no_run_has_nothing_to_be_compared_with(root, tmp_path):
    shutil.copytree(root / "serving" / "lenet" / "7", tmp_path / "model")
    with pytest.raises(ValueError, match="is of no run in"):
        runs.find(str(tmp_path / "model"), root)


def test_a_run_without_a_model_says_so(root, tmp_path):
    summary = json.loads((root / "runs" / "lenet-1.json").read_text())
    path = tmp_path / "bad.json"
    path.write_text(json.dumps({**summary, "pushed": None}))
    with pytest.raises(ValueError, match="lenet-1 has no model; first: convnets run"):
        runs.find(str(path), root)


def test_a_network_of_keras_own_layers_needs_no_import(tmp_path):
    import keras

    from pipelines.exports import keras_file

    layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
    keras.Sequential(layers).save(tmp_path / "plain.keras")
    assert keras_file.needs(tmp_path / "plain.keras") == []


@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_an_operation_that_the_format_lacks_is_named_in_words(tmp_path, kind):
    import tensorflow as tf

    def eigenvalues(image):
        return {"scores": tf.linalg.eigvalsh(image[..., 0])}

    original = SimpleNamespace(
        saved_model=tf.Module(),
        input_shapes={"image": (4, 4, 1)},
        predict=eigenvalues,
        task=SimpleNamespace(measured=("scores",)),
    )
    with pytest.raises(ValueError, match=r"cannot write this network: it has no SelfAdjointEigV2$"):
        exports.find(kind).part().write(original, tmp_path / "a", "float32")
    assert not os.listdir(tmp_path)


def test_a_missing_extra_is_told_with_the_command_that_brings_it(export, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    output = export("lenet", "--format", "onnx", code=1)
    assert "onnxruntime is not installed; pip install -e" in output and "[onnx]" in output
    assert not os.listdir(tmp_path)


def test_an_existing_folder_is_written_into(tmp_path):
    kind = exports.find("savedmodel")
    assert places.chosen(kind, "lenet", None, tmp_path) == tmp_path / "lenet.savedmodel"


@pytest.mark.parametrize("name", exports.FORMATS)
def test_a_folder_that_is_not_there_yet_is_named_by_its_end(tmp_path, name):
    kind = exports.find(name)
    place = places.chosen(kind, "lenet", None, f"{tmp_path}/new/")
    assert place == tmp_path / "new" / f"lenet{kind.suffix}"


def test_the_folder_of_an_export_with_a_slash_is_that_export(tmp_path):
    kind, export = exports.find("savedmodel"), tmp_path / "lenet.savedmodel"
    export.mkdir()
    (export / "saved_model.pb").touch()
    assert places.chosen(kind, "lenet", None, f"{export}/") == export


OWN_NETWORK = """
import keras


@keras.saving.register_keras_serializable()
class Twice(keras.layers.Layer):
    def call(self, image):
        return 2 * image


def Net(input_shape, classes):
    image = keras.Input(input_shape)
    return keras.Model(image, keras.layers.Dense(classes)(keras.layers.Flatten()(Twice()(image))))
"""


def test_an_own_network_that_a_run_was_allowed_is_exported(tmp_path, monkeypatch):
    for name in ("cache", "project", "elsewhere"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "project" / "networks_of_mine.py").write_text(OWN_NETWORK)
    root, rng = tmp_path / "project" / "runs", np.random.default_rng(0)
    images = rng.integers(0, 256, (4, 28, 28), np.uint8)
    own = {**CLASSIFICATION, "name": "own", "model": "networks_of_mine:Net", "model_args": {}}
    with trusted.allowing(["networks_of_mine"], [tmp_path / "project"]):
        splits = {split: (images, [0, 1, 0, 1]) for split in ("train", "test")}
        write_run(root, own, splits, ["no", "yes"], epochs=0)
    monkeypatch.chdir(tmp_path / "elsewhere")
    command = ["export", "own", "--format", "keras", "--to", "new/", "--root", str(root)]
    refused = CliRunner().invoke(cli.main, command)
    assert refused.exit_code == 1 and "--allow-package networks_of_mine" in refused.output
    with trusted.allowing(["networks_of_mine"], [tmp_path / "project"]):
        allowed.note(root)  # As each run does.
    done = CliRunner(env={"COLUMNS": "300"}).invoke(cli.main, command)
    assert done.exit_code == 0 and "first import networks_of_mine" in done.output, done.output
    command = ["predict", str(tmp_path / "digit.png"), "--model", "new/own.keras"]
    Image.fromarray(images[0]).save(tmp_path / "digit.png")
    # Imported by the tests' own code above.
    assert CliRunner().invoke(cli.main, command).exit_code == 0
    del sys.modules["networks_of_mine"]
    refused = CliRunner().invoke(cli.main, command)
    assert refused.exit_code == 1 and "--allow-package networks_of_mine" in refused.output
    monkeypatch.syspath_prepend(tmp_path / "project")
    allowing = ["--allow-package", "networks_of_mine"]
    assert CliRunner().invoke(cli.main, [*command, *allowing]).exit_code == 0
    del sys.modules["networks_of_mine"]
