"""COCO's segmentations, polygons and run lengths, as masks: pixel for pixel those of its own API.

Source: `common/maskApi.c` of the COCO API (rleFrPoly, rleFrString, rleDecode).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from components.ingest.images import ImageError

# Boundaries are followed in fifths of a pixel.
_FINE = 5.0
# Of a run length in text: bits a character, the one that says that more follow, and the sign.
_BITS, _MORE, _SIGN, _ZERO = 5, 0x20, 0x10, 48


def mask(
    segmentation: Sequence[Sequence[float]] | Mapping[str, Any], size: tuple[int, int]
) -> np.ndarray:
    """A mask, bool [H, W].

    Args:
      segmentation: polygons, each x, y, x, y, ... in pixels, which together are one object; or run
        lengths, `{"size": [H, W], "counts": ...}`, down the columns, first of what is outside:
        numbers, or COCO's text of them.
      size: width and height of the image.

    Raises:
      ImageError: it is neither, or of another size.
    """
    width, height = size
    if isinstance(segmentation, Mapping):
        if list(segmentation.get("size", ())) != [height, width]:
            raise ImageError(
                f"segmentation of size {segmentation.get('size')}, the image of {[height, width]}"
            )
        return _of_runs(_counts(segmentation.get("counts")), width, height)
    found = np.zeros((height, width), bool)
    for polygon in segmentation:
        found |= _of_polygon(polygon, width, height)
    return found


def _of_runs(counts: Sequence[int], width: int, height: int) -> np.ndarray:
    if min(counts, default=0) < 0 or sum(counts) != width * height:
        raise ImageError(f"segmentation: its runs are of {sum(counts)} pixels in all")
    inside = np.arange(len(counts)) % 2 == 1
    return np.repeat(inside, counts).reshape(width, height).T


def _counts(counts: Any) -> list[int]:
    if isinstance(counts, str):
        return _read_counts(counts)
    if isinstance(counts, list) and all(type(each) is int for each in counts):
        return counts
    raise ImageError("segmentation: its counts are neither numbers nor a text")


def _read_counts(text: str) -> list[int]:
    """Numbers of six bits a character; from the fourth on the difference to the last but one."""
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - _ZERO
        if not 0 <= bits < 2 * _MORE:
            raise ImageError(f"segmentation: no run length has {character!r}")
        value |= (bits & (_MORE - 1)) << shift
        shift += _BITS
        if bits & _MORE:
            continue
        if bits & _SIGN:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise ImageError("segmentation: its counts end in the middle of a number")
    return counts


def _of_polygon(polygon: Sequence[float], width: int, height: int) -> np.ndarray:
    """Pixels are inside by how often the boundary is crossed down their column."""
    if len(polygon) < 6 or len(polygon) % 2:
        raise ImageError(f"segmentation: {len(polygon)} numbers are no polygon")
    corners = np.trunc(_FINE * np.reshape(polygon, (-1, 2)) + 0.5).astype(np.int64)
    lines = [_line(*pair) for pair in pairwise([*corners, corners[0]])]
    x, y = np.concatenate(lines).T
    # Where the boundary goes from one fine column to the next: once for each column of pixels.
    left = np.minimum(x[1:], x[:-1])[x[1:] != x[:-1]]
    top = np.minimum(y[1:], y[:-1])[x[1:] != x[:-1]]
    column = (left + 0.5) / _FINE - 0.5
    row = np.ceil(np.clip((top + 0.5) / _FINE - 0.5, 0, height)).astype(np.int64)
    is_middle = (np.floor(column) == column) & (column >= 0) & (column <= width - 1)
    places = column[is_middle].astype(np.int64) * height + row[is_middle]
    crossings = np.bincount(places, minlength=width * height)[: width * height]
    # A count that wraps around at 256 is as odd as it was.
    odd = np.cumsum(crossings, dtype=np.uint8) & 1
    return odd.astype(bool).reshape(width, height).T


def _line(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Whole points from one corner to the next, both included, [M, 2]."""
    across, down = np.abs(end - start)
    steep = down > across
    first, last = (start[::-1], end[::-1]) if steep else (start, end)
    flip = first[0] > last[0]
    if flip:
        first, last = last, first
    steps = np.arange(last[0] - first[0] + 1)
    slope = (last[1] - first[1]) / max(last[0] - first[0], 1)
    along = np.stack([first[0] + steps, np.trunc(first[1] + slope * steps + 0.5)], axis=1)
    along = along[::-1] if flip else along
    return (along[:, ::-1] if steep else along).astype(np.int64)
