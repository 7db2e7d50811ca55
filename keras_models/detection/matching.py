"""Which boxes learn from which true boxes, and which of them are drawn for a step."""

from typing import NamedTuple

import keras
from keras import ops

from keras_models.detection.boxes import pairwise_iou

POSITIVE, NEGATIVE, NEITHER = 1, 0, -1


class Matches(NamedTuple):
    """What boxes [..., A, 4] are, beside true boxes [..., M, 4].

    Attributes:
        kinds: int32 [..., A]: `POSITIVE`, `NEGATIVE` or `NEITHER`.
        truths: int32 [..., A]: the number of the true box with the largest overlap, the first of
            equals; 0 where there is none.
        overlaps: float32 [..., A]: that overlap; 0 where there is no true box.
    """

    kinds: keras.KerasTensor
    truths: keras.KerasTensor
    overlaps: keras.KerasTensor


def match(
    boxes,
    truths,
    present,
    positive: float = 0.7,
    negative: tuple[float, float] = (0.0, 0.3),
    counted=None,
    best_of_each: bool = False,
) -> Matches:
    """Assigns each box the true box that it overlaps most.

    Args:
        boxes: [..., A, 4]: anchors or proposals; one axis of 1 for anchors of all pictures.
        truths: [..., M, 4].
        present: bool [..., M], false for padding.
        positive: the least overlap of a positive box.
        negative: overlaps of negative boxes: at least the first, less than the second.
        counted: bool [..., A], false for boxes that are neither, such as anchors that cross the
            sides of the picture; None for all.
        best_of_each: whether the boxes of the largest overlap with a true box are positive, however
            small it is, if it is not 0. As in the authors' code such a box learns from the true box
            that it overlaps most itself.

    The thresholds are for region proposal nets: Ren et al. 2015, section 3.1.2. Fast R-CNN has 0.5
    and (0.1, 0.5): Girshick 2015, section 2.3.
    """
    overlaps = ops.where(
        ops.convert_to_tensor(present, "bool")[..., None, :], pairwise_iou(boxes, truths), 0.0
    )
    if counted is not None:
        counted = ops.convert_to_tensor(counted, "bool")
        overlaps = ops.where(counted[..., None], overlaps, 0.0)
    # A column of zeros, so that there is a largest overlap without any true box, too.
    overlaps = ops.pad(overlaps, [*[(0, 0)] * (len(overlaps.shape) - 1), (0, 1)])
    largest = ops.max(overlaps, axis=-1, initial=0.0)
    found = ops.cast(ops.argmax(overlaps, axis=-1), "int32")
    found = ops.where(largest > 0, found, 0)

    is_positive = largest >= positive
    if best_of_each:
        of_each = ops.max(overlaps, axis=-2, keepdims=True, initial=0.0)
        best = ops.logical_and(overlaps == of_each, overlaps > 0)
        is_positive = ops.logical_or(is_positive, ops.any(best, axis=-1))
    is_negative = ops.logical_and(largest >= negative[0], largest < negative[1])
    kinds = ops.where(is_positive, POSITIVE, ops.where(is_negative, NEGATIVE, NEITHER))
    if counted is not None:
        kinds = ops.where(counted, kinds, NEITHER)
    return Matches(ops.cast(kinds, "int32"), found, largest)


def sample(kinds, number: int, positives: float, seed) -> tuple:
    """Draws boxes for a step, without replacement.

    Args:
        kinds: int32 [N, A], of `match`.
        number: how many a picture.
        positives: the largest share of positive ones, 0..1; where there are fewer, negative ones
            take their places.
        seed: a number or a `keras.random.SeedGenerator`.

    Returns:
        indices int32 [N, number] of the boxes drawn, the positive ones first, and their kinds int32
        [N, number], `NEITHER` (and index 0) in the places that no box was left for.
    """
    most = int(number * positives)
    # Places for those that are not there.
    draws = keras.random.uniform(ops.shape(kinds), minval=0.25, maxval=1.0, seed=seed)
    draws = ops.pad(draws, ((0, 0), (0, number)))
    padded = ops.pad(kinds, ((0, 0), (0, number)), constant_values=NEITHER)

    def drawn(kind, count):
        values, indices = ops.top_k(ops.where(padded == kind, draws, 0.0), count)
        return ops.sum(ops.cast(values > 0, "int32"), axis=-1, keepdims=True), indices

    negative_count, negative = drawn(NEGATIVE, number)
    place = ops.arange(number, dtype="int32")[None]
    if most:
        count, positive = drawn(POSITIVE, most)
        positive = ops.pad(positive, ((0, 0), (0, number - most)))
    else:
        count, positive = ops.zeros_like(negative_count), ops.zeros_like(negative)
    after = ops.maximum(place - count, 0)
    negative = ops.take_along_axis(negative, after, axis=-1)
    is_positive = place < count
    is_negative = ops.logical_and(place >= count, after < negative_count)
    indices = ops.where(is_positive, positive, ops.where(is_negative, negative, 0))
    given = ops.where(is_positive, POSITIVE, ops.where(is_negative, NEGATIVE, NEITHER))
    return ops.cast(indices, "int32"), ops.cast(given, "int32")


def gather(x, indices):
    """Rows of `x` [N, A, ...] by their numbers [N, B]: [N, B, ...].

    A and B may be unknown.
    """
    x = ops.convert_to_tensor(x)
    if len(x.shape) == 2:
        return ops.take_along_axis(x, indices, axis=1)
    # One take from all rows in a line: `take_along_axis` would copy the indices to all columns.
    shape = ops.shape(x)
    starts = ops.arange(shape[0], dtype="int32")[:, None] * shape[1]
    line = ops.reshape(x, (-1, *x.shape[2:]))
    return ops.take(line, starts + ops.cast(indices, "int32"), axis=0)
