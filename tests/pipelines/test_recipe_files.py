"""Recipes in files of the user's own: read, written, and wrong ones told by file and line."""

import json
import os
import sys

import pytest

from components import trusted
from pipelines import recipe_files, recipe_text, recipes
from pipelines.recipe import RecipeError

EVERY = [recipe for sizes in recipes.all_recipes().values() for recipe in sizes.values()]
RELU = recipes.find("lenet-relu")
# Keras is imported when the network is built: here none is.
NET = """
def Net(input_shape, classes, width=3):
    import keras

    image = keras.Input(input_shape)
    hidden = keras.layers.Dense(width)(keras.layers.Flatten()(image))
    return keras.Model(image, keras.layers.Dense(classes)(hidden))
"""
CODE = """
from pipelines import recipes
RECIPE = recipes.find("lenet-relu").override(["model={}", "epochs=3"])
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a file into the current folder, in which no module of another test is known."""
    monkeypatch.chdir(tmp_path)
    known = {*sys.modules}

    def written(name, text):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return name

    yield written
    for name in {*sys.modules} - known:
        if name.startswith("own_"):
            del sys.modules[name]


@pytest.mark.parametrize("form", recipe_text.FORMS)
def test_every_recipe_is_the_same_when_it_is_written_and_read(form, write):
    for recipe in EVERY:
        path = write(f"own.{form}", recipe_text.FORMS[form](recipe))
        found = recipe_files.find(path)
        assert found.recipe.to_json() == recipe.to_json()
        assert found.packages == ()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('a = "\u007f\u00e9 \\" \\\\"', '\x7f\u00e9 " \\'),
        ("a = 1e-05", 1e-5),
        ("a = [{ null = true }, 1]", [None, 1]),
        ('a = { "b c" = 1 }', {"b c": 1}),
    ],
)
def test_values_of_toml(text, value):
    text = text.replace("\x7f", r"\u007f")
    assert recipe_text.from_toml(text) == {"a": value}
    assert recipe_text._inline(value).replace("{}", "") in text or isinstance(value, dict | list)


def test_a_null_that_is_no_default_is_written(write):
    recipe = RELU.override(["loss=null", "model_args.weights=null"])
    text = recipe_text.to_toml(recipe)
    assert "loss = { null = true }" in text and "weights = { null = true }" in text
    assert recipe_files.read(write("own.toml", text)).to_json() == recipe.to_json()


def test_a_short_file_is_called_as_it_is_and_its_paths_are_its_folders(
    write, tmp_path, monkeypatch
):
    values = {key: json.loads(RELU.to_json())[key] for key in ("loss", "optimizer", "preprocess")}
    values |= {"model": RELU.model, "epochs": 2, "batch_size": 8, "dataset": "photos"}
    values |= {"model_args": {"weights": "start.weights.h5"}, "fixed": "mnist"}
    write("own_short.json", json.dumps(values))
    assert recipe_files.read("own_short.json").dataset == "photos"
    monkeypatch.chdir("/")
    recipe = recipe_files.read(tmp_path / "own_short.json")
    assert (recipe.name, recipe.paper) == ("own-short", "")
    assert recipe.dataset == str(tmp_path / "photos")
    assert recipe.fixed == "mnist"
    assert recipe.model_args == {"weights": str(tmp_path / "start.weights.h5")}


TOML = recipe_text.to_toml(RELU)
JSON = recipe_text.to_json(RELU)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("epochs = 30", "epocs = 30", "line 6: unknown key 'epocs': did you mean epochs?"),
        ("epochs = 30", "epochs = 'x'", "line 6: epochs must be a whole number"),
        ("epochs = 30", "epochs = ", "line 6: no TOML: Invalid value"),
        ("epochs = 30", "epochs = 2026-01-01", "a date or a time is no value of a recipe"),
        ("epochs = 30", "epochs = inf", "Infinity is no value of a recipe"),
        ("LeNet5ReLU", "LeNetReLU", "line 5: model: there is no 'LeNetReLU' in keras_models."),
        ("warmup_target = ", "warmup_tagret = ", "did you mean optimizer.learning_rate.warmup_t"),
        ('fit = "pad"', 'fit = "pda"', "preprocess.fit must be pad or stretch or crop"),
        ("[model_args]", "[model_args]\nwidht = 3", "unknown key 'model_args.widht'"),
        (TOML, "", "it has no dataset and no model and no loss"),
        ('"lenet-relu"', '"../lenet"', "line 1: name must be of letters, digits"),
    ],
)
def test_what_is_wrong_is_told_by_its_line(old, new, words, write):
    text = TOML.replace(old, new, 1)
    path = write("own.toml", text)
    with pytest.raises(RecipeError) as error:
        recipe_files.read(path)
    assert str(error.value).startswith("own.toml")
    assert words in str(error.value)
    message_of = str(error.value).partition(": ")[0].partition(", line ")[2]
    if message_of:
        assert text.splitlines()[int(message_of) - 1] in (new, *text.splitlines())
        assert new.splitlines()[-1].strip() in text.splitlines()[int(message_of) - 1]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"epochs": 30', '"epocs": 30', "line 22: unknown key 'epocs': did you mean epochs?"),
        ('"epochs": 30,', '"epochs": 30', "line 23: no JSON: Expecting ',' delimiter"),
        ('"epochs": 30,', '"epochs": NaN,', "NaN is no value of a recipe"),
        ('"epochs": 30,', '"epochs": 30, "epochs": 30,', "the key 'epochs' is there twice"),
        ('"fit": "pad"', '"fit": "pda"', "line 26: preprocess.fit must be pad or stretch or crop"),
        (JSON, "[1]", "a recipe is values by key, not list"),
    ],
)
def test_what_is_wrong_in_json_is_told_by_its_line(old, new, words, write):
    path = write("own.json", JSON.replace(old, new, 1))
    with pytest.raises(RecipeError, match=r"^own\.json") as error:
        recipe_files.read(path)
    assert words in str(error.value)


