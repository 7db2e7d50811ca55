"""What a recipe may name: recipes travel, and what they name is run."""

import json
import os
import sys

import pytest

from components import model_run, trusted
from components.settings import RecipeError
from components.train import objects

# Tells of its import, and of every call.
OWN = """
import functools, os, subprocess
from pathlib import Path
from subprocess import run

import keras

Path(__file__).with_suffix(".imported").touch()

def Net(input_shape, classes, width=1):
    image = keras.Input(input_shape)
    return keras.Model(image, keras.layers.Dense(classes)(keras.layers.Flatten()(image)))

def says_so(**arguments) -> keras.Model:
    return Net(**arguments)

def in_a_text(**arguments) -> "keras.Model":
    return Net(**arguments)

@functools.wraps(Net)
def wrapped(*args, **kwargs):
    return Net(*args, **kwargs)

partial = functools.partial(Net, width=2)
borrowed = functools.partial(subprocess.run, cwd=".")
value = 3

class Subclassed(keras.Model):
    def __init__(self, input_shape, classes):
        super().__init__()

def copies(path, other):
    Path(other).touch()

class Loss(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return 0.0

class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, rate):
        self.rate = rate

    def __call__(self, step):
        return self.rate
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The name of a module of the user's."""
    name = f"own_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv(trusted.VARIABLE, raising=False)
    yield name
    sys.modules.pop(name, None)


def refusals(name):
    yield lambda: objects.network(f"{name}:Net")
    yield lambda: objects.build({"class": f"{name}:Loss"}, "loss")
    rate = {"class": f"{name}:Schedule", "rate": 0.1}
    yield lambda: objects.build(
        {"class": "keras.optimizers:SGD", "learning_rate": rate}, "optimizer"
    )
    in_a_list = {"class": "keras.optimizers:SGD", "learning_rate": [rate]}
    yield lambda: objects.build(in_a_list, "optimizer")


def test_what_is_not_allowed_is_not_even_imported(own, tmp_path):
    for refused in refusals(own):
        with pytest.raises(RecipeError, match=f"if you trust it, add --allow-package {own}$"):
            refused()
    (tmp_path / "recipe.json").write_text(json.dumps({"model": f"{own}:Net"}))
    with pytest.raises(RecipeError, match=f"--allow-package {own}"):
        model_run.network(str(tmp_path))
    assert own not in sys.modules
    assert not [*tmp_path.glob("*.imported")]


@pytest.mark.parametrize(
    "name", ["Net", "says_so", "in_a_text", "wrapped", "partial", "Subclassed"]
)
def test_a_network_of_ones_own_where_its_package_is_allowed(own, name):
    with trusted.allowing([own]):
        assert objects.network(f"{own}:{name}")


def test_objects_of_ones_own_where_their_package_is_allowed(own):
    with trusted.allowing([own]):
        assert objects.build_network(f"{own}:Net", (4, 4, 1), 3, {}).output_shape == (None, 3)
        objects.build({"class": f"{own}:Loss"}, "loss")
        rate = {"class": f"{own}:Schedule", "rate": 0.1}
        objects.build({"class": "keras.optimizers:SGD", "learning_rate": rate}, "optimizer")


@pytest.mark.parametrize("name", ["run", "borrowed"])
def test_what_an_allowed_module_has_imported_is_not_allowed_with_it(own, name):
    with trusted.allowing([own]), pytest.raises(RecipeError, match="may not run the code of"):
        objects.network(f"{own}:{name}")


@pytest.mark.parametrize(("name", "kind"), [("value", "int"), ("os", "module")])
def test_what_cannot_be_called_is_no_network(own, name, kind):
    with trusted.allowing([own]), pytest.raises(RecipeError, match=f"{name}: of type {kind}, whi"):
        objects.network(f"{own}:{name}")


@pytest.mark.parametrize(
    "path",
    ["keras.saving:load_model", "keras.utils:get_file", "keras.utils:set_random_seed"],
)
def test_not_every_function_is_a_network(path):
    with pytest.raises(RecipeError, match="is no network"):
        objects.network(path)


def test_nor_is_every_function_of_an_allowed_package(own):
    with trusted.allowing([own]), pytest.raises(RecipeError, match="is no network"):
        objects.network(f"{own}:copies")


def test_keras_own_networks_are_some():
    assert objects.network("keras.applications:MobileNetV2")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("keras.utils:get_file", "loss"),
        ("keras.optimizers:SGD", "loss"),
        ("keras.layers:TFSMLayer", "optimizer"),
        ("keras.losses:Hinge", "optimizer"),
        ("keras.losses:hinge", "loss"),
        ("keras.losses:Hinge", "schedule or optimizer"),
    ],
)
def test_an_object_is_of_the_kind_that_is_wanted(path, kind):
    with pytest.raises(RecipeError, match=f"{path} is no Keras {kind}"):
        objects.build({"class": path}, kind)


@pytest.mark.parametrize("spec", [{"class": "os:system", "command": "touch called"}])
def test_nothing_else_is_called(spec, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for kind in objects.KINDS:
        with pytest.raises(RecipeError, match="the code of os"):
            objects.build(spec, kind)
    with pytest.raises(RecipeError, match="the code of os"):
        objects.build({"class": "keras.optimizers:SGD", "learning_rate": spec}, "optimizer")
    assert not (tmp_path / "called").exists()


def test_this_packages_own_paths_are_of_this_package():
    assert objects.load("keras_models.analysis:layer_costs")
    with pytest.raises(ValueError, match="not of this package"):
        objects.load("os:system")


def test_packages_are_allowed_for_a_while_and_besides_those_of_the_environment(monkeypatch):
    monkeypatch.setenv(trusted.VARIABLE, "one, two.nets")
    with trusted.allowing(["three"]):
        assert os.environ[trusted.VARIABLE] == "one,two.nets,three"
        allowed = ["one", "one.nets", "two.nets", "two.nets.small", "three", "keras.losses"]
        assert all(map(trusted.is_allowed, allowed))
    assert os.environ[trusted.VARIABLE] == "one, two.nets"
    assert not any(map(trusted.is_allowed, ["three", "two", "two.netsmall", "ones", "kerasx", ""]))


def test_modules_in_folders_are_found_while_they_are_allowed(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "before")
    (tmp_path / "in_a_folder.py").write_text("import os, sys\nprint(sys.path)")
    path = [*sys.path]
    with trusted.allowing(["in_a_folder"], [tmp_path]):
        assert sys.path[0] == str(tmp_path)
        assert os.environ["PYTHONPATH"] == f"{tmp_path}{os.pathsep}before"
    assert sys.path == path and os.environ["PYTHONPATH"] == "before"
    with trusted.allowing([], [tmp_path]):
        assert sys.path == path


def test_ones_own_code_may_name_anything_while_it_runs():
    assert not trusted.is_allowed("anything")
    with trusted.own_code():
        assert trusted.is_allowed("anything")
    assert not trusted.is_allowed("anything")


@pytest.mark.parametrize("name", ["mynets:Net", "my-nets", "", "a..b", "one,two"])
def test_what_is_no_package_cannot_be_allowed(name):
    with (
        pytest.raises(RecipeError, match="takes a package such as mynets"),
        trusted.allowing([name]),
    ):
        pass
