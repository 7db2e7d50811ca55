"""What the values of a recipe may be, as tables have it: a kind of value and its bounds by key."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.settings import RecipeError, check_choice

# Of one picture: more than any camera in use gives.
MAX_PIXELS = 100_000_000
_MOST = 2**31 - 1  # TensorFlow counts steps and pixels in 32 bits.
_LARGEST = sys.float_info.max
_MOST_SHOWN = 200  # characters of a value


@dataclass(frozen=True)
class Bound:
    """What one value may be.

    Attributes:
      wanted: in words, as in "must be ...".
      takes: whether it may be this value, plain data of any type.
    """

    wanted: str
    takes: Callable[[Any], bool]

    def or_null(self) -> Bound:
        """The same, or nothing."""
        return Bound(f"{self.wanted}, or null", lambda value: value is None or self.takes(value))


def whole(least: int, most: int = _MOST) -> Bound:
    """A whole number, both ends included."""
    above = f"of {least} or more" if most == _MOST else f"from {least} to {most}"

    def takes(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most

    return Bound(f"a whole number {above}", takes)


def number(least: float = -math.inf, most: float = math.inf) -> Bound:
    """A finite number, both ends included."""
    between = f" from {least:g} to {most:g}"
    if math.isinf(most):
        between = "" if math.isinf(least) else f" of {least:g} or more"
    return Bound(f"a number{between}", lambda value: _is_number(value) and least <= value <= most)


def positive() -> Bound:
    """A finite number above 0."""
    return Bound("a number above 0", lambda value: _is_number(value) and value > 0)


def share() -> Bound:
    """A part of what there is, but not all of it."""
    return Bound("0 or more, and below 1", lambda value: _is_number(value) and 0 <= value < 1)


def choice(*values: Any) -> Bound:
    """One of these."""
    words = " or ".join(map(str, values))
    return Bound(words, lambda value: any(_same(value, each) for each in values))


def flag() -> Bound:
    """True or false."""
    return Bound("true or false", lambda value: isinstance(value, bool))


def text() -> Bound:
    """A text, which may be empty."""
    return Bound("a text", lambda value: isinstance(value, str))


def span(bound: Bound, apart: bool = False) -> Bound:
    """Two values in order; with `apart` the second is higher."""

    def takes(value: Any) -> bool:
        if not (_is_list(value) and len(value) == 2 and all(map(bound.takes, value))):
            return False
        return value[0] < value[1] if apart else value[0] <= value[1]

    order = "the lowest below the highest" if apart else "the lowest not above the highest"
    return Bound(f"[lowest, highest], each {bound.wanted}, {order}", takes)


def several(bound: Bound, least: int = 0) -> Bound:
    """A list of such values."""
    words = "a list" if not least else f"a list of {least} or more"
    return Bound(
        f"{words}, each {bound.wanted}",
        lambda value: _is_list(value) and len(value) >= least and all(map(bound.takes, value)),
    )


def mapping(bound: Bound | None = None) -> Bound:
    """Values by name, each of them such a one; without a bound they are checked elsewhere."""

    def takes(value: Any) -> bool:
        if not isinstance(value, Mapping):
            return False
        return bound is None or all(map(bound.takes, value.values()))

    each = f", each {bound.wanted}" if bound else ""
    return Bound(f"values by name, {{...}}{each}", takes)


def check(where: str, value: Any, bound: Bound) -> None:
    """Raises RecipeError, with what is wanted, where a value is none that a key may have."""
    if not bound.takes(value):
        raise RecipeError(f"{where} must be {bound.wanted}, not {shown(value)}")


def check_all(
    where: str,
    values: Any,
    known: Mapping[str, Bound],
    required: Sequence[str] = (),
) -> None:
    """Checks values by name.

    Args:
      where: the key of the recipe that has them.
      values: what was given.
      known: the names that there are, and what each may be.
      required: those that must be there.

    Raises:
      RecipeError: no mapping, an unknown name (near matches named), a missing one, or a value that
        it may not have.
    """
    check(where, values, mapping())
    for name, value in values.items():
        check_choice("key", f"{where}.{name}", [f"{where}.{each}" for each in known])
        check(f"{where}.{name}", value, known[name])
    missing = [name for name in required if name not in values]
    if missing:
        raise RecipeError(f"{where} needs {' and '.join(missing)}")


def shown(value: Any) -> str:
    """A value as it is written in a recipe; of a long one, the beginning."""
    try:
        words = json.dumps(value)
    except (TypeError, ValueError):
        words = repr(value)
    return words if len(words) <= _MOST_SHOWN else f"{words[:_MOST_SHOWN]}..."


def _is_number(value: Any) -> bool:
    # A whole number may be too large for a float.
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and -_LARGEST <= value <= _LARGEST
    )


def _same(value: Any, other: Any) -> bool:
    return type(value) is type(other) and value == other


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))
