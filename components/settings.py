"""Values of a recipe set by path, as `--set optimizer.learning_rate=0.01` and the Tuner set them.

A recipe is here plain data: mappings of mappings, as `dataclasses.asdict` gives it.
"""

from __future__ import annotations

import copy
import difflib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# What may be added to a mapping that has not named it: only these are open-ended.
_OPEN_MAPPINGS = ("model_args", "optimizer", "loss", "class_weights")
# Whose values may be null.
_MOST_NAMES = 100
# How like a known name must be to be meant (0 to 1), and how much less like than the likest.
_LEAST_LIKENESS = 0.5
_REACH = 0.2
_LIKENESS_OF_A_PART, _LEAST_PART = 0.8, 5  # the letters that a part must have
# Of the values of a trial, those that are Hyperband's own account.
_OF_THE_SEARCH = "tuner/"


class RecipeError(ValueError):
    """A recipe, a size, a key or a value that does not exist; the text names the near matches."""


def keeps_both(name: str) -> str:
    """Ends an error message about a name under which another model is served."""
    other = f"{name}-2"
    return f"To keep both, give this one another name: --name {other}, or --set served_name={other}"


def likeness(word: str, other: str) -> float:
    """How like two names are, 0 to 1, whatever their case and what joins their words."""
    word, other = (re.sub(r"[-_]", "", text.lower()) for text in (word, other))
    like = difflib.SequenceMatcher(None, other, word).ratio()
    is_part = len(word) >= _LEAST_PART and word in other
    return max(like, _LIKENESS_OF_A_PART) if is_part else like


def near(
    word: str, known: Iterable[str], most: int = 3, least: float = _LEAST_LIKENESS
) -> list[str]:
    """The known names that `word` may mean, the likest first.

    Of paths such as `model_args.classifier` that differ in their last part alone, this is compared.

    Args:
      word: what was asked for.
      known: what there is.
      most: how many are named.
      least: the `likeness` that they must have.
    """
    known = list(known)
    parents = {name.rpartition(".")[0] for name in [word, *known]}
    same = len(parents.pop()) if len(parents) == 1 else 0
    likes = {name: likeness(word[same:], name[same:]) for name in known}
    best = max(likes.values(), default=0.0)
    lowest = 1.0 if best == 1.0 else max(least, best - _REACH)
    found = sorted(known, key=lambda name: (-likes[name], name))
    return [name for name in found if likes[name] >= lowest][:most]


def near_matches(word: str, known: Iterable[str]) -> str:
    """Ends an error message: the known names nearest to `word`, or all of them where none is.

    More than a screen holds are counted instead.
    """
    known = sorted(known)
    if not known:
        return "there are none"
    close = near(word, known)
    if close:
        return f"did you mean {' or '.join(close)}?"
    if len(known) > _MOST_NAMES:
        return f"none of the {len(known)} known is like it"
    return f"known: {', '.join(known)}"


def check_choice(what: str, value: str, allowed: Iterable[str]) -> None:
    """Raises RecipeError, with the near matches, where `value` is not one of those allowed."""
    if value not in allowed:
        raise RecipeError(f"unknown {what} {value!r}: {near_matches(str(value), allowed)}")


def parse(text: str) -> Any:
    """The value that a text stands for: JSON, or the text itself where it is none."""
    try:
        # NaN and Infinity are no JSON, and no value of a recipe; nor is what a float cannot hold.
        return json.loads(text, parse_constant=str, parse_float=_finite)
    except json.JSONDecodeError:
        return {"True": True, "False": False}.get(text, text)


def _finite(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text


def assign(values: dict[str, Any], path: str, value: Any) -> None:
    """Sets the value at a path such as `model_args.classifier`, in place.

    Raises:
      RecipeError: an unknown key (near matches named) or a value of the wrong type.
    """
    *parents, last = path.split(".")
    target = values
    for depth, key in enumerate(parents):
        _check_key(parents[:depth], key, target)
        target = target[key]
        if not isinstance(target, dict):
            whole = " yet; it can be set whole, as JSON" if target is None else ""
            raise RecipeError(f"{'.'.join(parents[: depth + 1])} has no parts to set{whole}")
    if last not in target:
        if not (parents and parents[0] in _OPEN_MAPPINGS):
            _check_key(parents, last, target)
        target[last] = value
        return
    target[last] = _converted(path, value, target[last])


def chosen(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a trial by path, as a recipe takes them."""
    return {
        path: parse(value) if isinstance(value, str) else value
        for path, value in values.items()
        if not path.startswith(_OF_THE_SEARCH)
    }


def applied(recipe: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a recipe, as plain data, with the values of a trial.

    Raises:
      RecipeError: the recipe has no such value, or takes none like it.
    """
    changed = copy.deepcopy(dict(recipe))
    for path, value in chosen(values).items():
        assign(changed, path, value)
    return changed


def _check_key(parents: Sequence[str], key: str, known: Iterable[str]) -> None:
    names = [".".join([*parents, name]) for name in known]
    check_choice("key", ".".join([*parents, key]), names)


def _converted(path: str, value: Any, old: Any) -> Any:
    """`value` in the type of the value that it replaces; a mapping may also take a number."""
    if value is None:
        fits = True  # Where there may be nothing, the key's bounds say, or the object's own source.
    elif isinstance(old, bool) or isinstance(value, bool):
        fits = isinstance(old, bool) and isinstance(value, bool)
    elif isinstance(old, int):
        fits = isinstance(value, int)
    elif isinstance(old, float):
        fits, value = isinstance(value, (int, float)), value
    elif isinstance(old, (list, tuple)):
        fits = isinstance(value, list)
    elif isinstance(old, str):
        fits = isinstance(value, (str, int, float))
        value = str(value) if fits else value
    else:
        fits = True
    if not fits:
        raise RecipeError(f"{path} takes a value such as {json.dumps(old)}, not {value!r}")
    return value
