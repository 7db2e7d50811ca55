"""What claims have in common: the settings of a training, as overrides of a recipe's plain data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pipelines import recipes
from pipelines.recipes._parts import SOFTMAX_LOSS, momentum, pixels

TRAINING = "components.claims.training:train"
# What a training takes of a recipe.
_KEYS = (
    "dataset",
    "model",
    "model_args",
    "preprocess",
    "augment",
    "distorted_copies",
    "loss",
    "optimizer",
    "weight_decay",
    "auxiliary_weight",
    "batch_size",
    "epochs",
    "jit_compile",
)


def of_recipe(name: str, **changes: Any) -> dict[str, Any]:
    """A recipe's small size as the settings of a training, with values changed.

    Args:
      name: of the recipe.
      **changes: `train_images` and `test_images`, and what differs; arguments of the model are
        added to the recipe's.
    """
    recipe = json.loads(recipes.find(name).to_json())
    model_args = {**recipe["model_args"], **changes.pop("model_args", {})}
    kept = {key: recipe[key] for key in _KEYS}
    return {**kept, "steps_per_execution": 1, **changes, "model_args": model_args}


def of_net(
    net: str, dataset: str, side: int, model_args: Mapping[str, Any], **changes: Any
) -> dict[str, Any]:
    """The settings of a training of one of the small nets in `components.claims.nets`.

    Args:
      net: its name.
      dataset, side: the images, and the pixels a side to which they are brought.
      model_args: the net's arguments.
      **changes: `train_images`, `test_images`, `epochs`, and what differs from plain momentum.
    """
    return {
        "dataset": dataset,
        "model": f"components.claims.nets:{net}",
        "model_args": dict(model_args),
        "preprocess": small_pixels(side, channels=1 if dataset == "mnist" else 3),
        "augment": [],
        "distorted_copies": 0,
        "loss": SOFTMAX_LOSS,
        "optimizer": momentum(0.01),
        "weight_decay": 0.0,
        "auxiliary_weight": 0.0,
        "batch_size": 50,
        "jit_compile": False,
        "steps_per_execution": 1,
        **changes,
    }


def small_pixels(side: int, channels: int) -> dict[str, Any]:
    """Centred pixels of about one, of images brought to so many pixels a side."""
    centred = pixels(side, mean="per_channel", channels=channels, range=[0.0, 4.0])
    return {**centred, "fit": "stretch"}
