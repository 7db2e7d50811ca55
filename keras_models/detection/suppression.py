"""Greedy non-maximum suppression, batched and in the graph."""

from typing import NamedTuple

import keras
from keras import ops

from keras_models.detection.boxes import floats, pairwise_iou
from keras_models.detection.matching import gather

# Boxes that are compared with each other at once.
_BLOCK = 256


class Detections(NamedTuple):
    """What a detection net answers.

    Attributes:
        boxes: float32 [N, K, 4]; 0 in unused places.
        scores: float32 [N, K], falling; 0 in unused places.
        classes: int32 [N, K]; -1 in unused places.
    """

    boxes: keras.KerasTensor
    scores: keras.KerasTensor
    classes: keras.KerasTensor


def suppress(boxes, scores, number: int, overlap: float) -> tuple:
    """Takes boxes in the order of their scores, without those that overlap one taken before.

    No gradient goes through it.

    Args:
        boxes: [N, R, 4].
        scores: [N, R]; -inf for boxes that are not there. Of equal scores the first box comes
            first. Boxes and scores that are not finite are never taken.
        number: how many are taken at most.
        overlap: intersection over union above which a box is left out.

    Returns:
        indices int32 [N, number] and taken bool [N, number]: the places are filled from the first
        on; the others have index 0.

    The answer is that of the loop over single boxes, computed block by block: a block is first
    compared with the boxes that are taken, then with itself until nothing changes.
    """
    boxes, scores = ops.stop_gradient(floats(boxes)), ops.stop_gradient(floats(scores))
    present = ops.logical_and(ops.isfinite(scores), ops.all(ops.isfinite(boxes), axis=-1))
    boxes = ops.where(present[..., None], boxes, 0.0)
    order = ops.cast(ops.argsort(ops.where(present, -scores, float("inf")), axis=-1), "int32")
    present = _in_blocks(ops.take_along_axis(present, order, axis=1))
    boxes, order = _in_blocks(gather(boxes, order)), _in_blocks(order)

    def goes_on(block, chosen, indices, count):
        return ops.logical_and(block < ops.shape(boxes)[0], ops.any(count < number))

    def with_block(block, chosen, indices, count):
        mine = boxes[block]
        alive = ops.logical_and(
            present[block], ops.logical_not(ops.any(pairwise_iou(chosen, mine) > overlap, axis=1))
        )
        survived = _greedy(pairwise_iou(mine, mine) > overlap, alive)
        # The survivors to the front, then to the places behind those that are taken.
        front = ops.argsort(ops.cast(ops.logical_not(survived), "int32"), axis=-1)
        place = ops.arange(number, dtype="int32")[None] - count
        more = ops.sum(ops.cast(survived, "int32"), axis=-1, keepdims=True)
        new = ops.logical_and(place >= 0, place < more)
        which = ops.take_along_axis(front, ops.clip(place, 0, _BLOCK - 1), axis=1)
        chosen = ops.where(new[..., None], gather(mine, which), chosen)
        indices = ops.where(new, ops.take_along_axis(order[block], which, axis=1), indices)
        return block + 1, chosen, indices, ops.minimum(count + more, number)

    pictures = ops.shape(scores)[0]
    chosen = ops.zeros((pictures, number, 4), boxes.dtype)
    indices, count = (ops.zeros((pictures, places), "int32") for places in (number, 1))
    _, _, indices, count = ops.while_loop(
        goes_on, with_block, (ops.zeros((), "int32"), chosen, indices, count)
    )
    return indices, ops.arange(number, dtype="int32")[None] < count


def suppress_by_class(
    boxes, scores, detections: int, overlap: float, least_score: float = 0.0
) -> Detections:
    """Suppression among the boxes of each class, and the best of all classes.

    Args:
        boxes: [N, R, classes, 4], or [N, R, 4] where all classes have the same.
        scores: [N, R, classes].
        detections: K.
        overlap: as of `suppress`.
        least_score: boxes of this score or less are left out.

    Source: Girshick et al. 2014, section 2.2; as in the authors' code, at most K of a picture.
    """
    boxes, scores = floats(boxes), floats(scores)
    classes = scores.shape[-1]
    if len(boxes.shape) == 3:
        boxes = ops.repeat(boxes[:, :, None], classes, axis=2)
    # With one box that is not there, where there is no other.
    boxes = ops.pad(boxes, ((0, 0), (0, 1), (0, 0), (0, 0)))
    scores = ops.pad(scores, ((0, 0), (0, 1), (0, 0)), constant_values=-float("inf"))
    shape = ops.shape(scores)
    boxes = ops.reshape(ops.transpose(boxes, (0, 2, 1, 3)), (-1, shape[1], 4))
    scores = ops.reshape(ops.transpose(scores, (0, 2, 1)), (-1, shape[1]))
    found = ops.where(scores > least_score, scores, -float("inf"))
    indices, taken = suppress(boxes, found, detections, overlap)
    boxes = ops.reshape(gather(boxes, indices), (-1, classes * detections, 4))
    scores = ops.take_along_axis(found, indices, axis=1)
    scores = ops.reshape(ops.where(taken, scores, -float("inf")), (-1, classes * detections))
    best, places = ops.top_k(scores, detections)
    used = best > -float("inf")
    numbers = ops.cast(places // detections, "int32")
    return Detections(
        ops.where(used[..., None], gather(boxes, places), 0.0),
        ops.where(used, best, 0.0),
        ops.where(used, numbers, -1),
    )


def _greedy(overlapping, alive):
    """Which boxes of a block, in the order of their scores, survive each other, bool [N, B].

    Args:
        overlapping: bool [N, B, B].
        alive: bool [N, B], those that are there.
    """
    place = ops.arange(_BLOCK)
    overlapping = ops.logical_and(overlapping, place[:, None] < place)

    def after(survived):
        hit = ops.any(ops.logical_and(overlapping, survived[..., None]), axis=1)
        return ops.logical_and(alive, ops.logical_not(hit))

    # Each round settles at least one box more, the best of those that are open.
    return ops.while_loop(
        lambda before, survived: ops.any(ops.not_equal(before, survived)),
        lambda before, survived: (survived, after(survived)),
        (alive, after(alive)),
    )[1]


def _in_blocks(x):
    """[N, R, ...] as [blocks, N, B, ...], filled with zeros."""
    number = ops.shape(x)[1]
    rest = x.shape[2:]
    x = ops.pad(x, ((0, 0), (0, -number % _BLOCK), *((0, 0) for _ in rest)))
    x = ops.reshape(x, (ops.shape(x)[0], -1, _BLOCK, *rest))
    return ops.moveaxis(x, 1, 0)
