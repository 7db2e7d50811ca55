"""Newton's method with damping, and the saddle-free Newton method.

Y. Dauphin, R. Pascanu, C. Gulcehre, K. Cho, S. Ganguli, Y. Bengio: Identifying and attacking the
saddle point problem in high-dimensional non-convex optimization. NIPS 2014.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import keras
import numpy as np

from keras_models.optimizers import curvature
from keras_models.optimizers.driver import Record, SecondOrder

# Section 7: at each update one of these, by the loss that it leads to.
DAMPINGS = tuple(10.0**-power for power in range(7))


class DampedNewton(SecondOrder):
    """x <- x - (H + damping I)^-1 gradient: Newton's method, which saddle points attract.

    The damping is the one of `dampings` with the least loss; where none makes the loss smaller, the
    weights stay (the paper does not say what it does then), and `damping` is told as infinite.

    Args:
      model, loss, chunk: as in `SecondOrder`.
      vectors: None takes the whole Hessian, `size` products and its eigenvectors: for some
        thousands of weights at most. A number k takes the Krylov subspace of k Lanczos vectors
        that starts with the gradient, Algorithm 1.
      dampings: what is tried at each update; positive.
      inner_steps: of Algorithm 1, m: updates with new gradients for one set of curvature.

    Each step tells `damping`, `loss_after`, and `lowest` and `highest` of the eigenvalues (of the
    Hessian, or of what the subspace sees of it).

    Raises:
      ValueError: dampings that are not positive, or fewer than 1 vectors or inner steps.
    """

    def __init__(
        self,
        model: keras.Model,
        loss: keras.losses.Loss | str,
        vectors: int | None = None,
        dampings: Sequence[float] = DAMPINGS,
        inner_steps: int = 1,
        chunk: int = 1000,
    ):
        super().__init__(model, loss, chunk)
        self.vectors = vectors
        self.dampings = tuple(dampings)
        self.inner_steps = inner_steps
        if not self.dampings or min(self.dampings) <= 0:
            raise ValueError(f"dampings must be positive numbers, not {dampings!r}.")
        if inner_steps < 1 or (vectors is not None and vectors < 1):
            raise ValueError(
                f"vectors and inner_steps must be 1 or more, not {vectors!r} and {inner_steps!r}."
            )

    def _curvatures(self, eigenvalues: np.ndarray) -> np.ndarray:
        """What stands for the eigenvalues in the update."""
        return eigenvalues

    def _update(self, weights, loss, gradient, x, y):
        if not gradient.any():
            # Lanczos has no direction to start from, and no method of the two would move.
            return None, {"damping": float("inf"), "loss_after": loss}
        values, directions = self._eigen(weights, gradient, x, y)
        total, now, damping = np.zeros_like(gradient), loss, float("inf")
        for number in range(self.inner_steps):
            if number:
                _, gradient = self.objective.loss_and_gradient(weights + total, x, y)
            slopes = directions.T @ gradient
            candidates = self._candidates(values, directions, slopes, total)
            name, update, after = self._best(candidates, weights, x, y)
            if update is None or after >= now:
                break
            total, now, damping = update, after, name
        record: Record = {
            "damping": damping,
            "loss_after": now,
            "lowest": float(values[0]),
            "highest": float(values[-1]),
        }
        return (total if now < loss else None), record

    def _eigen(self, weights, gradient, x, y) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues, ascending, and eigenvectors [size, k] of the Hessian, or in the subspace."""
        if self.vectors is None:
            matrix = self._finite(self.objective.hessian(weights, x, y), "Hessian")
            return np.linalg.eigh(np.asarray(matrix, "float64"))
        basis, projected = curvature.lanczos(
            lambda v: self._finite(self.objective.hessian_product(weights, x, y, v), "Hessian"),
            gradient,
            self.vectors,
        )
        values, rotation = np.linalg.eigh(projected)
        return values, basis @ rotation

    def _candidates(
        self, values: np.ndarray, directions: np.ndarray, slopes: np.ndarray, total: np.ndarray
    ) -> Iterator[tuple[float, np.ndarray]]:
        for damping in self.dampings:
            damped = self._curvatures(values) + damping
            # A damping that meets a negative eigenvalue exactly leads nowhere.
            if np.abs(damped).min() > 0:
                yield damping, total - directions @ (slopes / damped)


class SaddleFreeNewton(DampedNewton):
    """x <- x - (|H| + damping I)^-1 gradient: |H| has the Hessian's eigenvectors and the absolute
    values of its eigenvalues, so that directions of negative curvature are gone down, too, and
    saddle points push away.

    Args, and what each step tells: as `DampedNewton`.

    Source: Algorithm 1, and Eqn 4 for the trust region behind it.
    """

    def _curvatures(self, eigenvalues: np.ndarray) -> np.ndarray:
        return np.abs(eigenvalues)
