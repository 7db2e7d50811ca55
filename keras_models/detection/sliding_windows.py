"""Detection by windows at fixed places: how their boxes are merged, and the loss they learn by.

Sermanet et al. 2014, OverFeat, sections 4 and 5.
"""

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers, ops

from keras_models.detection.boxes import areas, clip, floats
from keras_models.detection.matching import NEGATIVE, POSITIVE, gather, match
from keras_models.detection.merging import merge


def window_boxes(
    pictures: Sequence[Sequence[int]], maps: Sequence[Sequence[int]], stride: int, side: int
) -> np.ndarray:
    """The windows of several scales, in fractions of the picture.

    Args:
        pictures: height and width of the resized picture at each scale, in pixels.
        maps: rows and columns of windows at each scale.
        stride: pixels from one window to the next.
        side: of a window, in pixels.

    Returns:
        float32 [P, 4], scale by scale, row by row.
    """
    of_scales = []
    for (height, width), (rows, columns) in zip(pictures, maps, strict=True):
        tops, lefts = np.mgrid[:rows, :columns] * stride
        edges = [tops / height, lefts / width, (tops + side) / height, (lefts + side) / width]
        of_scales.append(np.stack(edges, axis=-1).reshape(-1, 4))
    return np.concatenate(of_scales).astype("float32")


def encode_edges(boxes, windows):
    """The way from the edges of windows to those of boxes, in sides of the windows.

    Args:
        boxes, windows: [..., 4], in the same unit; windows have an area.

    Returns:
        [..., 4]. `decode_edges` goes back.

    Source: Sermanet et al. 2014, sections 4.1 and 4.2: the box's edges in the window's frame.
    """
    windows = floats(windows)
    return (floats(boxes) - windows) / _sides(windows)


def decode_edges(codes, windows):
    """The boxes [..., 4] that codes [..., 4] of `encode_edges` mean."""
    windows = floats(windows)
    return windows + floats(codes) * _sides(windows)


def _sides(boxes):
    """Height, width, height and width of boxes [..., 4]."""
    sides = boxes[..., 2:] - boxes[..., :2]
    return ops.concatenate([sides, sides], axis=-1)


