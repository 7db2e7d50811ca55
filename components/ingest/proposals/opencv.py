"""Selective search as opencv-contrib has it, where that is installed; it is no dependency."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

# The first k of the segmentation, and what is added for the second (Uijlings et al. 2013).
_FIRST_SCALE, _STEP = 50, 50


def check() -> None:
    """Raises ValueError where it is not installed."""
    _segmentation()


def selective_search(picture: np.ndarray) -> np.ndarray:
    """Boxes of regions that may be objects: int64 [R, 4], ymin, xmin, ymax, xmax in pixels.

    Args:
      picture: uint8 [H, W, 3], RGB.
    """
    search = _segmentation().createSelectiveSearchSegmentation()
    search.setBaseImage(np.ascontiguousarray(picture[..., ::-1]))
    search.switchToSelectiveSearchFast(_FIRST_SCALE, _STEP)
    x, y, width, height = search.process().astype(np.int64).T
    return np.stack([y, x, y + height, x + width], axis=1)


def _segmentation() -> Any:
    try:
        return importlib.import_module("cv2").ximgproc.segmentation
    except (ImportError, AttributeError) as error:
        raise ValueError(
            "proposals by opencv need the package opencv-contrib-python-headless; "
            "the method own needs nothing"
        ) from error
