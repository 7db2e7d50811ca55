"""What a recipe says of the training of networks that are trained already.

Where weights are given to a recipe that trains from a random start, its training is made a
fine-tuning: what made the network from nothing, its rate for instance, would undo the weights.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from components import tasks
from components.settings import RecipeError, parse

if TYPE_CHECKING:
    from pipelines.recipe import Recipe

IMAGENET = "imagenet"
_PLAIN_LOSS = "keras.losses:SparseCategoricalCrossentropy"
_SMOOTHED_LOSS = "keras_models.losses:SmoothedCrossentropy"
_SMOOTHING = 0.1
SMOOTHED = {"class": _SMOOTHED_LOSS, "label_smoothing": _SMOOTHING}


def training() -> dict[str, Any]:
    """The values of a recipe that say how a trained network learns other classes.

    First the new head alone, then the whole network with a tenth of the rate in the backbone; Adam
    with a warm-up and a cosine to zero. A batch of 16 and 20 epochs at most suit some hundred
    pictures as well as many thousands, for which fewer epochs are better.
    """
    return {
        "optimizer": {
            "class": "keras.optimizers:Adam",
            "learning_rate": {
                "class": "keras.optimizers.schedules:CosineDecay",
                "initial_learning_rate": 1e-5,
                "warmup_target": 1e-3,
                "warmup_steps": "$steps_per_epoch",
                "decay_steps": "$steps",
            },
        },
        "weight_decay": 0.0,
        "batch_size": 16,
        "epochs": 20,
        "steps_per_execution": 1,
        "validation_split": 0.1,
        "freeze": {"layers": ("backbone",), "epochs": 2},
        "backbone_rate": 0.1,
        "early_stopping": {"patience": 5, "min_delta": 0.0},
        "protocol": "1-crop",
        "fully_convolutional": False,
        "benchmarks": (),
    }


def prepared(recipe: Recipe, assignments: Iterable[str]) -> Recipe:
    """The recipe for assignments that may give its network weights.

    Args:
      recipe: as it was made.
      assignments: as `Recipe.override` takes them.

    Returns:
      Where they give weights to a recipe that has none, it is trained as `training` says; for
      "imagenet" it has the network of the published size, and the pixels that these weights want.
      Where they take them away, nothing is frozen or slowed down. Any other as it is.
    """
    weights = _weights(assignments, recipe.model_args.get("weights"))
    task = tasks.find(recipe.task)
    if weights is None and recipe.model_args.get("weights"):
        return dataclasses.replace(recipe, freeze={}, backbone_rate=1.0)
    if not weights or recipe.model_args.get("weights") or not task.has_classes:
        return recipe
    values = training()
    if isinstance(recipe.loss, Mapping) and recipe.loss.get("class") == _PLAIN_LOSS:
        values["loss"] = smoothed({**recipe.loss, "label_smoothing": _SMOOTHING})
    if weights == IMAGENET:
        from pipelines import recipes

        paper = recipes.all_recipes().get(recipe.name, {}).get("paper", recipe)
        values |= {"model_args": paper.model_args, **pictures(224), "distorted_copies": 0}
        values["preprocess"] |= {"mean": IMAGENET}
    return dataclasses.replace(recipe, **values)


def is_of_imagenet(recipe: Recipe) -> bool:
    """Whether its network starts from ImageNet weights, which have to be there."""
    return recipe.model_args.get("weights") == IMAGENET


def pictures(side: int) -> dict[str, Any]:
    """The values of a recipe that say what a network for photographs of so many pixels sees."""
    return {
        "preprocess": {
            "size": [side, side],
            # ImageNet's nets see 224 pixels of 256.
            "resize": round(side * 8 / 7),
            "channels": 3,
            "fit": "crop",
            "range": [0.0, 255.0],
            "mean": "none",
        },
        "augment": ({"step": "flip"},),
    }


def _weights(assignments: Iterable[str], weights: Any) -> Any:
    """The weights that the last assignment about them gives; those before without any."""
    for assignment in assignments:
        path, _, text = assignment.partition("=")
        if path.strip() == "model_args.weights":
            weights = parse(text.strip())
        elif path.strip() == "model_args":
            value = parse(text.strip())
            weights = value.get("weights") if isinstance(value, Mapping) else None
    return weights


def smoothed(loss: Any) -> Any:
    """A loss, Keras' own with `label_smoothing`, which it does not have, as ours that has it."""
    if not isinstance(loss, Mapping) or "label_smoothing" not in loss:
        return loss
    if loss.get("class") != _PLAIN_LOSS or not loss.get("from_logits"):
        return loss
    kept = {key: value for key, value in loss.items() if key != "from_logits"}
    return {**kept, "class": _SMOOTHED_LOSS}


def check(recipe: Recipe) -> None:
    """Checks what `freeze`, `class_weights` and `early_stopping` need of the rest of a recipe.

    Raises:
      RecipeError: it is not there.
    """
    stops = recipe.early_stopping["patience"] is not None
    if stops and not recipe.held_out:
        raise RecipeError(
            "early_stopping needs images that the training has not seen: set validation_split, "
            "to 0.1 for instance"
        )
    if recipe.class_weights is not None and not tasks.find(recipe.task).has_classes:
        raise RecipeError(f"class_weights: {recipe.task} has no classes")
    if recipe.preprocess["mean"] == IMAGENET and recipe.preprocess["channels"] != 3:
        raise RecipeError("preprocess.mean imagenet needs preprocess.channels 3")
    if recipe.strategy == "multi_worker":
        _check_workers(recipe.freeze, stops)


def _check_workers(freeze: Mapping[str, Any], stops: bool) -> None:
    for_a_time = bool(freeze["layers"]) and freeze["epochs"] is not None
    for key, setting, is_on in (
        ("freeze.epochs", "freeze.epochs", for_a_time),
        ("early_stopping", "early_stopping.patience", stops),
    ):
        if is_on:
            raise RecipeError(
                f"{key} changes a training under way, which several workers cannot agree on; "
                f"--set {setting}=null"
            )
