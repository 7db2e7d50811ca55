"""Linear support vector machines: Hsieh, Chang, Lin, Keerthi, Sundararajan, "A dual coordinate
descent method for large-scale linear SVM", ICML 2008, which is what LIBLINEAR computes."""

from typing import NamedTuple

import numpy as np


class LinearSVM(NamedTuple):
    """The plane w x + b between two classes.

    Attributes:
        weights: float32 [F].
        bias: a number.
        objective: 1/2 |w|^2 + 1/2 (b / bias_scale)^2 + the sum of the costs of the examples.
    """

    weights: np.ndarray
    bias: float
    objective: float


def fit_linear_svm(
    examples: np.ndarray,
    positive: np.ndarray,
    cost: float = 1.0,
    positive_weight: float = 1.0,
    bias_scale: float = 1.0,
    tolerance: float = 0.01,
    passes: int = 1000,
    seed: int = 0,
) -> LinearSVM:
    """Minimizes the hinge loss of examples with an L2 penalty, the bias included.

    Args:
        examples: [N, F].
        positive: bool [N].
        cost: C, of each example's hinge loss.
        positive_weight: C is multiplied by it for positive examples.
        bias_scale: the value of a further feature of every example, whose weight gives the bias;
            the larger, the less the bias is penalized.
        tolerance: of the projected gradients of the dual, where the descent ends.
        passes: after so many passes it ends anyway.
        seed: of the order of the examples.

    Raises:
        ValueError: no examples of one class, other numbers of labels, a cost or weight that is not
            positive.
    """
    positive = np.asarray(positive, bool)
    if positive.shape != (len(examples),) or not 0 < positive.sum() < len(examples):
        raise ValueError(
            f"there must be examples of both classes, each with a label: {positive.sum()} of "
            f"{positive.shape} are positive, and there are {len(examples)} examples."
        )
    if cost <= 0 or positive_weight <= 0:
        raise ValueError(f"costs must be positive, not {cost!r} and {positive_weight!r}.")
    x = np.empty((len(examples), examples.shape[1] + 1), np.float32)
    x[:, :-1], x[:, -1] = examples, bias_scale
    signs = np.where(positive, 1.0, -1.0)
    most = np.where(positive, cost * positive_weight, cost)
    squares = np.einsum("ij,ij->i", x, x, dtype=np.float64)
    alpha = np.zeros(len(x))
    w = np.zeros(x.shape[1], np.float32)
    draw = np.random.default_rng(seed)
    for _ in range(passes):
        # Those that cannot change, at a bound and on its right side, are passed over at once.
        projected = _projected(signs * (x @ w) - 1, alpha, most)
        if np.abs(projected).max() < tolerance:
            break
        for i in draw.permutation(np.flatnonzero(projected)):
            gradient = signs[i] * float(x[i] @ w) - 1
            new = min(max(alpha[i] - gradient / squares[i], 0.0), most[i])
            if new != alpha[i]:
                w += np.float32((new - alpha[i]) * signs[i]) * x[i]
                alpha[i] = new
    hinge = np.maximum(0, 1 - signs * (x @ w)) @ most
    objective = 0.5 * float(w @ w) + float(hinge)
    return LinearSVM(w[:-1].copy(), float(w[-1]) * bias_scale, objective)


def _projected(gradient: np.ndarray, alpha: np.ndarray, most: np.ndarray) -> np.ndarray:
    """The gradient of the dual where a step against it is allowed, else 0."""
    at_zero, at_most = (alpha <= 0) & (gradient > 0), (alpha >= most) & (gradient < 0)
    return np.where(at_zero | at_most, 0.0, gradient)
