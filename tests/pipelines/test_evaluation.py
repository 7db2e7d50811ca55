"""`convnets evaluate` on small real pictures, SavedModels and `.keras` files."""

import json
import shutil

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from components import tasks
from pipelines import cli, evaluation, recipes
from pipelines.predictions import answerers, engine, pictures

NAMES = ("black", "grey", "light")
SHADES = (0, 110, 220)
SIDE = 8
OWN = ("--recipe", "lenet-relu", "--set", f"preprocess.size=[{SIDE},{SIDE}]")


@pytest.fixture(scope="module")
def shades(tmp_path_factory):
    """Pictures of three classes in a folder a split; in `train` one that cannot be read."""
    folder = tmp_path_factory.mktemp("data") / "shades"
    rng = np.random.default_rng(0)
    for split, count in (("train", 6), ("test", 4)):
        for name, shade in zip(NAMES, SHADES, strict=True):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(shade, shade + 36, (SIDE, SIDE), np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{number}.png")
    (folder / "train" / "grey" / "bad.png").write_bytes(b"no picture")
    # One picture that anything takes for another class.
    shutil.copy(folder / "test" / "black" / "0.png", folder / "test" / "light" / "wrong.png")
    pixels = np.asarray(Image.open(folder / "test" / "light" / "wrong.png")) + np.uint8(1)
    Image.fromarray(pixels).save(folder / "test" / "light" / "wrong.png")
    return folder


def network(preprocess, mean) -> keras.Model:
    """Logits by how near the brightness is to each shade, of pixels as they are prepared."""
    low, high = preprocess["range"]
    centres = (np.array(SHADES) + 18 - float(np.mean(mean))) * (high - low) / 255 + low
    image = keras.Input((SIDE, SIDE, 1))
    bright = keras.layers.GlobalAveragePooling2D()(image)
    # -(x - c)^2 but for x^2, which is the same for all classes.
    logits = keras.layers.Dense(3, name="near")(bright)
    model = keras.Model(image, logits)
    model.get_layer("near").set_weights([2 * 40 * centres[None], -40 * centres**2])
    return model


@pytest.fixture(scope="module")
def recipe():
    return recipes.find("lenet-relu").override([OWN[-1]])


@pytest.fixture(scope="module")
def training_mean(shades):
    every = [Image.open(each) for each in sorted((shades / "train").rglob("[0-9].png"))]
    return np.mean([np.asarray(each, np.float32) for each in every], axis=0)


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory, recipe, training_mean):
    path = tmp_path_factory.mktemp("own") / "own.keras"
    network(recipe.preprocess, training_mean).save(path)
    return path


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    """A SavedModel that knows the shades."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve(examples):
        spec = {"image/encoded": tf.io.FixedLenFeature([], tf.string)}

        def bright(encoded):
            return tf.reduce_mean(tf.cast(tf.io.decode_png(encoded, channels=1), tf.float32))

        encoded = tf.io.parse_example(examples, spec)["image/encoded"]
        shade = tf.map_fn(bright, encoded, fn_output_signature=tf.float32)
        apart = tf.abs(shade[:, tf.newaxis] - tf.constant([SHADES], tf.float32) - 18.0)
        return {"scores": tf.nn.softmax(-apart)}

    folder = tmp_path_factory.mktemp("served") / "model"
    tf.saved_model.save(tf.Module(), str(folder), serve)
    (folder / "assets").mkdir(exist_ok=True)
    (folder / "assets" / "labels.txt").write_text("".join(f"{name}\n" for name in NAMES))
    return folder


@pytest.fixture
def convnets(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def run(*arguments, code=0):
        result = CliRunner().invoke(cli.main, ["evaluate", *map(str, arguments)])
        assert result.exit_code == code, result.output
        return result.output

    return run


def test_a_saved_model_is_judged_on_the_test_split_alone(convnets, saved_model, shades):
    text = convnets(saved_model, "--data", shades)
    assert f"model on 13 test images of {shades}, protocol 1-crop" in text
    assert "error 7.69 %" in text
    assert "no published figures" in text
    # The picture of the training split that cannot be read was not looked at.
    assert "could not be used" not in text


def test_a_keras_file_is_prepared_by_a_recipe(convnets, keras_file, shades):
    text = convnets(keras_file, "--data", shades, *OWN)
    assert "lenet-relu (small) on 13 test images" in text
    assert "error 7.69 %" in text
    assert "bad.png" in text


def test_the_mean_of_a_recipe_is_that_of_the_training_split(shades, recipe, training_mean):
    from components.ingest import sources
    from components.preprocess import mean
    from pipelines import inspection

    folder = shades.parent / "examples"
    folder.mkdir()
    inspection.ingest(sources.resolve(str(shades)), str(folder))
    for kind, expected in (
        ("per_pixel", training_mean[..., None]),
        ("per_channel", training_mean.mean(keepdims=True)[0]),
        ("none", np.zeros(1)),
    ):
        found = mean.of_examples(str(folder), {**recipe.preprocess, "mean": kind})
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_what_lies_beside_an_exported_file_is_enough(
    convnets, keras_file, recipe, training_mean, shades, tmp_path
):
    path = tmp_path / "own.keras"
    shutil.copy(keras_file, path)
    text = convnets(path, "--data", shades, code=1)
    assert "nothing says how its pictures are prepared: no own.keras.preprocessing.json" in text
    np.save(tmp_path / "own.keras.mean.npy", training_mean[..., None])
    facts = {
        "task": "classification",
        "classes": NAMES,
        "preprocess": {**recipe.preprocess, "ingest": recipe.ingest},
        "normalize": {"mean": "own.keras.mean.npy", "range": recipe.preprocess["range"]},
    }
    said = tmp_path / "own.keras.preprocessing.json"
    said.write_text(json.dumps(facts))
    shown = [pictures.of(each) for each in sorted((shades / "test").rglob("*.png"))]
    with answerers.of_path(path) as answerer:
        found = [each.answer for each in engine.predict(answerer, shown)]
    # As the network itself answers about pixels that are prepared by hand.
    low, high = recipe.preprocess["range"]
    pixels = np.stack([np.asarray(Image.open(each.source), np.float32) for each in shown])
    ready = (pixels - training_mean)[..., None] * (high - low) / 255 + low
    logits = keras.models.load_model(path).predict(ready, verbose=0)
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
    np.testing.assert_allclose([each["scores"] for each in found], expected, atol=1e-4)
    assert {each["classes"].decode() for each in found} == {*NAMES}
    said.write_text("[]")
    assert "is not what an export writes" in convnets(path, "--data", shades, code=1)


def test_a_network_of_another_size_is_refused(convnets, keras_file, shades):
    text = convnets(keras_file, "--data", shades, "--recipe", "lenet-relu", code=1)
    assert "the network takes (None, 8, 8, 1); the images are (None, 32, 32, 1)" in text


def test_what_is_no_network_is_refused(convnets, shades, tmp_path):
    (tmp_path / "x.keras").write_bytes(b"no archive")
    text = convnets(tmp_path / "x.keras", "--data", shades, *OWN, code=1)
    assert f"Error: {tmp_path}/x.keras cannot be read: " in text


def test_other_classes_are_refused(convnets, saved_model, shades, tmp_path):
    shutil.copytree(shades, tmp_path / "other")
    for split in ("train", "test"):
        (tmp_path / "other" / split / "light").rename(tmp_path / "other" / split / "white")
    text = convnets(saved_model, "--data", tmp_path / "other", code=1)
    assert "has other classes than the data" in text and "light, white" in text


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--data", "rooms", "--recipe", "eigen-depth"), "answers classification, and eigen-depth"),
        (("--data", "nowhere"), "no such folder"),
        (("--data", "mnist", "--protocol", "10-crops"), "did you mean 10-crop"),
        (("--data", "mnist", "--recipe", "lenett"), "did you mean lenet"),
    ],
)
def test_what_cannot_be_is_told_at_once(convnets, saved_model, arguments, reason):
    assert reason in convnets(saved_model, *arguments, code=1)


def test_settings_are_of_a_recipe(convnets, saved_model):
    text = convnets(saved_model, "--data", "mnist", "--set", "epochs=1", code=2)
    assert "--set is for --recipe" in text


def test_published_figures_are_those_of_the_same_data_and_protocol():
    task = tasks.find("classification")
    mnist = evaluation._figures("tfds:mnist", "1-crop", task, None)
    assert "lecun1998-lenet5" in mnist
    own = evaluation._figures("mnist", "1-crop", task, recipes.find("lenet"))
    assert own and set(own) < set(mnist)
    assert evaluation._figures("mnist", "10-crop", task, recipes.find("lenet")) == []
    assert evaluation._figures("/my/photos", "1-crop", task, None) == []
