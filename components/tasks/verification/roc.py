"""Scores of pairs against thresholds, in NumPy."""

from __future__ import annotations

import numpy as np


def curve(score: np.ndarray, same: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The receiver operating characteristic.

    Args:
      score: [N]; infinite values are allowed.
      same: bool [N], with pairs of both kinds.

    Returns:
      For falling thresholds, above which pairs are taken for the same, beginning with one that none
      exceeds: the share of the others that are (false positives), the share of the same that are
      (true positives), and the thresholds, each [K].
    """
    order = np.argsort(-score, kind="stable")
    falling, right = score[order], same[order]
    # Pairs of one score are taken together.
    last = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))
    found = np.cumsum(right)[last]
    taken = last + 1
    false = np.concatenate([[0.0], (taken - found) / (~same).sum()])
    true = np.concatenate([[0.0], found / same.sum()])
    return false, true, np.append(np.inf, falling[last])


def area(score: np.ndarray, same: np.ndarray) -> float:
    """The area under the curve: how often one of the same scores above one of the others.

    Equal scores count a half.
    """
    false, true, _ = curve(score, same)
    return float(np.sum(np.diff(false) * (true[1:] + true[:-1]) / 2))


def equal_error_rate(score: np.ndarray, same: np.ndarray) -> float:
    """The rate at which as many of the others are taken for the same as the other way round.

    Between two thresholds the curve is a straight line.
    """
    false, true, _ = curve(score, same)
    missed = 1 - true
    after = int(np.argmax(false >= missed))
    before = after - 1
    rise, fall = false[after] - false[before], missed[before] - missed[after]
    part = (missed[before] - false[before]) / (rise + fall)
    return float(false[before] + part * rise)


def best_threshold(score: np.ndarray, same: np.ndarray) -> float:
    """The threshold above which pairs are taken for the same with the fewest mistakes.

    It lies in the middle of the two scores around it; of several the highest. Infinite where it is
    best to take all pairs for the same, or none.

    Args:
      score: [N], N of 1 or more.
      same: bool [N].
    """
    order = np.argsort(-score, kind="stable")
    falling, right = score[order].astype(np.float64), same[order]
    # Of the first k taken for the same, how many answers are right.
    gained = np.concatenate([[0], np.cumsum(np.where(right, 1, -1))])
    between = np.concatenate([[True], falling[1:] != falling[:-1], [True]])
    k = int(np.argmax(np.where(between, gained, -len(score) - 1)))
    if k in (0, len(score)):
        return np.inf if k == 0 else -np.inf
    above, below = falling[k - 1], falling[k]
    if np.isinf(above) or np.isinf(below):
        # Answers that are no numbers lie there, on the wrong side of any threshold.
        return float(below if np.isinf(above) else np.nextafter(above, -np.inf))
    return float(above / 2 + below / 2)
