"""The linear SVMs and the regression of boxes of R-CNN, computed from features of regions.

Girshick et al. 2014, sections 2.3 and appendices B and C; what they do not say (the norm of the
features, the margins of the mining, the whitening of the targets) is from the authors' code.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from keras_models.detection.boxes import areas, encode, pairwise_iou
from keras_models.optimizers.linear_svm import LinearSVM, fit_linear_svm

# Features are scaled to this mean norm, so that costs and penalties mean the same of all of them.
NORM = 20.0
# Of each picture, how many proposals the norm is measured on.
_NORM_PROPOSALS = 16
# Appendix B: a region that overlaps the true boxes of a class by less is negative for it.
NEGATIVE_OVERLAP = 0.3
COST, POSITIVE_WEIGHT, BIAS_SCALE = 1e-3, 2.0, 10.0
# Negatives above the first margin are hard; those below the second are forgotten.
_HARD, _EASY = -1.0001, -1.2
# So many new negatives of a class, and its SVM is computed anew.
_NEW_NEGATIVES = 2000
# Of a class that has no example: its sigmoid is below that of any other.
_NEVER = -100.0
# Appendix C.
POSITIVE_OVERLAP, PENALTY = 0.6, 1000.0
_EPSILON = 1e-3  # of the whitening
# Regions of a class that boxes are regressed from; more are left out to bound the memory.
_MOST_REGIONS = 5000

# Images [N, H, W, C] and boxes [N, B, 4] to features float32 [N, B, F].
Extract = Callable[[Any, np.ndarray], np.ndarray]


class _Picture(NamedTuple):
    """One picture's regions, those that are there.

    Attributes:
        features: float32 [R, F].
        boxes: float32 [R, 4].
        truths: float32 [M, 4].
        classes: int [M].
        overlaps: [R, M].
    """

    features: np.ndarray
    boxes: np.ndarray
    truths: np.ndarray
    classes: np.ndarray
    overlaps: np.ndarray


def fit_svms(extract: Extract, batches: Iterable[tuple[Any, Any]], classes: int) -> tuple:
    """A linear SVM a class: the true boxes against regions that overlap none by 0.3.

    One pass over the pictures mines hard negatives: "a single pass over all images" is enough
    (section 2.3).

    Returns:
        kernel [F, classes] and bias [classes] for features as `extract` gives them; what
        `RegionSVM.adapt` returns.

    Raises:
        ValueError: no true box at all.
    """
    positives, scale = _positives_and_scale(extract, batches, classes)
    learners = [_Learner(each) for each in positives]
    for picture in _pictures(extract, batches):
        features = scale * picture.features
        margins = _margins(learners, features)
        for number, learner in enumerate(learners):
            of_class = picture.overlaps[:, picture.classes == number]
            negative = of_class.max(axis=1, initial=0.0) < NEGATIVE_OVERLAP
            learner.add(features[negative & (margins[:, number] > _HARD)])
    for learner in learners:
        learner.fit()
    planes = [learner.plane for learner in learners]
    kernel = np.stack([plane.weights for plane in planes], axis=1) * scale
    found = [learner for learner in learners if len(learner.positives)]
    logs = {
        "loss": float(np.mean([learner.plane.objective for learner in found])),
        "examples": float(sum(len(each.positives) + len(each.negatives) for each in found)),
    }
    return kernel, np.array([plane.bias for plane in planes], np.float32), logs


class _Learner:
    """The SVM of one class, with its positive examples and those negative ones that count.

    Attributes:
        positives: float32 [P, F].
        negatives: float32 [Q, F].
        plane: the SVM; before the first it lets every region pass for hard.
    """

    def __init__(self, positives: np.ndarray) -> None:
        self.positives = positives
        self.negatives = np.zeros((0, positives.shape[1]), np.float32)
        known = len(positives) > 0
        self.plane = LinearSVM(
            np.zeros(positives.shape[1], np.float32), 0.0 if known else _NEVER, 0.0
        )
        self._new: list[np.ndarray] = []
        self._is_first = True

    def add(self, negatives: np.ndarray) -> None:
        """Keeps hard negatives; computes the SVM with the first, and whenever many are new."""
        if not len(negatives):
            return
        self._new.append(negatives)
        if self._is_first or sum(map(len, self._new)) > _NEW_NEGATIVES:
            self.fit()
            self._is_first = False

    def fit(self) -> None:
        self.negatives = np.concatenate([self.negatives, *self._new])
        self._new = []
        if not len(self.positives) or not len(self.negatives):
            return
        examples = np.concatenate([self.positives, self.negatives])
        positive = np.arange(len(examples)) < len(self.positives)
        self.plane = fit_linear_svm(examples, positive, COST, POSITIVE_WEIGHT, BIAS_SCALE)
        margins = self.negatives @ self.plane.weights + self.plane.bias
        self.negatives = self.negatives[margins > _EASY]


def _margins(learners: list[_Learner], features: np.ndarray) -> np.ndarray:
    """[R, classes]."""
    weights = np.stack([learner.plane.weights for learner in learners], axis=1)
    return features @ weights + np.array([learner.plane.bias for learner in learners])


def _positives_and_scale(
    extract: Extract, batches: Iterable[tuple[Any, Any]], classes: int
) -> tuple[list[np.ndarray], float]:
    """The features of the true boxes by class, scaled, and what features are multiplied by."""
    found: list[list[np.ndarray]] = [[] for _ in range(classes)]
    norms = []
    for images, proposals, truths, numbers in _arrays(batches):
        some = proposals[:, :_NORM_PROPOSALS]
        features = extract(images, np.concatenate([truths, some], axis=1))
        of_truths, of_some = np.split(features, [truths.shape[1]], axis=1)
        for number in range(classes):
            found[number].append(of_truths[numbers == number])
        norms.append(np.linalg.norm(of_some[_are_there(some)], axis=-1))
    if not any(len(each) for of_class in found for each in of_class):
        raise ValueError("There is no true box in any picture, and nothing to learn from.")
    norm = float(np.concatenate(norms).mean())
    scale = NORM / norm if norm else 1.0
    return [scale * np.concatenate(each) for each in found], scale


def fit_boxes(extract: Extract, batches: Iterable[tuple[Any, Any]], classes: int) -> tuple:
    """The ridge regression of each class from regions to the true boxes that they overlap by 0.6.

    Returns:
        kernel [F, 4 classes] and bias [4 classes] for features as `extract` gives them; what
        `RegionSVM.adapt` returns.

    Raises:
        ValueError: no region overlaps a true box enough.
    """
    features: list[list[np.ndarray]] = [[] for _ in range(classes)]
    codes: list[list[np.ndarray]] = [[] for _ in range(classes)]
    left = np.full(classes, _MOST_REGIONS)
    for picture in _pictures(extract, batches):
        if not len(picture.truths):
            continue
        best = picture.overlaps.argmax(axis=1)
        close = picture.overlaps.max(axis=1) >= POSITIVE_OVERLAP
        for number in range(classes):
            mine = np.flatnonzero(close & (picture.classes[best] == number))[: left[number]]
            left[number] -= len(mine)
            features[number].append(picture.features[mine])
            wanted = encode(picture.truths[best[mine]], picture.boxes[mine])
            codes[number].append(ops.convert_to_numpy(wanted))
    counts = _MOST_REGIONS - left
    if not counts.any():
        raise ValueError(f"No region overlaps a true box by {POSITIVE_OVERLAP}.")
    length = next(each.shape[1] for of_class in features for each in of_class)
    kernel, bias = np.zeros((length, 4 * classes), np.float32), np.zeros(4 * classes, np.float32)
    errors = 0.0
    for number in np.flatnonzero(counts):
        columns = slice(4 * number, 4 * number + 4)
        x, y = np.concatenate(features[number]), np.concatenate(codes[number])
        kernel[:, columns], bias[columns] = _regression(x, y)
        errors += float(np.square(x @ kernel[:, columns] + bias[columns] - y).sum())
    logs = {"loss": errors / (4 * counts.sum()), "examples": float(counts.sum())}
    return kernel, bias, logs


def _regression(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights [F, 4] and bias [4] of the codes y [N, 4], whitened, of one class.

    Source: appendix C, Eqn 5; `rcnn_train_bbox_regressor.m` of the authors' code.
    """
    norm = float(np.linalg.norm(x, axis=1).mean())
    scale = NORM / norm if norm else 1.0
    mean = y.mean(axis=0)
    values, vectors = np.linalg.eigh((y - mean).T @ (y - mean) / len(y))
    root = np.sqrt(np.maximum(values, 0) + _EPSILON)
    white = (y - mean) @ (vectors / root) @ vectors.T
    extended = np.concatenate([scale * x, np.ones((len(x), 1))], axis=1)
    solution = _ridge(extended, white) @ (vectors * root) @ vectors.T
    return scale * solution[:-1], solution[-1] + mean


