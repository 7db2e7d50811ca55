"""The figures of depth maps: Eigen, Puhrsch, Fergus 2014, section 4.3, and Eigen, Fergus 2015."""

import numpy as np

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


def rows(answers: np.ndarray, truths: np.ndarray, crop: bool = False) -> np.ndarray:
    """The sums of each picture over its valid pixels, those of a positive finite true depth.

    An answer that is NaN makes every error infinite, one that is not positive that of the
    logarithm; neither is within a threshold.

    Args:
      answers, truths: depths in metres, [N, h, w] or [N, h, w, 1].
      crop: whether `eigen_crop` alone is judged.

    Returns:
      float64 [N, len(COLUMNS)].
    """
    answers, truths = (np.asarray(x, np.float64) for x in (answers, truths))
    answers, truths = (x[..., 0] if x.ndim == 4 else x for x in (answers, truths))
    if answers.shape != truths.shape:
        raise ValueError(f"answers are {answers.shape} and truths {truths.shape}.")
    if crop:
        judged = (slice(None), *eigen_crop(*truths.shape[1:]))
        answers, truths = answers[judged], truths[judged]
    found = [_row(*pair) for pair in zip(answers, truths, strict=True)]
    return np.array(found, np.float64).reshape(-1, len(COLUMNS))


def _row(answer: np.ndarray, truth: np.ndarray) -> list[float]:
    valid = np.isfinite(truth) & (truth > 0)
    y, t = answer[valid], truth[valid]
    y = np.where(np.isnan(y), np.inf, y)
    error = np.abs(y - t)
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.where(y > 0, np.log(np.maximum(y, 0)) - np.log(t), np.inf)
        ratio = np.where(y > 0, np.maximum(y / t, t / y), np.inf)
    within = [float((ratio < THRESHOLD**power).sum()) for power in (1, 2, 3)]
    sums = [error / t, error**2 / t, error**2, log**2, log]
    return [float(y.size), *within, *(float(x.sum()) for x in sums)]


def figures(table: np.ndarray) -> dict[str, float | None]:
    """The papers' figures of rows, over the valid pixels of all pictures; None without one.

    The papers sum over the set T of all pixels, so that a picture counts by its valid pixels.
    The scale-invariant error is the root of the mean over T of the variance of the log error within
    its picture. The papers' Eqn 1 has half of it under the root; but what their tables print,
    0.219 beside a log error of 0.283, would then be larger than the log error is.
    """
    table = np.asarray(table, np.float64).reshape(-1, len(COLUMNS))
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
