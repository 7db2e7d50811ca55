"""The depths of a picture as text and as a picture in colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

RANKED = False
_COLOURS = "viridis"


def columns() -> tuple[str, ...]:
    """The headings of `row`."""
    return ("nearest", "mean", "farthest")


def row(answer: Mapping[str, Any], names: Sequence[str]) -> tuple[str, ...]:
    """The least, the mean and the largest depth.

    Args:
      answer: `depth` [H, W] in metres.
      names: of classes; there are none.
    """
    del names
    depth = answer["depth"]
    return tuple(f"{value:.2f} m" for value in (depth.min(), depth.mean(), depth.max()))


def fields(names: Sequence[str], top: int) -> tuple[str, ...]:
    """The columns of `values`, in metres.

    Args:
      names: of classes; there are none.
      top: 1.
    """
    del names, top
    return ("nearest_m", "mean_m", "farthest_m")


def values(answer: Mapping[str, Any], names: Sequence[str], top: int) -> tuple[Any, ...]:
    """The least, the mean and the largest depth.

    Args:
      answer: as for `row`.
      names: of classes; there are none.
      top: 1.
    """
    del names, top
    depth = answer["depth"]
    return depth.min(), depth.mean(), depth.max()


def draw(picture: Image.Image, answer: Mapping[str, Any], names: Sequence[str]) -> Image.Image:
    """The picture, and beside it its depths: dark is near.

    Args:
      picture: colour or grey.
      answer, names: as for `row`.
    """
    import matplotlib
    from PIL import Image

    del names
    depth = np.nan_to_num(answer["depth"])
    span = max(float(depth.max() - depth.min()), np.finfo(np.float32).tiny)
    shades = matplotlib.colormaps[_COLOURS]((depth - depth.min()) / span, bytes=True)
    colours = Image.fromarray(shades[..., :3]).resize(picture.size, Image.Resampling.BILINEAR)
    drawn = Image.new("RGB", (2 * picture.width, picture.height))
    drawn.paste(picture, (0, 0))
    drawn.paste(colours, (picture.width, 0))
    return drawn
