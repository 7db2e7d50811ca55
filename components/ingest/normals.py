"""Normals of surfaces: how they are stored, and how they are found from depths. NumPy alone.

Planes are fitted by least squares to the points around each pixel, as the toolbox of NYU Depth V2
does (Silberman, Hoiem, Kohli, Fergus 2012, section 3.1). It looks at a grid of neighbours up to 9
pixels away, and leaves out those whose depth differs by 5 % or more. Here the distances of the
points from the plane are the least, and in the toolbox those of [x, y, z, 1] from a plane in four
dimensions; it fills holes of the depths first, and smooths the normals after, and here a pixel
without a depth has no normal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# Of a stored vector, between which lengths it is a normal. Others mark that there is none: grey is
# 0, and black, as some data have it, the root of 3.
LENGTHS = (0.5, 1.5)
# Neighbours, in pixels of a picture as wide as NYU's: all pairs of a row and a column among them.
_STEPS = (-9, -6, -3, -1, 0, 1, 3, 6, 9)
_WIDTH = 640
_NEAR = 0.05
_FEWEST = 3
# Of points on a line, and not on one plane alone, the second variance is no larger than rounding.
_THIN = 1e-9
# Of a surface that is seen exactly from its side, as a line of pixels is, neither side is seen.
_EDGE_ON = 1e-6


@dataclass(frozen=True)
class Camera:
    """A pinhole: what is at (x, y, z), in metres to the right, down and into the scene, is seen at
    column focal[0] x / z + centre[0] and row focal[1] y / z + centre[1].

    Attributes:
      size: width and height of the pictures that the other numbers are of. Depths of another size
        are taken for the same picture, resized.
      focal: focal lengths in pixels, along the columns and along the rows.
      centre: column and row of the principal point; the centre of the first pixel is at 0.5, 0.5.
    """

    size: tuple[int, int]
    focal: tuple[float, float]
    centre: tuple[float, float]

    def points(self, depth: np.ndarray) -> np.ndarray:
        """What each pixel shows.

        Args:
          depth: [H, W], metres along the optical axis.

        Returns:
          float64 [3, H, W].
        """
        height, width = depth.shape
        (u, v), (fx, fy), (cx, cy) = self.size, self.focal, self.centre
        x = ((np.arange(width) + 0.5) * u / width - cx) / fx
        y = ((np.arange(height) + 0.5) * v / height - cy) / fy
        return np.stack([x * depth, y[:, None] * depth, depth])


# NYU Depth V2's colour camera, onto which its depths are projected: `camera_params.m` of its
# toolbox, where the first pixel's centre is at 1, 1.
NYU = Camera((640, 480), (518.857901, 519.469611), (325.582449 - 0.5, 253.736166 - 0.5))


@dataclass(frozen=True)
class OfDepths:
    """What a reader gives in the place of normals that are to be found from depths.

    Attributes:
      depth: as `components.ingest.contract.Record` takes depths.
      camera: with which they were taken.
    """

    depth: Any
    camera: Camera


def encoded(normals: np.ndarray) -> np.ndarray:
    """Normals [H, W, 3] as they are stored: uint8, 255 (n + 1) / 2; 128 of each where it is 0."""
    return np.rint(255 * (np.asarray(normals, np.float64) + 1) / 2).astype(np.uint8)


def of_depths(depth: np.ndarray, camera: Camera) -> np.ndarray:
    """The normals of the surfaces that a picture of depths shows.

    Args:
      depth: float [H, W], metres along the optical axis; what is not positive and finite was not
        measured.
      camera: with which it was taken.

    Returns:
      float32 [H, W, 3]: unit vectors to the camera's side, x to the right, y down, z into the
      scene; 0 where no plane can be fitted: without a depth, or with fewer than three points
      around it that are not on one line of the scene or of the picture.
    """
    measured = np.isfinite(depth) & (depth > 0)
    points = camera.points(np.where(measured, depth, 0.0).astype(np.float64))
    count, total, products = _moments(points, measured)
    mean = total / np.maximum(count, 1)
    covariance = np.empty((*depth.shape, 3, 3))
    for place, (i, j) in enumerate(_PAIRS):
        spread = products[place] / np.maximum(count, 1) - mean[i] * mean[j]
        covariance[..., i, j] = covariance[..., j, i] = spread
    variances, axes = np.linalg.eigh(covariance)
    normals = axes[..., 0]
    away = (normals * np.moveaxis(points, 0, -1)).sum(axis=-1)
    fits = (count >= _FEWEST) & (variances[..., 1] > _THIN * variances[..., 2])
    fits &= np.abs(away) > _EDGE_ON * np.linalg.norm(points, axis=0)
    found = np.where(away[..., None] > 0, -normals, normals)
    return np.where(fits[..., None], found, 0.0).astype(np.float32)


_PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


def _moments(points: np.ndarray, measured: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How many points are around each, and the sums of them and of their products.

    They are counted from the pixel's own point: squares of the distances from the camera would
    lose what the surface's curvature is seen by.

    Returns:
      [H, W], [3, H, W], and [6, H, W] in the order of `_PAIRS`.
    """
    count = np.zeros(measured.shape)
    total, products = np.zeros((3, *measured.shape)), np.zeros((6, *measured.shape))
    for own, other in _neighbours(measured.shape):
        here = points[:, own[0], own[1]]
        apart = points[:, other[0], other[1]] - here
        near = measured[own] & measured[other] & (np.abs(apart[2]) < _NEAR * here[2])
        apart *= near
        count[own] += near
        for axis, values in enumerate(apart):
            total[axis][own] += values
        for place, (i, j) in enumerate(_PAIRS):
            products[place][own] += apart[i] * apart[j]
    return count, total, products


def _neighbours(shape: Sequence[int]) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Which pixels have a neighbour at each of the steps, and these neighbours."""
    # Of a smaller picture the same places, but at least the eight pixels around.
    steps = sorted({round(step * shape[1] / _WIDTH) for step in _STEPS} | {-1, 0, 1})
    for down in steps:
        for right in steps:
            pairs = [_shifted(side, step) for side, step in zip(shape, (down, right), strict=True)]
            (rows, columns), (other_rows, other_columns) = zip(*pairs, strict=True)
            yield (rows, columns), (other_rows, other_columns)


def _shifted(side: int, step: int) -> tuple[slice, slice]:
    """Places along a side, and those so many steps on, as far as both are there."""
    own = slice(max(0, -step), max(0, side - max(0, step)))
    return own, slice(own.start + step, max(own.start, own.stop) + step)
