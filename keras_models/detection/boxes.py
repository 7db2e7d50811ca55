"""Boxes: overlap, clipping, and the code by which nets say where a box is.

A box is ymin, xmin, ymax, xmax, in any unit, of continuous coordinates: its height is ymax - ymin.
Everything is computed in float32 at least.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_models.layers.precision import widened

# The largest logarithm of a side that is decoded: sides of 16 pixels become at most 1,000 long, as
# in Detectron, the authors' later code.
LARGEST_LOG = math.log(1000 / 16)
# The identity; Fast R-CNN and its followers divide by the deviations 0.1, 0.1, 0.2, 0.2.
NO_DEVIATIONS = (1.0, 1.0, 1.0, 1.0)


def floats(x: Any):
    """An array or tensor of any numbers as a tensor of float32, or float64 where it is that."""
    return widened(ops.convert_to_tensor(x))


def alike(*arrays: Any) -> list:
    """`floats` of several arrays, of one type."""
    tensors = [floats(each) for each in arrays]
    dtype = keras.backend.result_type(*(each.dtype for each in tensors))
    return [ops.cast(each, dtype) for each in tensors]


def areas(boxes):
    """Areas [...] of boxes [..., 4]; 0 where a maximum is not above its minimum, or is NaN."""
    boxes = floats(boxes)
    sides = boxes[..., 2:] - boxes[..., :2]
    sides = ops.where(sides > 0, sides, 0.0)
    return sides[..., 0] * sides[..., 1]


def pairwise_iou(boxes, others):
    """Intersection over union of each box with each of the others.

    Args:
        boxes: [..., A, 4].
        others: [..., B, 4], the same number of axes.

    Returns:
        [..., A, B] in 0..1; 0 for boxes that have no area, an infinite one or NaN.
    """
    boxes, others = alike(boxes, others)
    # Coordinate by coordinate: without an axis of 4 or 2, each is one pass over [A, B].
    ymin, xmin, ymax, xmax = (boxes[..., :, None, i] for i in range(4))
    tops, lefts, bottoms, rights = (others[..., None, :, i] for i in range(4))
    height = ops.minimum(ymax, bottoms) - ops.maximum(ymin, tops)
    width = ops.minimum(xmax, rights) - ops.maximum(xmin, lefts)
    common = ops.maximum(height, 0.0) * ops.maximum(width, 0.0)
    union = areas(boxes)[..., :, None] + areas(others)[..., None, :] - common
    # NaN is not above 0, and a part of something infinite is none.
    counted = ops.logical_and(common > 0, union < float("inf"))
    return ops.where(counted, common, 0.0) / ops.where(counted, union, 1.0)


def clip(boxes, height: float = 1.0, width: float = 1.0):
    """Boxes [..., 4] cut at the sides of a picture, from 0 to its height and width."""
    boxes = floats(boxes)
    limits = ops.convert_to_tensor([height, width, height, width], boxes.dtype)
    return ops.minimum(ops.maximum(boxes, 0.0), limits)


def inside(boxes, height: float = 1.0, width: float = 1.0):
    """Which of the boxes [..., 4] cross no side of a picture, bool [...]."""
    boxes = floats(boxes)
    limits = ops.convert_to_tensor([height, width], boxes.dtype)
    fits = ops.logical_and(boxes[..., :2] >= 0, boxes[..., 2:] <= limits)
    return ops.all(fits, axis=-1)


def centres_and_sides(boxes):
    """The centres [..., 2] and the heights and widths [..., 2] of boxes [..., 4]."""
    boxes = floats(boxes)
    sides = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + 0.5 * sides, sides


def encode(boxes, references, deviations: Sequence[float] = NO_DEVIATIONS):
    """Where boxes are, seen from reference boxes: t_y, t_x, t_h, t_w.

    The way between the centres in sides of the reference, and the logarithms of the ratios of the
    sides.

    Args:
        boxes: [..., 4], what a net is to answer.
        references: [..., 4]: proposals or anchors.
        deviations: what the four are divided by.

    Returns:
        [..., 4]; 0 where a box or its reference has a side that is not positive, as padding has.

    Source: Girshick et al. 2014, Appendix C, Eqns 6 to 9; Girshick 2015, section 2.3.
    """
    pair = alike(boxes, references)
    (centres, sides), (from_centres, from_sides) = map(centres_and_sides, pair)
    usable = ops.logical_and(_positive(sides), _positive(from_sides))
    sides, from_sides = (ops.where(usable, each, 1.0) for each in (sides, from_sides))
    codes = ops.concatenate(
        [(centres - from_centres) / from_sides, ops.log(sides / from_sides)], axis=-1
    )
    codes = codes / ops.convert_to_tensor(deviations, codes.dtype)
    return ops.where(usable, codes, 0.0)


def decode(
    codes,
    references,
    deviations: Sequence[float] = NO_DEVIATIONS,
    largest_log: float = LARGEST_LOG,
):
    """The boxes that codes of `encode` mean.

    Args:
        codes: [..., 4].
        references: [..., 4].
        deviations: what the codes are multiplied by.
        largest_log: t_h and t_w are cut here, so that no side becomes infinite.

    Returns:
        [..., 4], not clipped.

    Source: Girshick et al. 2014, Appendix C, Eqns 1 to 4.
    """
    codes, references = alike(codes, references)
    codes = codes * ops.convert_to_tensor(deviations, codes.dtype)
    centres, sides = centres_and_sides(references)
    centres = centres + codes[..., :2] * sides
    half = 0.5 * sides * ops.exp(ops.minimum(codes[..., 2:], largest_log))
    return ops.concatenate([centres - half, centres + half], axis=-1)


def _positive(sides):
    """Which boxes have two positive, finite sides, [..., 1]."""
    fine = ops.logical_and(sides > 0, sides < float("inf"))
    return ops.all(fine, axis=-1, keepdims=True)
