"""Recipes of installed packages: found by name, listed, and a broken one named."""

import sys

import pytest
from click.testing import CliRunner

from components import trusted
from pipelines import cli, recipes
from pipelines.recipe import RecipeError

GOOD = """
from dataclasses import replace
from pipelines import recipes
LENET = replace(recipes.find("lenet-relu"), name="good-net", model="good_pack:Net", features=())
RECIPES = (LENET, replace(LENET, size="paper"))

def Net(input_shape, classes, width=3):
    pass
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs a package with an entry point, as far as importlib.metadata sees."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv(trusted.VARIABLE, raising=False)

    def installed(name, text, point="{}", group="convnets.recipes"):
        (tmp_path / f"{name}.py").write_text(text)
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {point.format(name)}\n")

    known = {*sys.modules}
    yield installed
    for name in {*sys.modules} - known:
        if name.endswith("_pack"):
            del sys.modules[name]


def test_a_packages_recipe_is_found_and_may_name_its_network(install):
    install("good_pack", GOOD)
    found = recipes.found("good-net")
    assert (found.recipe.name, found.recipe.size) == ("good-net", "small")
    assert found.packages == ("good_pack",)
    assert recipes.find("good-net", "paper").size == "paper"
    assert not trusted.is_allowed("good_pack")
    with found.allowed():
        found.recipe.override(["model_args.width=4"])
        with pytest.raises(RecipeError, match=r"did you mean model_args\.width"):
            found.recipe.override(["model_args.widht=4"])
    with pytest.raises(RecipeError, match="did you mean good-net"):
        recipes.find("god-net")


@pytest.mark.parametrize(
    ("text", "point", "words"),
    [
        ("1/0", "{}", "ZeroDivisionError: division by zero"),
        ("", "{}", "there is no RECIPE = Recipe(...) in it"),
        ("RECIPES = 3", "{}:RECIPES", "a recipe is a pipelines.recipe.Recipe, not int"),
        ("", "{}:NONE", "AttributeError"),
        (
            "from pipelines import recipes\nRECIPE = recipes.find('lenet')",
            "{}:RECIPE",
            "the name 'lenet' is taken by another recipe",
        ),
    ],
)
def test_a_broken_package_is_named_and_the_others_go_on(install, text, point, words):
    install("broken_pack", text, point)
    install("good_pack", GOOD)
    result = CliRunner().invoke(cli.main, ["list"])
    assert result.exit_code == 0
    assert "good-net" in result.stdout and "lenet" in result.stdout
    assert "of the package broken_pack cannot be read" in result.stderr
    assert words in result.stderr
    assert recipes.find("good-net").name == "good-net"
    with pytest.raises(RecipeError, match="unknown recipe 'nonesuch'") as error:
        recipes.find("nonesuch")
    assert words in str(error.value)


@pytest.mark.parametrize("size", ["small", "paper"])
@pytest.mark.parametrize("paper", ["", "Our own notes", "Nobody 2031"])
def test_a_recipe_of_one_size_and_of_any_paper_is_listed(install, size, paper):
    made = f"RECIPES = replace(LENET, size={size!r}, paper={paper!r}, dataset='own-data')"
    install("good_pack", GOOD.replace('RECIPES = (LENET, replace(LENET, size="paper"))', made))
    result = CliRunner().invoke(cli.main, ["list"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert (paper or "of no paper") in result.stdout
    assert "own-data" in result.stdout
    assert recipes.find("good-net", size).paper == paper


def test_no_package_is_imported_for_a_recipe_that_is_here(install):
    install("broken_pack", "raise SystemExit('imported')")
    assert recipes.find("lenet").name == "lenet"
