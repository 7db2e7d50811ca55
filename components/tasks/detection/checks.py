"""What served detections must never be, and how far two answers are apart: pure NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from components.tasks.detection.matching import overlaps


def objections(answers: Mapping[str, np.ndarray], names: Sequence[str]) -> list[str]:
    """The first of these objections: each makes the later ones meaningless.

    Args:
      answers: `boxes` [N, K, 4] and `scores` [N, K], finite, `classes` [N, K] and `count` [N].
      names: of the classes.
    """
    boxes, scores, classes, count = (
        answers[name] for name in ("boxes", "scores", "classes", "count")
    )
    if fault := _shapes(answers):
        return [fault]
    if (count < 0).any() or (count > scores.shape[1]).any():
        return [f"a count of {count[np.abs(count).argmax()]} in {scores.shape[1]} places"]
    used = np.arange(scores.shape[1]) < count[:, None]
    if (wrong := used & ((classes < 0) | (classes >= len(names)))).any():
        return [f"the class {classes[wrong][0]}, and there are {len(names)}"]
    if (wrong := used & ((scores < 0) | (scores > 1))).any():
        return [f"a score of {scores[wrong][0]:.4g}"]
    if (used[:, 1:] & (scores[:, 1:] > scores[:, :-1])).any():
        return ["scores that do not fall"]
    if (wrong := used & (boxes[..., 2:] < boxes[..., :2]).any(axis=-1)).any():
        return [f"a box that ends before it begins: {boxes[wrong][0].round(2).tolist()}"]
    if (classes[~used] != -1).any() or scores[~used].any() or boxes[~used].any():
        return ["unused places that are not empty: boxes and scores of 0, the class -1"]
    return []


def check(
    answers: Mapping[str, np.ndarray], truths: Sequence[object], names: Sequence[str]
) -> None:
    """Refuses what is no list of detections for each picture, and objects of unknown classes.

    Raises:
      ValueError: it is not, or there are such.
    """
    if fault := _shapes(answers):
        raise ValueError(fault)
    if len(answers["count"]) != len(truths):
        raise ValueError(f"detections in {len(answers['count'])} pictures, of {len(truths)}")
    highest = int(answers["classes"].max(initial=-1))
    if highest >= len(names):
        raise ValueError(
            f"the model gives the class {highest}, the examples have {len(names)} classes: they "
            "do not belong together"
        )


def apart(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> np.ndarray:
    """How far two lists of detections are apart, for each of N pictures.

    A detection is as far from the other list as from the nearest of its class there: by the score,
    and by what the boxes do not share of their union. One that the other list lacks is as far from
    it as its score is from 0, or from the last score of a list that is full. So equal scores may
    come in any order, and what is hardly found may come and go.

    Returns:
      float64 [N], in 0..1.
    """
    found = np.zeros(len(one["count"]))
    for place in range(len(found)):
        pair = [_used(each, place) for each in (one, other)]
        full = [len(each["scores"][place]) == each["count"][place] for each in (one, other)]
        found[place] = max(_missed(*pair, full[1]), _missed(*pair[::-1], full[0]))
    return found


def _used(answers: Mapping[str, np.ndarray], place: int) -> tuple[np.ndarray, ...]:
    used = slice(int(answers["count"][place]))
    return tuple(answers[name][place][used] for name in ("boxes", "scores", "classes"))


def _missed(
    one: tuple[np.ndarray, ...], other: tuple[np.ndarray, ...], other_is_full: bool
) -> float:
    """How far the detections of one list are from another list at most."""
    (boxes, scores, classes), (others, other_scores, other_classes) = one, other
    if not len(scores):
        return 0.0
    last = other_scores[-1] if other_is_full and len(other_scores) else 0.0
    alone = np.maximum(scores - last, 0.0).astype(np.float64)
    if not len(other_scores):
        return float(alone.max())
    box = 1.0 - overlaps(boxes, others)
    far = np.maximum(box, np.abs(scores[:, None] - other_scores))
    # Boxes without an area, of which nothing can be shared.
    same = (boxes[:, None] == others).all(axis=-1)
    far = np.where(same, np.abs(scores[:, None] - other_scores), far)
    far = np.where(classes[:, None] == other_classes, far, np.inf)
    return float(np.minimum(far.min(axis=1), alone).max())


def _shapes(answers: Mapping[str, np.ndarray]) -> str:
    """What is wrong with the shapes; "" where nothing is."""
    found = {name: answers[name].shape for name in ("boxes", "scores", "classes", "count")}
    number, places = (*found["scores"], 0)[:2]
    wanted = {
        "boxes": (number, places, 4),
        "scores": (number, places),
        "classes": (number, places),
        "count": (number,),
    }
    if found == wanted:
        return ""
    return "; ".join(f"{name} of shape {list(shape)}" for name, shape in found.items())
