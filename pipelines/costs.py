"""What a recipe's network costs, beside what its paper counts."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from components import tasks
from components.judge import benchmarks
from components.judge.results import COUNTS, SCALES
from components.settings import check_choice
from components.train import objects
from pipelines import fine_tuning, recipes
from pipelines.recipe import Recipe, renamed

# For counting before any data is there; of other data sets the network's own default is taken, or
# this where it has none.
_ASSUMED = 10
# For trying a network before any data is there: a number that none has without being asked.
_TRIED = 11
_CLASSES = {
    "256_ObjectCategories": 257,
    "caltech101": 102,
    "cifar10": 10,
    "fashion_mnist": 10,
    "imagenet2012": 1000,
    "mnist": 10,
}
# Of papers that count a network part by part: where the ids of a part's figures begin, and where
# the names of the layers that make it up do. The last is the whole network.
_PARTS = {
    "keras_models.classification.googlenet:GoogLeNet": {
        "szegedy2014-conv1": "conv1",
        "szegedy2014-conv2": "conv2",
        **{
            f"szegedy2014-{module}": f"inception_{module}"
            for module in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
        },
        "szegedy2014-linear": "logits",
        "szegedy2014": "",
    },
}


# Others are the user's own.
_KNOWN_NETWORKS = ("keras.", "keras_models.")
# Arguments of networks that say which weights they start from.
_STARTS = ("weights", "base")


@dataclass(frozen=True)
class NetworkCost:
    """The costs of a recipe's network, for one picture.

    Attributes:
      input_shape, classes: what it was counted for.
      layers: a `keras_models.analysis.LayerCost` a layer; of a network with auxiliary
        classifiers, without them.
      total: their sum.
      units: outputs of the layers that multiply: convolutions and full connections.
      auxiliary_parameters: of the classifiers that are there in training only.
    """

    input_shape: tuple[int, int, int]
    classes: int | None
    layers: Sequence[Any]
    total: Any
    units: int
    auxiliary_parameters: int


@dataclass(frozen=True)
class PublishedCount:
    """What a paper counts, and the same of ours.

    Attributes:
      ours: in the figure's unit.
      other: what the paper's network is for or has, where ours is another one.
    """

    figure: benchmarks.Benchmark
    ours: float
    other: str


class Uncounted(ValueError):
    """A network has a layer whose costs are not known: one of the user's own, for instance."""


def count(recipe: Recipe) -> NetworkCost:
    """Builds the recipe's network and counts. Imports Keras.

    Raises:
      ValueError: the network cannot be built as the recipe says.
      Uncounted: it cannot be counted.
    """
    input_shape, classes, model = _network(_counted(recipe))
    import keras

    layer_costs = objects.load("keras_models.analysis:layer_costs")
    total_cost = objects.load("keras_models.analysis:total_cost")
    # Named outputs are all answers; of others the first is, and the rest helps in training.
    is_whole = isinstance(model.output, dict) or len(model.outputs) == 1
    served = model if is_whole else keras.Model(model.inputs, model.outputs[0])
    try:
        layers = layer_costs(served)
    except ValueError as error:
        raise Uncounted(str(error)) from error
    total = total_cost(layers)
    return NetworkCost(
        input_shape=input_shape,
        classes=classes,
        layers=layers,
        total=total,
        units=_counts(layers)["units"],
        auxiliary_parameters=total_cost(layer_costs(model)).parameters - total.parameters,
    )


def network_of(recipe: Recipe) -> dict[str, Any]:
    """What decides which network `count` builds, as plain data."""
    recipe = _counted(recipe)
    return {
        "model": recipe.model,
        "model_args": dict(recipe.model_args),
        "size": list(recipe.preprocess["size"]),
        "channels": recipe.preprocess["channels"],
        "data": _data(recipe),
    }


def _counted(recipe: Recipe) -> Recipe:
    """The recipe as it is built to be counted: no weights are downloaded for that."""
    given = {
        key: None if key in _STARTS and value == fine_tuning.IMAGENET else value
        for key, value in recipe.model_args.items()
    }
    return _based(replace(recipe, model_args=given))


def _based(recipe: Recipe) -> Recipe:
    """Of a recipe whose network is made of another's the other, on the same data.

    It is the same network but for the classes, which follow the data.
    """
    if not _is_made_of_another(recipe):
        return recipe
    return replace(_base(recipe), dataset=recipe.dataset)


def _base(recipe: Recipe) -> Recipe:
    """The recipe whose network another retrains: what its run has left or, before that is known,
    what is called so."""
    folder = recipe.transfer["model_run"]
    if not folder:
        return recipes.find(recipe.transfer["from"], recipe.size)
    # It may be one of the user's own, which no list has.
    trained = json.loads(Path(folder, "recipe.json").read_text(encoding="utf-8"))
    names = {each.name for each in fields(Recipe)}
    return Recipe(**{key: value for key, value in renamed(trained).items() if key in names})


def _is_made_of_another(recipe: Recipe) -> bool:
    """Whether a recipe's network cannot be built without the other's that it retrains.

    One that can, and only starts from the other's weights, may have other layers.
    """
    if not recipe.transfer:
        return False
    parameters = inspect.signature(objects.network(recipe.model)).parameters
    return parameters["base"].default is inspect.Parameter.empty


