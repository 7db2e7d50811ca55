"""The normals of a picture as text and as a picture in colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from components.maps import arrays

if TYPE_CHECKING:
    from PIL import Image

RANKED = False
# What a surface looks at, by the axis to which its normal is nearest.
_DIRECTIONS = {
    "up": (0, -1, 0),
    "down": (0, 1, 0),
    "left": (-1, 0, 0),
    "right": (1, 0, 0),
    "camera": (0, 0, -1),
}


def columns() -> tuple[str, ...]:
    """The headings of `row`."""
    return tuple(f"to {name}" if name == "camera" else name for name in _DIRECTIONS)


def row(answer: Mapping[str, Any], names: Sequence[str]) -> tuple[str, ...]:
    """How much of the picture looks up, down, to the left, to the right and at the camera.

    Args:
      answer: `normals` [H, W, 3].
      names: of classes; there are none.
    """
    return tuple(f"{100 * value:.0f} %" for value in values(answer, names, 1))


def fields(names: Sequence[str], top: int) -> tuple[str, ...]:
    """The columns of `values`, parts of 1.

    Args:
      names: of classes; there are none.
      top: 1.
    """
    del names, top
    return tuple(f"to_{name}" for name in _DIRECTIONS)


def values(answer: Mapping[str, Any], names: Sequence[str], top: int) -> tuple[Any, ...]:
    """The parts of the pixels whose normal is nearest to each of the directions.

    Args:
      answer: as for `row`.
      names: of classes; there are none.
      top: 1.
    """
    del names, top
    along = np.asarray(answer["normals"]).reshape(-1, 3) @ np.array([*_DIRECTIONS.values()]).T
    return tuple(np.bincount(along.argmax(axis=-1), minlength=len(_DIRECTIONS)) / len(along))


def draw(picture: Image.Image, answer: Mapping[str, Any], names: Sequence[str]) -> Image.Image:
    """The picture, and beside it its normals.

    Args:
      picture: colour or grey.
      answer, names: as for `row`.
    """
    del names
    return arrays.beside(picture, colours(answer))


def colours(answer: Mapping[str, Any]) -> np.ndarray:
    """The normals in colours, uint8 [H, W, 3], as normal maps have them.

    Red is to the right, green up and blue to the camera, from 0 for the opposite to 255.
    """
    normals = np.nan_to_num(np.asarray(answer["normals"], np.float64))
    shown = normals * (1, -1, -1)
    return np.rint(255 * (shown.clip(-1, 1) + 1) / 2).astype(np.uint8)
