"""Recipes that are made when they are asked for: of a trained network of Keras, or in a file."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from components.settings import RecipeError, near_matches
from pipelines import exports, fine_tuning, source_code
from pipelines.exports import places
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
# Of what a .keras file may consist; "builtins" are plain functions and values.
_KNOWN_PACKAGES = ("builtins", "keras", "keras_models")
# What says how a network sees pixels.
_SEEN = ("preprocess", "augment", "ingest")
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

    Its pixels are prepared as they were for the run of ours that trained it, where `recipe.json`
    of that run or the note of `convnets export` lies beside the file; else they are 0..255.

    Args:
      path: of the file.

    Raises:
      RecipeError: there is no such file, no network on pictures of one size in it, or one with
        layers of another package.
    """
    file = Path(path)
    if not file.is_file():
        beside = [str(each) for each in file.parent.glob(f"*{FILE}")]
        near = f": {near_matches(path, beside)}" if beside else ""
        raise RecipeError(f"there is no file {path!r}{near}")
    height, width, channels = _input_shape(file)
    seen: dict[str, Any] = fine_tuning.pictures(_SIDE)
    seen["preprocess"] |= {"size": [height, width], "resize": None, "channels": channels}
    seen |= _noted(file)
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


def _noted(file: Path) -> dict[str, Any]:
    """What a run of ours, or its export, has noted beside a file of how the network sees pixels."""
    for note in (places.facts(exports.find("keras"), file), file.with_name("recipe.json")):
        if note.is_file():
            values = json.loads(note.read_text(encoding="utf-8"))
            seen = {key: values[key] for key in _SEEN if key in values}
            ingest = seen["preprocess"].pop("ingest", None)  # Where exports have it.
            return seen | ({} if ingest is None else {"ingest": ingest})
    return {}


def _input_shape(file: Path) -> tuple[int, int, int]:
    """Of the network in a .keras file: height, width and channels. Read without Keras."""
    try:
        with zipfile.ZipFile(file) as archive:
            config = json.loads(archive.read("config.json"))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise RecipeError(f"{file} is no .keras file") from error
    if others := sorted(set(_of_other_packages(config))):
        raise RecipeError(
            f"{file} holds {', '.join(others)}, whose code it does not have: load it in a function "
            "of your own that imports that, and name the function as the recipe's model"
        )
    shapes = list(_shapes(config))
    shape = shapes[0] if shapes else ()
    if len(shape) != 4 or shape[-1] not in (1, 3):
        raise RecipeError(
            f"{file} must hold a network on grey or RGB pictures, channels last, not on {shape}"
        )
    height, width, channels = shape[1:]
    return height or _SIDE, width or _SIDE, channels


def _of_other_packages(config: Any) -> Iterator[str]:
    """The classes in a network's configuration that neither Keras nor this package brings."""
    if isinstance(config, Mapping):
        module = config.get("module")
        if isinstance(module, str) and module.partition(".")[0] not in _KNOWN_PACKAGES:
            yield f"{module}:{config.get('class_name')}"
    for value in _inner(config):
        yield from _of_other_packages(value)


def _shapes(config: Any) -> Iterator[tuple[int | None, ...]]:
    """The shapes of the inputs in a network's configuration, the outermost first."""
    if isinstance(config, Mapping):
        inside = config.get("config")
        if config.get("class_name") == "InputLayer" and isinstance(inside, Mapping):
            yield tuple(inside.get("batch_shape") or inside.get("batch_input_shape") or ())
    for value in _inner(config):
        yield from _shapes(value)


def _inner(config: Any) -> Iterable[Any]:
    if isinstance(config, Mapping):
        return config.values()
    return config if isinstance(config, list) else ()
