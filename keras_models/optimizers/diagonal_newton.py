"""Optimizers that divide each weight's gradient by its curvature, and their place in `fit`.

    model.compile(StochasticDiagonalLM(0.01), loss, metrics=["accuracy"])
    with_curvature(model)
    model.fit(...)

A Keras optimizer is given the gradient alone. `with_curvature` makes the model's training step
compute the diagonal of the Hessian too and hand it over; saving, callbacks and all else of `fit`
stay Keras' own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
from keras import ops

from keras_models.optimizers import curvature
from keras_models.optimizers.diagonal_hessian import DiagonalHessian
from keras_models.optimizers.objective import check_whole_loss


class CurvatureOptimizer(keras.optimizers.Optimizer):
    """An optimizer that needs the diagonal of the Hessian with each gradient.

    Args:
      learning_rate: as of any Keras optimizer.
      curvature_examples: of how many examples of a batch the diagonal is taken; None: of all.

    Raises:
      RuntimeError: when it is applied without the diagonal.
    """

    # Whether the diagonal is taken without the second derivatives of the activation functions.
    gauss_newton = True

    def __init__(self, learning_rate: Any, curvature_examples: int | None = None, **kwargs: Any):
        if curvature_examples is not None and curvature_examples < 1:
            raise ValueError(
                f"curvature_examples must be 1 or more, or None, not {curvature_examples!r}."
            )
        if kwargs.get("gradient_accumulation_steps"):
            raise ValueError("gradient_accumulation_steps would need curvature to be added up too.")
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.curvature_examples = curvature_examples
        self._diagonal: Sequence[Any] | None = None

    @contextlib.contextmanager
    def knowing(self, diagonal: Sequence[Any]) -> Iterator[None]:
        """Takes the diagonal for the gradients that are applied inside."""
        self._diagonal = diagonal
        try:
            yield
        finally:
            self._diagonal = None

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        if self._diagonal is None:
            raise RuntimeError(
                f"{type(self).__name__} needs curvature with each gradient: call "
                "keras_models.optimizers.with_curvature(model) between compile and fit."
            )
        super().apply(grads, trainable_variables)

    def _curvature(self, variable: Any) -> Any:
        return self._diagonal[self._get_variable_index(variable)]

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"curvature_examples": self.curvature_examples}


@keras.saving.register_keras_serializable(package="keras_models")
class DiagonalNewton(CurvatureOptimizer):
    """w <- w - learning_rate gradient / (|h| + mu) with the diagonal h of the batch's Hessian.

    Args:
      learning_rate: 1 in the paper.
      mu: keeps steps small where the curvature is; positive.
      curvature_examples: of how many examples of a batch h is taken; None: of all.

    Source: Becker, LeCun 1988; Zeiler 2012, ADADELTA, Eqn 6.
    """

    gauss_newton = False

    def __init__(
        self,
        learning_rate: Any = 1.0,
        mu: float = 0.1,
        curvature_examples: int | None = None,
        name: str = "diagonal_newton",
        **kwargs: Any,
    ):
        _check_positive(mu=mu)
        super().__init__(learning_rate, curvature_examples, name=name, **kwargs)
        self.mu = mu

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        rate = ops.cast(learning_rate, variable.dtype)
        h = ops.abs(self._curvature(variable))
        self.assign_sub(variable, rate * gradient / (h + self.mu))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"mu": self.mu}


@keras.saving.register_keras_serializable(package="keras_models")
class StochasticDiagonalLM(CurvatureOptimizer):
    """Stochastic diagonal Levenberg-Marquardt: w <- w - learning_rate gradient / (h + mu).

    h is a running average of the diagonal in the Gauss-Newton form, h <- (1 - gamma) h + gamma
    h_batch. The average starts at 0 and is corrected for it, so that the first steps are those of
    the average of what has been seen.

    Args:
      learning_rate: eta.
      mu: keeps steps small where the curvature is; positive.
      gamma: of the running average, in (0, 1].
      curvature_examples: of how many examples of a batch h is taken; None: of all.

    Source: LeCun, Bottou, Bengio, Haffner 1998, appendix C, which takes h anew of 500 examples
    before each pass; LeCun, Bottou, Orr, Mueller 1998, section 9.1, for the running average.
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        mu: float = 0.02,
        gamma: float = 0.01,
        curvature_examples: int | None = 16,
        name: str = "stochastic_diagonal_lm",
        **kwargs: Any,
    ):
        _check_positive(mu=mu, gamma=gamma)
        if gamma > 1:
            raise ValueError(f"gamma must be at most 1, not {gamma!r}.")
        super().__init__(learning_rate, curvature_examples, name=name, **kwargs)
        self.mu = mu
        self.gamma = gamma

    def build(self, variables: Sequence[Any]) -> None:
        if self.built:
            return
        super().build(variables)
        self._averages = self.add_optimizer_variables(variables, "curvature")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        rate = ops.cast(learning_rate, variable.dtype)
        average = self._averages[self._get_variable_index(variable)]
        kept = (1.0 - self.gamma) * average + self.gamma * self._curvature(variable)
        self.assign(average, kept)
        seen = 1.0 - ops.power(
            ops.cast(1.0 - self.gamma, variable.dtype),
            ops.cast(self.iterations + 1, variable.dtype),
        )
        self.assign_sub(variable, rate * gradient / (kept / seen + self.mu))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"mu": self.mu, "gamma": self.gamma}


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} must be positive, not {value!r}.")