def test_a_text_file_may_not_name_ones_own_package_and_code_may(write, monkeypatch):
    monkeypatch.delenv(trusted.VARIABLE, raising=False)
    write("own_nets.py", NET)
    path = write("own.toml", TOML.replace(RELU.model, "own_nets:Net"))
    with pytest.raises(RecipeError, match=r"own\.toml, line 5: model: .* --allow-package own_nets"):
        recipe_files.find(path)
    with trusted.allowing(["own_nets"]):
        assert recipe_files.read(path).model == "own_nets:Net"
    found = recipe_files.find(write("own_recipe.py", CODE.format("own_nets:Net")))
    assert (found.recipe.epochs, found.packages) == (3, ("own_nets",))
    assert not trusted.is_allowed("own_nets")
    with found.allowed():
        assert trusted.is_allowed("own_nets")
        found.recipe.override(["model_args.width=4"])
        with pytest.raises(RecipeError, match=r"did you mean model_args\.width"):
            found.recipe.override(["model_args.widht=4"])
    assert trusted.VARIABLE not in os.environ


def test_the_network_may_be_in_the_recipes_file_and_both_elsewhere(write, tmp_path, monkeypatch):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    write("elsewhere/own_both.py", NET + CODE.format("own_both:Net"))
    found = recipe_files.find("elsewhere/own_both.py")
    assert found.packages == ("own_both",)
    with found.allowed():
        assert str(folder) in sys.path
        assert str(folder) in os.environ["PYTHONPATH"].split(os.pathsep)
    assert str(folder) not in sys.path
    # A changed file is read anew.
    write("elsewhere/own_both.py", (NET + CODE.format("own_both:Net")).replace("=3", "=5"))
    assert recipe_files.read("elsewhere/own_both.py").epochs == 5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (CODE.format("own_x:Net"), "own.py, line 3: model: there is no module 'own_x'"),
        (CODE.replace("epochs", "epocs"), "own.py, line 3: "),
        ("\n1/0", "own.py, line 2: ZeroDivisionError: division by zero"),
        ("\n1+", "own.py, line 2: SyntaxError: invalid syntax"),
        ("raise SystemExit", "own.py, line 1: SystemExit"),
        ("", "there is no RECIPE = Recipe(...) in it"),
        ("RECIPE = 3", "a recipe is a pipelines.recipe.Recipe, not int"),
        ("RECIPES = ()", "there is no recipe in RECIPES"),
        (
            "from pipelines import recipes\nRECIPES = list(map(recipes.find, ('lenet', 'vgg16')))",
            "has the recipes lenet, vgg16: a file has one",
        ),
    ],
)
def test_what_is_wrong_in_code_is_told_by_its_line(text, words, write):
    with pytest.raises(RecipeError) as error:
        recipe_files.read(write("own.py", text))
    assert words in str(error.value)


def test_a_file_with_the_name_of_another_module_is_refused(write):
    for name in ("random.py", "pytest.py"):
        with pytest.raises(RecipeError, match=r"Python has another module .* another name"):
            recipe_files.read(write(name, CODE))


def test_sizes_of_one_recipe(write):
    code = "from pipelines import recipes\nRECIPES = [recipes.find('lenet', s) for s in {}]"
    both = write("own_two.py", code.format(("small", "paper")))
    assert recipes.find(both).size == "small"
    assert recipes.find(both, "paper").size == "paper"
    paper = write("own_paper.toml", recipe_text.to_toml(recipes.find("lenet", "paper")))
    assert recipes.find(paper).size == "paper"
    with pytest.raises(RecipeError, match="unknown size 'small'"):
        recipes.find(paper, "small")


def test_a_file_that_is_not_there(write):
    write("own_recipe.toml", TOML)
    with pytest.raises(RecipeError, match=r"no file 'own_recip.toml': did you mean own_recipe"):
        recipes.find("own_recip.toml")
    with pytest.raises(RecipeError, match=r"did you mean own_recipe\.toml\?"):
        recipes.find("own_recipe")
    with pytest.raises(RecipeError, match="there is no folder 'none'"):
        recipes.find("none/own.toml")