def _ridge(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The minimum of |x w - y|^2 + `PENALTY` |w|^2, by whichever of the two matrices is smaller."""
    if len(x) < x.shape[1]:
        return x.T @ np.linalg.solve(x @ x.T + PENALTY * np.eye(len(x)), y)
    return np.linalg.solve(x.T @ x + PENALTY * np.eye(x.shape[1]), x.T @ y)


def _pictures(extract: Extract, batches: Iterable[tuple[Any, Any]]) -> Iterator[_Picture]:
    for images, proposals, truths, numbers in _arrays(batches):
        features = extract(images, proposals)
        there, given = _are_there(proposals), numbers >= 0
        for number in range(len(proposals)):
            boxes, true = proposals[number][there[number]], truths[number][given[number]]
            overlaps = ops.convert_to_numpy(pairwise_iou(boxes, true))
            classes = numbers[number][given[number]]
            yield _Picture(features[number][there[number]], boxes, true, classes, overlaps)


def _arrays(batches: Iterable[tuple[Any, Any]]) -> Iterator[tuple]:
    for x, y, *_ in batches:
        arrays = (x["proposals"], y["boxes"], y["classes"])
        yield (x["image"], *map(ops.convert_to_numpy, arrays))


def _are_there(boxes: np.ndarray) -> np.ndarray:
    return ops.convert_to_numpy(areas(boxes)) > 0
