"""The depths and the normals of a picture as text and as pictures in colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.maps import arrays
from components.tasks.depth import words as depth
from components.tasks.normals import words as normals

if TYPE_CHECKING:
    from PIL import Image

RANKED = False


def columns() -> tuple[str, ...]:
    """The headings of `row`: those of depth, then those of normals."""
    return (*depth.columns(), *normals.columns())


def row(answer: Mapping[str, Any], names: Sequence[str]) -> tuple[str, ...]:
    """What the two tasks say.

    Args:
      answer: `depth` [H, W] in metres and `normals` [H, W, 3].
      names: of classes; there are none.
    """
    return (*depth.row(answer, names), *normals.row(answer, names))


def fields(names: Sequence[str], top: int) -> tuple[str, ...]:
    """The columns of `values`.

    Args:
      names: of classes; there are none.
      top: 1.
    """
    return (*depth.fields(names, top), *normals.fields(names, top))


def values(answer: Mapping[str, Any], names: Sequence[str], top: int) -> tuple[Any, ...]:
    """The numbers of the two tasks.

    Args:
      answer: as for `row`.
      names: of classes; there are none.
      top: 1.
    """
    return (*depth.values(answer, names, top), *normals.values(answer, names, top))


def draw(picture: Image.Image, answer: Mapping[str, Any], names: Sequence[str]) -> Image.Image:
    """The picture, and beside it its depths and its normals.

    Args:
      picture: colour or grey.
      answer, names: as for `row`.
    """
    del names
    return arrays.beside(picture, depth.colours(answer), normals.colours(answer))
