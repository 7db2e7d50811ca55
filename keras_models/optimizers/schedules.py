"""Rates and momenta that change during training, where Keras has no resumable one.

By steps, exponentially and as 1/t are Keras' own `PiecewiseConstantDecay`, `ExponentialDecay` and
`InverseTimeDecay`: functions of the number of steps, which a checkpoint holds. So is the momentum
here. A plateau is found anew from the history, which a checkpoint holds, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_models")
class SutskeverSGD(keras.optimizers.SGD):
    """Stochastic gradient descent whose momentum grows as

        mu_t = min(1 - 2^(-1 - log2(floor(t / period) + 1)), momentum)

    from 1/2 in the first period to 3/4, 5/6, ... Keras' SGD keeps one momentum.

    With `nesterov` the weights are those at which the next gradient is taken, theta_t + mu_t v_t,
    as in Keras' SGD; the change of mu is in them.

    Args:
      learning_rate, nesterov: as of `keras.optimizers.SGD`.
      momentum: mu_max, from which on it is constant; above 1/2 and below 1.
      period: steps of one momentum.

    Raises:
      ValueError: a momentum or a period out of range.

    Source: Sutskever, Martens, Dahl, Hinton 2013, On the importance of initialization and momentum
    in deep learning, Eqns 3 to 5.
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.99,
        period: int = 250,
        nesterov: bool = True,
        name: str = "sutskever_sgd",
        **kwargs: Any,
    ):
        if not 0.5 <= momentum < 1 or period < 1:
            raise ValueError(
                f"momentum must be in 0.5 .. 1 and period 1 or more, not {momentum!r}, {period!r}."
            )
        super().__init__(learning_rate, momentum, nesterov, name=name, **kwargs)
        self.period = period

    def momentum_at(self, step: Any, dtype: str = "float32") -> Any:
        """mu of a step, counted from 0."""
        periods = ops.cast(step // self.period, dtype) + 1.0
        # 2^(-1 - log2(n)) = 1 / (2 n)
        return ops.minimum(1.0 - 0.5 / periods, ops.cast(self.momentum, dtype))

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        dtype = variable.dtype
        velocity = self.momentums[self._get_variable_index(variable)]
        fall = ops.cast(learning_rate, dtype) * ops.cast(gradient, dtype)
        new = self.momentum_at(self.iterations, dtype) * velocity - fall
        self.assign(velocity, new)
        if self.nesterov:
            new = self.momentum_at(self.iterations + 1, dtype) * new - fall
        self.assign_add(variable, new)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"period": self.period}


class DivideOnPlateau(keras.callbacks.Callback):
    """Divides the learning rate when a quantity has stopped getting better.

    Keras' ReduceLROnPlateau forgets, when a training is gone on with, how long it has waited. Here
    that is read from the history of all epochs.

    Args:
      history: what was logged after each epoch so far, oldest first; the epochs to come are added
        to it by whoever keeps it, after this callback was told. Each `fit` starts from it alone:
        with the empty one a second `fit` forgets the best value and the wait of the first.
      patience: epochs without anything better before the division.
      factor: by what is divided.
      monitor: the key of the quantity in the logs.
      change: what counts as better, at least.
      mode: as Keras' callbacks have it: `"min"` where less is better, `"max"` where more is, or
        `"auto"`: less is better, except of accuracies.

    Raises:
      ValueError: a patience below 1, a factor that is not above 1 or an unknown mode; in `fit`, a
        quantity that is not logged, or an optimizer whose rate is a schedule.

    Source: Krizhevsky, Sutskever, Hinton 2012, section 5, and those after them: "divide the
    learning rate by 10 when the validation error rate stopped improving".
    """

    def __init__(
        self,
        history: Sequence[Mapping[str, float]] = (),
        patience: int = 5,
        factor: float = 10.0,
        monitor: str = "val_loss",
        change: float = 0.0,
        mode: str = "auto",
    ):
        super().__init__()
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"mode must be auto, min or max, not {mode!r}.")
        if patience < 1 or not factor > 1:
            raise ValueError(
                f"patience must be 1 or more and factor above 1, not {patience!r} and {factor!r}."
            )
        self.patience = patience
        self.factor = factor
        self.monitor = monitor
        self.change = change
        self.mode = mode
        self._history = history
        self._seen: list[float] = []

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        # Under mixed_float16 Keras wraps it in one that scales the loss.
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        if not isinstance(optimizer.get_config()["learning_rate"], float):
            raise ValueError(
                "The learning rate follows a schedule of steps already; give a number to divide it "
                "on a plateau."
            )
        self._seen = [self._value(epoch) for epoch in self._history]

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        before = self.divisions(self._seen)
        self._seen.append(self._value(logs or {}))
        if self.divisions(self._seen) > before:
            optimizer = self.model.optimizer
            rate = float(ops.convert_to_numpy(optimizer.learning_rate))
            optimizer.learning_rate = rate / self.factor

    def divisions(self, values: Sequence[float]) -> int:
        """How often the rate was divided after these values of the quantity, one an epoch."""
        more = self.monitor.endswith("accuracy") if self.mode == "auto" else self.mode == "max"
        sign = -1.0 if more else 1.0
        best, waited, count = float("inf"), 0, 0
        for value in values:
            if sign * value < best - self.change:
                best, waited = sign * value, 0
                continue
            waited += 1
            if waited == self.patience:
                count, waited = count + 1, 0
        return count

    def _value(self, logs: Mapping[str, float]) -> float:
        if self.monitor not in logs:
            known = ", ".join(sorted(logs))
            raise ValueError(f"{self.monitor} is not logged, but {known}.")
        return float(logs[self.monitor])
