"""The figures of pairs: accuracy as on Labeled Faces in the Wild, and the ROC curve's.

Huang, Ramesh, Berg, Learned-Miller, Labeled Faces in the Wild, technical report 07-49, University
of Massachusetts, Amherst 2007, section III: the accuracy is the mean over ten folds, each judged by
what was chosen on the nine others, and it is published with its standard error. Here a threshold of
the score is chosen so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from components.tasks import chance
from components.tasks.verification import roc

COLUMNS = ("score", "same", "fold", "finite")
NAMES = ("accuracy", "accuracy_standard_error", "roc_area", "equal_error_rate")
# Of a network's own decision.
_THRESHOLD = 0.0
# So that the logarithm of a share is finite.
_LEAST_SHARE = 1e-6


def rows(
    answers: Mapping[str, np.ndarray], truths: np.ndarray, arguments: Mapping[str, Any]
) -> np.ndarray:
    """A row a pair.

    Args:
      answers: `score` [N].
      truths: whether each pair is of the same, and its fold, int64 [N, 2].
      arguments: none.

    Returns:
      float64 [N, 4], see `COLUMNS`. A score that is not finite is infinite there, the wrong way.
    """
    del arguments
    score = np.asarray(answers["score"], np.float64)
    same, fold = np.asarray(truths, np.int64).reshape(-1, 2).T
    finite = np.isfinite(score)
    score = np.where(finite, score, np.where(same > 0, -np.inf, np.inf))
    return np.stack([score, same, fold, finite], axis=1, dtype=np.float64)


def figures(rows: np.ndarray, arguments: Mapping[str, Any]) -> dict[str, float | None]:
    """The figures of rows.

    Returns:
      accuracy, the mean of `accuracies`; accuracy_standard_error, None without two folds;
      roc_area and equal_error_rate, None without pairs of both kinds.
    """
    del arguments
    table = np.asarray(rows, np.float64).reshape(-1, len(COLUMNS))
    if not len(table):
        return dict.fromkeys(NAMES)
    by_fold = accuracies(table)
    error = by_fold.std(ddof=1) / np.sqrt(len(by_fold)) if len(by_fold) > 1 else None
    score, same = table[:, 0], table[:, 1] > 0
    both = same.any() and not same.all()
    found = (
        by_fold.mean(),
        error,
        roc.area(score, same) if both else None,
        roc.equal_error_rate(score, same) if both else None,
    )
    return {
        name: None if value is None else float(value)
        for name, value in zip(NAMES, found, strict=True)
    }


def accuracies(rows: np.ndarray) -> np.ndarray:
    """The accuracy of each fold, by the threshold that is best on all others, [folds].

    Of pairs without folds, or in one, the accuracy of the network's own decision, above 0, [1].
    """
    score, same, fold, finite = np.ascontiguousarray(rows.T)
    same = same > 0
    folds = np.unique(fold)
    if len(folds) < 2:
        return np.array([_right(score, same, finite, _THRESHOLD).mean()])
    found = []
    for each in folds:
        own = fold == each
        threshold = roc.best_threshold(score[~own], same[~own])
        found.append(_right(score[own], same[own], finite[own], threshold).mean())
    return np.array(found)


def _right(score: np.ndarray, same: np.ndarray, finite: np.ndarray, threshold: float) -> np.ndarray:
    return ((score > threshold) == same) & (finite > 0)


def constant(
    truths: Iterable[np.ndarray], names: Sequence[str], arguments: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """The log odds of the share of pairs that are of the same, `score` float32 [1].

    Args:
      truths: batches of int64 [N, 2].
      names: of classes; there are none.
      arguments: none.
    """
    del names, arguments
    share = np.concatenate([each[:, 0] for each in truths]).mean()
    share = np.clip(share, _LEAST_SHARE, 1 - _LEAST_SHARE)
    return {"score": np.array([np.log(share / (1 - share))], np.float32)}


def needed(
    rows: np.ndarray, level: float, arguments: Mapping[str, Any]
) -> tuple[float, str] | None:
    """The accuracy that says more than one answer about all test pairs does.

    See `components.tasks.chance`. Pairs of few people are less independent than the test has it.

    Args:
      rows: of `rows`, about the test split, whatever was answered.
      level: above 0 and at most 0.5.
      arguments: none.
    """
    del arguments
    return chance.needed(rows[:, 1].astype(np.int64), level, "the commoner answer", "test pairs")


def of_training(history: Sequence[Mapping[str, float]], wanted: Iterable[str]) -> dict[str, Any]:
    """None: no figure of pairs is about the training."""
    del history, wanted
    return {}
