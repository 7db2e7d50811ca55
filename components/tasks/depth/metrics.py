"""The figures of depth maps: Eigen, Puhrsch, Fergus 2014, section 4.3, and Eigen, Fergus 2015."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from components.maps.arrays import MeanMap, all_of, less_than_constant, resized

# Rows and columns of NYU's 480 x 640 that are judged, as public evaluation code has them.
EIGEN_CROP = ((45, 471, 480), (41, 601, 640))
THRESHOLD = 1.25
COLUMNS = ("pixels", "within_1", "within_2", "within_3", "absolute", "squared_relative")
COLUMNS += ("squared", "squared_log", "log")


def eigen_crop(height: int, width: int) -> tuple[slice, slice]:
    """The rows and columns that are judged, scaled to maps of other sides than 480 x 640."""
    rows, columns = (
        slice(round(first * side / whole), round(last * side / whole))
        for side, (first, last, whole) in zip((height, width), EIGEN_CROP, strict=True)
    )
    return rows, columns


def rows(
    answers: Mapping[str, np.ndarray], truths: Sequence[np.ndarray], arguments: Mapping[str, Any]
) -> np.ndarray:
    """The sums of each picture over its valid pixels, those of a positive finite true depth.

    An answer of another size is enlarged or reduced bilinearly to the truth's. One that is NaN
    makes every error infinite, one that is not positive that of the logarithm; neither is within a
    threshold.

    Args:
      answers: `depth`, in metres, [N, h, w].
      truths: in metres, [H, W] each.
      arguments: `crop`, whether `eigen_crop` alone is judged.

    Returns:
      float64 [N, len(COLUMNS)].
    """
    found = []
    for answer, truth in zip(answers["depth"], truths, strict=True):
        whole = resized(answer, truth.shape)
        judged = eigen_crop(*truth.shape) if arguments["crop"] else ...
        found.append(_row(whole[judged], truth[judged].astype(np.float64)))
    return np.array(found, np.float64).reshape(-1, len(COLUMNS))


def is_valid(truth: np.ndarray) -> np.ndarray:
    """Where a depth was measured, bool [H, W]: those that are positive and finite."""
    return np.isfinite(truth) & (truth > 0)


def constant(
    truths: Iterable[Sequence[np.ndarray]], names: Sequence[str], arguments: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """The mean depth of each pixel, `depth` float32 [1, H, W]; 0 where none was measured.

    Maps of other sizes than the first are brought to its size.

    Args:
      truths: batches of depths in metres, [H, W] each.
      names: of classes; there are none.
      arguments: of the task.
    """
    del names, arguments
    mean = MeanMap()
    for truth in all_of(truths):
        mean.add(truth, is_valid(truth))
    return constant_of(mean)


def constant_of(mean: MeanMap) -> dict[str, np.ndarray]:
    """The answer of `constant`, from the mean of the depths."""
    return {"depth": mean.mean()[None].astype(np.float32)}


def needed(
    rows: np.ndarray, level: float, arguments: Mapping[str, Any]
) -> tuple[float, str] | None:
    """The absolute relative error below which a network says more than one map for all pictures.

    Args:
      rows: of `rows`, of `constant` about the test split.
      level: not used.
      arguments: of the task.

    Returns:
      The largest number below the constant map's error, and why in words; None where no pixel of
      the test split has a depth.
    """
    del level
    error = figures(rows, arguments)["abs_rel"]
    return less_than_constant(error, "the mean of the training depths", len(rows))


def of_training(history: Sequence[Mapping[str, float]], wanted: Iterable[str]) -> dict[str, Any]:
    """None: no figure of depth is about the training."""
    del history, wanted
    return {}


def _row(answer: np.ndarray, truth: np.ndarray) -> list[float]:
    valid = is_valid(truth)
    y, t = answer[valid], truth[valid]
    y = np.where(np.isnan(y), np.inf, y)
    error = np.abs(y - t)
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.where(y > 0, np.log(np.maximum(y, 0)) - np.log(t), np.inf)
        ratio = np.where(y > 0, np.maximum(y / t, t / y), np.inf)
    within = [float((ratio < THRESHOLD**power).sum()) for power in (1, 2, 3)]
    sums = [error / t, error**2 / t, error**2, log**2, log]
    return [float(y.size), *within, *(float(x.sum()) for x in sums)]


def figures(rows: np.ndarray, arguments: Mapping[str, Any]) -> dict[str, float | None]:
    """The papers' figures of rows, over the valid pixels of all pictures; None without one.

    The papers sum over the set T of all pixels, so that a picture counts by its valid pixels.
    The scale-invariant error is the root of the mean over T of the variance of the log error within
    its picture. The papers' Eqn 1 has half of it under the root; but what their tables print,
    0.219 beside a log error of 0.283, would then be larger than the log error is.
    """
    del arguments
    table = np.asarray(rows, np.float64).reshape(-1, len(COLUMNS))
    pixels, *sums = table.sum(axis=0)
    names = ("threshold_1.25", "threshold_1.25^2", "threshold_1.25^3", "abs_rel", "sqr_rel")
    names += ("rms", "rms_log", "rms_log_scale_invariant")
    if not pixels:
        return dict.fromkeys(names)
    means = [x / pixels for x in sums]
    counted = table[table[:, 0] > 0]
    if np.isfinite(counted).all():
        within = (counted[:, -2] - counted[:, -1] ** 2 / counted[:, 0]).sum() / pixels
    else:
        within = np.inf
    roots = [means[5], means[6], max(within, 0.0)]
    return dict(zip(names, map(float, (*means[:5], *np.sqrt(roots))), strict=True))
