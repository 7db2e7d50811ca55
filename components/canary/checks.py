"""What the answers of a served model must be, whatever it answers: pure NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from components.answers import Answers
from components.tasks import Output, Task

# Ways to ask differ in batch size, and with it in the order of the additions.
_AGREEMENT = 1e-3
# Resized by a served graph, a file is a level or two off here and there.
_ORIGINALS_AGREEMENT = 2e-2
# How far a place may be outside of its picture, by rounding, in parts of a side.
_BEYOND = 1e-4


def reasons(
    answers: Mapping[str, Answers],
    ids: Sequence[str],
    task: Task,
    names: Sequence[str],
    originals: int = 0,
    sides: Mapping[str, np.ndarray] | None = None,
) -> list[str]:
    """Why the model must not be served; empty where nothing speaks against it.

    Args:
      answers: the answers by the way they were asked for, such as `"gRPC"`.
      ids: names of the images that were asked about.
      task: what the model answers.
      names: those that the examples have, where the task has any, in their order.
      originals: how many of the images, the last ones, the first way was asked about as they are
        stored, and the others as they were found.
      sides: by the way of asking, height and width of the picture that each question was about,
        [N, 2]; of answers with places in it.
    """
    found = [
        f"{way}: {reason}"
        for way, given in answers.items()
        for reason in _objections(given, len(ids), task, names)
    ]
    # Answers that are wrong in themselves need no comparison.
    if found:
        return found
    within = in_parts(answers, task, sides)
    outside = [
        f"{way}: {reason}" for way, given in within.items() for reason in _outside(given, ids, task)
    ]
    return outside or _disagreements(within, ids, task, originals)


def in_parts(
    answers: Mapping[str, Answers], task: Task, sides: Mapping[str, np.ndarray] | None
) -> dict[str, Answers]:
    """Answers, by the way of asking, with places in parts of the picture's sides.

    A file as it was found may be larger than what is stored of it.

    Args:
      answers, task, sides: as for `reasons`.
    """
    places = [each.name for each in task.outputs if each.is_place]
    if not places:
        return dict(answers)
    found = {}
    for way, given in answers.items():
        parts = dict(given)
        for name in places:
            corners = given[name].shape[-1] // 2
            own = np.tile((sides or {})[way], corners)
            parts[name] = given[name] / own.reshape(len(own), *[1] * (given[name].ndim - 2), -1)
        found[way] = parts
    return found


def _outside(given: Answers, ids: Sequence[str], task: Task) -> list[str]:
    found = []
    for each in task.outputs:
        if not each.is_place:
            continue
        values = given[each.name].reshape(len(ids), -1)
        beyond = ((values < -_BEYOND) | (values > 1 + _BEYOND)).any(axis=1)
        if beyond.any():
            found.append(f"{each.name} outside of the picture {ids[int(beyond.argmax())]}")
    return found


def _objections(given: Answers, questions: int, task: Task, names: Sequence[str]) -> Sequence[str]:
    """The first kind of them: each makes the later ones meaningless."""
    return (
        _incomplete(given, questions, task.outputs)
        or _wild(given, task.outputs)
        or task.part("checks").objections(given, names)
    )


def _incomplete(given: Answers, questions: int, outputs: Sequence[Output]) -> list[str]:
    found = []
    for each in outputs:
        if each.name not in given:
            found.append(f"no {each.name}")
        elif given[each.name].shape[:1] != (questions,):
            number = len(given[each.name]) if given[each.name].ndim else "no"
            found.append(f"{number} answers to {questions} questions in {each.name}")
    return found


def _wild(given: Answers, outputs: Sequence[Output]) -> list[str]:
    found = []
    for each in _floats(outputs):
        values = given[each.name]
        wild = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
        if wild.any():
            found.append(f"{each.name} not finite for {wild.sum()} of {len(values)} images")
    return found


def _disagreements(
    answers: Mapping[str, Answers], ids: Sequence[str], task: Task, originals: int
) -> list[str]:
    (first, reference), *others = answers.items()
    stored = len(ids) - originals
    allowed = np.repeat([_AGREEMENT, _ORIGINALS_AGREEMENT], [stored, originals])
    found = []
    for way, given in others:
        if not task.averages:
            apart = task.part("checks").apart(given, reference)
            found += _too_far(way, first, apart, allowed, ids, stored)
            continue
        for each in _floats(task.outputs):
            one, other = given[each.name], reference[each.name]
            if one.shape != other.shape:
                shapes = f"{list(one.shape)} and {list(other.shape)}"
                found.append(f"{way} and {first} disagree: {each.name} of the shapes {shapes}")
                continue
            scale = _scale(other)
            apart = _apart(one, other)
            worst = int((apart - allowed * scale).argmax())
            if apart[worst] > allowed[worst] * scale:
                what = f" for the file {ids[worst]} as it was found" if worst >= stored else ""
                found.append(
                    f"{way} and {first} disagree{what}: {each.name} differ by {apart[worst]:.4g}"
                )
    return found


def _too_far(
    way: str, first: str, apart: np.ndarray, allowed: np.ndarray, ids: Sequence[str], stored: int
) -> list[str]:
    worst = int((apart - allowed).argmax())
    if apart[worst] <= allowed[worst]:
        return []
    what = " as it was found" if worst >= stored else ""
    return [f"{way} and {first} disagree for {ids[worst]}{what} by {apart[worst]:.4g}"]


def difference(one: Answers, other: Answers, task: Task) -> float:
    """How far two ways to ask are apart where they are furthest, in any output of floats.

    As a share of the output's largest magnitude, where that is above 1; of answers that are not
    averaged as the task's `apart` has it.
    """
    if not task.averages:
        return float(task.part("checks").apart(one, other).max(initial=0.0))
    return max(
        float(_apart(one[each.name], other[each.name]).max()) / _scale(other[each.name])
        for each in _floats(task.outputs)
    )


def _floats(outputs: Sequence[Output]) -> list[Output]:
    return [each for each in outputs if each.dtype.startswith("float")]


def _scale(reference: np.ndarray) -> float:
    """What an agreement is a share of: rounding grows with the values, such as metres."""
    return max(1.0, float(np.abs(reference).max(initial=0.0)))


def _apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The largest difference for each of N images, [N]."""
    return np.abs(one - other).reshape(len(one), -1).max(axis=1, initial=0.0)
