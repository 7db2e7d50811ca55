"""What is measured on scores and labels; everything in NumPy, rates as fractions.

A row of scores that is not finite counts as a wrong answer, never as a lucky one. Between equal
scores the lower label is the answer, as `argmax` has it in the served model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from components.tasks import chance

_FIVE = 5
_NAMES = (
    *("accuracy", "error", "top5_error", "cross_entropy"),
    *("rejected_at_0.5_error", "gain_over_majority"),
)
_STEPS = re.compile(r"steps_to_([\d.]+)_accuracy")


def rows(
    answers: Mapping[str, np.ndarray], labels: np.ndarray, arguments: Mapping[str, Any]
) -> np.ndarray:
    """A row a picture.

    Args:
      answers: `scores`, float32 [N, C], taken as probabilities.
      labels: int64 [N].
      arguments: none.

    Returns:
      float64 [N, 6]: the label; whether it has the highest score, and whether one of the five
      highest (NaN for 5 classes or fewer); -log of its score in nats; the difference of the two
      highest scores; whether all scores are finite.
    """
    del arguments
    scores = answers["scores"]
    finite = np.isfinite(scores).all(axis=1)
    # Not finite ones would only be complained of: they are wrong whatever they are.
    known = np.where(finite[:, None], scores, 0.0)
    order = np.argsort(-known, axis=1, kind="stable")
    second, first = np.sort(known, axis=1)[:, -2:].T
    right, in_five = ((order[:, :k] == labels[:, None]).any(axis=1) & finite for k in (1, 5))
    given = known[np.arange(len(labels)), labels].astype(np.float64)
    # Held above float32's resolution, so that one wrong and certain answer does not make the mean
    # infinite.
    surprise = -np.log(np.maximum(given, np.finfo(np.float32).eps))
    few = scores.shape[1] <= _FIVE
    in_five = np.full(len(labels), np.nan) if few else in_five
    found = [labels, right, in_five, surprise, first - second, finite]
    return np.stack(found, axis=1, dtype=np.float64)


def figures(rows: np.ndarray, arguments: Mapping[str, Any]) -> dict[str, float | None]:
    """All metrics of a classification; None for one that these rows do not define.

    Args:
      rows: of `rows`, of one batch or several.
      arguments: none.

    Returns:
      accuracy; error; top5_error (None for 5 classes or fewer); cross_entropy (nats; None where a
      score is not finite); rejected_at_0.5_error (to have 0.5 % error on the rest; None as the
      cross-entropy is, or where not even one example can be kept); gain_over_majority, the accuracy
      less that of the answer that is always the commonest label.
    """
    del arguments
    if not len(rows):
        return dict.fromkeys(_NAMES)
    label, right, in_five, surprise, margin, finite = np.ascontiguousarray(rows.T)
    all_finite = bool(finite.all())
    commonest = np.unique(label, return_counts=True)[1].max()
    found = (
        right.sum() / len(rows),
        (right == 0).mean(),
        None if np.isnan(in_five).any() else (in_five == 0).mean(),
        surprise.mean() if all_finite else None,
        _rejected(margin, right == 0, 0.005) if all_finite else None,
        (right.sum() - commonest) / len(rows),
    )
    return {
        name: None if value is None else float(value)
        for name, value in zip(_NAMES, found, strict=True)
    }


def _rejected(margin: np.ndarray, wrong: np.ndarray, error: float) -> float | None:
    """Share of the examples to reject so that at most `error` of the others are wrong.

    LeCun et al. 1998, section III.D: rejected first are those with the least difference between
    the scores of the top two classes.
    """
    surest = np.argsort(-margin, kind="stable")
    kept = np.arange(1, len(margin) + 1)
    allowed = np.flatnonzero(np.cumsum(wrong[surest]) <= error * kept)
    return float((len(margin) - kept[allowed[-1]]) / len(margin)) if len(allowed) else None


def constant(
    truths: Iterable[np.ndarray], names: Sequence[str], arguments: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """How frequent each class is, `scores` float32 [1, C].

    Args:
      truths: batches of labels.
      names: of the classes.
      arguments: none.
    """
    del arguments
    counts = sum(np.bincount(labels, minlength=len(names)) for labels in truths)
    return {"scores": (counts / counts.sum())[None].astype(np.float32)}


def needed(
    rows: np.ndarray, level: float, arguments: Mapping[str, Any]
) -> tuple[float, str] | None:
    """The accuracy that says more than the most frequent class of the test images does.

    See `components.tasks.chance`.

    Args:
      rows: of `rows`, about the test split, whatever was answered.
      level: above 0 and at most 0.5.
      arguments: none.
    """
    del arguments
    labels = rows[:, 0].astype(np.int64)
    return chance.needed(labels, level, "the most frequent class", "test images")


def of_training(
    history: Sequence[Mapping[str, float]], wanted: Iterable[str]
) -> dict[str, int | None]:
    """The metrics among `wanted` that a history gives: `steps_to_72.2_accuracy`, in per cent."""
    found = {name: _STEPS.fullmatch(name) for name in wanted}
    return {
        name: steps_to_accuracy(history, float(match[1]) / 100)
        for name, match in found.items()
        if match
    }


def steps_to_accuracy(history: Sequence[Mapping[str, float]], accuracy: float) -> int | None:
    """Training steps until a validation accuracy was reached (Ioffe & Szegedy 2015, Figure 3).

    Args:
      history: an entry an epoch, with `val_accuracy` and `steps`, those since the training began.
      accuracy: a fraction.

    Returns:
      The steps at the end of the first epoch that reaches it; None where none does, or where the
      history does not tell.
    """
    reached = (epoch.get("steps") for epoch in history if epoch.get("val_accuracy", 0) >= accuracy)
    steps = next(reached, None)
    return None if steps is None else int(steps)
