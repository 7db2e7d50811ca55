"""Selective search, the fast version of Uijlings et al. 2013, "Selective Search for Object
Recognition", IJCV 104 (table 3, and the authors' code where the paper is silent).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage
from skimage import color, segmentation

from components.ingest.proposals.grouping import Regions, boxes_of, grouped, neighbours_of

# Of the segmentation by Felzenszwalb and Huttenlocher; the smallest region has k pixels.
_SCALES, _SIGMA = (50, 100), 0.8
_COLOUR_BINS, _TEXTURE_BINS = 25, 10
# Of the derivatives of a picture in 0..1, the standard deviation and the value of the last bin.
_TEXTURE_SIGMA, _STEEPEST = 0.8, 0.43


def selective_search(picture: np.ndarray, seed: int = 0) -> np.ndarray:
    """Boxes of regions that may be objects, the more likely ones rather at the front.

    Eight hierarchies: of two colour spaces, two scales, and similarity by colour, texture, size and
    fill or by the last three alone.

    Args:
      picture: uint8 [H, W, 3], RGB, of about 500 pixels.
      seed: of the numbers that mix the hierarchies (section 4.4).

    Returns:
      int64 [R, 4], some of them several times: ymin, xmin, ymax, xmax in pixels, the last two
      exclusive.
    """
    boxes, ranks = [], []
    for colours in (_hsv(picture), _lab(picture)):
        bins = _colour_bins(colours), _texture_bins(colours)
        for scale in _SCALES:
            for found, rank in _hierarchies(colours, bins, scale):
                boxes.append(found)
                ranks.append(rank)
    order = np.concatenate(ranks) * np.random.default_rng(seed).random(sum(map(len, ranks)))
    return np.concatenate(boxes)[np.argsort(order, kind="stable")]


def _hsv(picture: np.ndarray) -> np.ndarray:
    return _bytes(color.rgb2hsv(picture))


def _lab(picture: np.ndarray) -> np.ndarray:
    """In the encoding of 8 bits that ICC profiles have."""
    lab = color.rgb2lab(picture)
    return _bytes(np.stack([lab[..., 0] / 100, *((lab[..., n] + 128) / 255 for n in (1, 2))], -1))


def _bytes(colours: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(255 * colours), 0, 255).astype(np.uint8)


def _hierarchies(
    colours: np.ndarray, bins: tuple[np.ndarray, np.ndarray], scale: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The boxes of the regions that are merged, and of those before, each with its rank."""
    labels = segmentation.felzenszwalb(
        colours, scale=scale, sigma=_SIGMA, min_size=scale, channel_axis=-1
    )
    boxes = boxes_of(labels)
    # The whole picture, which is merged last, has rank 1.
    yield boxes, np.full(len(boxes), len(boxes))
    if len(boxes) == 1:
        return
    sizes = np.bincount(labels.ravel()).astype(np.float64)
    neighbours = neighbours_of(labels)
    colour, texture = (_histograms(labels, each) for each in bins)
    for histograms in (np.concatenate([colour, texture], axis=1), texture):
        found = grouped(Regions(histograms, sizes, boxes, neighbours, labels.size))
        yield found, np.arange(len(found), 0, -1)


def _colour_bins(colours: np.ndarray) -> np.ndarray:
    """The bin of each pixel in each channel: int32 [3, H, W], of so many times `_COLOUR_BINS`."""
    bins = np.moveaxis(colours, -1, 0).astype(np.int32) * _COLOUR_BINS // 256
    return bins + _COLOUR_BINS * np.arange(3, dtype=np.int32)[:, None, None]


def _texture_bins(colours: np.ndarray) -> np.ndarray:
    """The bins of the derivatives in eight directions in each channel: int32 [24, H, W]."""
    maps = []
    for channel in range(colours.shape[-1]):
        plane = colours[..., channel].astype(np.float32) / 255
        down = ndimage.gaussian_filter(plane, _TEXTURE_SIGMA, order=(1, 0))
        right = ndimage.gaussian_filter(plane, _TEXTURE_SIGMA, order=(0, 1))
        half = np.float32(np.sqrt(0.5))
        for slope in (down, right, half * (down + right), half * (down - right)):
            maps += [slope, -slope]
    bins = np.rint(np.stack(maps) * np.float32((_TEXTURE_BINS - 1) / _STEEPEST))
    bins = np.clip(bins, 0, _TEXTURE_BINS - 1).astype(np.int32)
    return bins + _TEXTURE_BINS * np.arange(len(maps), dtype=np.int32)[:, None, None]


def _histograms(labels: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """How often each bin occurs in each region, as a share: float32 [R, B]."""
    regions, count = labels.max() + 1, bins.max() + 1
    keys = labels.astype(np.int32) * np.int32(count) + bins
    counts = np.bincount(keys.ravel(), minlength=regions * count).reshape(regions, count)
    return (counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)
