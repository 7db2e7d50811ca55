"""What is measured on scores [N, C] and labels [N]; everything in NumPy, rates as fractions.

A row of scores that is not finite counts as a wrong answer, never as a lucky one. Between equal
scores the lower label is the answer, as `argmax` has it in the served model.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

_STEPS = re.compile(r"steps_to_([\d.]+)_accuracy")


def top_k_error(scores: np.ndarray, labels: np.ndarray, k: int = 1) -> float:
    """Share of the examples whose label is not among the `k` highest scores."""
    highest = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    found = (highest == labels[:, None]).any(axis=1) & np.isfinite(scores).all(axis=1)
    return float((~found).mean())


def cross_entropy(scores: np.ndarray, labels: np.ndarray) -> float | None:
    """Mean of -log(score of the label) in nats; None where a row of scores is not finite.

    Scores are taken as probabilities and are held above float32's resolution, so that one wrong
    and certain answer does not make the mean infinite.
    """
    if not np.isfinite(scores).all():
        return None
    given = scores[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(given, np.finfo(np.float32).eps)).mean())


def rejected_at_error(scores: np.ndarray, labels: np.ndarray, error: float) -> float | None:
    """Share of the examples to reject so that at most `error` of the others are wrong.

    LeCun et al. 1998, section III.D: rejected first are those with the least difference between
    the scores of the top two classes. None where not even one example can be kept, or where a row
    of scores is not finite.
    """
    if not np.isfinite(scores).all():
        return None
    second, first = np.sort(scores, axis=1)[:, -2:].T
    surest = np.argsort(second - first, kind="stable")
    wrong = (scores.argmax(axis=1) != labels)[surest]
    kept = np.arange(1, len(labels) + 1)
    allowed = np.flatnonzero(np.cumsum(wrong) <= error * kept)
    return float((len(labels) - kept[allowed[-1]]) / len(labels)) if len(allowed) else None


def measure(scores: np.ndarray, labels: np.ndarray) -> dict[str, float | None]:
    """All metrics of a classification; None for one that these scores do not define.

    Returns:
      error, top5_error (None for 5 classes or fewer), cross_entropy (nats),
      rejected_at_0.5_error (to have 0.5 % error on the rest).
    """
    return {
        "error": top_k_error(scores, labels),
        "top5_error": top_k_error(scores, labels, 5) if scores.shape[1] > 5 else None,
        "cross_entropy": cross_entropy(scores, labels),
        "rejected_at_0.5_error": rejected_at_error(scores, labels, 0.005),
    }


def steps_to_accuracy(history: Sequence[Mapping[str, float]], accuracy: float) -> int | None:
    """Training steps until the test accuracy was first reached (Ioffe & Szegedy 2015, Figure 3).

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


def measure_training(
    history: Sequence[Mapping[str, float]], wanted: Iterable[str]
) -> dict[str, int | None]:
    """The metrics among `wanted` that a history gives: `steps_to_72.2_accuracy`, in per cent."""
    found = {name: _STEPS.fullmatch(name) for name in wanted}
    return {
        name: steps_to_accuracy(history, float(match[1]) / 100)
        for name, match in found.items()
        if match
    }
