"""Recipes, and what is set in them, come from others: commands run no code that is not trusted."""

import json
import os
import sys
from dataclasses import replace

import pytest
from click.testing import CliRunner

from components import trusted
from components.settings import RecipeError
from components.train import objects
from pipelines import cli, costs, optimizers, recipes
from pipelines.scheduling.store import Store

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


def test_a_network_that_is_named_by_an_option_is_in_the_current_folder(convnets, tmp_path):
    (tmp_path / "herenets.py").write_text(OWN_NET.replace("classes)", "classes, width=1)"))
    path = [*sys.path]
    text = convnets("show", "lenet", "--model=herenets:Net", "--epochs=3", "--json")
    shown = json.loads(text)
    assert (shown["model"], shown["model_args"], shown["features"]) == ("herenets:Net", {}, [])
    assert shown["epochs"] == 3
    assert sys.path == path and trusted.VARIABLE not in os.environ
    text = convnets("run", "lenet", "--model=herenets:Net", "--set=model_args.widht=2", code=1)
    assert text == "Error: unknown key 'model_args.widht': did you mean model_args.width?\n"
    text = convnets("run", "lenet", "--model=herenets:Ner", code=1)
    assert "there is no 'Ner' in herenets: did you mean Net" in text
    assert "such as mynets:Net" in convnets("run", "lenet", "--model=herenets", code=2)


def test_the_short_options(convnets):
    options = ("--epochs=3", "--batch-size=7", "--seed=5", "--lr=0.03")
    shown = json.loads(convnets("show", "lenet-relu", *options, "--json"))
    assert (shown["epochs"], shown["batch_size"], shown["seed"]) == (3, 7, 5)
    # The schedule of the recipe has its peak there, and the first rate a hundredth of it.
    rate = shown["optimizer"]["learning_rate"]
    assert (rate["warmup_target"], rate["initial_learning_rate"]) == (0.03, 0.0003)
    assert rate["decay_steps"] == "$steps"
    adam = convnets("show", "lenet-relu", "--set=optimizer=adam", "--lr=0.03", "--json")
    assert json.loads(adam)["optimizer"]["learning_rate"] == 0.03
    steps = json.loads(convnets("show", "lenet", "--size=paper", "--lr=0.01", "--json"))
    assert steps["optimizer"]["learning_rate"]["values"] == [0.01, 0.004, 0.002, 0.001, 0.0002]
    assert "above 0" in convnets("show", "lenet", "--lr=0", code=1)
    assert "not 0" in convnets("show", "lenet", "--batch-size=0", code=1)


def test_a_file_is_written_and_stands_for_a_recipe_in_every_command(convnets, tmp_path):
    shown = convnets("show", "lenet-relu", "--seed=3", "--toml")
    (tmp_path / "mine.toml").write_text(shown)
    assert convnets("show", "mine.toml", "--toml") == shown
    (tmp_path / "bad.toml").write_text(shown.replace("epochs = 30", "epocs = 30"))
    for command in (["run"], ["show"], ["judge"], ["compile", "--output=a.yaml"], ["export"]):
        options = ["--format=keras"] if command == ["export"] else []
        text = convnets(*command, "bad.toml", *options, code=1)
        assert text == "Error: bad.toml, line 6: unknown key 'epocs': did you mean epochs?\n"
    text = convnets("schedule", "bad.toml", "--cron=@daily", "--no-start", code=1)
    assert "bad.toml, line 6" in text
    assert "runs holds no run of lenet-relu" in convnets("judge", "mine.toml", code=1)


def test_a_schedule_of_a_file_is_called_as_the_recipe_and_reads_it_anew(
    convnets, tmp_path, monkeypatch
):
    monkeypatch.delenv(trusted.VARIABLE, raising=False)
    (tmp_path / "schednets.py").write_text(OWN_NET)
    code = "from pipelines import recipes\nRECIPE = recipes.find('lenet-relu').override({})\n"
    (tmp_path / "mine_py.py").write_text(code.format(["model=schednets:Net"]))
    convnets("schedule", "mine_py.py", "--every=1h", "--no-start", "--lr=0.01")
    convnets("schedule", "lenet", "--name=b", "--every=1h", "--model=schednets:Net", "--no-start")
    first, second = (each.definition for each in Store(tmp_path / "runs").entries())
    by_name = {each.name: each for each in (first, second)}
    monkeypatch.chdir("/")
    mine = by_name["lenet-relu"]
    assert mine.recipe == str(tmp_path / "mine_py.py")
    with mine.built() as recipe:
        assert recipe.model == "schednets:Net" and trusted.is_allowed("schednets")
        assert recipe.optimizer["learning_rate"]["warmup_target"] == 0.01
    assert not trusted.is_allowed("schednets")
    (tmp_path / "mine_py.py").write_text(code.format(["epochs=2"]))
    assert mine.build().epochs == 2
    monkeypatch.chdir(tmp_path)
    assert by_name["b"].allow_packages == ("schednets",)
    assert by_name["b"].build().model_args == {}
    text = convnets("schedule", "export", "lenet-relu", "--as=cronjob")
    assert f"Note: the recipe's file has to be in the container, too, as {mine.recipe}" in text


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
        losses = each.loss or {}  # Of several outputs one each; of none the network has its own.
        for loss in [losses] if "class" in losses else losses.values():
            objects.build(loss, "loss")
        objects.network(each.model)
