"""vSGD: rates from the variance of the gradient.

T. Schaul, S. Zhang, Y. LeCun: No more pesky learning rates. ICML 2013 (first 2012).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_models.optimizers.diagonal_newton import CurvatureOptimizer

VARIANTS = ("l", "b", "g")


@keras.saving.register_keras_serializable(package="keras_models")
class VSGD(CurvatureOptimizer):
    """vSGD-l, vSGD-b and vSGD-g of Algorithm 1. Needs `with_curvature`.

    Running averages of a weight's gradient (g), of its square (v) and of its curvature (h) give
    the rate that lowers the expected loss most, g^2 / (h v), and the memory tau of the averages:

        average <- (1 - 1/tau) average + 1/tau value
        w       <- w - g^2 / (h v) gradient
        tau     <- (1 - g^2 / v) tau + 1

    "l" (local) has a rate and a memory for each weight; "b" (block) for each of the model's
    variables, "g" (global) for all weights together, with |g|^2 for g^2, the average of
    |gradient|^2 for v and the largest h for h.

    The gradient is the batch's, whose variance is lower than an example's, and so is v: larger
    batches take larger steps, as section 4 asks for. The first `initial_steps` steps only
    average and leave the weights where they are; then v and h are overestimated by `slow_start`,
    which is forgotten as the averages go on.

    Args:
      variant: one of VARIANTS.
      learning_rate: multiplies the rate; 1 in the paper, which has none. Any other value is a
        constant to be tuned, which the method was made to do without.
      slow_start: C, 1 or more. The paper's rule of thumb is a tenth of the number of weights, for
        examples one by one; batches see too few steps for that.
      initial_steps: n_0, 1 or more.
      epsilon: is added to h: weights that have no curvature would get rates without bound. The
        paper has none. Where h is far below it, curvature hardly counts and the rate is nearly
        learning_rate g^2 / (epsilon v): the gradient's noise alone then sets it, and 1 / epsilon is
        a learning rate. At 0.1 so it is with nearly all weights of LeNet; only smaller values
        leave the method of the paper.
      curvature_examples: of how many examples of a batch h is taken; None: of all.

    Raises:
      ValueError: an unknown variant, or a number out of these ranges.
    """

    def __init__(
        self,
        variant: str = "l",
        learning_rate: Any = 1.0,
        slow_start: float = 2.0,
        initial_steps: int = 10,
        epsilon: float = 1e-3,
        curvature_examples: int | None = 16,
        name: str = "vsgd",
        **kwargs: Any,
    ):
        if variant not in VARIANTS:
            raise ValueError(f"variant must be one of {VARIANTS}, not {variant!r}.")
        if slow_start < 1 or initial_steps < 1 or not epsilon > 0:
            raise ValueError(
                "slow_start and initial_steps must be 1 or more and epsilon positive, not "
                f"{slow_start!r}, {initial_steps!r} and {epsilon!r}."
            )
        super().__init__(learning_rate, curvature_examples, name=name, **kwargs)
        self.variant = variant
        self.slow_start = slow_start
        self.initial_steps = initial_steps
        self.epsilon = epsilon
        self._rates: list[Any] | None = None

    def build(self, variables: Sequence[Any]) -> None:
        if self.built:
            return
        super().build(variables)
        self._gradients = self.add_optimizer_variables(variables, "mean_gradient")
        self._curvatures = self.add_optimizer_variables(variables, "mean_curvature")
        if self.variant == "l":
            self._squares = self.add_optimizer_variables(variables, "mean_square")
            self._memories = self.add_optimizer_variables(variables, "memory", "ones")
            return
        blocks = len(variables) if self.variant == "b" else 1
        dtype = variables[0].dtype
        self._squares = [
            self.add_variable((), "zeros", dtype, name=f"mean_square_{n}") for n in range(blocks)
        ]
        self._memories = [
            self.add_variable((), "ones", dtype, name=f"memory_{n}") for n in range(blocks)
        ]

    def _backend_apply_gradients(self, grads: Sequence[Any], trainable_variables: Sequence[Any]):
        self._observe(list(grads), [self._get_variable_index(v) for v in trainable_variables])
        super()._backend_apply_gradients(grads, trainable_variables)
        self._rates = None

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        rate = self._rates[self._get_variable_index(variable)]
        rate = rate * ops.cast(learning_rate, variable.dtype)
        self.assign_sub(variable, rate * ops.cast(gradient, variable.dtype))

    def _observe(self, grads: list[Any], places: list[int]) -> None:
        """Brings the averages up to date and sets the rate of each variable."""
        self._rates = [None] * len(self._gradients)
        blocks = [places] if self.variant == "g" else [[place] for place in places]
        by_place = dict(zip(places, grads, strict=True))
        for block in blocks:
            self._observe_block(block, [by_place[place] for place in block])

    def _observe_block(self, block: list[int], grads: list[Any]) -> None:
        number = 0 if self.variant == "g" else block[0]
        square, memory = self._squares[number], self._memories[number]
        dtype = square.dtype
        steps = ops.cast(self.iterations + 1, dtype)
        first = ops.cast(self.iterations < self.initial_steps, dtype)
        # In the first steps the plain mean of what was seen, which a memory of their number is.
        tau = first * steps + (1.0 - first) * memory
        # The mean of the first steps is overestimated when the last of them has been seen.
        over = ops.where(self.iterations == self.initial_steps - 1, self.slow_start, 1.0)
        over = ops.cast(over, dtype)

        def average(variable: Any, value: Any, factor: Any = 1.0) -> Any:
            found = ((1.0 - 1.0 / tau) * variable + value / tau) * factor
            self.assign(variable, found)
            return found

        means = [
            average(self._gradients[place], gradient)
            for place, gradient in zip(block, grads, strict=True)
        ]
        curvatures = [
            average(self._curvatures[place], ops.abs(self._diagonal[place]), over)
            for place in block
        ]
        if self.variant == "l":
            power = ops.square(means[0])
            noisy = average(square, ops.square(grads[0]), over)
            curved = curvatures[0]
        else:
            power = _total([ops.square(mean) for mean in means])
            noisy = average(square, _total([ops.square(gradient) for gradient in grads]), over)
            curved = ops.max(ops.stack([ops.max(h) for h in curvatures]))
        # Where no gradient has ever come, there is nothing to divide. Rounding must not bring the
        # square of a mean above the mean of the squares: a memory below 1 would weigh negatively.
        share = ops.minimum(power / ops.maximum(noisy, ops.cast(1e-30, dtype)), 1.0)
        later = (1.0 - share) * tau + 1.0
        self.assign(memory, first * ops.cast(self.initial_steps, dtype) + (1.0 - first) * later)
        rate = (1.0 - first) * share / (curved + self.epsilon)
        for place in block:
            self._rates[place] = rate

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "variant": self.variant,
            "slow_start": self.slow_start,
            "initial_steps": self.initial_steps,
            "epsilon": self.epsilon,
        }


def _total(tensors: list[Any]) -> Any:
    sums = [ops.sum(tensor) for tensor in tensors]
    return sum(sums[1:], sums[0])
