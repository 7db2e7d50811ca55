"""The trained networks that transfer recipes start from: those that other recipes' runs left."""

from __future__ import annotations

import dataclasses
import json
import shlex
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from components import tasks
from components.settings import near_matches
from pipelines.history import runs
from pipelines.recipe import Recipe, RecipeError

# A network of another task may see parts of the pictures, in another size.
_OF_PIXELS = ("channels", "range")


def on_base(recipe: Recipe, root: Path) -> Recipe:
    """A recipe with the folders of the run whose network it retrains; any other as it is.

    Args:
      recipe: where its `transfer` names no folders, they are those of the newest run of
        `transfer.from` in the same size.
      root: where the runs are.

    Raises:
      RecipeError: there is no such run, it prepared its images otherwise, or its network does not
        have the layers of `transfer.layers`.
    """
    if recipe.transfer is None or recipe.transfer["model_run"]:
        return recipe
    found = _newest(recipe.transfer["from"], recipe.size, root)
    trained = json.loads(Path(found["model_run"], "recipe.json").read_text(encoding="utf-8"))
    of_pixels = trained.get("task", tasks.EARLIEST) != recipe.task
    _check_preprocess(recipe, trained["preprocess"], _OF_PIXELS if of_pixels else None)
    _check_layers(recipe, Path(found["model_run"], "model.keras"))
    return dataclasses.replace(recipe, transfer={**recipe.transfer, **found})


def _newest(name: str, size: str, root: Path) -> dict[str, str]:
    for run in reversed(runs.summaries(root, name)):
        folders = {key: run.get(key) for key in ("model_run", "transform_graph")}
        if run["size"] == size and all(each and Path(each).is_dir() for each in folders.values()):
            return folders
    command = ["convnets", "run", name, *(["--size", size] if size != "small" else [])]
    raise RecipeError(
        f"{root} holds no trained {name} ({size}) to start from; first: {shlex.join(command)}"
    )


def _check_preprocess(
    recipe: Recipe, trained: Mapping[str, Any], keys: Collection[str] | None
) -> None:
    """Whether pictures are prepared as the base's were, in these keys or in all."""
    for key, value in trained.items():
        if (keys is None or key in keys) and recipe.preprocess.get(key) != value:
            raise RecipeError(
                f"{recipe.transfer['from']} was trained with preprocess.{key}={json.dumps(value)}, "
                f"so that its features are of no other; here it is "
                f"{json.dumps(recipe.preprocess.get(key))}"
            )


def _check_layers(recipe: Recipe, model: Path) -> None:
    """Before hours of training: read from the file without Keras."""
    with zipfile.ZipFile(model) as file:
        layers = json.loads(file.read("config.json"))["config"]["layers"]
    names = [layer["config"]["name"] for layer in layers]
    for name in recipe.transfer["layers"]:
        if name not in names:
            raise RecipeError(
                f"{recipe.transfer['from']} has no layer {name!r}: {near_matches(name, names)}"
            )
