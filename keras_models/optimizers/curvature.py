"""Derivatives of first and second order on the TensorFlow and JAX backends, and Lanczos' method.

A function here takes a list of tensors and gives a scalar tensor (a loss) or a tensor (outputs of a
network); `at` is that list, of tensors or arrays, and a vector is another of the same shapes.
Inside, a network reads the tensors as its weights by `keras.StatelessScope`;
`keras_models.optimizers.objective` does so.

No other module of `keras_models` may know the backend.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

Tensors = Sequence[Any]
_BACKENDS = ("tensorflow", "jax")


def on_jax() -> bool:
    """Whether the backend is JAX, and not TensorFlow.

    Raises:
      NotImplementedError: it is another one.
    """
    name = keras.backend.backend()
    if name not in _BACKENDS:
        raise NotImplementedError(
            f"Second derivatives are there for the {' and '.join(_BACKENDS)} backends, not for "
            f"{name}."
        )
    return name == "jax"


def compiled(function: Callable) -> Callable:
    """The function of tensors as one program: tf.function or jax.jit."""
    if on_jax():
        import jax

        return jax.jit(function)
    import tensorflow as tf

    return tf.function(function, autograph=False, reduce_retracing=True)


def values_of(variables: Sequence[keras.Variable]) -> list[Any]:
    """The variables' values now, as tensors: TensorFlow's own conversion leaves them variables."""
    if on_jax():
        return [variable.value for variable in variables]
    import tensorflow as tf

    return [tf.convert_to_tensor(variable.value) for variable in variables]


def value_and_gradient(
    function: Callable[[Tensors], Any], at: Tensors, has_aux: bool = False
) -> tuple[Any, list[Any]]:
    """A loss and its gradient, from one forward and one backward pass.

    Args:
      function: gives the loss, or (loss, anything) with `has_aux`; then that pair is the value.
      at: where.
      has_aux: see `function`.
    """
    if on_jax():
        import jax

        return jax.value_and_grad(function, has_aux=has_aux)(list(at))
    import tensorflow as tf

    at = _tensors(at)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(at)
        value = function(at)
    loss = value[0] if has_aux else value
    return value, _zeros_for_none(tape.gradient(loss, at), at)


def vjp(function: Callable[[Tensors], Any], at: Tensors) -> tuple[Any, Callable[[Any], list[Any]]]:
    """The outputs, and the function cotangent -> J^T cotangent, which may be called once."""
    if on_jax():
        import jax

        outputs, pull = jax.vjp(function, list(at))
        return outputs, lambda cotangent: pull(cotangent)[0]
    import tensorflow as tf

    at = _tensors(at)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(at)
        outputs = function(at)
    return outputs, lambda cotangent: _zeros_for_none(
        tape.gradient(outputs, at, output_gradients=cotangent), at
    )


def jvp(function: Callable[[Tensors], Any], at: Tensors, vector: Tensors) -> tuple[Any, Any]:
    """The outputs and J v, from one forward pass."""
    if on_jax():
        import jax

        return jax.jvp(function, (list(at),), (list(vector),))
    import tensorflow as tf

    at = _tensors(at)
    with tf.autodiff.ForwardAccumulator(at, _tensors(vector)) as accumulator:
        outputs = function(at)
    product = accumulator.jvp(outputs, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return outputs, product


def hessian_vector(function: Callable[[Tensors], Any], at: Tensors, vector: Tensors) -> list[Any]:
    """H v for the Hessian H of a loss, without H: the derivative of the gradient along v.

    Source: Pearlmutter 1994, Fast exact multiplication by the Hessian.
    """
    if on_jax():
        import jax

        return jax.jvp(jax.grad(function), (list(at),), (list(vector),))[1]
    import tensorflow as tf

    at = _tensors(at)
    # Backwards through the backward pass: TensorFlow's forward mode has no rule of its own for
    # most of the kernels' gradients, and is slower.
    with tf.GradientTape(watch_accessed_variables=False) as outer:
        outer.watch(at)
        _, gradient = value_and_gradient(function, at)
        along = tf.add_n([tf.reduce_sum(g * v) for g, v in zip(gradient, vector, strict=True)])
    return _zeros_for_none(outer.gradient(along, at), at)


def gauss_newton_vector(
    outputs: Callable[[Tensors], Any],
    loss: Callable[[Any], Any],
    at: Tensors,
    vector: Tensors,
) -> list[Any]:
    """G v with G = J^T H_L J: the Hessian without the network's own second derivatives.

    Args:
      outputs: of the network, from its weights; J is its Jacobian.
      loss: of the outputs; H_L is its Hessian there. With a convex loss G is never negative.
      at: the weights.
      vector: v.

    Source: Schraudolph 2002, Fast curvature matrix-vector products, section 3.
    """
    _, along = jvp(outputs, at, vector)
    given, pull = vjp(outputs, at)
    (curved,) = hessian_vector(lambda z: loss(z[0]), [given], [along])
    return pull(curved)


def mapped(function: Callable[..., Any], *arrays: Any) -> Any:
    """The function's values for each entry of the arrays' first axis, stacked; computed at once."""
    if on_jax():
        import jax

        return jax.vmap(function)(*arrays)
    import tensorflow as tf

    return tf.vectorized_map(lambda one: function(*one), arrays)


def lanczos(
    product: Callable[[np.ndarray], np.ndarray], start: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """An orthonormal basis V of span{b, A b, ..., A^(k-1) b} and V^T A V, which is tridiagonal.

    Every new vector is made orthogonal to all before it, twice, without which they soon are not.

    Args:
      product: v -> A v for a symmetric A, [n] to [n].
      start: b, [n], not zero.
      steps: k; fewer come where the space that A makes of b has fewer dimensions.

    Returns:
      V [n, k] and V^T A V [k, k], in float64.

    Raises:
      ValueError: b is zero or not finite, or k is not positive.
    """
    norm = np.linalg.norm(start)
    if steps < 1 or not np.isfinite(norm) or norm == 0:
        raise ValueError(
            f"Lanczos takes 1 step or more from a finite vector other than 0, not {steps!r} from "
            f"one of length {norm}."
        )
    basis = [np.asarray(start, "float64") / norm]
    diagonal, beside = [], []
    while True:
        image = np.asarray(product(basis[-1]), "float64")
        diagonal.append(basis[-1] @ image)
        known = np.stack(basis, axis=1)
        for _ in range(2):
            image = image - known @ (known.T @ image)
        length = np.linalg.norm(image)
        largest = max(map(abs, [*diagonal, *beside]))
        if len(basis) == min(steps, start.size) or length <= 1e-10 * max(largest, 1e-300):
            break
        beside.append(length)
        basis.append(image / length)
    projected = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
    return known, projected


def _tensors(values: Tensors) -> list[Any]:
    """What a tape may watch: arrays, too, become tensors."""
    return [ops.convert_to_tensor(value) for value in values]


def _zeros_for_none(gradient: Sequence[Any], at: Tensors) -> list[Any]:
    """TensorFlow gives None for what the loss does not depend on."""
    return [ops.zeros_like(t) if g is None else g for g, t in zip(gradient, at, strict=True)]
