"""The names of the augmentation steps and of their arguments.

Imports nothing heavy, so that a recipe can be checked before TensorFlow is there; that the
functions themselves take these arguments is what a test says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from components import bounds
from components.bounds import Bound
from components.settings import RecipeError, check_choice

_ANY = bounds.number(0)
_PIXELS = bounds.whole(0)
_FACTOR = bounds.share()  # A side of 1 - factor must be left.
# A wider Gaussian than any picture would only take its time.
_WIDTH = bounds.number(1e-3, 1e3)


@dataclass(frozen=True)
class Step:
    """The arguments of a step.

    Attributes:
      required, optional: what each may be, by name.
      sampling: whether the step decides which part of an image is decoded, and how large it
        becomes. It is then the first of the steps, and there is one of them.
      colour: whether it changes colours, and moves nothing.
    """

    required: Mapping[str, Bound] = field(default_factory=dict)
    optional: Mapping[str, Bound] = field(default_factory=dict)
    sampling: bool = False
    colour: bool = False


# What needs red, green and blue.
_COLOUR_ONLY = ("photometric",)

STEPS = MappingProxyType(
    {
        "scale_jitter": Step(
            required={"low": bounds.whole(1), "high": bounds.whole(1)}, sampling=True
        ),
        "area_aspect": Step(
            optional={
                "area": bounds.span(bounds.number(1e-6, 1)),
                "aspect": bounds.span(bounds.number(1e-3, 1e3)),
            },
            sampling=True,
        ),
        "affine": Step(
            optional={
                "translate": _ANY,
                "scale": _FACTOR,
                "squeeze": _FACTOR,
                "shear": _ANY,
                "rotate": bounds.number(0, 360),
            }
        ),
        "corner_crop": Step(required={"side": bounds.whole(1)}),
        "elastic": Step(required={"sigma": _WIDTH, "alpha": _ANY}),
        "flip": Step(),
        "pad": Step(required={"margin": _PIXELS}),
        "translate": Step(required={"pixels": _PIXELS}),
        "pca_colour": Step(optional={"std": _ANY}, colour=True),
        "photometric": Step(optional={"strength": bounds.number(0, 1)}, colour=True),
        "noise": Step(required={"std": _ANY}, colour=True),
    }
)


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
        that it may not have, a sampling step that is not the first or whose images are kept as
        distorted copies, a step that needs colours of grey images, or pictures that become too
        small or too large.
    """
    sides = [preprocess.get("resize") or side for side in preprocess["size"]]
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
        sides = _after(step, sides, preprocess["size"])


def _check_arguments(name: str, values: Mapping[str, Any]) -> None:
    required, optional = STEPS[name].required, STEPS[name].optional
    known = {**required, **optional}
    for key, value in values.items():
        if not known:
            raise RecipeError(f"augment: {name} takes no arguments, not {key}")
        check_choice(f"argument of augment step {name}", key, known)
        bounds.check(f"augment: {name}.{key}", value, known[key])
    missing = [key for key in required if key not in values]
    if missing:
        raise RecipeError(f"augment: {name} needs {' and '.join(missing)}")


def _check_jitter(step: Mapping[str, Any], size: Sequence[int]) -> None:
    low, high = step["low"], step["high"]
    if not max(size) <= low <= high:
        raise RecipeError(
            f"augment: scale_jitter.low and high must be whole pixels that cover preprocess.size "
            f"{list(size)}, not {low!r} and {high!r}"
        )


def _after(step: Mapping[str, Any], sides: Sequence[int], size: Sequence[int]) -> list[int]:
    """Height and width of the pictures after a step; `size` is what the network takes of them."""
    match step:
        case {"step": "corner_crop", "side": side}:
            if not max(size) <= side <= min(sides):
                raise RecipeError(
                    f"augment: corner_crop.side must cover preprocess.size {list(size)} and lie "
                    f"within the {sides[0]} x {sides[1]} pixels before it, not {side}"
                )
            return [side, side]
        case {"step": "pad", "margin": margin} | {"step": "translate", "pixels": margin}:
            larger = [side + 2 * margin for side in sides]
            if larger[0] * larger[1] > bounds.MAX_PIXELS:
                raise RecipeError(
                    f"augment: {step['step']} by {margin} makes pictures of {larger[0]} x "
                    f"{larger[1]} pixels, more than {bounds.MAX_PIXELS:,} in all"
                )
            return larger if step["step"] == "pad" else [*sides]
    return [*size] if STEPS[step["step"]].sampling else [*sides]