@keras.saving.register_keras_serializable(package="keras_models")
class SlidingWindows(layers.Layer):
    """What comes of the windows of a picture: merged boxes, and in training the loss.

    **Boxes.** At each scale the boxes of the classes with the highest scores are taken, and merged
    class by class. A score is s / (1 + s) of the sum s of the probabilities of the windows that
    were merged: it keeps the order of the sums, and stays within 0..1.

    **Loss.** A window learns the class of the object that it overlaps most: those of an overlap
    from `positive` on, and for each object those that overlap it most. Windows whose overlap with
    every object is less than `negative` are background; a few of a picture are trained, half of
    them the "most offending ones", half "random ones", chosen anew in each step. The paper says
    neither which windows are positive nor how many negative ones there are. The box is learnt by
    the positive windows that see half of the object or more.

    Args:
        pictures, maps, stride, side: as of `window_boxes`.
        threshold: as of `merge`.
        top_classes: k, at each scale.
        candidates: windows of each class that are merged at most, the highest scores first.
        least_score: windows of this probability or less are left out.
        detections: K.
        positive, negative: overlaps (intersection over union).
        negatives: windows of background that are trained a picture.
        seed: of the random ones; None for others every time.

    Input: a list of logits [N, P, classes + 1], the background first, and codes [N, P, classes, 4],
    or [N, P, 1, 4] for all classes, of `encode_edges`. Output: a dict of `boxes` [N, K, 4] in
    fractions of the picture, clipped, `scores` [N, K], falling, both float32, and `classes` int32
    [N, K]. Unused places have 0, 0 and -1; in training all are unused.

    Raises:
        ValueError: overlaps that are not 0 <= negative <= positive <= 1; no classes, candidates or
            detections; fewer negatives than none.

    Source: Sermanet et al. 2014, sections 4.2, 4.3 and 5.
    """

    def __init__(
        self,
        pictures: Sequence[Sequence[int]],
        maps: Sequence[Sequence[int]],
        stride: int,
        side: int,
        threshold: float = 0.7,
        top_classes: int = 5,
        candidates: int = 64,
        least_score: float = 0.1,
        detections: int = 100,
        positive: float = 0.5,
        negative: float = 0.3,
        negatives: int = 32,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not 0 <= negative <= positive <= 1:
            raise ValueError(
                f"0 <= negative <= positive <= 1 must hold of the overlaps: not {negative!r}, "
                f"{positive!r}."
            )
        if min(top_classes, candidates, detections) < 1 or negatives < 0:
            raise ValueError(
                "top_classes, candidates and detections must be 1 or more, and negatives 0 or "
                f"more: not {top_classes!r}, {candidates!r}, {detections!r}, {negatives!r}."
            )
        self.pictures = tuple(map(tuple, pictures))
        self.maps = tuple(map(tuple, maps))
        self.stride = stride
        self.side = side
        self.threshold = threshold
        self.top_classes = top_classes
        self.candidates = candidates
        self.least_score = least_score
        self.detections = detections
        self.positive = positive
        self.negative = negative
        self.negatives = negatives
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.windows = window_boxes(self.pictures, self.maps, stride, side)
        # Of the model, for models find the metrics of their layers.
        self.class_loss = keras.metrics.Mean(name="class_loss")
        self.box_loss = keras.metrics.Mean(name="box_loss")

    def call(self, inputs, training=False):
        logits, codes = map(floats, inputs)
        if training:
            return self._nothing(ops.shape(logits)[0])
        probabilities = self._of_top_classes(ops.softmax(logits)[..., 1:])
        boxes, scores = self._candidates(probabilities, codes)
        boxes, scores = merge(boxes, scores, self.threshold)
        return self._best(boxes, scores, probabilities.shape[-1])

    def compute_output_spec(self, inputs, training=False):
        shape = (inputs[0].shape[0], self.detections)
        return {
            "boxes": keras.KerasTensor((*shape, 4), "float32"),
            "scores": keras.KerasTensor(shape, "float32"),
            "classes": keras.KerasTensor(shape, "int32"),
        }

    def get_config(self):
        names = ("pictures", "maps", "stride", "side", "threshold", "top_classes", "candidates")
        names += ("least_score", "detections", "positive", "negative", "negatives", "seed")
        return super().get_config() | {name: getattr(self, name) for name in names}

    def picture_losses(self, targets, logits, codes, weights=None) -> tuple:
        """The two terms of the loss of each picture.

        Args:
            targets: `boxes` [N, M, 4] in fractions of the picture, `classes` int [N, M], -1 in
                unused places.
            logits, codes: the layer's input.
            weights: [N, M], how much the windows of each object count; None: 1.

        Returns:
            float32 [N] each: the mean cross-entropy of the windows that are trained, and the mean
            squared distance of the boxes from the true ones in the windows' frames; 0 where there
            is none.
        """
        boxes, classes = targets["boxes"], ops.cast(targets["classes"], "int32")
        weights = ops.ones_like(classes) if weights is None else weights
        logits, codes, boxes, weights = (
            ops.cast(each, "float32") for each in (logits, codes, boxes, weights)
        )
        # One more, so that there is one.
        boxes = ops.pad(boxes, ((0, 0), (0, 1), (0, 0)))
        classes = ops.pad(classes, ((0, 0), (0, 1)), constant_values=-1)
        weights = ops.pad(weights, ((0, 0), (0, 1)))
        windows = ops.convert_to_tensor(self.windows)[None]
        kinds, truths, _ = match(
            windows,
            boxes,
            classes >= 0,
            self.positive,
            (0.0, self.negative),
            best_of_each=True,
        )
        positive = kinds == POSITIVE
        labels = ops.where(positive, ops.take_along_axis(classes, truths, axis=1), -1)
        boxes = gather(boxes, truths)
        weights = ops.where(positive, ops.take_along_axis(weights, truths, axis=1), 1.0)
        seen = ops.logical_and(positive, _share_in(boxes, windows) >= 0.5)
        return (
            self._class_losses(logits, labels, positive, kinds == NEGATIVE, weights),
            _box_losses(codes, labels, encode_edges(boxes, windows), seen, weights),
        )

    def _class_losses(self, logits, labels, positive, negative, weights):
        total = ops.logsumexp(logits, axis=-1)
        own = ops.one_hot(labels + 1, logits.shape[-1], dtype="bool")
        entropy = total - ops.sum(ops.where(own, logits, 0.0), axis=-1)
        trained = ops.logical_or(positive, self._interesting(total - logits[..., 0], negative))
        count = ops.sum(ops.cast(trained, "float32"), axis=-1)
        losses = ops.where(trained, weights * entropy, 0.0)
        return ops.sum(losses, axis=-1) / ops.maximum(count, 1.0)

    def _interesting(self, offence, negative):
        """Negative windows, bool [N, P]: half the most offending ones, half random ones."""
        offence = ops.stop_gradient(offence)
        windows = len(self.windows)
        hard = min(self.negatives // 2, windows)
        drawn = min(self.negatives - hard, windows)
        worst = _highest(ops.where(negative, offence, -float("inf")), hard)
        rest = ops.logical_and(negative, ops.logical_not(worst))
        draws = keras.random.uniform(ops.shape(offence), seed=self.seed_generator)
        return ops.logical_or(worst, _highest(ops.where(rest, draws, -float("inf")), drawn))

    def _nothing(self, pictures):
        shape = (pictures, self.detections)
        return {
            "boxes": ops.zeros((*shape, 4), "float32"),
            "scores": ops.zeros(shape, "float32"),
            "classes": ops.full(shape, -1, "int32"),
        }

    def _of_top_classes(self, probabilities):
        """The probabilities [N, P, classes], 0 for the classes that are not in C_s."""
        if self.top_classes >= probabilities.shape[-1]:
            return probabilities
        of_scales, start = [], 0
        for rows, columns in self.maps:
            part = probabilities[:, start : start + rows * columns]
            start += rows * columns
            highest = ops.max(part, axis=1, keepdims=True)
            least = ops.top_k(highest, self.top_classes)[0][..., -1:]
            of_scales.append(ops.where(highest >= least, part, 0.0))
        return ops.concatenate(of_scales, axis=1)

    def _candidates(self, probabilities, codes):
        """Boxes [N * classes, R, 4] of the best windows of each class, and their scores."""
        windows, classes = probabilities.shape[1:]
        scores = ops.reshape(ops.transpose(probabilities, (0, 2, 1)), (-1, windows))
        # NaN is not above it, either.
        scores = ops.where(scores > self.least_score, scores, 0.0)
        scores, places = ops.top_k(scores, min(self.candidates, windows))
        if codes.shape[2] == 1:
            codes = ops.repeat(codes, classes, axis=2)
        codes = ops.reshape(ops.transpose(codes, (0, 2, 1, 3)), (-1, windows, 4))
        seen = ops.take(ops.convert_to_tensor(self.windows), places, axis=0)
        boxes = clip(decode_edges(gather(codes, places), seen))
        return boxes, ops.where(areas(boxes) > 0, scores, 0.0)

    def _best(self, boxes, scores, classes: int):
        """The K best of all classes."""
        of_class = scores.shape[1]
        missing = max(0, self.detections - classes * of_class)
        scores = ops.reshape(scores, (-1, classes * of_class))
        boxes = ops.reshape(boxes, (-1, classes * of_class, 4))
        scores = ops.pad(scores, ((0, 0), (0, missing)))
        boxes = ops.pad(boxes, ((0, 0), (0, missing), (0, 0)))
        sums, places = ops.top_k(scores, self.detections)
        used = sums > 0
        return {
            "boxes": ops.where(used[..., None], gather(boxes, places), 0.0),
            "scores": sums / (1 + sums),
            "classes": ops.where(used, ops.cast(places // of_class, "int32"), -1),
        }


@keras.saving.register_keras_serializable(package="keras_models")
class SlidingWindowDetector(keras.Model):
    """A net with a layer `SlidingWindows`, which computes its own loss.

    Its outputs are those of the layer and what goes in, `logits` and `codes`. The loss is
    `class_loss` + `box_loss`, which the history shows, and what regularizers add. `y` is a dict of
    `boxes` and `classes`, as of `SlidingWindows.picture_losses`; `sample_weight` weighs the
    pictures, [N], or their objects, [N, M].
    """

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        (windows,) = (each for each in self.layers if isinstance(each, SlidingWindows))
        total = sum(ops.sum(each) for each in self.losses)
        trackers = (windows.class_loss, windows.box_loss)
        of_objects, of_pictures = None, 1.0
        if sample_weight is not None and len(sample_weight.shape) == 2:
            of_objects = sample_weight
        elif sample_weight is not None:
            of_pictures = floats(sample_weight)
        losses = windows.picture_losses(y, y_pred["logits"], y_pred["codes"], of_objects)
        for tracker, loss in zip(trackers, losses, strict=True):
            loss = loss * of_pictures
            tracker.update_state(loss)
            total = total + ops.mean(loss)
        return total


def _highest(values, count: int):
    """Where the highest of the values [N, P] are, so many of each row; never those of -inf."""
    if not count:
        return ops.zeros_like(values, dtype="bool")
    best, places = ops.top_k(values, count)
    # -inf goes to a place that there is not.
    places = ops.where(best > -float("inf"), places, -1)
    return ops.any(ops.one_hot(places, values.shape[-1], dtype="bool"), axis=1)


def _share_in(boxes, windows):
    """Which share [..., P] of the area of boxes [..., P, 4] is in windows [..., P, 4]."""
    lowest = ops.maximum(boxes[..., :2], windows[..., :2])
    common = areas(ops.concatenate([lowest, ops.minimum(boxes[..., 2:], windows[..., 2:])], -1))
    area = areas(boxes)
    return common / ops.where(area > 0, area, 1.0)


def _box_losses(codes, labels, targets, counted, weights):
    """The mean squared distances [N] of codes [N, P, classes or 1, 4] of the labels' classes."""
    if codes.shape[2] > 1:
        # By a product: the gradient of a gather is slow on some backends.
        own = ops.one_hot(labels, codes.shape[2], dtype="bool")[..., None]
        codes = ops.sum(ops.where(own, codes, 0.0), axis=2)
    else:
        codes = codes[:, :, 0]
    errors = ops.where(counted[..., None], codes - targets, 0.0)
    count = ops.sum(ops.cast(counted, "float32"), axis=-1)
    distances = weights * ops.sum(ops.square(errors), axis=-1)
    return ops.sum(distances, axis=-1) / ops.maximum(count, 1.0)
