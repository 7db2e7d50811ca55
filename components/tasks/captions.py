"""Pictures with a line of text below them."""

from __future__ import annotations

from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

# Pixels: of a caption's letters, and around them.
_TEXT, _MARGIN = 14, 4
_PAPER, _INK = "white", "black"


def captioned(picture: Image.Image, text: str) -> Image.Image:
    """The picture over a strip with a text; as wide as the wider of the two.

    Args:
      picture: colour or grey.
      text: one line.
    """
    # Matplotlib brings it; Pillow's own has Latin letters alone.
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), _TEXT)
    left, top, right, bottom = font.getbbox(text)
    width = max(picture.width, right - left + 2 * _MARGIN)
    drawn = Image.new("RGB", (width, picture.height + bottom - top + 2 * _MARGIN), _PAPER)
    drawn.paste(picture, (0, 0))
    place = (_MARGIN - left, picture.height + _MARGIN - top)
    ImageDraw.Draw(drawn).text(place, text, _INK, font)
    return drawn
