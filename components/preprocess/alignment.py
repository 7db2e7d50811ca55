"""Faces brought to one place by points that are marked in them.

Taigman, Yang, Ranzato, Wolf, DeepFace, CVPR 2014, section 2: a similarity brings the points to
anchors in the crop (2-D); a generic 3-D model, seen by an affine camera that is fitted to the
points, says where they would be if the face looked ahead, and the triangles between them are moved
there (3-D). The paper moves what is hidden from the camera no further; it "can be replaced" by the
other half of the face, which is not done here. Neither its anchors nor its model are published.

Pure NumPy and SciPy. Points are (row, column) in pixels, the first pixel's centre at (0, 0).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_PIXEL = 0.5  # From a pixel's corner to its centre.


def aligned(
    pixels: np.ndarray, points: np.ndarray, settings: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """A face in its crop.

    Args:
      pixels: uint8 [H, W] or [H, W, C].
      points: [K, 2], in 0..1 of the picture's height and width.
      settings: a recipe's `ingest.align`: `size`, the crop's height and width; `anchors`, as many
        points as there are, in 0..1 of the crop, or `model`, [K][3], whose points are these and a
        depth of any unit. With a model the face is turned to the front.

    Returns:
      uint8 [height, width] or [height, width, C], 0 where nothing is known; and the points in it,
      [K, 2] in 0..1, which may lie outside.

    Raises:
      ValueError: other points than the settings have, or points of which nothing can be told.
    """
    size = np.array(settings["size"], np.float64)
    model = settings.get("model")
    goal = np.array(model or settings["anchors"], np.float64)
    if len(goal) != len(points):
        raise ValueError(f"{len(points)} points, and align is about {len(goal)}")
    found = np.asarray(points, np.float64) * pixels.shape[:2] - _PIXEL
    anchors = goal[:, :2] * size - _PIXEL
    matrix = similarity(found, anchors)
    shape = tuple(settings["size"])
    if not model:
        places = transformed(_grid(shape), inverted(matrix))
        placed = transformed(found, matrix)
    else:
        flat = transformed(found, matrix)
        placed = frontal(flat, np.concatenate([anchors, goal[:, 2:]], axis=1))
        places = piecewise(_grid(shape), placed, found)
    crop = sampled(pixels, places).reshape(*shape, *pixels.shape[2:])
    return np.clip(np.rint(crop), 0, 255).astype(np.uint8), (placed + _PIXEL) / size


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The scale, rotation and translation that bring points closest to others, [2, 3].

    Source: Umeyama 1991, "Least-squares estimation of transformation parameters between two point
    patterns", Eqns 39 to 43; without a reflection.

    Args:
      source, target: [K, 2].

    Raises:
      ValueError: fewer than two places.
    """
    source, target = (np.asarray(each, np.float64) for each in (source, target))
    middles = source.mean(axis=0), target.mean(axis=0)
    a, b = source - middles[0], target - middles[1]
    spread = np.square(a).sum() / len(a)
    if not spread > 0:
        raise ValueError("all points lie in one place")
    u, d, v = np.linalg.svd(b.T @ a / len(a))
    sign = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(v)) or 1.0])
    rotation = u @ np.diag(sign) @ v
    turned = (d * sign).sum() / spread * rotation
    return np.concatenate([turned, (middles[1] - turned @ middles[0])[:, None]], axis=1)


def inverted(matrix: np.ndarray) -> np.ndarray:
    """The affine map back, [2, 3]."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.concatenate([linear, -linear @ matrix[:, 2:]], axis=1)


def transformed(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Points [K, D] by an affine map [E, D + 1], [K, E]."""
    return points @ matrix[:, :-1].T + matrix[:, -1]


def camera(
    points: np.ndarray, model: np.ndarray, covariance: np.ndarray | None = None
) -> np.ndarray:
    """The affine camera, [2, 4], under which a model's points are closest to those of a picture.

    Args:
      points: [K, 2].
      model: [K, 3], K of 4 or more, not in one plane.
      covariance: of the points' errors, [2 K, 2 K], rows and columns of a point together; none for
        errors that are all alike. The paper weighs them by its inverse (section 2.2).
    """
    count = len(points)
    ones = np.concatenate([model, np.ones((count, 1))], axis=1)
    # Row 2 k is of the row of point k, row 2 k + 1 of its column.
    design = np.zeros((2 * count, 8))
    design[0::2, :4] = design[1::2, 4:] = ones
    wanted = np.asarray(points, np.float64).reshape(-1)
    if covariance is not None:
        factor = np.linalg.cholesky(covariance)
        design, wanted = np.linalg.solve(factor, design), np.linalg.solve(factor, wanted)
    return np.linalg.lstsq(design, wanted, rcond=None)[0].reshape(2, 4)


def frontal(
    points: np.ndarray, model: np.ndarray, covariance: np.ndarray | None = None
) -> np.ndarray:
    """Where the points of a face lie when it looks ahead, [K, 2].

    They are the model's, and what the camera leaves of the points in the picture: without these
    residuals all faces would get the model's shape (section 2.2).

    Args:
      points: [K, 2], aligned in 2-D.
      model: [K, 3]: where its points lie from the front, in the same pixels, and a depth.
      covariance: as of `camera`.
    """
    seen = transformed(model, camera(points, model, covariance))
    return model[:, :2] + (points - seen)


def piecewise(places: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Places between points moved as the triangles of these are, [N, 2]; NaN outside of all.

    Args:
      places: [N, 2].
      source, target: of the points, [K, 2], before and after; the triangles are Delaunay's of
        `source`.
    """
    from scipy.spatial import Delaunay, QhullError

    try:
        triangles = Delaunay(source)
    except QhullError as error:
        raise ValueError("the points make no triangles") from error
    inside = triangles.find_simplex(places)
    affine = triangles.transform[inside]
    first_two = np.einsum("nij,nj->ni", affine[:, :2], places - affine[:, 2])
    shares = np.concatenate([first_two, 1 - first_two.sum(axis=1, keepdims=True)], axis=1)
    moved = np.einsum("nk,nkc->nc", shares, target[triangles.simplices[inside]])
    return np.where((inside >= 0)[:, None], moved, np.nan)


def sampled(pixels: np.ndarray, places: np.ndarray) -> np.ndarray:
    """A picture between its pixels, bilinearly, float64 [N] or [N, C]; 0 outside, and at NaN."""
    values = pixels.astype(np.float64).reshape(*pixels.shape[:2], -1)
    known = np.isfinite(places).all(axis=1)
    places = np.where(known[:, None], places, -2.0)
    low = np.floor(places).astype(np.int64)
    found = np.zeros((len(places), values.shape[-1]))
    for step in ((0, 0), (0, 1), (1, 0), (1, 1)):
        at = low + step
        weight = np.abs(1 - np.array(step) - (places - low)).prod(axis=1)
        there = ((at >= 0) & (at < values.shape[:2])).all(axis=1)
        row, column = np.where(there[:, None], at, 0).T
        found += (weight * there)[:, None] * values[row, column]
    return found if pixels.ndim == 3 else found[:, 0]


def _grid(shape: Sequence[int]) -> np.ndarray:
    """The centre of each pixel, row by row, [H W, 2]."""
    return np.stack(np.indices(shape), axis=-1).reshape(-1, 2).astype(np.float64)
