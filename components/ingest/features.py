"""The features of the example contract, and whether the values of one example fit them."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from components.ingest.images import ImageError

BYTES, INTEGERS, FLOATS = "bytes", "integers", "floats"
FEATURES: Mapping[str, str] = {
    "image/encoded": BYTES,
    "image/height": INTEGERS,
    "image/width": INTEGERS,
    "image/sha256": BYTES,
    "image/id": BYTES,
    "label": INTEGERS,
    "label/text": BYTES,
    "objects/bbox": FLOATS,
    "objects/label": INTEGERS,
    "objects/label/text": BYTES,
    "objects/difficult": INTEGERS,
    "depth/encoded": BYTES,
    "normals/encoded": BYTES,
    "segmentation/encoded": BYTES,
    "target/encoded": BYTES,
    "frames/encoded": BYTES,
    "keypoints": FLOATS,
    "pair/encoded": BYTES,
    "same": INTEGERS,
}
_PER_OBJECT = ("objects/label", "objects/label/text", "objects/difficult")
_SEVERAL = ("objects/", "frames/", "keypoints")  # Of the others there is one value.
_TEXTS = ("image/id", "image/sha256", "label/text", "objects/label/text")
# Annotators count pixels from 0 or from 1: a box may end this far outside, and is cut there.
_SLACK_PIXELS = 1.0
_MOST_TEXT = 200  # of a reason that shows a value


def check_kinds(given: Mapping[str, Any]) -> None:
    """Whether the values are of the kind that the contract has them as."""
    for name, value in given.items():
        fits = _are_bytes if FEATURES[name] == BYTES else _are_numbers
        if not fits(name, value):
            kind = "text in UTF-8" if name in _TEXTS else FEATURES[name]
            shown = reprlib.repr(value)[:_MOST_TEXT]
            raise ImageError(f"{name} should be {kind}, not {shown}")


def _are_bytes(name: str, value: Any) -> bool:
    several = name.startswith(_SEVERAL) and not isinstance(value, (str, bytes))
    values = value if several else [value]
    if name in _TEXTS:
        return all(isinstance(each, (str, bytes)) and _is_utf8(each) for each in values)
    return all(isinstance(each, (bytes, np.ndarray)) for each in values)


def _is_utf8(value: str | bytes) -> bool:
    try:
        _ = value.decode() if isinstance(value, bytes) else value.encode()
    except UnicodeError:
        return False
    return True


def _are_numbers(name: str, value: Any) -> bool:
    try:
        numbers = np.asarray(value)
    except ValueError:  # Lists of several lengths.
        return False
    several = name.startswith(_SEVERAL)
    if several != (numbers.ndim > 0) or (name in _PER_OBJECT and numbers.ndim != 1):
        return False
    if FEATURES[name] == FLOATS:
        return not numbers.size or numbers.dtype.kind in "iubf"
    is_whole = numbers.dtype.kind in "iub"
    return not numbers.size or (is_whole and numbers.max() <= np.iinfo(np.int64).max)


def checked_objects(given: Mapping[str, Any], width: int, height: int) -> dict[str, Any]:
    """The boxes, cut at the image's sides."""
    if "objects/bbox" not in given:
        return {}
    boxes = np.asarray(given["objects/bbox"], np.float64).reshape(-1)
    if len(boxes) % 4:
        raise ImageError(f"objects/bbox: {len(boxes)} numbers are no boxes of four")
    boxes = boxes.reshape(-1, 4)
    for name in _PER_OBJECT:
        if name in given and len(given[name]) != len(boxes):
            raise ImageError(f"{len(boxes)} boxes and {len(given[name])} of {name}")
    slack = _SLACK_PIXELS / np.array([height, width, height, width], np.float64)
    for number, box in enumerate(boxes):
        text = "(" + ", ".join(f"{each:.4g}" for each in box) + ")"
        if not np.isfinite(box).all() or (box < -slack).any() or (box > 1 + slack).any():
            raise ImageError(f"box {number} {text} lies outside the image")
        ymin, xmin, ymax, xmax = np.clip(box, 0, 1)
        if ymax <= ymin or xmax <= xmin:
            raise ImageError(f"box {number} {text} is empty: ymin, xmin, ymax, xmax are expected")
    return {"objects/bbox": np.clip(boxes, 0, 1).reshape(-1).tolist()}


def checked_points(given: Mapping[str, Any], width: int, height: int) -> dict[str, Any]:
    if "keypoints" not in given:
        return {}
    points = np.asarray(given["keypoints"], np.float64).reshape(-1)
    if len(points) % 2:
        raise ImageError(f"keypoints: {len(points)} numbers are no points of two")
    points = points.reshape(-1, 2)
    slack = _SLACK_PIXELS / np.array([height, width], np.float64)
    for number, (y, x) in enumerate(points):
        if not (math.isfinite(y) and math.isfinite(x)):
            raise ImageError(f"keypoint {number} is NaN or infinite")
        if (points[number] < -slack).any() or (points[number] > 1 + slack).any():
            raise ImageError(f"keypoint {number} ({y:.4g}, {x:.4g}) lies outside the image")
    return {"keypoints": np.clip(points, 0, 1).reshape(-1).tolist()}


def check_numbers(given: Mapping[str, Any]) -> None:
    """Some sets give their unlabelled images the number -1."""
    labels = [given["label"]] if "label" in given else []
    if any(label < 0 for label in (*labels, *given.get("objects/label", ()))):
        raise ImageError("unknown label")
    if given.get("same", 0) not in (0, 1):
        raise ImageError(f"same must be 0 or 1, not {given['same']}")
