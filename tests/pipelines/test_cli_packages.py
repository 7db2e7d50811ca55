"""Recipes, and what is set in them, come from others: commands run no code that is not trusted."""

import json
import os
from dataclasses import replace

import pytest
from click.testing import CliRunner

from components import trusted
from components.settings import RecipeError
from components.train import objects
from pipelines import cli, costs, optimizers, recipes

EVIL = "import pathlib\npathlib.Path(__file__).with_name('called').touch()\n"
OWN_NET = """
import keras

def Net(input_shape, classes):
    image = keras.Input(input_shape)
    return keras.Model(image, keras.layers.Dense(classes)(keras.layers.Flatten()(image)))
"""
OWN = ("--set", "model=mynets:Net", "--set", "model_args={}")


@pytest.fixture
def convnets(monkeypatch, tmp_path):
    """Runs the command line on a wide screen, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "140")

    def run(*arguments, code=0):
        result = CliRunner().invoke(cli.main, arguments)
        assert result.exit_code == code, result.output
        return result.output

    return run


@pytest.mark.parametrize(
    "command",
    [
        ["run", "lenet"],
        ["show", "lenet"],
        ["compile", "lenet", "--output=lenet.yaml"],
        ["schedule", "lenet", "--cron=@daily", "--no-start"],
    ],
)
def test_the_message_is_the_option_and_nothing_is_imported(convnets, command, tmp_path):
    (tmp_path / "mynets.py").write_text(EVIL)
    text = convnets(*command, *OWN, code=1)
    assert text == (
        "Error: model: recipes may not run the code of mynets; if you trust it, add "
        "--allow-package mynets\n"
    )
    assert not (tmp_path / "called").exists()


def test_a_network_of_ones_own(convnets, tmp_path, monkeypatch):
    (tmp_path / "mynets.py").write_text(OWN_NET)
    monkeypatch.syspath_prepend(tmp_path)
    text = convnets("show", "lenet", *OWN, "--allow-package", "mynets")
    assert "10,250" in text
    assert trusted.VARIABLE not in os.environ, "it is for this command"


def test_layers_of_the_recipes_own_network_are_not_asked_of_another(tmp_path, monkeypatch):
    (tmp_path / "othernets.py").write_text(OWN_NET)
    monkeypatch.syspath_prepend(tmp_path)
    recipe = recipes.find("lenet-relu")
    assert recipe.features
    with trusted.allowing(["othernets"]):
        own = recipe.override(["model=othernets:Net"])
        assert own.features == ()
        # As many classes as the data have: on these nobody knows yet, nor has the network its own.
        costs.check(own.on_data("photos/"))
        assert recipe.override(['features=["5"]', 'model="othernets:Net"']).features == ("5",)
    assert recipe.override([f"model={recipe.model}"]).features == recipe.features


def test_what_is_no_package(convnets):
    text = convnets("run", "lenet", "--allow-package=mynets:Net", code=2)
    assert "takes a package such as mynets, not 'mynets:Net'" in text


def test_the_process_of_a_run_checks_for_itself(tmp_path, monkeypatch):
    (tmp_path / "mynets.py").write_text(EVIL)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RecipeError, match="--allow-package mynets"):
        costs.check(replace(recipes.find("lenet"), model="mynets:Net", model_args={}))
    assert not (tmp_path / "called").exists()


def test_every_recipe_names_what_it_may():
    steps = {"steps": 1000, "steps_per_epoch": 50}
    every = [recipe for sizes in recipes.all_recipes().values() for recipe in sizes.values()]
    wanted = {json.dumps(each.optimizer): each.optimizer for each in every}
    wanted |= {name: optimizers.named(name) for name in optimizers.OPTIMIZERS}
    for each in wanted.values():
        arguments = {key: value for key, value in each.items() if key != "divide_on_plateau"}
        objects.build(arguments, "optimizer", **steps)
    for each in every:
        objects.build(each.loss, "loss")
        objects.network(each.model)
