"""What the answers of a classifier must never be: pure NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

# A sum of probabilities in half precision is off by about this much at a thousand classes.
_SUM_TOLERANCE = 1e-2
_NAMED = 5


def objections(answers: Mapping[str, np.ndarray], names: Sequence[str]) -> list[str]:
    """The first of these objections: each makes the later ones meaningless.

    Args:
      answers: `scores` [N, C], finite, and `classes`, texts [N].
      names: the class names of the examples, in label order.
    """
    scores, given = answers["scores"], [str(name) for name in answers["classes"]]
    expected = (len(given), len(names))
    if scores.shape != expected:
        return [f"scores of shape {list(scores.shape)}, not {list(expected)}"]
    if (scores < 0).any():
        return [f"a score below zero: {scores.min():.4g}"]
    sums = scores.sum(axis=1)
    if np.abs(sums - 1).max() > _SUM_TOLERANCE:
        return [f"scores that sum to {sums[np.abs(sums - 1).argmax()]:.4g}, not to 1"]
    strange = sorted(set(given) - set(names))
    if strange:
        return [f"labels that the examples do not have: {', '.join(strange[:_NAMED])}"]
    return _misnamed(scores, given, names)


def check(answers: Mapping[str, np.ndarray], truths: np.ndarray, names: Sequence[str]) -> None:
    """Refuses a model whose classes are not those of the examples.

    Args:
      answers: `scores` [N, C].
      truths: the numbers of the classes, int64 [N].
      names: the class names of the examples.

    Raises:
      ValueError: the model has more or fewer classes than the examples, or a label has no name.
    """
    classes = answers["scores"].shape[1]
    if classes != len(names):
        raise ValueError(
            f"the model gives {classes} scores an image, the examples have {len(names)} classes: "
            "they do not belong together"
        )
    if truths.min() < 0 or truths.max() >= len(names):
        raise ValueError(
            f"the examples have labels from {truths.min()} to {truths.max()}, but names for "
            f"0 to {len(names) - 1} only"
        )


def _misnamed(scores: np.ndarray, given: Sequence[str], names: Sequence[str]) -> list[str]:
    positions = {name: place for place, name in enumerate(names)}
    named = np.array([positions[label] for label in given])
    # Where two scores are the highest, either is the right name.
    wrong = scores[np.arange(len(named)), named] < scores.max(axis=1)
    if not wrong.any():
        return []
    first = int(wrong.argmax())
    highest = names[int(scores[first].argmax())]
    return [f"label {given[first]} where {highest} has the highest score"]
