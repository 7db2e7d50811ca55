"""What a classifier gets wrong: pure NumPy on scores [N, C] and labels [N].

Rows of scores that are not finite have no answer; they count as wrong and appear in no pair.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Mistake:
    """One wrong answer; `score` is what the model gave to its wrong answer, in 0..1."""

    id: str
    label: int
    given: int
    score: float


@dataclass(frozen=True)
class ClassErrors:
    """One class: how many examples, how many wrong, and what they are mostly taken for."""

    label: int
    examples: int
    wrong: int
    taken_for: int | None

    @property
    def error(self) -> float:
        return self.wrong / self.examples if self.examples else 0.0


def confusion_matrix(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Counts [C, C]: row is the true label, column the given one."""
    answered = np.isfinite(scores).all(axis=1)
    matrix = np.zeros((scores.shape[1],) * 2, np.int64)
    np.add.at(matrix, (labels[answered], scores[answered].argmax(axis=1)), 1)
    return matrix


def worst(scores: np.ndarray, labels: np.ndarray, ids: Sequence[str], number: int) -> list[Mistake]:
    """The wrong answers of which the model was surest, the surest first."""
    given = scores.argmax(axis=1)
    wrong = np.flatnonzero((given != labels) & np.isfinite(scores).all(axis=1))
    surest = wrong[np.argsort(-scores[wrong, given[wrong]], kind="stable")][:number]
    return [
        Mistake(ids[i], int(labels[i]), int(given[i]), float(scores[i, given[i]])) for i in surest
    ]


def by_class(matrix: np.ndarray, labels: np.ndarray) -> list[ClassErrors]:
    """Each class in label order; `labels` also counts the examples that got no answer."""
    examples = np.bincount(labels, minlength=len(matrix))
    confused = matrix * (1 - np.eye(len(matrix), dtype=np.int64))
    return [
        ClassErrors(
            label,
            int(examples[label]),
            int(examples[label] - matrix[label, label]),
            int(confused[label].argmax()) if confused[label].any() else None,
        )
        for label in range(len(matrix))
    ]


def confusions(matrix: np.ndarray, number: int) -> list[tuple[int, int, int]]:
    """The most frequent confusions as (true label, given label, count), the most frequent first."""
    confused = matrix * (1 - np.eye(len(matrix), dtype=np.int64))
    order = np.argsort(-confused, axis=None, kind="stable")[:number]
    pairs = zip(*np.unravel_index(order, confused.shape), strict=True)
    return [(int(i), int(j), int(confused[i, j])) for i, j in pairs if confused[i, j]]


def interval(wrong: int, examples: int) -> tuple[float, float]:
    """The 95 % interval of an error rate measured as `wrong` of `examples`.

    Wilson 1927, Probable inference, the law of succession, and statistical inference.
    """
    z = 1.96
    rate = wrong / examples
    centre = (rate + z**2 / (2 * examples)) / (1 + z**2 / examples)
    half = (
        z / (1 + z**2 / examples) * np.sqrt(rate * (1 - rate) / examples + (z / 2 / examples) ** 2)
    )
    return float(max(centre - half, 0.0)), float(min(centre + half, 1.0))
