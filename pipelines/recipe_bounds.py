"""What the keys of a recipe may be.

A new key has a line here. Values come by hand, from a file or from a search; all of them are
checked. What the objects take that a recipe names by import path is found in their source
(`recipe_objects`), and when they are built, before a run starts (`costs`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from components import bounds, tasks
from components.bounds import MAX_PIXELS, Bound
from components.settings import RecipeError, check_choice

SIZES = ("small", "paper")
STRATEGIES = ("one_device", "mirrored", "multi_worker")
_HIGHEST_SEED = 2**32 - 1  # of NumPy's
_SIDE = bounds.whole(1)
_COUNT = bounds.whole(0)
_SIZE = bounds.several(_SIDE)
_DISTANCE = bounds.number(0)
_RATE = bounds.number(0)
_MOMENTUM = bounds.number(0, 1)
_LEVEL = Bound(
    "above 0 and at most 0.5", lambda value: bounds.positive().takes(value) and value <= 0.5
)
# Of a text the near matches are told where its arguments are looked up.
_OBJECT = Bound('{"class": "MODULE:NAME", ...}', lambda value: isinstance(value, (str, Mapping)))
_TEXTS = bounds.several(bounds.text())
# Of a folder, and between the slashes of a URL.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_FOLDER = Bound(
    "a name of letters, digits, '.', '_' and '-'",
    lambda value: isinstance(value, str) and bool(_NAME.fullmatch(value)),
)

_PLACE = bounds.number(0, 1)


def _is_alignment(value: Any) -> bool:
    """Whether a value says how faces are aligned (`components.preprocess.alignment`)."""
    if not isinstance(value, Mapping) or set(value) not in ({"size", "anchors"}, {"size", "model"}):
        return False
    numbers = 3 if "model" in value else 2
    points = value.get("model", value.get("anchors"))
    return (
        _SIZE.takes(value["size"])
        and len(value["size"]) == 2
        and isinstance(points, list | tuple)
        and len(points) >= 2 * (numbers - 1)
        and all(
            bounds.several(bounds.number()).takes(point)
            and len(point) == numbers
            and all(map(_PLACE.takes, point[:2]))
            for point in points
        )
    )


PREPROCESS: Mapping[str, Bound] = MappingProxyType(
    {
        "size": Bound(
            "[height, width] in pixels", lambda value: _SIZE.takes(value) and len(value) == 2
        ),
        "resize": _SIDE.or_null(),
        "channels": bounds.choice(1, 3),
        "fit": bounds.choice("pad", "stretch", "crop"),
        "range": bounds.span(bounds.number(-1e6, 1e6), apart=True),
        "mean": bounds.choice("none", "per_pixel", "per_channel", "imagenet"),
    }
)
INGEST: Mapping[str, Bound] = MappingProxyType(
    {
        "shorter_side": _SIDE.or_null(),
        "format": bounds.choice("keep", "png", "jpeg"),
        "quality": bounds.whole(1, 95),
        "align": Bound(
            '{"size": [height, width], "anchors": [[y, x], ...]} or, in their place, "model": '
            "[[y, x, depth], ...], y and x in 0..1 of the crop; or null",
            lambda value: value is None or _is_alignment(value),
        ),
    }
)
DATA_CHECKS: Mapping[str, Bound] = MappingProxyType(
    {
        "missing_classes": _COUNT,
        "other_classes": _COUNT,
        "skew": _DISTANCE,
        "drift": _DISTANCE,
        "image_drift": _DISTANCE,
        "anomalies": _COUNT,
    }
)
FREEZE: Mapping[str, Bound] = MappingProxyType({"layers": _TEXTS, "epochs": _COUNT.or_null()})
EARLY_STOPPING: Mapping[str, Bound] = MappingProxyType(
    {"patience": _SIDE.or_null(), "min_delta": _DISTANCE}
)
_CLASS_WEIGHTS = Bound(
    'a number of 0 or more for each class, such as {"cat": 2.0}, "balanced", or null',
    lambda value: value in (None, "balanced") or bounds.mapping(_DISTANCE).takes(value),
)
TRANSFER: Mapping[str, Bound] = MappingProxyType(
    {
        "from": bounds.text(),
        "layers": bounds.several(bounds.text()),
        "examples_per_class": bounds.several(bounds.whole(1)),
        "benchmarks": bounds.mapping(bounds.mapping(bounds.text())),
        "model_run": bounds.text().or_null(),
        "transform_graph": bounds.text().or_null(),
    }
)
# Arguments of the optimizers and schedules of Keras and of this package, whose own checks come late
# or not at all.
OPTIMIZER: Mapping[str, Bound] = MappingProxyType(
    {
        "learning_rate": bounds.positive(),
        **dict.fromkeys(("initial_learning_rate", "end_learning_rate"), _RATE),
        "warmup_target": _RATE.or_null(),
        "values": bounds.several(_RATE),
        **dict.fromkeys(("momentum", "rho", "beta_1", "beta_2", "ema_momentum"), _MOMENTUM),
        "weight_decay": bounds.number(0).or_null(),
        "epsilon": bounds.number(0),
        **dict.fromkeys(("clipnorm", "clipvalue", "global_clipnorm"), bounds.positive().or_null()),
    }
)
# Of keys that are mappings: what each name may be, and those that must be there.
PARTS: Mapping[str, tuple[Mapping[str, Bound], tuple[str, ...]]] = MappingProxyType(
    {
        "preprocess": (PREPROCESS, tuple(name for name in PREPROCESS if name != "resize")),
        "ingest": (INGEST, ()),
        "data_checks": (DATA_CHECKS, ()),
        "freeze": (FREEZE, ()),
        "early_stopping": (EARLY_STOPPING, ()),
        "transfer": (TRANSFER, ("from",)),
    }
)
KEYS: Mapping[str, Bound] = MappingProxyType(
    {
        **dict.fromkeys(("name", "paper", "summary", "dataset", "model", "task"), bounds.text()),
        **dict.fromkeys(("size", "strategy", "protocol"), bounds.text()),
        **dict.fromkeys(("model_args", "task_args", "thresholds"), bounds.mapping()),
        **dict.fromkeys(("preprocess", "ingest", "data_checks"), bounds.mapping()),
        **dict.fromkeys(("freeze", "early_stopping"), bounds.mapping()),
        "backbone_rate": Bound(
            "above 0 and at most 1", lambda value: bounds.positive().takes(value) and value <= 1
        ),
        "class_weights": _CLASS_WEIGHTS,
        **dict.fromkeys(("transfer", "tune"), bounds.mapping().or_null()),
        "loss": _OBJECT.or_null(),
        "optimizer": _OBJECT,
        **dict.fromkeys(("epochs", "batch_size", "steps_per_execution", "window"), _SIDE),
        "distorted_copies": _COUNT,
        "seed": bounds.whole(0, _HIGHEST_SEED),
        **dict.fromkeys(("weight_decay", "auxiliary_weight"), bounds.number(0, 1e6)),
        "validation_split": bounds.share().or_null(),
        **dict.fromkeys(("full_data", "mixed_precision", "jit_compile"), bounds.flag()),
        "fully_convolutional": bounds.flag(),
        **dict.fromkeys(("benchmarks", "features"), _TEXTS),
        "augment": bounds.several(bounds.mapping()),
        **dict.fromkeys(("fixed", "data_origin"), bounds.text().or_null()),
        "served_name": _FOLDER.or_null(),
    }
)


def check(values: Mapping[str, Any]) -> None:
    """Whether each key of a recipe has a value that it may have.

    Args:
      values: the recipe's keys.

    Raises:
      RecipeError: it has not; key, value and what is wanted are in the text.
    """
    for key, value in values.items():
        bounds.check(key, value, KEYS[key])
        if key in PARTS and value is not None:
            bounds.check_all(key, value, *PARTS[key])
    check_choice("size", values["size"], SIZES)
    check_choice("strategy", values["strategy"], STRATEGIES)
    _check_pixels(values["preprocess"], values["ingest"])


def _check_pixels(preprocess: Mapping[str, Any], ingest: Mapping[str, Any]) -> None:
    """Whether pictures are no larger than those that ingestion takes."""
    resize, side = preprocess.get("resize"), ingest.get("shorter_side")
    sizes = {
        "preprocess.size": preprocess["size"],
        "preprocess.resize": [resize or 0] * 2,
        "ingest.shorter_side": [side or 0] * 2,
    }
    for key, (height, width) in sizes.items():
        if height * width > MAX_PIXELS:
            raise RecipeError(
                f"{key} makes pictures of {height} x {width} pixels, more than {MAX_PIXELS:,} in "
                "all"
            )
    if resize is not None and resize < max(preprocess["size"]):
        raise RecipeError(
            f"preprocess.resize must be a number of pixels that covers preprocess.size "
            f"{list(preprocess['size'])}, or null, not {resize!r}"
        )


def probes(transfer: Mapping[str, Any], task: tasks.Task) -> dict[str, Any]:
    """What of a network is probed; empty lists where nothing can be.

    Raises:
      RecipeError: it is missing or wrong, or there for a task whose networks are not probed.
    """
    given = {name: list(transfer.get(name, [])) for name in ("layers", "examples_per_class")}
    missing = [name for name, values in given.items() if not values]
    if task.probed and missing:
        raise RecipeError(f"transfer needs {' and '.join(missing)}")
    if not task.probed and any(given.values()):
        raise RecipeError(
            "transfer.layers and transfer.examples_per_class are for classifiers of one class "
            f"an image, and {task.name} has none: leave them out"
        )
    return given


def thresholds(values: Mapping[str, Any], task: tasks.Task) -> dict[str, float | None]:
    """A recipe's thresholds with their defaults.

    Raises:
      RecipeError: an unknown name, or a value that the figure can never have.
    """
    first = task.blessing[0]
    # Of a rate 1 is the most that there is; an error in a unit has no end.
    figure = bounds.number(0, 1 if not first.unit else 1e6)
    change = bounds.number(-1, 1) if not first.unit else bounds.number(-1e6, 1e6)
    known = {first.name: figure.or_null(), tasks.CHANGE: change, tasks.CHANCE: _LEVEL.or_null()}
    bounds.check_all("thresholds", values, known)
    # An accuracy of 0 is reached by any model, and no error is.
    anything = None if first.less_is_better else 0.0
    return {first.name: anything, tasks.CHANGE: 0.002, tasks.CHANCE: None, **values}


def task_args(values: Mapping[str, Any], task: tasks.Task) -> dict[str, Any]:
    """The arguments of a recipe's task with their defaults.

    Raises:
      RecipeError: an unknown name, or a value of another type than the default's.
    """
    known = {name: _like(default) for name, default in task.arguments.items()}
    bounds.check_all("task_args", values, known)
    return {**task.arguments, **values}


def _like(default: Any) -> Bound:
    kinds = {bool: bounds.flag(), int: bounds.whole(-(2**31)), float: bounds.number()}
    return kinds.get(type(default), bounds.text())
