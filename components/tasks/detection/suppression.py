"""One list of detections made of several models' lists, in NumPy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from components.tasks.detection.matching import overlaps

# Boxes [D, 4], scores [D] and classes [D] of one picture.
List = tuple[np.ndarray, np.ndarray, np.ndarray]


def combined(lists: Sequence[List], overlap: float) -> List:
    """What several models find together in one picture: see `metrics.combined`."""
    boxes, scores, classes = (np.concatenate(each) for each in zip(*lists, strict=True))
    models = np.repeat(np.arange(len(lists)), [len(each[1]) for each in lists])
    order = np.argsort(-np.where(np.isfinite(scores), scores, np.inf), kind="stable")
    boxes, scores, classes, models = (each[order] for each in (boxes, scores, classes, models))
    near = (overlaps(boxes, boxes) >= overlap) & (classes[:, None] == classes[None])
    np.fill_diagonal(near, True)
    kept: list[int] = []
    for place in range(len(boxes)):
        if not near[place, kept].any():
            kept.append(place)
    best = [
        np.where(near[kept] & (models == model), scores, 0.0).max(axis=1, initial=0.0)
        for model in range(len(lists))
    ]
    means = np.mean(best, axis=0)
    order = np.argsort(-means, kind="stable")
    chosen = np.array(kept, np.intp)[order]
    return boxes[chosen], means[order], classes[chosen]


def as_answers(lists: Sequence[List], places: int) -> dict[str, np.ndarray]:
    """Lists of N pictures as a model serves them, the surest detections of each."""
    number = len(lists)
    found = {
        "boxes": np.zeros((number, places, 4), np.float32),
        "scores": np.zeros((number, places), np.float32),
        "classes": np.full((number, places), -1, np.int32),
        "count": np.zeros(number, np.int32),
    }
    for place, each in enumerate(lists):
        count = min(places, len(each[1]))
        found["count"][place] = count
        for name, values in zip(("boxes", "scores", "classes"), each, strict=True):
            found[name][place, :count] = values[:count]
    return found
