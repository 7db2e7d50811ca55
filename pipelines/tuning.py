"""What a recipe's `tune` block may say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from components.settings import RecipeError, check_choice

SEARCHES = ("random", "grid", "gaussian_process", "hyperband")
SAMPLINGS = ("linear", "log")
# What a trial can be given: the images, their statistics and the test stay those of the recipe.
TUNABLE = (
    "auxiliary_weight",
    "batch_size",
    "distorted_copies",
    "augment",
    "loss",
    "model_args",
    "optimizer",
    "weight_decay",
)
_DEFAULTS = {"search": "random", "trials": 0, "epochs": None, "parallel": 1}
_RANGE = ("low", "high", "sampling", "step")


def checked(tune: Mapping[str, Any], override: Callable[[Iterable[str]], Any]) -> dict[str, Any]:
    """The block with its defaults.

    Args:
      tune: `search`, one of `SEARCHES`; `trials`, how many sets of values are tried at most, 0 for
        none; `epochs` of each trial (null: those of the recipe); `parallel`, how many trials run
        at a time; `space`, by path as `--set` takes it either a list of values or a range
        `{"low", "high"}` with `"sampling"` ("linear" or "log") or `"step"`.
      override: the recipe's, without the block.

    Raises:
      RecipeError: an unknown key or name, or a value that the recipe would not take.
    """
    known = (*_DEFAULTS, "space")
    for key in tune:
        check_choice("key", f"tune.{key}", [f"tune.{name}" for name in known])
    values = {**_DEFAULTS, **tune}
    check_choice("tune.search", values["search"], SEARCHES)
    for key, least in (("trials", 0), ("epochs", 1), ("parallel", 1)):
        optional = key == "epochs" and values[key] is None
        if not optional and not (_is_whole(values[key]) and values[key] >= least):
            raise RecipeError(f"tune.{key} must be {least} or more, not {values[key]!r}")
    space = values.get("space")
    if not isinstance(space, Mapping) or not space:
        raise RecipeError(
            'tune needs a space, such as --set \'tune={"trials": 10, "space": {"batch_size": '
            "[64, 128]}}'"
        )
    for path, choices in space.items():
        check_choice("tune.space key", path.partition(".")[0], TUNABLE)
        examples = _examples(path, choices)
        # One that waits was made for the recipe as it was, which may be changed by now.
        for value in examples if is_on(values) else ():
            _try(path, value, override)
    return values


def _try(path: str, value: Any, override: Callable[[Iterable[str]], Any]) -> None:
    try:
        override([f"{path}={json.dumps(value)}"])
    except RecipeError as error:
        raise RecipeError(
            f"tune.space: the recipe does not take {path}={json.dumps(value)}: {error}; "
            "--set tune.space=..., as JSON, gives another space"
        ) from error


def is_on(tune: Mapping[str, Any] | None) -> bool:
    """Whether a recipe with this block is tuned before it is trained."""
    return bool(tune and tune["trials"])


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _examples(path: str, choices: Any) -> list[Any]:
    """Values that show what the recipe would be given."""
    if isinstance(choices, (list, tuple)) and choices:
        return list(choices)
    if not isinstance(choices, Mapping):
        raise RecipeError(
            f'tune.space.{path} must be a list of values or {{"low": ..., "high": ...}}, '
            f"not {choices!r}"
        )
    for key in choices:
        check_choice("key", f"tune.space.{path}.{key}", [f"tune.space.{path}.{k}" for k in _RANGE])
    low, high = (choices.get(key) for key in ("low", "high"))
    if not all(isinstance(v, (int, float)) for v in (low, high)) or not low < high:
        raise RecipeError(f"tune.space.{path} needs numbers low < high, not {low!r} and {high!r}")
    sampling = choices.get("sampling", "linear")
    check_choice(f"tune.space.{path}.sampling", sampling, SAMPLINGS)
    if sampling == "log" and low <= 0:
        raise RecipeError(f"tune.space.{path}.low must be above 0 for sampling log, not {low!r}")
    return [low, high]
