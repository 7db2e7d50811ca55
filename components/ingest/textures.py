"""The photographs that scikit-image brings, as textures."""

from __future__ import annotations

import functools

import numpy as np
from PIL import Image

# Functions of `skimage.data` whose images are in its package, so that nothing is downloaded.
_ROUGH = ("brick", "grass", "gravel", "moon", "immunohistochemistry")
PHOTOGRAPHS = (
    *_ROUGH,
    *("astronaut", "camera", "chelsea", "coffee", "coins", "hubble_deep_field", "rocket"),
)
# Indices of `PHOTOGRAPHS`: those that may cover a wall or a floor, and all.
SURFACES, ALL = tuple(range(len(_ROUGH))), tuple(range(len(PHOTOGRAPHS)))
_SIDE = 256
_LEVELS = _SIDE.bit_length()  # 256, 128, ..., 1 pixels.
_GAMMA = 2.2
_MOST = 4.0


@functools.lru_cache(maxsize=1)
def pyramids() -> np.ndarray:
    """The photographs in all their sizes, one after the other, as light over its mean.

    Returns:
      float32 [P, T, 3]: of each photograph 256 x 256, 128 x 128, ... and 1 x 1 pixels, row by row;
      the mean of each channel is 1.
    """
    import skimage.data

    return np.stack([_pyramid(getattr(skimage.data, name)()) for name in PHOTOGRAPHS])


def _pyramid(photograph: np.ndarray) -> np.ndarray:
    image = Image.fromarray(photograph).convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    light = (np.asarray(image, np.float32) / 255) ** _GAMMA
    light = np.minimum(light / light.mean(axis=(0, 1)), _MOST)
    levels = [light]
    while len(levels[-1]) > 1:
        half = len(levels[-1]) // 2
        levels.append(levels[-1].reshape(half, 2, half, 2, 3).mean(axis=(1, 3)))
    return np.concatenate([level.reshape(-1, 3) for level in levels])


def looked_up(photograph: np.ndarray, places: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    """The light of photographs that are repeated without end, each second one mirrored.

    Args:
      photograph: indices of `PHOTOGRAPHS` [N].
      places: [2, N], in widths of the photograph.
      footprint: [N], how much of that width a pixel sees; the size of the photograph in which this
        is about one pixel is taken, so that nothing folds over.

    Returns:
      float32 [N, 3], about 1 in the mean.
    """
    level = np.log2(np.maximum(footprint * _SIDE, 1.0)).round().astype(np.intp)
    level = np.minimum(level, _LEVELS - 1)
    side = _SIDE >> level
    mirrored = 1 - np.abs(places % 2 - 1)
    column, row = np.minimum((mirrored * side).astype(np.intp), side - 1)
    starts = np.cumsum([0, *(4 ** np.arange(_LEVELS - 1, 0, -1))])
    return pyramids()[photograph, starts[level] + row * side + column]
