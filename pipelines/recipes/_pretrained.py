"""Recipes that are made when they are asked for: of a trained network of Keras, or in a file."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.settings import RecipeError, near_matches
from pipelines import fine_tuning, source_code
from pipelines.recipe import Recipe

APPLICATION = "keras:"
FILE = ".keras"
_APPLICATIONS = "keras.applications"
# Pixels a side, where not 224: the defaults of these functions.
_SIDES = {
    **{
        f"EfficientNetB{n}": side for n, side in enumerate((224, 240, 260, 300, 380, 456, 528, 600))
    },
    **{f"EfficientNetV2B{n}": side for n, side in enumerate((224, 240, 260, 300))},
    "EfficientNetV2S": 384,
    "EfficientNetV2M": 480,
    "EfficientNetV2L": 480,
    "InceptionResNetV2": 299,
    "InceptionV3": 299,
    "NASNetLarge": 331,
    "Xception": 299,
}
_SIDE = 224
# Where a recipe's own data are not given, the small pictures that any machine can have.
_DATA = "cifar10"
_PAPER = "keras.applications, the network's own page"


def applications() -> list[str]:
    """The names of the networks of keras.applications, sorted. Found without importing Keras."""
    names = source_code.public_names(_APPLICATIONS)
    return [name for name in names if name[0].isupper()]


def of_application(name: str) -> Recipe:
    """The fine-tuning of a network of keras.applications from its ImageNet weights.

    Args:
      name: as `keras:EfficientNetV2B0`.

    Raises:
      RecipeError: there is no such network; the near matches are named.
    """
    application = name.removeprefix(APPLICATION)
    known = applications()
    if application not in known:
        named = [f"{APPLICATION}{each}" for each in known]
        raise RecipeError(
            f"unknown network of {_APPLICATIONS} {name!r}: {near_matches(name, named)}"
        )
    return _recipe(
        f"keras-{application.lower()}",
        f"{application} of keras.applications from its ImageNet weights, with a new classifier",
        _PAPER,
        model="keras_models.classification.applications:KerasApplication",
        model_args={"application": application, "weights": fine_tuning.IMAGENET},
        **fine_tuning.pictures(_SIDES.get(application, _SIDE)),
    )


def of_file(path: str) -> Recipe:
    """The fine-tuning of the network in a .keras file of the user's own.

    Its pixels are prepared as they were for the run that trained it, where that was one of ours;
    else they are 0..255.

    Args:
      path: of the file.

    Raises:
      RecipeError: there is no such file, or no network on pictures of one size in it.
    """
    file = Path(path)
    if not file.is_file():
        beside = [str(each) for each in file.parent.glob(f"*{FILE}")]
        near = f": {near_matches(path, beside)}" if beside else ""
        raise RecipeError(f"there is no file {path!r}{near}")
    height, width, channels = _input_shape(file)
    seen: dict[str, Any] = fine_tuning.pictures(_SIDE)
    seen["preprocess"] |= {"size": [height, width], "resize": None, "channels": channels}
    trained = file.with_name("recipe.json")
    if trained.is_file():
        values = json.loads(trained.read_text(encoding="utf-8"))
        seen |= {key: values[key] for key in ("preprocess", "augment") if key in values}
    return _recipe(
        re.sub(r"[^a-z0-9]+", "-", f"tuned-{file.stem}".lower()).strip("-"),
        f"the network in {file.name}, with a classifier for these images",
        str(file),
        model="keras_models.classification.transfer:FineTuned",
        model_args={"weights": str(file.absolute())},
        **seen,
    )


def _recipe(name: str, summary: str, paper: str, **values: Any) -> Recipe:
    training = {"loss": fine_tuning.SMOOTHED, **fine_tuning.training()}
    return Recipe(
        name=name,
        summary=summary,
        paper=paper,
        dataset=_DATA,
        full_data=False,
        **training,
        **values,
    )


def _input_shape(file: Path) -> tuple[int, int, int]:
    """Of the network in a .keras file: height, width and channels. Read without Keras."""
    try:
        with zipfile.ZipFile(file) as archive:
            config = json.loads(archive.read("config.json"))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise RecipeError(f"{file} is no .keras file") from error
    shapes = list(_shapes(config))
    shape = shapes[0] if shapes else ()
    if len(shape) != 4 or shape[-1] not in (1, 3):
        raise RecipeError(
            f"{file} must hold a network on grey or RGB pictures, channels last, not on {shape}"
        )
    height, width, channels = shape[1:]
    return height or _SIDE, width or _SIDE, channels


def _shapes(config: Any) -> Any:
    """The shapes of the inputs in a network's configuration, the outermost first."""
    if isinstance(config, Mapping):
        inside = config.get("config")
        if config.get("class_name") == "InputLayer" and isinstance(inside, Mapping):
            yield tuple(inside.get("batch_shape") or inside.get("batch_input_shape") or ())
        for value in config.values():
            yield from _shapes(value)
    elif isinstance(config, list):
        for value in config:
            yield from _shapes(value)
