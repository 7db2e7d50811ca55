"""Whether a pair is of the same, with its score, as text and as a caption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

RANKED = False
SAME, DIFFERENT = "same", "different"


def columns() -> tuple[str, ...]:
    """The headings of `row`."""
    return ("answer", "score")


def row(answer: Mapping[str, Any], names: Sequence[str]) -> tuple[str, ...]:
    """`same` or `different`, and the score.

    Args:
      answer: `score`, a number.
      names: of classes; there are none.
    """
    del names
    return _word(answer), f"{float(answer['score']):+.4f}"


def fields(names: Sequence[str], top: int) -> tuple[str, ...]:
    """The columns of `values`.

    Args:
      names: of classes; there are none.
      top: 1.
    """
    del names, top
    return columns()


def values(answer: Mapping[str, Any], names: Sequence[str], top: int) -> tuple[Any, ...]:
    """`same` or `different`, and the score.

    Args:
      answer: as for `row`.
      names: of classes; there are none.
      top: 1.
    """
    del names, top
    return _word(answer), answer["score"]


def draw(picture: Image.Image, answer: Mapping[str, Any], names: Sequence[str]) -> Image.Image:
    """The picture over a strip that says what the pair is taken for.

    Args:
      picture: colour or grey; of a pair both, side by side.
      answer, names: as for `row`.
    """
    from components.tasks.captions import captioned

    return captioned(picture, "  ".join(row(answer, names)))


def _word(answer: Mapping[str, Any]) -> str:
    return SAME if answer["score"] > 0 else DIFFERENT
