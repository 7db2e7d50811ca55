"""The sum of functions optimizer.

J. Sohl-Dickstein, B. Poole, S. Ganguli: Fast large-scale optimization by unifying stochastic
gradient and quasi-Newton methods. ICML 2014.
"""

from __future__ import annotations

import keras
import numpy as np

from keras_models.optimizers.divergence import check_finite
from keras_models.optimizers.driver import Record, SecondOrder

# How many batches are in use at first (section 3.4).
_FIRST_ACTIVE = 2
# The first step's length, relative to the weights': it only serves to see some curvature.
_FIRST_LENGTH = 1e-3
# A step that met no finite number is halved so often; then it is the batch's fault.
_HALVINGS = 5
# A step may be so many times as long as the mean of those before.
_LONGEST = 10.0
# The least curvature of a batch's approximation, relative to its largest.
_LEAST_CURVATURE = 1e-8


class SumOfFunctions(SecondOrder):
    """Every batch keeps a quadratic model of its own loss; a step goes to the least of their sum.

    A batch's model has the loss and gradient at the weights where it was seen last, and a Hessian
    of low rank from the last `history` changes of its gradient (BFGS, section 3.1, eigenvalues
    that are not positive replaced by the median, section 3.2). All of them live in one subspace
    of the weights that the gradients span; it is brought back to the latest gradients and
    positions when it has grown to twice their number (section 3.5). Each step looks at the batch
    that is farthest from the weights, as the sum's Hessian measures (section 3.3), begins with
    two batches, and takes twice as many whenever the gradients' standard error has come up to
    their mean (section 3.4).

    A step whose batch then has a loss far above that of all batches is taken back; what it
    showed of the curvature is kept.

    Args:
      model, loss, chunk: as in `SecondOrder`.
      history: changes of the gradient that a batch remembers, L.

    Each step tells `batch`, `active` (batches in use) and `accepted` (1 or 0).

    Raises:
      ValueError: a history below 1; in `fit`, other batches than those of before.
    """

    STATE = ("origin", "place", "basis", "lengths", "losses", "seen", "active", "positions")
    STATE += ("gradients", "moves", "changes", "spans", "not_finite")

    def __init__(
        self,
        model: keras.Model,
        loss: keras.losses.Loss | str,
        history: int = 10,
        chunk: int = 1000,
    ):
        super().__init__(model, loss, chunk)
        if history < 1:
            raise ValueError(f"history must be 1 or more, not {history!r}.")
        self.history = history
        self.origin = np.asarray(self.objective.vector, "float64")
        # How many looks in a row have met no finite number.
        self.not_finite = 0
        # Weights are origin + basis @ place.
        self.basis = np.zeros((self.objective.size, 0))
        self.place = np.zeros(0)
        self.lengths = np.zeros(0)
        self._start(0)

    def fit(
        self,
        x: np.ndarray,
        y: np.ndarray,
        epochs: int = 1,
        batch_size: int | None = None,
        seed: int = 0,
    ) -> list[Record]:
        """As `SecondOrder.fit`, but over the same batches again and again, in the method's own
        order: `epochs` times as many evaluations as there are batches.

        Without `batch_size` there are 10 batches. The last one may be smaller.
        """
        size = batch_size or -(-len(x) // 10)
        if not 1 <= size <= len(x):
            raise ValueError(f"A batch of {size} cannot be drawn from {len(x)} examples.")
        order = np.random.default_rng(seed).permutation(len(x))
        batches = [np.sort(order[start : start + size]) for start in range(0, len(x), size)]
        if not self.steps:
            self._start(len(batches))
        if len(self.seen) != len(batches):
            raise ValueError(
                f"The method knows {len(self.seen)} batches, and these are {len(batches)}."
            )
        records = []
        while self.steps < epochs * len(batches):
            number = self._farthest()
            part = batches[number]
            records.append(self._look(number, x[part], y[part]))
        return records

    def step(self, x: np.ndarray, y: np.ndarray) -> Record:
        """The method chooses its batches itself.

        Raises:
          NotImplementedError: always.
        """
        raise NotImplementedError("The sum of functions has no steps on given examples: use fit.")

    def load(self, path: str) -> None:
        super().load(path)
        for name in self.STATE:
            setattr(self, name, np.asarray(getattr(self, name)))
        self._hessians = [self._hessian(number) for number in range(len(self.seen))]

    def _start(self, batches: int) -> None:
        size = self.basis.shape[1]
        self.losses = np.zeros(batches)
        self.seen = np.zeros(batches, "int64")
        self.active = np.arange(batches) < _FIRST_ACTIVE
        self.positions, self.gradients = np.zeros((batches, size)), np.zeros((batches, size))
        # The newest first; zeros where there is none yet.
        self.moves = np.zeros((batches, self.history, size))
        self.changes = np.zeros((batches, self.history, size))
        # Of how many directions a batch's model was made; of those found later it knows nothing.
        self.spans = np.full(batches, size)
        self._hessians: list[tuple[float, np.ndarray, np.ndarray]] = []
        self._hessians = [self._hessian(number) for number in range(batches)]

    def _look(self, number: int, x: np.ndarray, y: np.ndarray) -> Record:
        """Evaluates a batch at the weights, learns from it, and moves to the new least."""
        weights = self.origin + self.basis @ self.place
        dtype = self.objective.vector.dtype
        loss, gradient = self.objective.loss_and_gradient(weights.astype(dtype), x, y)
        place = f"batch {number + 1}, seen {self.seen[number]} times before"
        finite = np.isfinite(loss) and np.isfinite(gradient).all()
        self.not_finite = 0 if finite else self.not_finite + 1
        if not finite and (not len(self.lengths) or self.not_finite > _HALVINGS):
            check_finite(loss, self.steps + 1, place)
            check_finite(float(np.abs(gradient).max()), self.steps + 1, f"{place}, its gradient")
        accepted = finite and not self._far_above(loss)
        if finite:
            self._learn(number, loss, np.asarray(gradient, "float64"))
        self.steps += 1
        if accepted:
            self._grow_active()
            self._move()
        else:
            # Half of the way back to where the batches were seen.
            known = self.active & (self.seen > 0)
            self.place = (self.place + self.positions[known].mean(axis=0)) / 2
            check_finite(float(np.abs(self.place).max()), self.steps, place)
        self.objective.assign((self.origin + self.basis @ self.place).astype(dtype))
        return {
            "step": self.steps,
            "loss": float(loss),
            "batch": number,
            "active": int(self.active.sum()),
            "accepted": float(accepted),
        }

    def _far_above(self, loss: float) -> bool:
        known = self.losses[self.active & (self.seen > 1)]
        return len(known) > 1 and loss > 2 * known.max() - known.min() + 0.5 * abs(known.max())

    def _learn(self, number: int, loss: float, gradient: np.ndarray) -> None:
        slope = self._coordinates(gradient)
        if self.seen[number]:
            self.moves[number] = np.roll(self.moves[number], 1, axis=0)
            self.changes[number] = np.roll(self.changes[number], 1, axis=0)
            self.moves[number, 0] = self.place - self.positions[number]
            self.changes[number, 0] = slope - self.gradients[number]
        self.losses[number] = loss
        self.positions[number], self.gradients[number] = self.place, slope
        self.seen[number] += 1
        self.spans[number] = self.basis.shape[1]
        self._hessians[number] = self._hessian(number)

    def _coordinates(self, gradient: np.ndarray) -> np.ndarray:
        """The gradient in the subspace, which gets its new direction."""
        outside, inside = gradient.copy(), np.zeros(self.basis.shape[1])
        for _ in range(2):
            part = self.basis.T @ outside
            inside += part
            outside = outside - self.basis @ part
        length = np.linalg.norm(outside)
        if length <= 1e-9 * np.linalg.norm(gradient):
            return inside
        if self.basis.shape[1] >= 2 * (2 * len(self.seen) + 2):
            self._collapse()
            return self._coordinates(gradient)
        self.basis = np.column_stack([self.basis, outside / length])
        for name in ("place", "positions", "gradients", "moves", "changes"):
            values = getattr(self, name)
            setattr(self, name, np.concatenate([values, np.zeros((*values.shape[:-1], 1))], -1))
        self._hessians = [
            (least, np.vstack([axes, np.zeros((1, axes.shape[1]))]), inner)
            for least, axes, inner in self._hessians
        ]
        return np.append(inside, length)

    def _collapse(self) -> None:
        """Keeps of the subspace what the weights, the latest positions and gradients span."""
        kept = np.column_stack([self.place, self.positions.T, self.gradients.T])
        axes, sizes, _ = np.linalg.svd(kept, full_matrices=False)
        axes = axes[:, sizes > 1e-12 * sizes.max()]
        self.basis = self.basis @ axes
        for name in ("place", "positions", "gradients", "moves", "changes"):
            setattr(self, name, getattr(self, name) @ axes)
        self.spans[:] = self.basis.shape[1]
        self._hessians = [self._hessian(number) for number in range(len(self.seen))]

    def _hessian(self, number: int) -> tuple[float, np.ndarray, np.ndarray]:
        """least I + axes inner axes^T, from a batch's history; (0, none) where it has none."""
        known = np.linalg.norm(self.moves[number], axis=1) > 0
        known &= np.linalg.norm(self.changes[number], axis=1) > 0
        # The later directions' zeros would change how sums are rounded, and a model that is made
        # anew from a saved state would be another.
        span = self.spans[number]
        moves, changes = (values[number, known, :span].T for values in (self.moves, self.changes))
        if not known.any():
            return 0.0, np.zeros((self.basis.shape[1], 0)), np.zeros((0, 0))
        axes, _ = np.linalg.qr(np.column_stack([moves, changes]))
        s, y = axes.T @ moves, axes.T @ changes
        curved = np.sqrt(np.abs(np.linalg.eigvalsh(np.linalg.multi_dot([
            np.linalg.pinv(s).T, y.T, y, np.linalg.pinv(s)]))))  # fmt: skip
        highest = curved.max()
        least = max(np.sort(curved)[-s.shape[1] :].min(), _LEAST_CURVATURE * highest)
        matrix = least * np.eye(len(s))
        for move, change in zip(s.T[::-1], y.T[::-1], strict=True):
            image = matrix @ move
            along, across = move @ change, move @ image
            if min(abs(along), abs(across)) > 1e-12 * (move @ move) * highest:
                matrix = matrix + np.outer(change, change) / along
                matrix = matrix - np.outer(image, image) / across
        values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
        bad = values < _LEAST_CURVATURE * np.abs(values).max()
        if bad.any():
            values[bad] = np.median(values[~bad]) if not bad.all() else highest
        later = np.zeros((self.basis.shape[1] - span, axes.shape[1]))
        return float(least), np.vstack([axes, later]), (vectors * (values - least)) @ vectors.T

    def _leasts(self) -> np.ndarray:
        """The multiples of I of the batches; of those without a history the others' median."""
        leasts = np.array([least for least, *_ in self._hessians])
        known = leasts > 0
        if known.any():
            leasts[~known] = np.median(leasts[known])
            return leasts
        length = _FIRST_LENGTH * max(float(np.linalg.norm(self.origin)), 1.0)
        slope = np.linalg.norm(self.gradients[self._known()].mean(axis=0))
        return np.full(len(leasts), max(float(slope), 1e-12) / length)

    def _known(self) -> np.ndarray:
        return np.flatnonzero(self.active & (self.seen > 0))

    def _sum(self) -> tuple[np.ndarray, np.ndarray]:
        """The Hessian of the sum of the models in use, and the slope of the sum at the weights."""
        size, leasts = self.basis.shape[1], self._leasts()
        total, slope = np.zeros((size, size)), np.zeros(size)
        for number in self._known():
            _, axes, inner = self._hessians[number]
            away = self.place - self.positions[number]
            total += axes @ inner @ axes.T
            slope += self.gradients[number] + leasts[number] * away
            slope += axes @ (inner @ (axes.T @ away))
        return total + leasts[self._known()].sum() * np.eye(size), slope

    def _move(self) -> None:
        matrix, slope = self._sum()
        step = -np.linalg.solve(matrix, slope)
        length = np.linalg.norm(step)
        longest = _LONGEST * self.lengths.mean() if len(self.lengths) else length
        if length > longest:
            step, length = step * (longest / length), longest
        if length > 0:
            self.lengths = np.append(self.lengths, length)[-2 * len(self.seen) :]
        self.place = self.place + step

    def _grow_active(self) -> None:
        known = self._known()
        if self.active.all() or (self.seen[self.active] < 2).any():
            return
        matrix, _ = self._sum()
        slopes = self.gradients[known]
        inverse = np.linalg.solve(matrix, slopes.T)
        mean = slopes.mean(axis=0)
        error = np.sum(slopes.T * inverse) / (len(known) * (len(known) - 1))
        if error >= mean @ np.linalg.solve(matrix, mean):
            self.active[: 2 * int(self.active.sum())] = True

    def _farthest(self) -> int:
        """The batch to look at: one in use that was seen less than twice, or the farthest."""
        few = np.flatnonzero(self.active & (self.seen < 2))
        if len(few):
            return int(few[np.argmin(self.seen[few])])
        matrix, _ = self._sum()
        away = self.place - self.positions
        distances = np.where(self.active, np.sum(away * (away @ matrix), axis=1), -np.inf)
        return int(np.argmax(distances))
