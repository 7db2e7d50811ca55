"""The figures of normals: Eigen, Fergus 2015, section 4.2 and Table 2 (Fouhey et al. 2013)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from components.maps.arrays import MeanMap, all_of, less_than_constant, resized

WITHIN = (11.25, 22.5, 30.0)
# Degrees, ends of the bins in which angles are counted for the median: tenths where medians of
# networks are, whole ones beyond.
BINS = np.concatenate([np.linspace(0, 45, 451), np.arange(46.0, 181.0)])
COLUMNS = ("pixels", "sum", *(f"within_{limit:g}" for limit in WITHIN))
# The normal of a wall straight ahead, where no picture says more.
_TO_CAMERA = (0.0, 0.0, -1.0)
_OPPOSITE = 180.0


def rows(
    answers: Mapping[str, np.ndarray], truths: Sequence[np.ndarray], arguments: Mapping[str, Any]
) -> np.ndarray:
    """The sums of each picture over its valid pixels, and how its angles are distributed.

    An answer of another size is enlarged or reduced bilinearly to the truth's. Its lengths do not
    count; one that is 0, NaN or infinite is 180 degrees away.

    Args:
      answers: `normals`, [N, h, w, 3].
      truths: unit vectors, or 0 where there is none, [H, W, 3] each.
      arguments: none.

    Returns:
      float64 [N, len(COLUMNS) + len(BINS) - 1]: `COLUMNS`, then how many angles are in each of
      `BINS`.
    """
    del arguments
    found = [
        _row(angles(answer, truth)[is_valid(truth)])
        for answer, truth in zip(answers["normals"], truths, strict=True)
    ]
    return np.array(found, np.float64).reshape(-1, len(COLUMNS) + len(BINS) - 1)


def is_valid(truth: np.ndarray) -> np.ndarray:
    """Where there is a normal, bool [H, W]: vectors that are finite and not 0."""
    return np.isfinite(truth).all(axis=-1) & truth.any(axis=-1)


def angles(answer: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Degrees between two maps of vectors, float64 [H, W]; 180 for an answer that is none.

    Args:
      answer: [h, w, 3], enlarged or reduced bilinearly to the truth's size.
      truth: [H, W, 3].
    """
    y, t = resized(answer, truth.shape), truth.astype(np.float64)
    known = np.isfinite(y).all(axis=-1) & y.any(axis=-1)
    y = np.where(known[..., None], y, 0.0)
    # Exact for small angles too, of which a cosine says nothing.
    across, along = np.linalg.norm(np.cross(y, t), axis=-1), (y * t).sum(axis=-1)
    return np.where(known, np.degrees(np.arctan2(across, along)), _OPPOSITE)


def _row(degrees: np.ndarray) -> np.ndarray:
    within = [(degrees < limit).sum() for limit in WITHIN]
    counted = np.histogram(degrees, BINS)[0]
    return np.array([degrees.size, degrees.sum(), *within, *counted], np.float64)


def figures(rows: np.ndarray, arguments: Mapping[str, Any]) -> dict[str, float | None]:
    """The paper's figures of rows, over the valid pixels of all pictures; None without one.

    All are exact but the median, which is interpolated within its bin: it is at most 0.1 degrees
    off below 45 degrees, and at most 1 degree above.
    """
    del arguments
    table = np.asarray(rows, np.float64).reshape(-1, len(COLUMNS) + len(BINS) - 1)
    pixels, total, *rest = table.sum(axis=0)
    names = ("angle_mean", "angle_median", *COLUMNS[2:])
    if not pixels:
        return dict.fromkeys(names)
    within, counted = rest[: len(WITHIN)], np.array(rest[len(WITHIN) :])
    values = (total / pixels, _median(counted), *(each / pixels for each in within))
    return dict(zip(names, map(float, values), strict=True))


def _median(counted: np.ndarray) -> float:
    """Where half of all angles lie below, as if those of a bin were spread evenly in it."""
    below = np.concatenate([[0.0], np.cumsum(counted)])
    half = below[-1] / 2
    place = int(np.searchsorted(below, half, side="left"))
    part = (half - below[place - 1]) / counted[place - 1]
    return BINS[place - 1] + part * (BINS[place] - BINS[place - 1])


def constant(
    truths: Iterable[Sequence[np.ndarray]], names: Sequence[str], arguments: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """The direction of the mean normal of each pixel, `normals` float32 [1, H, W, 3].

    Maps of other sizes than the first are brought to its size. Where there is no mean, it looks
    at the camera.

    Args:
      truths: batches of normals, [H, W, 3] each.
      names: of classes; there are none.
      arguments: of the task.
    """
    del names, arguments
    mean = MeanMap()
    for truth in all_of(truths):
        mean.add(truth, is_valid(truth))
    return constant_of(mean)


def constant_of(mean: MeanMap) -> dict[str, np.ndarray]:
    """The answer of `constant`, from the mean of the normals."""
    return {"normals": direction(mean.mean())[None].astype(np.float32)}


def direction(vectors: np.ndarray) -> np.ndarray:
    """Vectors [..., 3] of length 1; those to the camera in the place of 0."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.where(length > 0, vectors / np.where(length > 0, length, 1.0), _TO_CAMERA)


def needed(
    rows: np.ndarray, level: float, arguments: Mapping[str, Any]
) -> tuple[float, str] | None:
    """The mean angle below which a network says more than one map for all pictures.

    Args:
      rows: of `rows`, of `constant` about the test split.
      level: not used.
      arguments: of the task.

    Returns:
      The largest number below the constant map's angle, and why in words; None where no pixel of
      the test split has a normal.
    """
    del level
    angle = figures(rows, arguments)["angle_mean"]
    return less_than_constant(angle, "the mean of the training normals", len(rows))


def of_training(history: Sequence[Mapping[str, float]], wanted: Iterable[str]) -> dict[str, Any]:
    """None: no figure of normals is about the training."""
    del history, wanted
    return {}
