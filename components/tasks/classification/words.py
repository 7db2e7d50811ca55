"""The likeliest class and its probability, as text and as a caption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

# Pixels: of a caption's letters, and around them.
_TEXT, _MARGIN = 14, 4
_PAPER, _INK = "white", "black"


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


def draw(picture: Image.Image, answer: Mapping[str, Any]) -> Image.Image:
    """The picture over a strip that says what it is taken for; as wide as the wider of the two.

    Args:
      picture: colour or grey.
      answer: as for `row`.
    """
    from matplotlib import font_manager
    from PIL import Image, ImageDraw, ImageFont

    text = "  ".join(row(answer, ()))
    # Matplotlib brings it; Pillow's own has Latin letters alone.
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), _TEXT)
    left, top, right, bottom = font.getbbox(text)
    width = max(picture.width, right - left + 2 * _MARGIN)
    drawn = Image.new("RGB", (width, picture.height + bottom - top + 2 * _MARGIN), _PAPER)
    drawn.paste(picture, (0, 0))
    place = (_MARGIN - left, picture.height + _MARGIN - top)
    ImageDraw.Draw(drawn).text(place, text, _INK, font)
    return drawn
