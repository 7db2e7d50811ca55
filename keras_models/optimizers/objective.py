"""The loss of a network as a function of one long vector of its weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_models.optimizers import curvature

_COLUMNS = 32  # of the Hessian at a time


class Objective:
    """The mean loss of a network over examples, with derivatives, at any vector of weights.

    The vector holds the trainable weights, flattened, in the order of `model.trainable_variables`,
    in their type. Weight penalties count. Everything is computed in parts of `chunk` examples, so
    that the number of examples may be large.

    Args:
      model: built, with one output.
      loss: a `keras.losses.Loss` or its name, a number an example.
      chunk: how many examples are computed at a time.

    Raises:
      ValueError: a network that is not one function of its weights and input (dropout, noise,
        batch normalization), one with several outputs, one that computes in 16 bits, or one that
        penalizes its activations.
    """

    def __init__(self, model: keras.Model, loss: keras.losses.Loss | str, chunk: int = 1000):
        self.model = model
        self.chunk = chunk
        found = keras.losses.get(loss)
        # The call of a Loss would turn float64 into float32.
        self._losses = found.call if isinstance(found, keras.losses.Loss) else found
        check_deterministic(model)
        check_precision(model)
        check_whole_loss(model)
        if len(model.outputs) != 1:
            raise ValueError(f"One output is needed, and {model.name} has {len(model.outputs)}.")
        self._shapes = [tuple(variable.shape) for variable in model.trainable_variables]
        self._sizes = [int(np.prod(shape)) for shape in self._shapes]
        self._penalized = any(variable.regularizer for variable in model.trainable_variables)
        self._programs: dict[str, Callable] = {}

    @property
    def size(self) -> int:
        """The number of weights."""
        return sum(self._sizes)

    @property
    def vector(self) -> np.ndarray:
        """The network's weights now, [size]."""
        values = map(ops.convert_to_numpy, self.model.trainable_variables)
        return np.concatenate([value.reshape(-1) for value in values])

    def assign(self, vector: np.ndarray) -> None:
        """Gives the network these weights, [size]."""
        parts = np.split(vector, np.cumsum(self._sizes)[:-1])
        for variable, part in zip(self.model.trainable_variables, parts, strict=True):
            variable.assign(part.reshape(variable.shape))

    def loss(self, vector: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
        """The mean loss over the examples, penalties included."""
        return float(self._mean("loss", self._loss_program, vector, x, y)[0])

    def loss_and_gradient(
        self, vector: np.ndarray, x: np.ndarray, y: np.ndarray
    ) -> tuple[float, np.ndarray]:
        """The mean loss and its gradient [size]."""
        loss, gradient = self._mean("gradient", self._gradient_program, vector, x, y)
        return float(loss), gradient

    def hessian_product(
        self, vector: np.ndarray, x: np.ndarray, y: np.ndarray, direction: np.ndarray
    ) -> np.ndarray:
        """H v: the Hessian of the mean loss times a direction [size]."""
        return self._mean("hessian", self._hessian_program, vector, x, y, direction)[0]

    def gauss_newton_product(
        self, vector: np.ndarray, x: np.ndarray, y: np.ndarray, direction: np.ndarray
    ) -> np.ndarray:
        """G v: the Gauss-Newton matrix of the mean loss (and of the penalties) times [size]."""
        return self._mean("gauss-newton", self._gauss_newton_program, vector, x, y, direction)[0]

    def squared_gradients(self, vector: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The mean over the examples of the squares of their own gradients, [size]."""
        return self._mean("squares", self._squares_program, vector, x, y)[0]

    def hessian(self, vector: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The Hessian itself, [size, size], a product a column: for small networks."""
        columns = [
            self._mean("hessian's columns", self._columns_program, vector, x, y, ones)[0]
            for ones in np.split(np.eye(self.size), range(_COLUMNS, self.size, _COLUMNS))
        ]
        matrix = np.concatenate(columns)
        return (matrix + matrix.T) / 2

    def gradient_error(self, x: np.ndarray, y: np.ndarray, directions: int = 10) -> float:
        """How far the gradient is from central differences of the loss at the worst of some random
        directions, relative to its length in them: 1e-7 and less where all is right in float64,
        some 1e-2 in float32.
        """
        vector = self.vector
        _, gradient = self.loss_and_gradient(vector, x, y)
        random = np.random.default_rng(0)
        errors = []
        for _ in range(directions):
            way = random.standard_normal(self.size)
            way /= np.linalg.norm(way)
            step = float(np.finfo(vector.dtype).eps) ** (1 / 3) * max(np.linalg.norm(vector), 1.0)
            ahead, behind = (self.loss(vector + sign * step * way, x, y) for sign in (1, -1))
            slope = (ahead - behind) / (2 * step)
            errors.append(abs(slope - gradient @ way))
        # A random direction meets one part in sqrt(size) of the gradient's length.
        return max(errors) * math.sqrt(self.size) / max(np.linalg.norm(gradient), 1e-30)

    def _mean(self, name: str, make: Callable, vector: np.ndarray, x, y, *more) -> list[np.ndarray]:
        """The means over all examples of what a program gives for a chunk."""
        if name not in self._programs:
            self._programs[name] = curvature.compiled(make)
        if not len(x):
            raise ValueError("There are no examples.")
        dtype = self.model.trainable_variables[0].dtype
        vectors = [ops.convert_to_tensor(np.asarray(part, dtype)) for part in (vector, *more)]
        total: list[np.ndarray] = []
        for part_x, part_y in self._chunks(x, y):
            share = len(part_x) / len(x)
            found = self._programs[name](
                vectors[0], ops.convert_to_tensor(part_x), ops.convert_to_tensor(part_y),
                *vectors[1:],
            )  # fmt: skip
            values = [share * np.asarray(ops.convert_to_numpy(value)) for value in found]
            total = [a + b for a, b in zip(total, values, strict=True)] if total else values
        return total

    def _chunks(self, x: np.ndarray, y: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(x), self.chunk):
            yield x[start : start + self.chunk], y[start : start + self.chunk]

    def _weights(self, vector: Any) -> list[Any]:
        parts, start = [], 0
        for shape, size in zip(self._shapes, self._sizes, strict=True):
            parts.append(ops.reshape(vector[start : start + size], shape))
            start += size
        return parts

    def _outputs(self, weights: list[Any], x: Any) -> Any:
        variables = zip(self.model.trainable_variables, weights, strict=True)
        with keras.StatelessScope(list(variables)):
            return self.model(x, training=False)

    def _loss_of_outputs(self, outputs: Any, y: Any) -> Any:
        losses = self._losses(y, outputs)
        # Not ops.mean, which on JAX turns float64 into float32.
        return ops.sum(losses) / ops.cast(ops.size(losses), losses.dtype)

    def _penalty(self, weights: list[Any]) -> Any:
        pairs = zip(self.model.trainable_variables, weights, strict=True)
        terms = [variable.regularizer(w) for variable, w in pairs if variable.regularizer]
        return sum(terms[1:], terms[0])

    def _loss_of_weights(self, weights: list[Any], x: Any, y: Any) -> Any:
        loss = self._loss_of_outputs(self._outputs(weights, x), y)
        return loss + self._penalty(weights) if self._penalized else loss

    def _loss_program(self, vector, x, y):
        return [self._loss_of_weights(self._weights(vector), x, y)]

    def _gradient_program(self, vector, x, y):
        loss, gradient = curvature.value_and_gradient(
            lambda weights: self._loss_of_weights(weights, x, y), self._weights(vector)
        )
        return [loss, _flat(gradient)]

    def _hessian_program(self, vector, x, y, direction):
        return [
            _flat(
                curvature.hessian_vector(
                    lambda weights: self._loss_of_weights(weights, x, y),
                    self._weights(vector),
                    self._weights(direction),
                )
            )
        ]

    def _columns_program(self, vector, x, y, directions):
        def product(direction):
            return self._hessian_program(vector, x, y, direction)[0]

        return [curvature.mapped(product, directions)]

    def _gauss_newton_program(self, vector, x, y, direction):
        weights, way = self._weights(vector), self._weights(direction)
        product = _flat(
            curvature.gauss_newton_vector(
                lambda weights: self._outputs(weights, x),
                lambda outputs: self._loss_of_outputs(outputs, y),
                weights,
                way,
            )
        )
        if self._penalized:
            product = product + _flat(curvature.hessian_vector(self._penalty, weights, way))
        return [product]

    def _squares_program(self, vector, x, y):
        weights = self._weights(vector)

        def squares(one_x, one_y):
            _, gradient = curvature.value_and_gradient(
                lambda weights: self._loss_of_weights(weights, one_x[None], one_y[None]), weights
            )
            return ops.square(_flat(gradient))

        found = curvature.mapped(squares, x, y)
        return [ops.sum(found, axis=0) / ops.cast(ops.shape(x)[0], found.dtype)]


def _flat(tensors: list[Any]) -> Any:
    return ops.concatenate([ops.reshape(tensor, (-1,)) for tensor in tensors])


def check_deterministic(model: keras.Model) -> None:
    """Refuses a network whose loss is not a fixed function of its weights and one example.

    Raises:
      ValueError: it draws random numbers, or normalizes over the batch.
    """
    for layer in _all_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization) or (
            getattr(layer, "seed_generator", None) is not None
        ):
            raise ValueError(
                f"The layer {layer.name} ({type(layer).__name__}) makes the loss depend on chance "
                "or on the other examples of the batch, and this method compares losses at "
                "several weights. Take a network without dropout, noise and batch "
                "normalization, or a first-order optimizer."
            )


def check_precision(model: keras.Model) -> None:
    """Refuses a network that computes in 16 bits, which second derivatives do not survive.

    Raises:
      ValueError: a layer's compute type is float16 or bfloat16.
    """
    for layer in _all_layers(model):
        if layer.compute_dtype in ("float16", "bfloat16"):
            raise ValueError(
                f"The layer {layer.name} computes in {layer.compute_dtype}, and second derivatives "
                "need 32 bits: set mixed_precision=false (or a dtype policy of float32)."
            )


def check_whole_loss(model: keras.Model) -> None:
    """Refuses a network whose layers add to the loss what is no penalty of weights.

    Raises:
      ValueError: a layer has an `activity_regularizer`.
    """
    for layer in _all_layers(model):
        if getattr(layer, "activity_regularizer", None) is not None:
            raise ValueError(
                f"The layer {layer.name} has an activity_regularizer, which would be left out of "
                "the loss: penalize its weights (kernel_regularizer) instead."
            )


def _all_layers(model: keras.Model) -> list[keras.layers.Layer]:
    return model._flatten_layers(include_self=False)
