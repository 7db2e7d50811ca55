"""What a served model's answers must be: pure NumPy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

# A sum of probabilities in half precision is off by about this much at a thousand classes.
_SUM_TOLERANCE = 1e-2
# Ways to ask differ in batch size, and with it in the order of the additions.
_AGREEMENT = 1e-3
# Resized by a served graph, a file is a level or two off here and there.
_ORIGINALS_AGREEMENT = 2e-2
_NAMED = 5


@dataclass(frozen=True)
class Answers:
    """The answers to N questions: scores, [N, C] if they are right, and the label given to each."""

    scores: np.ndarray
    labels: Sequence[str]


def reasons(
    answers: Mapping[str, Answers], ids: Sequence[str], names: Sequence[str], originals: int = 0
) -> list[str]:
    """Why the model must not be served; empty where nothing speaks against it.

    Args:
      answers: the answers by the way they were asked for, such as `"gRPC"`.
      ids: names of the images that were asked about.
      names: the class names of the examples, in label order.
      originals: how many of them, the last ones, the first way was asked about as they are stored,
        and the others as they were found.
    """
    found = [
        f"{way}: {reason}"
        for way, given in answers.items()
        for reason in _objections(given, len(ids), names)
    ]
    # Answers that are wrong in themselves need no comparison.
    return found or _disagreements(answers, ids, originals)


def _objections(given: Answers, questions: int, names: Sequence[str]) -> list[str]:
    """The first of these objections: each makes the later ones meaningless."""
    if len(given.scores) != questions or len(given.labels) != questions:
        return [f"{len(given.scores)} answers to {questions} questions"]
    expected = (questions, len(names))
    if given.scores.shape != expected:
        return [f"scores of shape {list(given.scores.shape)}, not {list(expected)}"]
    wild = ~np.isfinite(given.scores).all(axis=1)
    if wild.any():
        return [f"scores that are not finite for {wild.sum()} of {questions} images"]
    if (given.scores < 0).any():
        return [f"a score below zero: {given.scores.min():.4g}"]
    sums = given.scores.sum(axis=1)
    if np.abs(sums - 1).max() > _SUM_TOLERANCE:
        return [f"scores that sum to {sums[np.abs(sums - 1).argmax()]:.4g}, not to 1"]
    strange = sorted(set(given.labels) - set(names))
    if strange:
        return [f"labels that the examples do not have: {', '.join(strange[:_NAMED])}"]
    return _misnamed(given, names)


def _misnamed(given: Answers, names: Sequence[str]) -> list[str]:
    positions = {name: place for place, name in enumerate(names)}
    named = np.array([positions[label] for label in given.labels])
    # Where two scores are the highest, either is the right name.
    wrong = given.scores[np.arange(len(named)), named] < given.scores.max(axis=1)
    if not wrong.any():
        return []
    first = int(wrong.argmax())
    highest = names[int(given.scores[first].argmax())]
    return [f"label {given.labels[first]} where {highest} has the highest score"]


def _disagreements(answers: Mapping[str, Answers], ids: Sequence[str], originals: int) -> list[str]:
    (first, reference), *others = answers.items()
    stored = len(ids) - originals
    allowed = np.repeat([_AGREEMENT, _ORIGINALS_AGREEMENT], [stored, originals])
    found = []
    for way, given in others:
        apart = np.abs(given.scores - reference.scores).max(axis=1)
        worst = int((apart - allowed).argmax())
        if apart[worst] > allowed[worst]:
            what = f" for the file {ids[worst]} as it was found" if worst >= stored else ""
            found.append(f"{way} and {first} disagree{what}: scores differ by {apart[worst]:.4g}")
    return found


def difference(one: Answers, other: Answers) -> float:
    """The largest difference between the scores of two ways to ask."""
    return float(np.abs(one.scores - other.scores).max())
