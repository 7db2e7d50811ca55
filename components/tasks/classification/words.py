"""The likeliest class and its probability, as text and as a caption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

RANKED = True


def columns() -> tuple[str, ...]:
    """The headings of `row`."""
    return ("answer", "score")


def row(answer: Mapping[str, Any], names: Sequence[str]) -> tuple[str, ...]:
    """The name of the likeliest class and its probability.

    Args:
      answer: `scores`, [C], and `classes`, a text.
      names: of the classes; the answer has its own.
    """
    del names
    return answer["classes"], f"{answer['scores'].max():.4f}"


def fields(names: Sequence[str], top: int) -> tuple[str, ...]:
    """The columns of `values`: `class` and `score`, then `class_2`, `score_2` and so on.

    Args:
      names: of the classes, where they are known.
      top: how many of the likeliest classes; no more than there are.
    """
    number = min(top, len(names)) if names else top
    places = ["", *(f"_{place}" for place in range(2, number + 1))]
    return tuple(f"{field}{place}" for place in places for field in ("class", "score"))


def values(answer: Mapping[str, Any], names: Sequence[str], top: int) -> tuple[Any, ...]:
    """The likeliest classes with their probabilities, the likeliest first.

    Args:
      answer: as for `row`.
      names: of the classes. Where they are not those of the answer, its other classes are called by
        their numbers.
      top: how many.
    """
    scores = answer["scores"]
    order = np.argsort(-scores, kind="stable")
    fits = len(names) == len(scores) and names[order[0]] == answer["classes"]
    found: list[Any] = [answer["classes"], scores[order[0]]]
    for label in order[1 : len(fields(names, top)) // 2]:
        found += [names[label] if fits else str(label), scores[label]]
    return (*found, *[None] * (len(fields(names, top)) - len(found)))


def draw(picture: Image.Image, answer: Mapping[str, Any], names: Sequence[str]) -> Image.Image:
    """The picture over a strip that says what it is taken for; as wide as the wider of the two.

    Args:
      picture: colour or grey.
      answer, names: as for `row`.
    """
    from components.tasks.captions import captioned

    return captioned(picture, "  ".join(row(answer, names)))
