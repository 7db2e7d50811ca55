"""Maps of a picture in NumPy: their sizes, their mean over pictures, and a picture of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image


def resized(values: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """A map at another size, interpolated bilinearly.

    Args:
      values: [h, w] or [h, w, C].
      shape: H and W, what follows is not looked at.

    Returns:
      float64 [H, W] or [H, W, C].
    """
    height, width = shape[:2]
    if values.shape[:2] == (height, width):
        return values.astype(np.float64)
    if values.ndim == 3:
        channels = (resized(values[..., each], shape) for each in range(values.shape[2]))
        return np.stack([*channels], axis=-1)
    from PIL import Image

    image = Image.fromarray(values.astype(np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), np.float64)


class MeanMap:
    """The mean over pictures of what is known of each pixel, in the memory of two maps.

    Maps of other sizes than the first are brought to its size, by the nearest pixels.
    """

    def __init__(self) -> None:
        self._total: np.ndarray | None = None
        self._count = np.zeros(())

    def add(self, values: np.ndarray, valid: np.ndarray) -> None:
        """Takes a map.

        Args:
          values: float [H, W] or [H, W, C].
          valid: bool [H, W], where they are known.
        """
        if self._total is None:
            self._total, self._count = np.zeros(values.shape), np.zeros(valid.shape)
        rows, columns = (
            np.minimum((np.arange(side) + 0.5) * there / side, there - 1).astype(int)
            for side, there in zip(self._count.shape, valid.shape, strict=True)
        )
        values, valid = values[rows][:, columns], valid[rows][:, columns]
        known = valid if values.ndim == 2 else valid[..., None]
        self._total += np.where(known, values, 0.0)
        self._count += valid

    def mean(self) -> np.ndarray:
        """float64 [H, W] or [H, W, C]; 0 where nothing was known.

        Raises:
          ValueError: there was no map.
        """
        if self._total is None:
            raise ValueError("no map was given, of which there could be a mean")
        count = self._count if self._total.ndim == 2 else self._count[..., None]
        return self._total / np.maximum(count, 1)


def all_of(batches: Iterable[Sequence[np.ndarray]]) -> Iterable[np.ndarray]:
    """The maps of all batches, one after the other."""
    return itertools.chain.from_iterable(batches)


def less_than_constant(error: float | None, answer: str, count: int) -> tuple[float, str] | None:
    """What an error has to be where the same answer about every picture is the measure.

    Errors of pictures have no distribution that is known beforehand, so that no level of chance
    enters.

    Args:
      error: of that answer about the test split; None where it has none.
      answer: in words, which answer it is.
      count: of the test pictures.

    Returns:
      The largest number below the error, and why in words; None where there is no error.
    """
    if error is None or not np.isfinite(error):
        return None
    return float(np.nextafter(error, -np.inf)), (
        f"needs less than {error:.4f}: so much has {answer}, the same for each of {count:,} test "
        "pictures"
    )


def beside(picture: Image.Image, *colours: np.ndarray) -> Image.Image:
    """A picture, and to the right of it maps in colours, at its size.

    Args:
      picture: colour or grey.
      colours: uint8 [h, w, 3] each, of any size.
    """
    from PIL import Image

    drawn = Image.new("RGB", ((1 + len(colours)) * picture.width, picture.height))
    drawn.paste(picture, (0, 0))
    for place, pixels in enumerate(colours, 1):
        panel = Image.fromarray(pixels).resize(picture.size, Image.Resampling.BILINEAR)
        drawn.paste(panel, (place * picture.width, 0))
    return drawn