def with_curvature(model: keras.Model) -> keras.Model:
    """Lets `fit` give the model's optimizer the diagonal of the Hessian with each gradient.

    Args:
      model: built and compiled with a CurvatureOptimizer and one loss.

    Returns:
      the model.

    Raises:
      TypeError: another optimizer, or one that scales the loss for 16 bits.
      ValueError: a network that `DiagonalHessian` does not cover, several losses, one that is
        weighted or no mean over the examples, or a strategy of several devices, whose curvature
        nobody adds up.
    """
    optimizer = model.optimizer
    if not isinstance(optimizer, CurvatureOptimizer):
        raise TypeError(
            f"{type(optimizer).__name__} takes no curvature. With mixed_float16 Keras scales the "
            "loss by an optimizer of its own; optimizers with curvature need float32."
        )
    strategy = getattr(model, "distribute_strategy", None)
    if strategy is not None and strategy.num_replicas_in_sync > 1:
        raise ValueError(
            f"{type(optimizer).__name__} works on one device; take strategy=one_device."
        )
    check_whole_loss(model)
    computed = DiagonalHessian(
        model, _losses(model), optimizer.gauss_newton, optimizer.curvature_examples
    )

    def step(data: Any) -> dict[str, Any]:
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        weights = curvature.values_of(model.trainable_variables)
        loss, outputs, gradient, diagonal = computed(weights, x, y, weight)
        with optimizer.knowing(diagonal):
            optimizer.apply(gradient, model.trainable_variables)
        # The first of a model's metrics is its mean loss.
        model.metrics[0].update_state(loss, sample_weight=ops.shape(x)[0])
        return model.compute_metrics(x, y, outputs, weight)

    optimizer.build(model.trainable_variables)
    model.train_step = _on_state(model, step) if curvature.on_jax() else step
    # What was compiled with the step of before.
    model.train_function = None
    return model


def _losses(model: keras.Model) -> Callable:
    """(labels, outputs) -> a loss an example."""
    given = model.loss[0] if isinstance(model.loss, (list, tuple)) else model.loss
    loss = keras.losses.get(given)
    if not callable(loss):
        raise ValueError(f"One loss is needed, not {model.loss!r}.")
    if model.get_compile_config().get("loss_weights"):
        raise ValueError("The loss has loss_weights; multiply the loss itself instead.")
    reduction = getattr(loss, "reduction", "sum_over_batch_size")
    if reduction not in ("sum_over_batch_size", "mean"):
        raise ValueError(f"The loss is the mean over the examples, not reduction={reduction!r}.")
    return loss.call if isinstance(loss, keras.losses.Loss) else loss


def _on_state(model: keras.Model, step: Callable) -> Callable:
    """The step as a function of the values of all variables, as Keras takes it on JAX."""

    def stateless(state: tuple, data: Any) -> tuple[dict[str, Any], tuple]:
        groups = (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )
        pairs = [
            pair
            for variables, values in zip(groups, state, strict=True)
            for pair in zip(variables, values, strict=True)
        ]
        with keras.StatelessScope(pairs) as scope:
            logs = step(data)
        return logs, tuple([scope.get_current_value(v) for v in group] for group in groups)

    return stateless
