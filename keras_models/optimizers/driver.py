"""What the methods of second order share: they train a network by steps of their own.

They compare losses at several weights, multiply by curvature as often as they like and choose
batches, none of which a Keras optimizer can do from the gradient that it is given. So they are not
passed to `compile`; they are `fit` on a network instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_models.optimizers.divergence import check_finite
from keras_models.optimizers.objective import Objective

Record = dict[str, float]


class SecondOrder:
    """A method of second order on one network.

    Args:
      model: built; its weights are where the method starts, and are kept up to date.
      loss: a `keras.losses.Loss` or its name.
      chunk: how many examples are computed at a time; bounds the memory, changes nothing else.

    Attributes:
      steps: how many steps have been taken.

    Raises:
      ValueError: see `Objective`.
    """

    # Names of the attributes, numbers or arrays, that with the weights decide the next step.
    STATE: tuple[str, ...] = ()

    def __init__(self, model: keras.Model, loss: keras.losses.Loss | str, chunk: int = 1000):
        self.objective = Objective(model, loss, chunk)
        self.steps = 0

    def step(self, x: np.ndarray, y: np.ndarray) -> Record:
        """One update from these examples.

        Args:
          x: inputs, one an example.
          y: what the loss takes with them.

        Returns:
          `loss` before the step, and what the method says of it.

        Raises:
          Diverged: the loss is infinite or no number, before the step or wherever it leads.
        """
        return self._step(x, y, f"{len(x)} examples")

    def fit(
        self,
        x: np.ndarray,
        y: np.ndarray,
        epochs: int = 1,
        batch_size: int | None = None,
        seed: int = 0,
    ) -> list[Record]:
        """Steps over batches of the examples, as many as `epochs` take from the very first one.

        After `load` it goes on with the batch after the last: with the same arguments the result
        is that of a training without a stop.

        Args:
          x: inputs, one an example.
          y: what the loss takes with them.
          epochs: how often all examples are seen, those of before counted.
          batch_size: examples a step; all of them without it. The last batch is left out where
            it is not whole.
          seed: of the order of the examples.

        Returns:
          What every step says, with its number as `step`.

        Raises:
          ValueError: there are fewer examples than a batch takes.
          Diverged: see `step`; the weights are those before the step.
        """
        size = batch_size or len(x)
        if not 1 <= size <= len(x):
            raise ValueError(f"A batch of {size} cannot be drawn from {len(x)} examples.")
        records = []
        while self.steps < epochs * (len(x) // size):
            epoch, batch = divmod(self.steps, len(x) // size)
            order = np.random.default_rng([seed, epoch]).permutation(len(x))
            places = np.sort(order[batch * size : (batch + 1) * size])
            place = f"batch {batch + 1} of epoch {epoch + 1}"
            records.append({"step": self.steps + 1, **self._step(x[places], y[places], place)})
        return records

    def save(self, path: str) -> None:
        """Writes weights and state to one .npz file, from which `load` goes on.

        Raises:
          ValueError: the path does not end with .npz, which NumPy would add.
        """
        _check_path(path)
        state = {name: np.asarray(getattr(self, name)) for name in ("steps", *self.STATE)}
        with open(path, "wb") as file:
            np.savez(file, method=type(self).__name__, weights=self.objective.vector, **state)

    def load(self, path: str) -> None:
        """Takes weights and state from a file that `save` has written.

        Raises:
          ValueError: it is of another method or version, or of a network with another number of
            weights.
        """
        _check_path(path)
        with np.load(path, allow_pickle=False) as file:
            values = {name: file[name] for name in file.files}
        method, weights = str(values["method"]), values["weights"]
        if method != type(self).__name__ or weights.size != self.objective.size:
            raise ValueError(
                f"{path} holds {method} with {weights.size} weights, and this is "
                f"{type(self).__name__} with {self.objective.size}."
            )
        if missing := {"steps", *self.STATE} - values.keys():
            raise ValueError(f"{path} is of another version: it lacks {', '.join(missing)}.")
        self.objective.assign(weights)
        for name in ("steps", *self.STATE):
            value = values[name]
            setattr(self, name, value.item() if value.ndim == 0 else value)

    def _step(self, x: np.ndarray, y: np.ndarray, place: str) -> Record:
        weights = self.objective.vector
        loss, gradient = self.objective.loss_and_gradient(weights, x, y)
        check_finite(loss, self.steps + 1, place)
        self._place = place
        self._finite(gradient, "gradient")
        update, record = self._update(weights, loss, np.asarray(gradient, "float64"), x, y)
        if update is not None:
            self.objective.assign((weights + update).astype(weights.dtype))
        self.steps += 1
        return {"loss": loss, **record}

    def _finite(self, values: np.ndarray, what: str) -> np.ndarray:
        """The values, of the batch that the step is on; Diverged where they are no numbers."""
        check_finite(float(np.abs(values).max()), self.steps + 1, f"{self._place}, of its {what}")
        return values

    def _update(
        self, weights: np.ndarray, loss: float, gradient: np.ndarray, x: np.ndarray, y: np.ndarray
    ) -> tuple[np.ndarray | None, Record]:
        """What is added to the weights (None: nothing is), and what is told of it."""
        raise NotImplementedError

    def _best(
        self, candidates: Iterator[tuple[Any, np.ndarray]], weights: np.ndarray, x, y
    ) -> tuple[Any, np.ndarray | None, float]:
        """The name, the update and the loss of the candidate with the least finite loss."""
        best: tuple[Any, np.ndarray | None, float] = (None, None, float("inf"))
        for name, update in candidates:
            loss = self.objective.loss(weights + update, x, y)
            if np.isfinite(loss) and loss < best[2]:
                best = (name, update, loss)
        return best


def _check_path(path: str) -> None:
    if not path.endswith(".npz"):
        raise ValueError(f"The state is kept in a file that ends with .npz, not in {path}.")
