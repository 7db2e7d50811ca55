"""The names of the augmentation steps and of their arguments.

Imports nothing heavy, so that a recipe can be checked before TensorFlow is there; that the
functions themselves take these arguments is what a test says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.settings import RecipeError, check_choice


@dataclass(frozen=True)
class Step:
    """The arguments of a step.

    Attributes:
      required, optional: their names; each is a number, or, of those in `RANGES`, a pair of them.
      sampling: whether the step decides which part of an image is decoded, and how large it
        becomes. It is then the first of the steps, and there is one of them.
      colour: whether it changes colours, and moves nothing.
    """

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    sampling: bool = False
    colour: bool = False


RANGES = ("area", "aspect")
# What needs red, green and blue.
_COLOUR_ONLY = ("photometric",)

STEPS = {
    "scale_jitter": Step(required=("low", "high"), sampling=True),
    "area_aspect": Step(optional=RANGES, sampling=True),
    "affine": Step(optional=("translate", "scale", "squeeze", "shear", "rotate")),
    "corner_crop": Step(required=("side",)),
    "elastic": Step(required=("sigma", "alpha")),
    "flip": Step(),
    "pad": Step(required=("margin",)),
    "translate": Step(required=("pixels",)),
    "pca_colour": Step(optional=("std",), colour=True),
    "photometric": Step(optional=("strength",), colour=True),
    "noise": Step(required=("std",), colour=True),
}


def sampling(steps: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The step that samples a part of each image, where the recipe has one."""
    return next((step for step in steps if STEPS[step["step"]].sampling), None)


def uses(steps: Sequence[Mapping[str, Any]], name: str) -> bool:
    """Whether a step of this name is among them."""
    return any(step["step"] == name for step in steps)


def arguments(step: Mapping[str, Any]) -> dict[str, Any]:
    """What the step's function is called with."""
    return {key: value for key, value in step.items() if key != "step"}


def check(steps: Sequence[Mapping[str, Any]], preprocess: Mapping[str, Any], copies: int) -> None:
    """Refuses steps that a training could not take.

    Args:
      steps, preprocess, copies: a recipe's `augment`, `preprocess` and `distorted_copies`.

    Raises:
      RecipeError: an unknown step or argument (near matches named), a missing argument, a value
        that is no number of 0 or more, a sampling step that is not the first or whose images are
        kept as distorted copies, or a step that needs colours of grey images.
    """
    for place, step in enumerate(steps):
        name = step.get("step") if isinstance(step, Mapping) else None
        if not isinstance(name, str):
            raise RecipeError(f'augment takes steps such as {{"step": "flip"}}, not {step!r}')
        check_choice("augment step", name, STEPS)
        _check_arguments(name, arguments(step))
        if STEPS[name].sampling and (place or copies):
            reason = "cannot be kept as distorted copies" if copies else "must be the first step"
            raise RecipeError(f"augment: {name} decides what is decoded, and {reason}")
        if name == "scale_jitter":
            _check_jitter(step, preprocess["size"])
        if name in _COLOUR_ONLY and preprocess["channels"] != 3:
            raise RecipeError(f"augment: {name} needs preprocess.channels 3")


def _check_arguments(name: str, values: Mapping[str, Any]) -> None:
    known = (*STEPS[name].required, *STEPS[name].optional)
    for key, value in values.items():
        if not known:
            raise RecipeError(f"augment: {name} takes no arguments, not {key}")
        check_choice(f"argument of augment step {name}", key, known)
        numbers = value if key in RANGES and isinstance(value, (list, tuple)) else (value,)
        pair = len(numbers) == 2 and all(map(_is_number, numbers)) and 0 < numbers[0] <= numbers[1]
        if key in RANGES and not pair:
            raise RecipeError(f"augment: {name}.{key} must be [lowest, highest], not {value!r}")
        if not all(map(_is_number, numbers)):
            raise RecipeError(f"augment: {name}.{key} must be a number of 0 or more, not {value!r}")
    missing = [key for key in STEPS[name].required if key not in values]
    if missing:
        raise RecipeError(f"augment: {name} needs {' and '.join(missing)}")


def _check_jitter(step: Mapping[str, Any], size: Sequence[int]) -> None:
    low, high = step["low"], step["high"]
    if not (isinstance(low, int) and isinstance(high, int) and max(size) <= low <= high):
        raise RecipeError(
            f"augment: scale_jitter.low and high must be whole pixels that cover preprocess.size "
            f"{list(size)}, not {low!r} and {high!r}"
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0
