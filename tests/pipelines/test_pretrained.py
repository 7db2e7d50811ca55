"""Recipes of networks that are trained already, and docs/fine-tuning.md."""

import json
import re
import shlex
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from keras.src.applications import imagenet_utils
from keras.src.utils import file_utils
from rich.console import Console

from keras_models.classification import applications
from pipelines import cli, costs, fine_tuning, recipes
from pipelines.commands.common import recipe_of
from pipelines.console import screens
from pipelines.recipe import Recipe, RecipeError

DOCS = Path(__file__).parents[2] / "docs" / "fine-tuning.md"
COMMANDS = re.findall(r"^convnets (.*?) *(?:#.*)?$", DOCS.read_text(), re.MULTILINE)


class Twice(keras.layers.Layer):
    """A layer of somebody's own."""

    def call(self, x):
        return 2 * x


@pytest.fixture
def mine(tmp_path, monkeypatch) -> Path:
    """A network of somebody's own in the current folder, under the names of the document."""
    monkeypatch.chdir(tmp_path)
    image = keras.Input((20, 24, 1))
    x = keras.layers.Conv2D(2, 3)(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.GlobalAveragePooling2D()(x)
    keras.Model(image, keras.layers.Dense(3)(x)).save("mine.keras")
    (tmp_path / "cifar-resnet20.keras").touch()
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    (tmp_path / "photos" / "cat" / "1.jpg").touch()
    return tmp_path / "mine.keras"


@pytest.mark.parametrize("words", COMMANDS)
def test_every_documented_command_is_there(words, mine):
    name, *arguments = shlex.split(words)
    command = cli.main.commands[name]
    with command.make_context(name, arguments) as context:
        given = context.params
        if name in ("run", "show"):
            made = recipe_of(given["recipe"], "small", given["settings"], given.get("data"))
            assert made.dataset == ("photos/" if name == "run" else "cifar10")
            assert made.early_stopping["patience"] or made.name == "lenet-relu"


def test_weights_make_a_training_a_fine_tuning():
    plain = recipes.find("resnet50")
    tuned = plain.override(["batch_size=8", "model_args.weights=imagenet", "epochs=3"])
    assert (tuned.batch_size, tuned.epochs) == (8, 3)
    assert tuned.freeze == {"layers": ("backbone",), "epochs": 2}
    assert tuned.loss == fine_tuning.SMOOTHED
    assert tuned.model_args == {**recipes.find("resnet50", "paper").model_args} | {
        "weights": "imagenet"
    }
    seen = tuned.preprocess
    assert (seen["size"], seen["resize"], seen["mean"]) == ([224, 224], 256, "imagenet")
    assert tuned.benchmarks == () and tuned.override([]) == tuned
    # What is said about a recipe that has weights changes nothing else of it.
    again = tuned.override(['model_args={"weights": "net.keras"}'])
    assert again.epochs == 3 and again.preprocess == tuned.preprocess
    # Random layers are not kept as they are.
    fresh = tuned.override(["model_args.weights=null"])
    assert (fresh.freeze["layers"], fresh.backbone_rate, fresh.epochs) == ((), 1.0, 3)
    assert fresh.override(["model_args.weights=null"]) == fresh


def test_weights_of_ones_own_leave_the_network_and_its_pixels():
    plain = recipes.find("cifar-resnet20")
    tuned = plain.override(["model_args.weights=net.keras"])
    assert tuned.model_args == {**plain.model_args, "weights": "net.keras"}
    assert (tuned.preprocess, tuned.augment) == (plain.preprocess, plain.augment)
    assert tuned.batch_size == 16
    # Of a task without classes, whose pixels and rates are its own, the weights alone.
    depth = recipes.find("eigen-depth")
    assert depth.override(["model_args.weights=net.keras"]).epochs == depth.epochs


def test_smoothed_labels_of_keras_loss_are_ours():
    smoothed = recipes.find("lenet-relu").override(["loss.label_smoothing=0.2"])
    assert smoothed.loss == {
        "class": "keras_models.losses:SmoothedCrossentropy",
        "label_smoothing": 0.2,
    }


@pytest.mark.parametrize(
    ("name", "assignment", "message"),
    [
        ("lenet", "early_stopping.patience=0", "early_stopping.patience must be"),
        ("lenet", "freeze.layer=[]", "did you mean freeze.layers"),
        ("lenet", "backbone_rate=2", "above 0 and at most 1"),
        ("lenet", "class_weights=balance", '"balanced"'),
        ("eigen-depth", "class_weights=balanced", "depth has no classes"),
        ("lenet", "preprocess.mean=imagenet", "needs preprocess.channels 3"),
    ],
)
def test_what_cannot_be_is_told(name, assignment, message):
    with pytest.raises(RecipeError, match=re.escape(message)):
        recipes.find(name).override([assignment])


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ('freeze.layers=["C9*"]', "no layer with weights is called 'C9"),
        ('freeze.layers=["*"]', "leaves no layer that learns"),
    ],
)
def test_layers_that_cannot_be_frozen_are_told_before_the_first_stage(assignment, message):
    with pytest.raises(ValueError, match=message):
        costs.check(recipes.find("lenet-relu").override([assignment]))


