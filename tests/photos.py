"""Folders of real images: crops of photographs that scikit-image brings, a folder a class."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

Photographs = Mapping[str, Callable[[], np.ndarray]]
PHOTOS: Photographs = {"cat": skimage.data.chelsea, "coffee": skimage.data.coffee}


def pieces(
    photo: np.ndarray, count: int, side: int | tuple[int, int], random: np.random.Generator
) -> Iterator[np.ndarray]:
    """Square pieces of a photograph at random places.

    Args:
      photo: uint8 [H, W, 3].
      count: how many.
      side: in pixels; or at least so many, and less than so many.
      random: where they are.
    """
    for _ in range(count):
        length = side if isinstance(side, int) else int(random.integers(*side))
        top, left = (random.integers(0, whole - length) for whole in photo.shape[:2])
        yield photo[top : top + length, left : left + length]


def write_crops(
    folder: Path,
    count: int,
    side: int | tuple[int, int] = 32,
    seed: int = 0,
    photos: Photographs = PHOTOS,
    kinds: Sequence[str] = ("png",),
    light: float = 1.0,
) -> Path:
    """Writes pieces of photographs as FOLDER/CLASS/00.png, and so on.

    Args:
      folder: is made.
      count: of each photograph.
      side: as of `pieces`.
      seed: of their places.
      photos: by the name of the class.
      kinds: suffixes of the files, in turns.
      light: what pixels are multiplied by, 0 to 1.

    Returns:
      The folder.
    """
    random = np.random.default_rng(seed)
    for name, load in photos.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number, piece in enumerate(pieces(load(), count, side, random)):
            image = Image.fromarray((piece * light).astype(np.uint8))
            image.save(folder / name / f"{number:02d}.{kinds[number % len(kinds)]}")
    return folder
