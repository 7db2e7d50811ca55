"""Detections as text, and drawn into the picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

RANKED = True
_SIDES = ("ymin", "xmin", "ymax", "xmax")
# What is drawn: the objects that are likelier there than not; of none the surest.
_LIKELY = 0.5


def columns() -> tuple[str, ...]:
    """The headings of `row`."""
    return ("objects", "surest", "score")


def row(answer: Mapping[str, Any], names: Sequence[str]) -> tuple[str, ...]:
    """What is likelier there than not, and the surest detection with its score.

    Args:
      answer: `boxes` [K, 4], `scores` and `classes` [K], and `count`.
      names: of the classes; of none the numbers are shown.
    """
    likely = Counter(
        name for name, score in _named(answer, names) if score >= _LIKELY
    ).most_common()
    found = ", ".join(f"{number} {name}" for name, number in likely)
    surest = next(((name, f"{score:.4f}") for name, score in _named(answer, names)), ("", ""))
    return (found or "none", *surest)


def fields(names: Sequence[str], top: int) -> tuple[str, ...]:
    """The columns of `values`: `count`; `class`, `score` and the box's sides; `class_2` and so on.

    Args:
      names: of the classes.
      top: how many of the surest detections.
    """
    del names
    places = ["", *(f"_{place}" for place in range(2, top + 1))]
    each = ("class", "score", *_SIDES)
    return ("count", *(f"{field}{place}" for place in places for field in each))


def values(answer: Mapping[str, Any], names: Sequence[str], top: int) -> tuple[Any, ...]:
    """How many detections there are, and the surest of them, in pixels.

    Args:
      answer, names: as for `row`.
      top: how many.
    """
    found: list[Any] = [answer["count"]]
    for place, (name, score) in enumerate(_named(answer, names)[:top]):
        found += [name, score, *answer["boxes"][place]]
    return (*found, *[None] * (len(fields(names, top)) - len(found)))


def draw(picture: Image.Image, answer: Mapping[str, Any], names: Sequence[str]) -> Image.Image:
    """The picture with the boxes of what is likelier there than not; of none the surest.

    Args:
      picture: colour or grey.
      answer, names: as for `row`.
    """
    from components.drawing import boxes

    return boxes(picture, likely(answer, names, least=1))


def likely(
    answer: Mapping[str, Any], names: Sequence[str], least: int
) -> list[tuple[Sequence[float], int, str]]:
    """Box, class and text of what is likelier there than not, or of so many of the surest."""
    named = _named(answer, names)
    number = max(sum(score >= _LIKELY for _, score in named), least)
    return [
        (answer["boxes"][place], int(answer["classes"][place]), f"{name} {score:.2f}")
        for place, (name, score) in enumerate(named[:number])
    ]


def _named(answer: Mapping[str, Any], names: Sequence[str]) -> list[tuple[str, Any]]:
    """The name of each detection's class, and its score."""
    return [
        (names[label] if 0 <= label < len(names) else str(label), score)
        for label, score in zip(
            answer["classes"][: int(answer["count"])],
            answer["scores"][: int(answer["count"])],
            strict=True,
        )
    ]
