"""Which detection finds which object of a picture: PASCAL VOC's rules and COCO's.

Boxes are ymin, xmin, ymax, xmax in continuous coordinates: VOC's whole pixels from 5 to 8 are four
pixels wide, from 4 to 8.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from components.tasks.detection.targets import Objects

# Of VOC, and of the error of localisation.
OVERLAP = 0.5
# COCO's overlaps; of its sizes what an object's area is at least and at most, in pixels; and how
# many detections of a class count in a picture.
COCO_OVERLAPS = np.linspace(0.5, 0.95, 10)
COCO_AREAS = np.array([[0, 1e10], [0, 32**2], [32**2, 96**2], [96**2, 1e10]], np.float64)
COCO_MOST = 100
# How a detection and VOC's rules go together.
FOUND, FALSE, NOT_COUNTED = 1, 0, -1


class Matched(NamedTuple):
    """How D detections of one class match its G objects in a picture.

    Attributes:
      voc: [D], `FOUND`, `FALSE` or `NOT_COUNTED`.
      coco, coco_ignored: bool [4, 10, D], by area and overlap, whether a detection has found an
        object, and whether it is not counted.
      found: bool [G], whether an object is found by VOC's rules.
    """

    voc: np.ndarray
    coco: np.ndarray
    coco_ignored: np.ndarray
    found: np.ndarray


def overlaps(boxes: np.ndarray, others: np.ndarray, crowd: np.ndarray | None = None) -> np.ndarray:
    """Intersection over union of each of A boxes with each of B others, float64 [A, B].

    Args:
      boxes: [A, 4]; one that is not finite overlaps nothing.
      others: [B, 4].
      crowd: bool [B]; of these it is the intersection over the box's own area.
    """
    one, other = (np.asarray(each, np.float64) for each in (boxes, others))
    first = np.maximum(one[:, None, :2], other[None, :, :2])
    last = np.minimum(one[:, None, 2:], other[None, :, 2:])
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        common = np.maximum(last - first, 0.0).prod(axis=-1)
        areas, other_areas = (_areas(each) for each in (one, other))
        union = areas[:, None] + other_areas[None] - common
        if crowd is not None:
            union = np.where(crowd[None], areas[:, None], union)
        found = common / union
    return np.where(np.isfinite(found), found, 0.0)


def match(boxes: np.ndarray, objects: Objects) -> Matched:
    """Matches detections of one class, the surest first, with the objects of this class."""
    shared = overlaps(boxes, objects.boxes, objects.crowd)
    voc, found = _voc(shared, objects.difficult | objects.crowd, objects.crowd)
    coco, ignored = _coco(shared, objects, _areas(np.asarray(boxes, np.float64)))
    return Matched(voc, coco, ignored, found)


def ignored_by_area(objects: Objects) -> np.ndarray:
    """Which objects COCO does not count, bool [4, G], by area."""
    least, most = COCO_AREAS[:, :1], COCO_AREAS[:, 1:]
    outside = (objects.areas < least) | (objects.areas > most)
    return outside | objects.difficult | objects.crowd


def _areas(boxes: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", over="ignore"):
        return np.maximum(boxes[:, 2:] - boxes[:, :2], 0.0).prod(axis=1)


def _voc(
    shared: np.ndarray, not_counted: np.ndarray, crowd: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The development kit's VOCevaldet: each detection goes to the object that it overlaps most.

    Of several that do, the first has found it. One of an object that is not counted is not, either.
    """
    voc = np.full(len(shared), FALSE)
    found = np.zeros(shared.shape[1], bool)
    if not shared.size:
        return voc, found
    # A crowd is taken where no single object overlaps enough.
    single = np.where(crowd, 0.0, shared)
    best, most = single.argmax(axis=1), single.max(axis=1)
    for place in np.flatnonzero(shared.max(axis=1) >= OVERLAP):
        which = best[place]
        if most[place] < OVERLAP or not_counted[which]:
            voc[place] = NOT_COUNTED
        elif not found[which]:
            voc[place], found[which] = FOUND, True
    return voc, found


def _coco(shared: np.ndarray, objects: Objects, areas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """pycocotools' evaluateImg, for all areas and overlaps at once.

    A detection takes the object left that it overlaps most, one that is not counted only where it
    overlaps no other enough.
    """
    ignored = ignored_by_area(objects)[:, None]
    sizes, steps = len(COCO_AREAS), len(COCO_OVERLAPS)
    matched = np.zeros((sizes, steps, len(shared)), bool)
    not_counted = np.zeros_like(matched)
    taken = np.zeros((sizes, steps, shared.shape[1]), bool)
    # Least overlaps as pycocotools has them.
    least = np.minimum(COCO_OVERLAPS, 1 - 1e-10)[None, :, None]
    near = shared.max(axis=1, initial=0.0) >= least.min()
    for place in np.flatnonzero(near[:COCO_MOST]):
        fits = (shared[place] >= least) & (~taken | objects.crowd)
        counted = fits & ~ignored
        fits = np.where(counted.any(axis=-1, keepdims=True), counted, fits)
        values = np.where(fits, shared[place], -1.0)
        # Of equal overlaps the last, as there.
        which = values.shape[-1] - 1 - values[..., ::-1].argmax(axis=-1)
        hit = fits.any(axis=-1)
        matched[..., place] = hit
        own = np.take_along_axis(np.broadcast_to(ignored, fits.shape), which[..., None], -1)[..., 0]
        not_counted[..., place] = hit & own
        area, step = np.nonzero(hit)
        taken[area, step, which[hit]] = True
    least_area, most_area = COCO_AREAS[:, :1], COCO_AREAS[:, 1:]
    outside = (areas < least_area) | (areas > most_area)
    not_counted |= ~matched & outside[:, None]
    not_counted[..., COCO_MOST:] = True
    return matched & ~not_counted, not_counted
