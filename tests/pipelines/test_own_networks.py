"""docs/own-networks.md: its networks and recipes pass all that is checked before a run."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from components import tasks, trusted
from components.train import objects
from pipelines import costs, recipes, source_code
from pipelines.recipe import RecipeError

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "own-networks.md").read_text(encoding="utf-8")
# The blocks that begin with the name of their file.
FILES = dict(re.findall(r"```\w+\n# (\w+\.(?:py|toml))\n(.*?)```", DOCUMENT, re.DOTALL))
SMALL = replace(recipes.find("lenet-relu"), batch_size=8)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with the document's files in it."""
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    yield tmp_path
    for name in ("mynets", "my_recipe"):
        sys.modules.pop(name, None)


WIDE = """
import keras


def Net(input_shape, classes, width=16, sides=(3, 3), rate=0.5):
    image = keras.Input(input_shape)
    hidden = keras.layers.Conv2D(width, sides)(image)
    hidden = keras.layers.Dropout(rate)(hidden)
    return keras.Model(image, keras.layers.Dense(classes)(keras.layers.Flatten()(hidden)))
"""


@pytest.mark.parametrize(
    ("arguments", "line", "odd"),
    [
        ({"width": "wide"}, 7, "; width is 'wide', and 16 by default"),
        ({"width": 1.5, "sides": [3, 3]}, 7, "; width is 1.5, and 16 by default"),
        ({"rate": [1, 2], "width": 8}, 8, "; rate is [1, 2], and 0.5 by default"),
        ({"rate": 2}, 8, ""),
    ],
)
def test_a_value_of_another_type_is_named_with_the_line(arguments, line, odd, tmp_path):
    (tmp_path / "widenets.py").write_text(WIDE)
    with trusted.allowing(["widenets"], [tmp_path]), pytest.raises(ValueError) as error:
        objects.build_network("widenets:Net", (8, 8, 1), 2, arguments)
    del sys.modules["widenets"]
    assert str(error.value).startswith(f"widenets:Net, line {line} of widenets.py: ")
    assert str(error.value).endswith(odd) and "; sides" not in str(error.value)


def test_every_task_says_what_its_networks_take_and_give():
    for name in tasks.names():
        section = DOCUMENT.partition(f"\n#### {name}\n")[2].partition("\n#")[0]
        for word in ("| arguments |", "| gives |", "| loss |", "| served as |"):
            assert word in section, (name, word)
        for output in tasks.find(name).outputs:
            assert f"`{output.name}`" in section


@pytest.mark.parametrize("name", ["Net", "Stack", "Own"])
def test_the_networks_of_the_document(name, folder):
    with trusted.allowing(["mynets"], [folder]):
        recipe = SMALL.override([f"model=mynets:{name}"])
        costs.check(recipe.on_data("photos/"))
        wrong = "model_args.widht=3"
        with pytest.raises(RecipeError, match=r"unknown key 'model_args\.widht'"):
            recipe.override([wrong])


def test_the_recipes_of_the_document(folder):
    assert {*FILES} == {"mynets.py", "my_recipe.toml", "my_recipe.py"}
    with trusted.allowing(["mynets"], [folder]):
        recipe = recipes.find("my_recipe.toml")
        assert (recipe.name, recipe.model, recipe.epochs) == ("my-recipe", "mynets:Net", 3)
    found = recipes.found("my_recipe.py")
    assert (found.recipe.name, found.packages) == ("my-net", ("my_recipe",))
    assert "keras" not in FILES["my_recipe.py"].partition("def Net")[0]
    with found.allowed():
        costs.check(found.recipe)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise KeyError('no such thing')", r"mynets:Bad: Bad\.call\(\): '?no such thing'?$"),
        (
            "return self.dense(image)",
            r"mynets:Bad, asked for 10 classes: the network gives \(None, 32, 32, 10\)",
        ),
        (
            "return keras.ops.softmax(self.dense(self.flat(image)))",
            "mynets:Bad, asked for 10 classes: the network ends in softmax",
        ),
    ],
)
def test_what_is_wrong_with_a_network_is_told_in_words(body, words, folder):
    text = FILES["mynets.py"].replace("class Own", "class Bad")
    text = text.replace("return self.dense(self.flat(self.conv(image)))", body)
    (folder / "mynets.py").write_text(text)
    with trusted.allowing(["mynets"], [folder]), pytest.raises(ValueError, match=words) as error:
        costs.check(SMALL.override(["model=mynets:Bad"]))
    assert "\n" not in str(error.value)


def test_a_class_may_find_its_shape_by_itself_and_a_function_may_not(folder):
    text = FILES["mynets.py"].replace("def Stack(input_shape, classes)", "def Stack(classes)")
    (folder / "mynets.py").write_text(text)
    with trusted.allowing(["mynets"], [folder]):
        assert source_code.arguments("mynets:Own").required == ("classes",)
        assert "name" in source_code.arguments("mynets:Own").names
        with pytest.raises(RecipeError, match="mynets:Stack takes no input_shape"):
            SMALL.override(["model=mynets:Stack"])


def test_a_network_of_ones_own_that_was_trained_is_retrained(folder, tmp_path):
    with trusted.allowing(["mynets"], [folder]):
        base = replace(SMALL, name="mine").override(["model=mynets:Net"])
        plain = base.for_stage("train")
        (tmp_path / "recipe.json").write_text(json.dumps(plain))
        transfer = recipes.find("transfer-cifar-resnet20-mnist")
        made = {**transfer.transfer, "from": "mine", "model_run": str(tmp_path)}
        found = costs.network_of(replace(transfer, transfer=made))
    assert found["model"] == "mynets:Net"
