"""OverFeat's greedy merging of boxes, which adds their scores up instead of suppressing them."""

import keras
from keras import ops

from keras_models.detection.boxes import centres_and_sides, floats, pairwise_iou


def match_scores(boxes, others):
    """How far each box is from each of the others: 0 for the same box.

    The distance between the centres, in mean sides (the roots of the areas) of the two boxes, plus
    the share of their union that they do not have in common.

    Args:
        boxes: [..., A, 4].
        others: [..., B, 4], the same number of axes.

    Returns:
        [..., A, B], at least 0.

    The paper has "the sum of the distance between centers of the two bounding boxes and the
    intersection area of the boxes", of which the least is the best match (Sermanet et al. 2014,
    section 4.3). It leaves units and the sign of the area open: these are ours.
    """
    (centres, sides), (other_centres, other_sides) = map(centres_and_sides, (boxes, others))
    ways = centres[..., :, None, :] - other_centres[..., None, :, :]
    distances = ops.sqrt(ops.sum(ops.square(ways), axis=-1))
    lengths, other_lengths = (
        ops.sqrt(ops.maximum(each[..., 0] * each[..., 1], 0.0)) for each in (sides, other_sides)
    )
    means = 0.5 * (lengths[..., :, None] + other_lengths[..., None, :])
    return distances / ops.maximum(means, keras.config.epsilon()) + 1 - pairwise_iou(boxes, others)


def merge(boxes, scores, threshold: float) -> tuple:
    """Merges the two boxes of the least match score into their mean, until it is above a threshold.

    No gradient goes through it.

    Args:
        boxes: [N, R, 4].
        scores: [N, R]; those of merged boxes are added up. Boxes with a score of 0 or less, or with
            numbers that are not finite, are not there.
        threshold: t, of `match_scores`.

    Returns:
        boxes [N, R, 4] and scores [N, R], in no order; both 0 in the places of boxes that are not
        there or went into another one. At most R - 1 rounds.

    Source: Sermanet et al. 2014, section 4.3, steps (d) to (g), and the sums that follow them.
    """
    boxes, scores = ops.stop_gradient(floats(boxes)), ops.stop_gradient(floats(scores))
    there = ops.logical_and(
        ops.logical_and(scores > 0, ops.isfinite(scores)), ops.all(ops.isfinite(boxes), axis=-1)
    )
    boxes = ops.where(there[..., None], boxes, 0.0)
    scores = ops.where(there, scores, 0.0)
    number = boxes.shape[1]
    place = ops.arange(number, dtype="int32")
    far = float("inf")
    pairs = ops.logical_and(there[:, :, None], there[:, None, :])
    pairs = ops.logical_and(pairs, ops.not_equal(place[:, None], place))
    distances = ops.where(pairs, match_scores(boxes, boxes), far)

    def goes_on(boxes, scores, distances):
        return ops.any(distances <= threshold)

    def with_one_merged(boxes, scores, distances):
        flat = ops.reshape(distances, (-1, number * number))
        best = ops.cast(ops.argmin(flat, axis=-1), "int32")[:, None]
        found = ops.take_along_axis(flat, best, axis=1) <= threshold
        kept = ops.logical_and(place == best // number, found)
        gone = ops.logical_and(place == best % number, found)
        pair = ops.logical_or(kept, gone)
        mean = 0.5 * ops.sum(ops.where(pair[..., None], boxes, 0.0), axis=1, keepdims=True)
        total = ops.sum(ops.where(pair, scores, 0.0), axis=1, keepdims=True)
        boxes = ops.where(kept[..., None], mean, ops.where(gone[..., None], 0.0, boxes))
        scores = ops.where(kept, total, ops.where(gone, 0.0, scores))
        from_mean = match_scores(mean, boxes)[:, 0]
        from_mean = ops.where(ops.logical_or(scores <= 0, kept), far, from_mean)
        distances = ops.where(kept[:, :, None], from_mean[:, None, :], distances)
        distances = ops.where(kept[:, None, :], from_mean[:, :, None], distances)
        lost = ops.logical_or(gone[:, :, None], gone[:, None, :])
        return boxes, scores, ops.where(lost, far, distances)

    boxes, scores, _ = ops.while_loop(goes_on, with_one_merged, (boxes, scores, distances))
    return boxes, scores