def check(recipe: Recipe, is_here: bool = True) -> None:
    """Builds a recipe's network, without values for its weights, and tries its loss. Imports Keras.

    ImageNet weights are downloaded where they are not there yet. A network of the user's own is
    also called, and exported.

    Args:
      recipe: what is to be run.
      is_here: whether this machine trains it, and has to have the memory and ImageNet weights.

    Raises:
      FileNotFoundError: ImageNet weights that cannot be downloaded; the file is named.
      ValueError: an argument that it does not have or refuses, too small an input, a network that
        could not be served once it is trained, with its `features` for instance, or that cannot be
        trained with this optimizer and this loss.
    """
    import keras

    try:
        with keras.StatelessScope(initialize_variables=False):
            _check_network(recipe, is_here)
    except ValueError as error:
        # One that gives variables values while it is built, as by compile(): then all have values.
        if "stateless scope" not in str(error):
            raise
        _check_network(recipe, is_here)
    from components.train import checks

    # It has variables of its own, which need values.
    checks.check_optimizer(recipe.for_stage("train"))
    # Else Keras makes up for the values at the next occasion.
    keras.utils.clear_session()
    if is_here and not recipe.transfer and not recipe.model.startswith(_KNOWN_NETWORKS):
        _check_own(recipe)
        keras.utils.clear_session()


def _check_network(recipe: Recipe, is_here: bool) -> None:
    import keras

    task = tasks.find(recipe.task).bound(recipe.task_args)
    _, classes, model = _network(_based(recipe) if is_here else _counted(recipe), _TRIED)
    # Not before: a wrong argument need not wait for them.
    from components.train import checks, fine_tuning, graph

    if recipe.loss is None and type(model).compute_loss is keras.Model.compute_loss:
        raise ValueError(f"{recipe.model} computes no loss of its own, and the recipe has none")
    if not _is_made_of_another(recipe):  # Else the other recipe's run has tried it.
        try:
            graph.check(model, task, classes, recipe.features, recipe.fully_convolutional)
            checks.check_weights(model)
        except ValueError as error:
            asked = "" if classes is None else f", asked for {classes} classes"
            raise ValueError(f"{recipe.model}{asked}: {error}") from error
        fine_tuning.check(model, recipe.for_stage("train"))
    if is_here:
        checks.check_memory(model)
    checks.check_losses(model, recipe.for_stage("train"), classes)


def _check_own(recipe: Recipe) -> None:
    from components.train import first_call

    task = tasks.find(recipe.task).bound(recipe.task_args)
    _, classes, model = _network(recipe, _TRIED)
    try:
        first_call.check(model, task, classes, recipe.preprocess["size"])
    except ValueError as error:
        raise ValueError(f"{recipe.model}: {error}") from error


def _network(
    recipe: Recipe, unknown: int | None = None
) -> tuple[tuple[int, int, int], int | None, Any]:
    """The shape of its input, its classes, and the network.

    Where nobody knows the classes yet there are `unknown`; None for as many as the network has by
    itself.
    """
    parameters = inspect.signature(objects.network(recipe.model)).parameters
    known = [f"model_args.{name}" for name in parameters if name not in objects.OF_THE_RUN]
    takes_others = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    for name in () if takes_others else recipe.model_args:
        check_choice("key", f"model_args.{name}", known)
    classes = None
    task = tasks.find(recipe.task).bound(recipe.task_args)
    if task.has_classes:
        classes = _CLASSES.get(_data(recipe)) or unknown or _default(parameters)
    input_shape = (*recipe.preprocess["size"], recipe.preprocess["channels"])
    model = objects.build_network(recipe.model, input_shape, classes, recipe.model_args)
    from components.train.graph import first_line, functional

    try:
        return input_shape, classes, functional(model, input_shape, task)
    except Exception as error:  # of whatever kind: it may be the user's own code
        raise ValueError(f"{recipe.model}: {first_line(error)}") from error


def _default(parameters: Mapping[str, inspect.Parameter]) -> int:
    default = parameters["classes"].default if "classes" in parameters else inspect.Parameter.empty
    return _ASSUMED if default is inspect.Parameter.empty else default


def published(recipe: Recipe, cost: NetworkCost) -> list[PublishedCount]:
    """The counts among the recipe's published figures, beside ours."""
    figures = [each for each in benchmarks.find(recipe.benchmarks) if each.metric in COUNTS]
    return _beside(recipe, figures, cost.layers)


def parts(recipe: Recipe, cost: NetworkCost) -> list[PublishedCount]:
    """What the network's paper counts part by part, beside ours; nothing where it does not."""
    every = benchmarks.all_benchmarks()
    rows = []
    for start, prefix in _PARTS.get(recipe.model, {}).items():
        ids = [f"{start}-{metric.replace('_', '-')}" for metric in COUNTS]
        layers = [layer for layer in cost.layers if layer.name.startswith(prefix)]
        rows += _beside(recipe, [every[name] for name in ids if name in every], layers)
    return rows


def _beside(
    recipe: Recipe, figures: Sequence[benchmarks.Benchmark], layers: Sequence[Any]
) -> list[PublishedCount]:
    ours = _counts(layers)
    deviations = ", ".join(recipes.deviations(recipe))
    another = f"ours is not the paper's: {deviations}" if deviations else ""
    return [
        PublishedCount(
            figure=figure,
            ours=ours[figure.metric] * SCALES[figure.unit],
            other=another
            if figure.data == _data(recipe)
            else f"the paper's network is for {figure.data}",
        )
        for figure in figures
    ]


def _counts(layers: Sequence[Any]) -> dict[str, int]:
    """What `COUNTS` names, of layers that follow one another."""
    weighted = [layer for layer in layers if layer.multiply_adds]
    depths = [layer.depth for layer in weighted]
    return {
        "parameters": sum(layer.parameters for layer in layers),
        "multiply_adds": sum(layer.multiply_adds for layer in layers),
        "connections": sum(layer.connections for layer in layers),
        "units": sum(layer.activations for layer in weighted),
        "layers": max(depths) - min(depths) + 1,
    }


def _data(recipe: Recipe) -> str:
    return recipe.dataset.removeprefix("tfds:")
