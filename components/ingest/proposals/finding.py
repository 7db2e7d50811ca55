"""The proposals of one picture, as fractions of its sides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from components.ingest import images
from components.ingest.proposals import opencv

METHODS = ("own", "opencv")
_SIDES = 4  # of a box


@dataclass(frozen=True)
class Proposals:
    """How the regions of a picture are found that may be objects.

    Attributes:
      most: how many an example has at most; those at the front are kept.
      width: pixels to which a picture is brought before, because what is found depends on its size.
        500 is that of R-CNN's code; 0 leaves it.
      smallest: pixels that a region has at least in both directions, at that size.
      method: `"own"`, or `"opencv"`, the implementation of opencv-contrib, where that is installed.

    Raises:
      ValueError: a value that is not allowed.
    """

    most: int = 2000
    width: int = 500
    smallest: int = 20
    method: str = "own"

    def __post_init__(self) -> None:
        for name, least in (("most", 1), ("width", 0), ("smallest", 1)):
            if (value := getattr(self, name)) < least:
                raise ValueError(f"{name} of proposals must be {least} or more, not {value}")
        if self.method not in METHODS:
            known = " or ".join(METHODS)
            raise ValueError(f"method of proposals must be {known}, not {self.method!r}")
        if self.method == "opencv":
            opencv.check()


def of_file(content: bytes, settings: Proposals) -> np.ndarray:
    """As `of_image`, of a PNG or JPEG file as ingestion reads it.

    Raises:
      ImageError: it cannot be read.
    """
    return of_image(images.decoded(content).image, settings)


def of_image(image: Image.Image, settings: Proposals) -> np.ndarray:
    """The regions of a picture that may be objects.

    Source: `selective_search_boxes.m` of the code of R-CNN (Girshick et al. 2014).

    Args:
      image: grey or in colour.
      settings: how they are found.

    Returns:
      float32 [R, 4], R at most `most`: ymin, xmin, ymax, xmax, from 0 to 1.
    """
    # It takes half a second to import, which most workers of an ingestion need not wait for.
    from components.ingest.proposals.selective_search import selective_search

    if settings.width and image.width != settings.width:
        height = max(1, round(image.height * settings.width / image.width))
        image = image.resize((settings.width, height), Image.Resampling.BICUBIC)
    search = opencv.selective_search if settings.method == "opencv" else selective_search
    boxes = search(np.asarray(image.convert("RGB")))
    _, first = np.unique(boxes, axis=0, return_index=True)
    boxes = boxes[np.sort(first)]
    large = (boxes[:, 2:] - boxes[:, :2]).min(axis=1) >= settings.smallest
    sides = np.array([image.height, image.width] * 2, np.float32)
    return boxes[large][: settings.most].astype(np.float32) / sides


def padded(boxes: np.ndarray, count: int) -> np.ndarray:
    """The first so many boxes [R, 4], and boxes of zeros where there are fewer."""
    found = np.zeros((count, _SIDES), np.float32)
    kept = np.asarray(boxes, np.float32).reshape(-1, _SIDES)[:count]
    found[: len(kept)] = kept
    return found
