"""The rows of detections, and their figures by PASCAL VOC's, COCO's and ILSVRC's protocols.

Everett et al. 2010, "The PASCAL Visual Object Classes (VOC) Challenge", section 4.2, and the
development kits of 2007 (11 recalls) and 2010 (all recalls); Lin et al. 2014 with pycocotools;
Russakovsky et al. 2015, "ImageNet Large Scale Visual Recognition Challenge", section 4.2.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from components.tasks.detection import precision, suppression
from components.tasks.detection.matching import (
    COCO_MOST,
    FALSE,
    FOUND,
    OVERLAP,
    ignored_by_area,
    match,
    overlaps,
)
from components.tasks.detection.rows import (
    AREA_NAMES,
    BACKGROUND,
    CONFUSION,
    DETECTION,
    KIND,
    LOCALIZATION,
    PICTURE,
    RIGHT,
    TRUTH,
    WIDTH,
    Detections,
    Truths,
    bits,
    divided,
)
from components.tasks.detection.targets import Objects

_GUESSES = 5  # of the error of localisation
_NEAR = 0.1  # the overlap from which a false detection is one of an object (Hoiem et al. 2012)
_COCO_RECALLS = (1, 10, COCO_MOST)


def rows(
    answers: Mapping[str, np.ndarray], truths: Sequence[Objects], arguments: Mapping[str, Any]
) -> np.ndarray:
    """Of each picture a row, with one of each of its objects and one of each detection.

    What the columns are is in `components.tasks.detection.rows`. A box that is not finite overlaps
    nothing. One whose score is not overlaps nothing either, and is the surest of all.

    Args:
      answers: `boxes` [N, K, 4] in pixels, `scores` [N, K], `classes` [N, K], `count` [N].
      truths: of each picture.
      arguments: of the task; there are none.

    Returns:
      float64 [R, WIDTH].
    """
    del arguments
    found = []
    for place, objects in enumerate(truths):
        used = slice(int(answers["count"][place]))
        boxes, scores, classes = (
            answers[name][place][used] for name in ("boxes", "scores", "classes")
        )
        finite = np.isfinite(scores)
        boxes = np.where(finite[:, None], boxes, np.nan)
        scores = np.where(finite, scores, np.inf).astype(np.float64)
        order = np.argsort(-scores, kind="stable")
        found.append(_picture(boxes[order], scores[order], classes[order], objects))
    return np.concatenate(found) if found else np.zeros((0, WIDTH))


def _picture(
    boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, objects: Objects
) -> np.ndarray:
    """The rows of one picture; the detections are given with the surest first."""
    head = np.zeros((1, WIDTH))
    truth_rows = np.zeros((len(objects.boxes), WIDTH))
    rows_found = np.zeros((len(boxes), WIDTH))
    head[:, KIND], truth_rows[:, KIND], rows_found[:, KIND] = PICTURE, TRUTH, DETECTION
    for label in np.union1d(classes, objects.classes):
        mine, own = np.flatnonzero(classes == label), np.flatnonzero(objects.classes == label)
        of_class = Objects(*(values[own] for values in objects))
        matched = match(boxes[mine], of_class)
        Truths(truth_rows, own).fill(
            label,
            of_class.difficult | of_class.crowd,
            matched.found,
            bits(ignored_by_area(of_class)),
        )
        Detections(rows_found, mine).fill(
            label,
            scores[mine],
            np.arange(len(mine)),
            matched.voc,
            bits(np.moveaxis(matched.coco, 1, 0)),
            bits(np.moveaxis(matched.coco_ignored, 1, 0)),
        )
    Detections(rows_found).kind[:] = _kinds(boxes, classes, Detections(rows_found).voc, objects)
    head[0, 1] = _quality(Detections(rows_found), Truths(truth_rows))
    error = localization_error(boxes, classes, objects)
    head[0, 2] = np.nan if error is None else error
    return np.concatenate([head, truth_rows, rows_found])


def localization_error(boxes: np.ndarray, classes: np.ndarray, objects: Objects) -> float | None:
    """ILSVRC's error of localisation with five guesses.

    A guess is a class and a box: those of the surest detection of each of the five surest classes.
    It is right where an object of the class overlaps the box by half or more. The error is the
    share of the classes of the picture, one in ILSVRC, that no guess is right about.

    Args:
      boxes: [D, 4], of the surest detection first.
      classes: [D].
      objects: of the picture.

    Returns:
      None for a picture without objects.
    """
    labels = np.unique(objects.classes)
    if not len(labels):
        return None
    first = np.sort(np.unique(classes, return_index=True)[1])[:_GUESSES]
    shared = overlaps(boxes[first], objects.boxes)
    right = (shared >= OVERLAP) & (classes[first][:, None] == objects.classes[None])
    said = np.unique(objects.classes[right.any(axis=0)])
    return 1.0 - len(said) / len(labels)


def _kinds(boxes: np.ndarray, classes: np.ndarray, voc: np.ndarray, objects: Objects) -> np.ndarray:
    """How each detection is wrong (Hoiem, Chodpathumwan, Dai 2012, section 2.1)."""
    shared = overlaps(boxes, objects.boxes, objects.crowd)
    same = classes[:, None] == objects.classes[None]
    own, other = (np.where(part, shared, 0.0).max(axis=1, initial=0.0) for part in (same, ~same))
    kinds = np.where(other >= _NEAR, CONFUSION, BACKGROUND)
    kinds = np.where(own >= _NEAR, LOCALIZATION, kinds)
    return np.where(voc == FALSE, kinds, RIGHT)


def _quality(found: Detections, truths: Truths) -> float:
    """How good the detections in one picture are: their average precision, all classes together.

    Of a picture without an object that counts, how unsure of the surest detection the model is.
    """
    positives = int((~truths.not_counted).sum())
    counted = found.voc != -1
    if not positives:
        return 1.0 - min(float(found.score[counted].max(initial=0.0)), 1.0)
    is_right = found.voc[counted] == FOUND
    return precision.all_points(*precision.curve(found.score[counted], is_right), positives)


def figures(rows: np.ndarray, arguments: Mapping[str, Any]) -> dict[str, float | None]:
    """The figures of rows in any order; None without an object that counts.

    A mean is that over the classes which have such objects. Detections of equal scores are above
    any threshold together.

    Args:
      rows: of `rows`.
      arguments: of the task; there are none.
    """
    del arguments
    pictures, truths, found = divided(rows)
    errors = pictures[:, 2][np.isfinite(pictures[:, 2])]
    by_class = [
        _of_class(
            Detections(found.rows[found.label == label]),
            Truths(truths.rows[truths.label == label]),
        )
        for label in np.unique(truths.label)
    ]
    means = {name: _mean(each[name] for each in by_class) for name in (*_VOC, *_COCO)}
    means["coco_ap"] = means.pop("coco_ap_all")
    error = float(errors.mean()) if len(errors) else None
    return {**means, "localization_error": error}


_VOC = ("map50", "map50_11_points")
_COCO = (
    *(f"coco_ap_{name}" for name in AREA_NAMES),
    *("coco_ap50", "coco_ap75"),
    *(f"coco_ar{most}" for most in _COCO_RECALLS),
    *(f"coco_ar_{name}" for name in AREA_NAMES[1:]),
)


def _of_class(found: Detections, truths: Truths) -> dict[str, float | None]:
    """The figures of one class; None where no object of it counts."""
    measured: dict[str, float | None] = dict.fromkeys((*_VOC, *_COCO))
    positives = int((~truths.not_counted).sum())
    if positives:
        counted = found.voc != -1
        drawn = precision.curve(found.score[counted], found.voc[counted] == FOUND)
        measured["map50"] = precision.all_points(*drawn, positives)
        measured["map50_11_points"] = precision.eleven_points(*drawn, positives)
    for area, name in enumerate(AREA_NAMES):
        positives = int((~truths.ignored(area)).sum())
        if not positives:
            continue
        each = [
            precision.coco(found.score[~ignored], right[~ignored], positives)
            for right, ignored in zip(found.coco(area), found.coco_ignored(area), strict=True)
        ]
        measured[f"coco_ap_{name}"] = float(np.mean(each))
        recalls = _recalls(found, area, positives)
        if area:
            measured[f"coco_ar_{name}"] = recalls[COCO_MOST]
        else:
            measured |= {"coco_ap50": each[0], "coco_ap75": each[5]}
            measured |= {f"coco_ar{most}": value for most, value in recalls.items()}
    return measured


def _recalls(found: Detections, area: int, positives: int) -> dict[int, float]:
    """By how many detections of a picture count, the recall's mean over the overlaps."""
    right = found.coco(area)
    return {
        most: float(right[:, found.rank < most].sum(axis=1).mean()) / positives
        for most in _COCO_RECALLS
    }


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def combined(answers: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """One list of detections of several models' lists about the same pictures.

    Of all together those are suppressed that overlap a surer one of their class by half or more. A
    detection that is left has the mean of the best scores that the models give its place, 0 of a
    model that finds nothing there.

    Args:
      answers: of each model `boxes` [N, K, 4] and so on.

    Returns:
      As many places as the model with the most has.
    """
    places = max(each["scores"].shape[1] for each in answers)
    lists = [
        suppression.combined([_used(each, place) for each in answers], OVERLAP)
        for place in range(len(answers[0]["count"]))
    ]
    return suppression.as_answers(lists, places)


def _used(answers: Mapping[str, np.ndarray], place: int) -> tuple[np.ndarray, ...]:
    used = slice(int(answers["count"][place]))
    return tuple(answers[name][place][used] for name in ("boxes", "scores", "classes"))


def constant(
    truths: Iterable[Sequence[Objects]], names: Sequence[str], arguments: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """A box of each class, at the mean of its boxes, as sure as pictures have such an object.

    Args:
      truths: batches of the objects of pictures.
      names: of classes.
      arguments: of the task; there are none.

    Returns:
      `boxes` [1, K, 4] and so on, K the number of classes that there are.
    """
    del arguments
    every = list(itertools.chain.from_iterable(truths))
    boxes, shares = np.zeros((len(names), 4)), np.zeros(len(names))
    for label in range(len(names)):
        own = [each.boxes[each.classes == label] for each in every]
        together = np.concatenate(own) if own else np.zeros((0, 4))
        if len(together):
            boxes[label] = together.mean(axis=0)
            shares[label] = np.mean([len(each) > 0 for each in own])
    order = np.argsort(-shares, kind="stable")[: int((shares > 0).sum())]
    return {
        "boxes": boxes[None, order].astype(np.float32),
        "scores": shares[None, order].astype(np.float32),
        "classes": order[None].astype(np.int32),
        "count": np.array([len(order)], np.int32),
    }


def needed(
    rows: np.ndarray, level: float, arguments: Mapping[str, Any]
) -> tuple[float, str] | None:
    """The mean average precision above which a network says more than one list for all pictures.

    An average precision has no distribution that is known beforehand: what the constant list has is
    the measure itself, whatever the level.

    Args:
      rows: of `rows`, of `constant` about the test split.
      level: not used.
      arguments: of the task.

    Returns:
      The least number above the constant list's figure, and why in words; None where no object of
      the test split counts.
    """
    del level
    figure = figures(rows, arguments)["map50"]
    if figure is None:
        return None
    pictures = int((rows[:, KIND] == PICTURE).sum())
    return float(np.nextafter(figure, np.inf)), (
        f"needs more than {100 * figure:.2f} %: so much has the mean box of each class, the same "
        f"for each of {pictures:,} test pictures"
    )


def of_training(history: Sequence[Mapping[str, float]], wanted: Iterable[str]) -> dict[str, Any]:
    """None: no figure of detection is about the training."""
    del history, wanted
    return {}
