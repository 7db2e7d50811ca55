"""The `tune` block of a recipe."""

import json

import pytest

from pipelines import recipes, tuning
from pipelines.recipe import RecipeError

RELU = recipes.find("lenet-relu")
LENET = recipes.find("lenet")


def with_tune(**values):
    return LENET.override([f"tune={json.dumps(values)}"])


def test_a_ready_block_waits_to_be_asked_for():
    assert not tuning.is_on(RELU.tune) and not tuning.is_on(LENET.tune)
    tuned = RELU.override(["tune.trials=20", "tune.search=hyperband", "tune.parallel=2"])
    assert tuning.is_on(tuned.tune)
    assert tuned.tune["space"] == RELU.tune["space"]
    assert tuned.tune["epochs"] == 5


def test_a_block_of_ones_own():
    space = {"optimizer.epsilon": {"low": 1e-8, "high": 1e-3, "sampling": "log"}}
    tuned = with_tune(trials=3, space=space)
    assert tuned.tune == {
        "search": "random",
        "trials": 3,
        "epochs": None,
        "parallel": 1,
        "space": space,
    }


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"trials": 3}, "tune needs a space"),
        ({"trail": 3}, r"'tune.trail': did you mean tune\.trials"),
        ({"search": "randm", "space": {"batch_size": [1]}}, "did you mean random"),
        ({"trials": -1, "space": {"batch_size": [1]}}, "tune.trials must be 0 or more"),
        ({"trials": True, "space": {"batch_size": [1]}}, "tune.trials must be 0 or more"),
        ({"epochs": 0, "space": {"batch_size": [1]}}, "tune.epochs must be 1 or more"),
        ({"space": {"batchsize": [1]}}, "did you mean batch_size"),
        ({"space": {"preprocess.mean": ["none"]}}, "unknown tune.space key 'preprocess'"),
        (
            {"trials": 1, "space": {"optimizer.learning_rat.x": [1]}},
            "did you mean optimizer.learning_rate",
        ),
        (
            {"trials": 1, "space": {"batch_size": [64, "many"]}},
            "batch_size takes a value such as 128",
        ),
        ({"trials": 1, "space": {"batch_size": [64, 0]}}, "batch_size must be a whole number"),
        ({"space": {"batch_size": 64}}, "a list of values or"),
        ({"space": {"batch_size": []}}, "a list of values or"),
        ({"space": {"weight_decay": {"low": 1, "high": 0.1}}}, "numbers low < high"),
        ({"space": {"weight_decay": {"lo": 1}}}, "did you mean tune.space.weight_decay.low"),
        (
            {"space": {"weight_decay": {"low": 0, "high": 1, "sampling": "log"}}},
            "above 0 for sampling log",
        ),
        (
            {"space": {"weight_decay": {"low": 1, "high": 2, "sampling": "lg"}}},
            "did you mean log",
        ),
    ],
    ids=str,
)
def test_what_it_may_not_say(values, message):
    with pytest.raises(RecipeError, match=message):
        with_tune(**values)


@pytest.mark.parametrize(
    "settings",
    [
        ["optimizer.learning_rate=0.001"],
        ["optimizer=adadelta"],
        ['optimizer={"class": "keras.optimizers:SGD"}'],
    ],
    ids=str,
)
def test_a_space_that_waits_is_no_hindrance(settings):
    changed = RELU.override(settings)
    assert type(changed).from_json(changed.to_json()) == changed
    with pytest.raises(RecipeError, match="the recipe does not take optimizer"):
        changed.override(["tune.trials=2"])
    space = json.dumps({"optimizer.learning_rate": {"low": 0.1, "high": 1}})
    tuned = RELU.override(
        [*settings, f"tune.space={space}", "optimizer.learning_rate=0.5", "tune.trials=2"]
    )
    assert tuning.is_on(tuned.tune)


def test_a_recipes_own_space_fits_it():
    every = [recipe for sizes in recipes.all_recipes().values() for recipe in sizes.values()]
    ready = [recipe for recipe in every if recipe.tune is not None]
    assert RELU in ready
    assert all(tuning.is_on(recipe.override(["tune.trials=1"]).tune) for recipe in ready)


def test_a_recipe_without_a_block_says_how_to_give_one():
    with pytest.raises(RecipeError, match="tune has no parts to set yet; it can be set whole"):
        LENET.override(["tune.trials=3"])


def test_several_workers_are_given_the_values():
    with pytest.raises(RecipeError, match="a search of their own"):
        RELU.override(["tune.trials=3", "strategy=multi_worker"])
    RELU.override(["strategy=multi_worker"])
