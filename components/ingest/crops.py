"""Faces of an example in their crops: `components.preprocess.alignment`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from components.ingest import features, images
from components.ingest.images import ImageError
from components.preprocess import alignment

# The points by which each image of an example is aligned.
_POINTS = {"image/encoded": "keypoints", "pair/encoded": "pair/keypoints"}
_VISIBLE = "keypoints/visible"


def aligned(
    given: Mapping[str, Any], shown: Mapping[str, images.Decoded], align: Mapping[str, Any]
) -> dict[str, Any]:
    """The images of an example in their crops, PNG, and the points that are marked in them.

    Args:
      given: the features of the example.
      shown: its images, by the names of their features.
      align: a recipe's `ingest.align`.

    Raises:
      ImageError: points are missing, or something else has a place in the image.
    """
    others = {*features.names_where(given, "is_place")} - {*_POINTS.values(), _VISIBLE}
    if others:
        raise ImageError(f"not aligned: {', '.join(sorted(others))} would not go with the image")
    made: dict[str, Any] = {}
    for name, decoded in shown.items():
        points = np.reshape(given.get(_POINTS[name], ()), (-1, 2))
        if not len(points) or not np.all(given.get(_VISIBLE, 1)):
            raise ImageError(f"not aligned: {_POINTS[name]} that are marked are needed")
        if decoded.converted == images.TURNED:
            raise ImageError("not aligned: turned by its EXIF data")
        try:
            pixels, placed = alignment.aligned(np.asarray(decoded.image), points, align)
        except ValueError as error:
            raise ImageError(f"not aligned: {error}") from error
        made |= {name: images.png(pixels), _POINTS[name]: np.clip(placed, 0, 1).reshape(-1)}
    return made
