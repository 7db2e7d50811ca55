"""The cost of a recipe's network, with and without classifiers for training alone."""

from dataclasses import replace

import pytest

from pipelines import costs, recipes, screens
from pipelines.commands.common import console
from pipelines.recipe import Recipe

NET = Recipe(
    name="net",
    paper="",
    summary="",
    dataset="tfds:imagenet2012",
    model="keras_models.classification:ResNet50",
    loss={},
    optimizer={},
    epochs=1,
    batch_size=1,
    preprocess={"size": [64, 64], "channels": 3, "fit": "pad", "mean": "none"},
)


def printed(renderable):
    screen = console()
    with screen.capture() as text:
        screen.print(renderable)
    return text.get().splitlines()


def test_classes_are_those_of_the_data_and_else_the_networks_own():
    def classes(dataset):
        recipe = replace(
            NET, dataset=dataset, model="keras_models.classification:CifarResNet",
            preprocess={**NET.preprocess, "size": [32, 32]},
        )  # fmt: skip
        return costs.count(recipe).classes

    assert classes("tfds:imagenet2012") == 1000
    assert classes("cifar10") == classes("/my/photos") == 10


def test_classifiers_for_training_alone_are_counted_apart():
    recipe = replace(NET, model="keras_models.classification:GoogLeNet")
    recipe = replace(recipe, preprocess={**NET.preprocess, "size": [224, 224]})
    cost = costs.count(recipe)
    without = costs.count(replace(recipe, model_args={"auxiliary": False}))
    assert cost.total == without.total
    assert without.auxiliary_parameters == 0
    # Two classifiers of a 1 x 1 convolution, 1024 units and the logits, as the paper has them.
    towers = [(maps + 1) * 128 + (4 * 4 * 128 + 1) * 1024 for maps in (512, 528)]
    assert cost.auxiliary_parameters == sum(towers) + 2 * 1025 * 1000
    assert f"and {cost.auxiliary_parameters:,} of classifiers for training alone" in " ".join(
        " ".join(printed(screens.cost_screen(cost, []))).split()
    )


def test_a_net_of_177_layers_is_a_few_lines_and_a_line_a_layer_where_asked(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    cost = costs.count(NET)
    assert len(printed(screens.cost_screen(cost, []))) < 15
    table = printed(screens.layers_table(cost))
    assert len(cost.layers) > 170
    assert len(table) < len(cost.layers) + 5
    assert all(len(line) <= 80 for line in table)


def test_a_network_that_cannot_be_built_is_a_value_error():
    with pytest.raises(ValueError, match="depht"):
        costs.count(replace(NET, model_args={"depht": 3}))
    with pytest.raises(ValueError, match="NoNet"):
        costs.count(replace(NET, model="keras_models.classification:NoNet"))


def test_a_retrained_network_costs_what_its_base_does_with_the_new_classes():
    recipe = recipes.find("transfer-zfnet-caltech101")
    base = costs.count(recipes.find("zfnet"))
    cost = costs.count(recipe)
    assert (base.classes, cost.classes) == (10, 102)
    assert cost.total.parameters - base.total.parameters == (256 + 1) * (102 - 10)


@pytest.mark.parametrize(
    ("name", "assignment", "words"),
    [
        ("lenet", "model_args.clasifier=softmax", "'model_args.clasifier': did you mean"),
        ("cifar-resnet20", "model_args.depth=21", "6n[+]2"),
        ("vgg16", "preprocess.size=[16,16]", "at least 32"),
    ],
)
def test_a_network_that_cannot_be_built_is_refused_before_anything_runs(name, assignment, words):
    recipe = recipes.find(name).override([assignment])
    with pytest.raises(ValueError, match=words):
        costs.check(recipe)


def test_every_small_network_can_be_built():
    for sizes in recipes.all_recipes().values():
        costs.check(sizes["small"])
