"""What is drawn into pictures: boxes with their names, in a colour a class."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence

import matplotlib
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

_COLOURS = matplotlib.colormaps["tab10"]
_TEXT = 14  # pixels of a line of text
_LINE = 2


def colour(number: int) -> tuple[int, ...]:
    """The colour of a class, red, green and blue of 255; of many classes some have the same."""
    return tuple(int(255 * part) for part in _COLOURS(number % _COLOURS.N)[:3])


@functools.cache
def font(size: int = _TEXT) -> ImageFont.FreeTypeFont:
    """Letters of so many pixels."""
    # Matplotlib brings it; Pillow's own has Latin letters alone.
    return ImageFont.truetype(font_manager.findfont("DejaVu Sans"), size)


def boxes(
    picture: Image.Image, found: Iterable[tuple[Sequence[float], int, str]], line: int = _LINE
) -> Image.Image:
    """A copy in colour of a picture with boxes drawn in.

    Args:
      picture: colour or grey.
      found: of each box its ymin, xmin, ymax, xmax in pixels of the picture, the number of its
        colour, and a text, which stands in its upper left corner.
      line: how many pixels wide the boxes' lines are.
    """
    drawn = picture.convert("RGB")
    drawing = ImageDraw.Draw(drawn)
    for (top, left, bottom, right), number, text in found:
        own = colour(number)
        # A box of no area is drawn as one of a pixel.
        last = (max(right - 1, left), max(bottom - 1, top))
        drawing.rectangle((left, top, *last), None, own, line)
        if text:
            drawing.text((left + line + 1, top), text, own, font())
    return drawn
