"""Whether the values of one example fit the example contract."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from components.ingest.features import (
    BOXES,
    BYTES,
    FEATURES,
    FLOATS,
    INTEGERS,
    POINTS,
    PROPOSALS,
    Feature,
)
from components.ingest.images import ImageError

# Annotators count pixels from 0 or from 1: a box may end this far outside, and is cut there.
_SLACK_PIXELS = 1.0
_MOST_TEXT = 200  # of a reason that shows a value
# Of a point, as COCO has it: not marked; marked, and behind something; seen.
_VISIBILITIES = (0, 1, 2)
_MOST_INTEGER = int(np.iinfo(np.int64).max)
_PAIRS_POINTS = "pair/keypoints"
_FLAGS = ("objects/difficult", "objects/crowd")


def check_kinds(given: Mapping[str, Any]) -> None:
    """Whether the values are of the kind that the contract has them as."""
    for name, value in given.items():
        feature = FEATURES[name]
        fits = _are_bytes if feature.kind == BYTES else _are_numbers
        if not fits(feature, value):
            kind = "text in UTF-8" if feature.is_text else feature.kind
            shown = reprlib.repr(value)[:_MOST_TEXT]
            raise ImageError(f"{name} should be {kind}, not {shown}")


def _are_bytes(feature: Feature, value: Any) -> bool:
    several = feature.several and not isinstance(value, (str, bytes))
    values = value if several else [value]
    if feature.is_text:
        return all(isinstance(each, (str, bytes)) and _is_utf8(each) for each in values)
    return all(isinstance(each, (bytes, np.ndarray)) for each in values)


def _is_utf8(value: str | bytes) -> bool:
    try:
        _ = value.decode() if isinstance(value, bytes) else value.encode()
    except UnicodeError:
        return False
    return True


def _are_numbers(feature: Feature, value: Any) -> bool:
    if type(value) is int and feature.kind == INTEGERS and not feature.several:
        return abs(value) <= _MOST_INTEGER  # Nearly all are such, and NumPy takes long.
    try:
        numbers = np.asarray(value)
    except ValueError:  # Lists of several lengths.
        return False
    if feature.several != (numbers.ndim > 0) or (feature.of and numbers.ndim != 1):
        return False
    if feature.kind == FLOATS:
        return not numbers.size or numbers.dtype.kind in "iubf"
    is_whole = numbers.dtype.kind in "iub"
    return not numbers.size or (is_whole and numbers.max() <= _MOST_INTEGER)


def checked_places(given: Mapping[str, Any], width: int, height: int) -> dict[str, Any]:
    """Boxes and points cut at the image's sides, once what is said of them is checked."""
    for name in given:
        if of := FEATURES[name].of:
            _check_number(name, of, given)
    made: dict[str, Any] = {}
    if BOXES in given:
        made[BOXES] = _cut_boxes(BOXES, "box", given[BOXES], width, height)
        _check_objects(given)
    if PROPOSALS in given:
        made[PROPOSALS] = _cut_boxes(PROPOSALS, "proposal", given[PROPOSALS], width, height)
    if "torso" in given:
        torso = _cut_boxes("torso", "torso", given["torso"], width, height)
        if len(torso) != 4:
            raise ImageError(f"torso: {len(torso) // 4} boxes, one is needed")
        made["torso"] = torso
    if POINTS in given:
        made[POINTS] = _cut_points(given, width, height)
    if _PAIRS_POINTS in given:
        # Of the other image, whose size nobody asks for here.
        of_the_pair = {POINTS: given[_PAIRS_POINTS]}
        made[_PAIRS_POINTS] = _cut_points(of_the_pair, width, height)
    return made


def _check_number(name: str, of: str, given: Mapping[str, Any]) -> None:
    """Whether there is one value for each box, or each point."""
    what, numbers = ("boxes", 4) if of == BOXES else ("points", 2)
    if of not in given:
        raise ImageError(f"{name} without {of}")
    count = np.size(given[of]) // numbers
    if len(given[name]) != count:
        raise ImageError(f"{count} {what} and {len(given[name])} of {name}")


def _cut_boxes(name: str, what: str, values: Any, width: int, height: int) -> list[float]:
    boxes = np.asarray(values, np.float64).reshape(-1)
    if len(boxes) % 4:
        raise ImageError(f"{name}: {len(boxes)} numbers are no boxes of four")
    boxes = boxes.reshape(-1, 4)
    slack = _SLACK_PIXELS / np.array([height, width, height, width], np.float64)
    for number, box in enumerate(boxes):
        text = f"{what} {number} (" + ", ".join(f"{each:.4g}" for each in box) + ")"
        if not np.isfinite(box).all() or (box < -slack).any() or (box > 1 + slack).any():
            raise ImageError(f"{text} lies outside the image")
        ymin, xmin, ymax, xmax = np.clip(box, 0, 1)
        if ymax <= ymin or xmax <= xmin:
            raise ImageError(f"{text} is empty: ymin, xmin, ymax, xmax are expected")
    return np.clip(boxes, 0, 1).reshape(-1).tolist()


def _check_objects(given: Mapping[str, Any]) -> None:
    for name in _FLAGS:
        for number, value in enumerate(given.get(name, ())):
            if value not in (0, 1):
                raise ImageError(f"{name} of object {number} must be 0 or 1, not {value}")
    for number, area in enumerate(given.get("objects/area", ())):
        # It may be of a larger image, from which this one was made.
        if not 0 <= area < math.inf:
            raise ImageError(f"objects/area of object {number} must not be {area:.6g}")


def _cut_points(given: Mapping[str, Any], width: int, height: int) -> list[float]:
    """The points; one that is not marked lies at 0, 0, wherever it was said to lie."""
    points = np.asarray(given[POINTS], np.float64).reshape(-1)
    if len(points) % 2:
        raise ImageError(f"{POINTS}: {len(points)} numbers are no points of two")
    points = points.reshape(-1, 2).copy()
    visible = given.get("keypoints/visible", [_VISIBILITIES[-1]] * len(points))
    slack = _SLACK_PIXELS / np.array([height, width], np.float64)
    for number, (y, x) in enumerate(points):
        if visible[number] not in _VISIBILITIES:
            allowed = ", ".join(map(str, _VISIBILITIES))
            raise ImageError(
                f"keypoints/visible of point {number} must be {allowed}, not {visible[number]}"
            )
        if not visible[number]:
            points[number] = 0.0
            continue
        if not (math.isfinite(y) and math.isfinite(x)):
            raise ImageError(f"keypoint {number} is NaN or infinite")
        if (points[number] < -slack).any() or (points[number] > 1 + slack).any():
            raise ImageError(f"keypoint {number} ({y:.4g}, {x:.4g}) lies outside the image")
    return np.clip(points, 0, 1).reshape(-1).tolist()


def check_numbers(given: Mapping[str, Any]) -> None:
    """Some sets give their unlabelled images the number -1."""
    labels = [given["label"]] if "label" in given else []
    if any(label < 0 for label in (*labels, *given.get("objects/label", ()))):
        raise ImageError("unknown label")
    if given.get("same", 0) not in (0, 1):
        raise ImageError(f"same must be 0 or 1, not {given['same']}")
    if given.get("fold", 0) < 0:
        raise ImageError(f"fold must be 0 or more, not {given['fold']}")
    if not given.get("text", "-"):
        raise ImageError("text is empty")
