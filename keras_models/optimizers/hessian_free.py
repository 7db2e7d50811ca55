"""Hessian-free optimization.

J. Martens: Deep learning via Hessian-free optimization. ICML 2010.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np

from keras_models.optimizers.driver import SecondOrder

# Section 4.4: the model must have fallen, over the last max(10, 0.1 i) iterations, by this a piece.
TOLERANCE = 5e-4
LEAST_LOOK_BACK = 10
# Section 4.6: of the iterations whose solution is kept for backtracking.
SPACING = 1.3
# Section 4.1, Levenberg-Marquardt: when the damping grows and when it shrinks.
DAMPING_FACTOR = 1.5
# Section 4.7: of the preconditioner.
POWER = 0.75
# Of Armijo's rule, and what the step is multiplied with each time.
SUFFICIENT = 1e-2
SHORTER = 0.8
_MOST_SHORTENINGS = 60


class HessianFree(SecondOrder):
    """Each step solves (G + damping I) p = -gradient by conjugate gradients and goes along p.

    G is the Gauss-Newton matrix of the mean loss on the examples of the curvature. The conjugate
    gradients start from the last step's p, end by the paper's test, and go back to an earlier
    solution where it has the lower loss. A line search then shortens the step until the loss
    falls. The damping is multiplied by 3/2 where the loss fell by less than 1/4 of what the
    quadratic model had said, and by 2/3 where it fell by more than 3/4.

    Args:
      model, loss, chunk: as in `SecondOrder`.
      damping: lambda of the first step, positive.
      curvature_share: the part of a step's examples that products with G take, its first ones;
        the paper takes fewer than for the gradient. In (0, 1].
      iterations: of conjugate gradients at most.
      warm: what the last p is multiplied with as a start, in [0, 1].

    Attributes:
      damping: lambda of the next step.

    Each step tells `loss_after`, `damping`, `iterations` of the conjugate gradients, `ratio` of the
    loss' fall to the model's, and `length` of the line search's step (0: the weights stay).

    Raises:
      ValueError: a number out of its range.
    """

    STATE = ("damping", "direction")

    def __init__(
        self,
        model: keras.Model,
        loss: keras.losses.Loss | str,
        damping: float = 1.0,
        curvature_share: float = 1.0,
        iterations: int = 250,
        warm: float = 1.0,
        chunk: int = 1000,
    ):
        super().__init__(model, loss, chunk)
        if not damping > 0 or iterations < 1:
            raise ValueError(
                f"damping must be positive and iterations 1 or more, not {damping!r} and "
                f"{iterations!r}."
            )
        if not 0 < curvature_share <= 1 or not 0 <= warm <= 1:
            raise ValueError(
                "curvature_share must be above 0 and at most 1, and warm in 0 .. 1, not "
                f"{curvature_share!r} and {warm!r}."
            )
        self.damping = damping
        self.curvature_share = curvature_share
        self.iterations = iterations
        self.warm = warm
        self.direction = np.zeros(self.objective.size)

    def _update(self, weights, loss, gradient, x, y):
        part = slice(max(1, round(self.curvature_share * len(x))))
        damping = self.damping

        def product(v: np.ndarray) -> np.ndarray:
            curved = self.objective.gauss_newton_product(weights, x[part], y[part], v)
            return np.asarray(self._finite(curved, "curvature"), "float64") + damping * v

        squares = self.objective.squared_gradients(weights, x[part], y[part])
        solutions = conjugate_gradients(
            product,
            gradient,
            self.warm * self.direction,
            (np.asarray(squares, "float64") + damping) ** POWER,
            self.iterations,
        )
        number, last, _ = solutions[-1]
        step, model_fall, after = self._backtracked(solutions, weights, x, y)
        ratio = (after - loss) / model_fall if model_fall < 0 else 0.0
        if not np.isfinite(ratio) or ratio < 0.25:
            self.damping *= DAMPING_FACTOR
        elif ratio > 0.75:
            self.damping /= DAMPING_FACTOR
        length, after = self._line_search(step, float(gradient @ step), weights, loss, after, x, y)
        self.direction = last
        record = {
            "loss_after": after if length else loss,
            "damping": damping,
            "iterations": number,
            "ratio": ratio,
            "length": length,
        }
        return (length * step if length else None), record

    def _backtracked(self, solutions, weights, x, y) -> tuple[np.ndarray, float, float]:
        """From the last solution back, as long as the loss gets lower: the solution, what the
        model says of it, and the loss there (infinite where it is no number)."""
        best = None
        for _, solution, value in reversed(solutions):
            after = self.objective.loss(weights + solution, x, y)
            after = after if np.isfinite(after) else float("inf")
            if best is not None and after >= best[2]:
                break
            best = (solution, value, after)
        return best

    def _line_search(self, step, slope, weights, loss, after, x, y) -> tuple[float, float]:
        """The length at which the loss has fallen enough, and the loss there; (0, loss): none."""
        length = 1.0
        for _ in range(_MOST_SHORTENINGS):
            if after <= loss + SUFFICIENT * length * min(slope, 0.0) and after < loss:
                return length, after
            length *= SHORTER
            after = self.objective.loss(weights + length * step, x, y)
            after = after if np.isfinite(after) else float("inf")
        return 0.0, loss


def conjugate_gradients(
    product: Callable[[np.ndarray], np.ndarray],
    gradient: np.ndarray,
    start: np.ndarray,
    preconditioner: np.ndarray,
    iterations: int,
) -> list[tuple[int, np.ndarray, float]]:
    """Minimizes q(p) = p B p / 2 + gradient p until it hardly falls any more.

    Args:
      product: v -> B v, B positive definite, [n] to [n].
      gradient: [n].
      start: p of before the first iteration, [n].
      preconditioner: the diagonal of M, positive, [n].
      iterations: at most.

    Returns:
      (iteration, p, q(p)) of iterations farther and farther apart, and of the last.

    Source: Algorithm 2 and sections 4.4 (the test) and 4.6 (which are kept).
    """
    p = np.array(start, "float64")
    residual = product(p) + gradient if p.any() else gradient.copy()
    scaled = residual / preconditioner
    way, size = -scaled, residual @ scaled
    values = [0.5 * p @ (residual + gradient)]
    kept: list[tuple[int, np.ndarray, float]] = []
    next_kept = 1.0
    for number in range(1, iterations + 1):
        image = product(way)
        curved = way @ image
        if not curved > 0:
            break
        length = size / curved
        p = p + length * way
        residual = residual + length * image
        values.append(0.5 * p @ (residual + gradient))
        if number >= np.ceil(next_kept):
            kept.append((number, p, values[-1]))
            while np.ceil(next_kept) <= number:
                next_kept *= SPACING
        if _falls_no_more(values, number):
            break
        scaled = residual / preconditioner
        size, before = residual @ scaled, size
        if size <= 1e-300:
            break
        way = -scaled + (size / before) * way
    if not kept or kept[-1][1] is not p:
        kept.append((len(values) - 1, p, values[-1]))
    return kept


def _falls_no_more(values: list[float], number: int) -> bool:
    back = max(LEAST_LOOK_BACK, int(0.1 * number))
    if number <= back or values[-1] >= 0:
        return False
    return (values[-1] - values[number - back]) / values[-1] < back * TOLERANCE