def test_early_stopping_needs_images_that_are_held_out():
    paper = recipes.find("lenet", "paper")
    with pytest.raises(RecipeError, match="set validation_split"):
        paper.override(["early_stopping.patience=3", "validation_split=0"])
    workers = ["early_stopping.patience=3", "validation_split=0.1", "strategy=multi_worker"]
    with pytest.raises(RecipeError, match=r"--set early_stopping\.patience=null"):
        paper.override(workers)
    frozen = ["freeze.layers=[C1]", "freeze.epochs=1", "strategy=multi_worker"]
    with pytest.raises(RecipeError, match=r"--set freeze\.epochs=null"):
        paper.override([each.replace("[C1]", '["C1"]') for each in frozen])


def test_the_networks_of_keras_applications_are_recipes():
    made = recipes.find("keras:EfficientNetV2B1")
    assert (made.name, made.preprocess["size"]) == ("keras-efficientnetv2b1", [240, 240])
    assert Recipe.from_json(made.to_json()) == made
    assert recipes._pretrained.applications() == [*applications._applications()]
    names = [f"keras:{name}" for name in recipes._pretrained.applications()]
    assert len(names) > 30 and all(recipes.find(name).model_args["weights"] for name in names)
    with pytest.raises(RecipeError, match="did you mean keras:MobileNet "):
        recipes.find("keras:MobilNet")
    with pytest.raises(RecipeError, match="unknown size 'paper'"):
        recipes.find("keras:MobileNet", "paper")
    listed = CliRunner().invoke(cli.main, ["list"]).output
    assert "keras:EfficientNetV2B0" in listed


def test_sides_are_those_of_keras_applications(monkeypatch):
    class Asked(Exception):
        pass

    def asked(*_, default_size, **__):
        raise Asked(default_size)

    monkeypatch.setattr(imagenet_utils, "obtain_input_shape", asked)
    for name in recipes._pretrained.applications():
        size = recipes.find(f"keras:{name}").preprocess["size"]
        side = 224  # Of MobileNetV3, which does not ask.
        try:
            getattr(keras.applications, name)(weights=None)
        except Asked as default:
            (side,) = default.args
        assert (name, [side, side]) == (name, size)


def test_a_network_of_ones_own_is_a_recipe(mine):
    made = recipes.find("mine.keras")
    assert made.name == "tuned-mine"
    assert made.model_args == {"weights": str(mine)}
    seen = made.preprocess
    assert (seen["size"], seen["channels"], seen["resize"]) == ([20, 24], 1, None)
    assert (seen["range"], seen["mean"]) == ([0.0, 255.0], "none")
    costs.check(made.on_data("photos/"))
    with pytest.raises(RecipeError, match=r"there is no file 'mina.keras': did you mean mine"):
        recipes.find("mina.keras")
    with pytest.raises(RecipeError, match=r"is no \.keras file"):
        recipes.find("cifar-resnet20.keras")
    keras.Sequential([keras.Input((8, 8, 3)), Twice(), keras.layers.Dense(2)]).save("own.keras")
    with pytest.raises(RecipeError, match=r"own\.keras holds .*test_pretrained:Twice, whose code"):
        recipes.find("own.keras")
    keras.Sequential([keras.Input((7,)), keras.layers.Dense(2)]).save("numbers.keras")
    with pytest.raises(RecipeError, match=r"network on grey or RGB pictures.*not on \(None, 7\)"):
        recipes.find("numbers.keras")


@pytest.mark.parametrize("note", ["recipe.json", "mine.keras.preprocessing.json"])
def test_pixels_are_seen_as_a_run_of_ours_saw_them(note, mine):
    seen = {**recipes.find("lenet").preprocess, "size": [20, 24]}
    ingest = {"shorter_side": 32, "format": "png", "quality": 95, "align": None}
    values = {"preprocess": seen, "ingest": ingest}
    if note != "recipe.json":
        values = {"preprocess": {**seen, "ingest": ingest}}
    mine.with_name(note).write_text(json.dumps(values))
    made = recipes.find("mine.keras")
    assert (made.preprocess, made.ingest) == (seen, ingest)


def test_imagenet_weights_are_there_before_anything_runs(monkeypatch, tmp_path):
    keras.utils.set_random_seed(3)
    path = str(tmp_path / "published.weights.h5")
    small = ["preprocess.size=[32,32]", "preprocess.resize=36"]
    recipe = recipes.find("keras:MobileNet").override(small)
    wanted = []

    def get_file(name, *_, **__):
        wanted.append(name)
        return path

    monkeypatch.setattr(file_utils, "get_file", get_file)
    costs.check(recipe, is_here=False)
    costs.count(recipe)
    assert not wanted
    keras.applications.MobileNet((32, 32, 3), include_top=False, weights=None).save_weights(path)
    costs.check(recipe)
    assert wanted == ["mobilenet_1_0_224_tf_no_top.h5"]


def test_the_end_of_a_run_says_what_the_training_did_otherwise(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    address = "https://weights.example/" + 80 * "w"
    summary = {
        "recipe": "lenet",
        "size": "small",
        "dataset": "photos/",
        "seconds": 1.0,
        "stages": [],
        "error": f"Put the file {address} there",
        "notes": ["batches of 8", "stopped early, after 3 epochs"],
    }
    console = Console(width=80)
    with console.capture() as shown:
        console.print(screens.end_screen(summary, (), tmp_path / "log"), crop=False)
    assert re.search(r"Training +batches of 8\s+Training +stopped early, after 3", shown.get())
    # As it has to be to be copied.
    assert address in shown.get()
    assert np.all([len(line.rstrip()) <= 80 or address in line for line in shown.get().split("\n")])
