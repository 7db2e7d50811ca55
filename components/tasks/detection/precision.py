"""Average precision of ranked detections, in the three ways of the protocols.

Detections of equal scores pass a threshold together, so that the order in which pictures come is of
no effect, and a model that gives all the same score ranks nothing.
"""

from __future__ import annotations

import numpy as np

_COCO_RECALLS = np.linspace(0.0, 1.0, 101)


def curve(scores: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many detections are right, and how many there are, from each threshold on.

    Args:
      scores: [D].
      right: bool [D].

    Returns:
      two int64 [T], of the T different scores, the highest first.
    """
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(scores[order][1:] != scores[order][:-1], True)[: len(order)])
    return np.cumsum(right[order], dtype=np.int64)[last], last + 1


def eleven_points(right: np.ndarray, number: np.ndarray, positives: int) -> float:
    """VOC's average precision to 2007: the mean over the recalls 0, 0.1, ..., 1.

    At each it is the highest precision at this recall or a higher one.

    Args:
      right, number: of `curve`.
      positives: how many objects there are, at least 1.
    """
    best = _envelope(right, number)
    # In whole numbers: 0.3 is not 3 times 0.1.
    places = [np.searchsorted(10 * right, tenth * positives, "left") for tenth in range(11)]
    return float(np.mean([best[place] if place < len(best) else 0.0 for place in places]))


def all_points(right: np.ndarray, number: np.ndarray, positives: int) -> float:
    """VOC's average precision from 2010: the area below the curve that never rises.

    Args:
      right, number, positives: as for `eleven_points`.
    """
    gained = np.diff(right, prepend=0) / positives
    return float((gained * _envelope(right, number)).sum())


def coco(scores: np.ndarray, right: np.ndarray, positives: int) -> float:
    """COCO's average precision: as `eleven_points`, over 101 recalls.

    Args:
      scores, right: as for `curve`.
      positives: how many objects there are, at least 1.
    """
    right, number = curve(scores, right)
    best = _envelope(right, number)
    # As pycocotools compares them.
    places = np.searchsorted(right / positives, _COCO_RECALLS, "left")
    return float(np.append(best, 0.0)[places].mean())


def _envelope(right: np.ndarray, number: np.ndarray) -> np.ndarray:
    """The highest precision from each threshold on."""
    return np.maximum.accumulate((right / np.maximum(number, 1))[::-1])[::-1]
