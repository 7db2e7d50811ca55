"""The diagonal of the Hessian by one more backward pass.

S. Becker, Y. LeCun: Improving the convergence of back-propagation learning with second order
methods. Connectionist Models Summer School, 1988. Y. LeCun, L. Bottou, Y. Bengio, P. Haffner:
Gradient-based learning applied to document recognition, 1998, appendix C. Y. LeCun, L. Bottou,
G. Orr, K. Mueller: Efficient backprop, 1998, section 7.

With a = sum_j w_ij x_j and x = f(a) the pass carries h = d2E/dx2 of every unit backwards:

    d2E/da_i2 = f'(a_i)^2 d2E/dx_i2 + f''(a_i) dE/dx_i
    d2E/dx_j2 = sum_i w_ij^2 d2E/da_i2
    d2E/dw_k2 = sum over the connections (i, j) that share w_k of x_j^2 d2E/da_i2

which leaves out the Hessian between different units of a layer. Without the term of f'', which is
the Gauss-Newton (Levenberg-Marquardt) form, no number of it is negative. The squares of Euclidean
RBF units belong to the loss, as in LeCun et al. 1998, and keep their second derivatives in both.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers, ops

from keras_models.classification.lenet import UnitBias
from keras_models.layers import EuclideanRBF, Subsampling2D, TableConv2D, scaled_tanh
from keras_models.optimizers import curvature
from keras_models.optimizers.objective import check_precision

# a = L(x; w) + b, linear in x and in w, then an activation function: the same layer computes the
# pass when it is given x^2 and w^2.
LINEAR = (
    *(layers.Dense, layers.Conv1D, layers.Conv2D, layers.Conv3D),
    *(TableConv2D, Subsampling2D, UnitBias),
)
# Every output is one of the inputs, or the sum of several inputs, or a constant.
ROUTING = (
    *(layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D),
    *(layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D, layers.GlobalMaxPooling3D),
    *(layers.Flatten, layers.Reshape, layers.Permute, layers.Concatenate, layers.Add),
    *(layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D),
    *(layers.Cropping1D, layers.Cropping2D, layers.Cropping3D, layers.RepeatVector),
)
# Names of functions of keras.ops of the same kind, where a network calls them.
ROUTING_OPERATIONS = ("Add", "Concatenate", "GetItem", "Pad", "Reshape", "Split", "Transpose")
AVERAGING = (layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D)
GLOBAL_AVERAGING = (
    *(layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D),
    layers.GlobalAveragePooling3D,
)
ELEMENTWISE = (layers.Activation, layers.ReLU, layers.LeakyReLU, layers.ELU)
ELEMENTWISE_FUNCTIONS = (
    *("celu", "elu", "exponential", "gelu", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu"),
    *("linear", "log_sigmoid", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "softplus"),
    *("softsign", "sparse_plus", "squareplus", "tanh", "tanh_shrink"),
)


@dataclass
class Message:
    """What the pass carries at a tensor: d2E/dx2, and dE/dx (None: nobody needs it any more)."""

    curvature: Any
    gradient: Any | None
    gauss_newton: bool

    def __add__(self, other: Message) -> Message:
        known = self.gradient is not None and other.gradient is not None
        gradient = self.gradient + other.gradient if known else None
        return Message(self.curvature + other.curvature, gradient, self.gauss_newton)

    def below(self, curvature: Any, gradient: Any | None = None) -> Message:
        """The message for what lies before this one's place."""
        return Message(curvature, gradient, self.gauss_newton)


class DiagonalHessian:
    """Loss, gradient and the diagonal of the Hessian of a network's mean loss over a batch.

    Args:
      model: built, of dense, convolutional, pooling and elementwise layers and those that move
        numbers about (`LINEAR`, `ROUTING`, `AVERAGING`, `ELEMENTWISE`, `Rescaling`,
        `EuclideanRBF`), with one output [N, classes] of logits.
      losses: (labels, outputs) -> the losses of the examples, [N] or [N, 1].
      gauss_newton: leaves the term of f'' out; all numbers are then 0 or more.
      examples: takes the diagonal from so many examples of a batch, its first, instead of all:
        the pass then costs that share.

    Weights' penalties count, exactly, where they are sums of functions of one weight each.

    Raises:
      ValueError: a layer that the pass does not cover (named, with what can be done), an output
        that is not [N, classes], or a network that computes in 16 bits.
    """

    def __init__(
        self,
        model: keras.Model,
        losses: Callable,
        gauss_newton: bool = True,
        examples: int | None = None,
    ):
        check_precision(model)
        self.model = model
        self.gauss_newton = gauss_newton
        self.examples = examples
        self._losses = losses
        # A Sequential has a graph, too.
        self._graph = keras.Model(model.inputs, model.outputs)
        self._variables = model.trainable_variables
        self._places = {id(variable): n for n, variable in enumerate(self._variables)}
        if len(model.outputs) != 1 or len(model.outputs[0].shape) != 2:
            shapes = [tuple(output.shape) for output in model.outputs]
            raise ValueError(f"One output [N, classes] is needed, and {model.name} has {shapes}.")
        for node in self._nodes():
            _rule(node.operation)

    def __call__(
        self, weights: Sequence[Any], x: Any, y: Any, weight: Any | None = None
    ) -> tuple[Any, Any, list[Any], list[Any]]:
        """Computes all of them.

        Args:
          weights: values of `model.trainable_variables`.
          x: inputs [N, ...], a tensor or an array, of any type of numbers.
          y: labels [N, ...].
          weight: of each example's loss, [N], or None.

        Returns:
          The loss, the outputs [N, classes], the gradient and the diagonal, the last two as lists
          like `weights`.
        """
        weights = [ops.convert_to_tensor(value) for value in weights]
        # As the network itself would take it: a square of whole numbers of 8 bits is none.
        x = ops.convert_to_tensor(x, self._graph.inputs[0].dtype)
        y = ops.convert_to_tensor(y)
        number, dtype = ops.shape(x)[0], weights[0].dtype
        share = ops.full((number,), 1.0, dtype) / ops.cast(number, dtype)
        if weight is not None:
            share = share * ops.cast(ops.reshape(weight, (-1,)), dtype)

        def loss(values: Sequence[Any]) -> tuple[Any, tuple]:
            tensors = self._forward(values, x)
            outputs = tensors[id(self._graph.outputs[0])]
            total = ops.sum(ops.reshape(self._losses(y, outputs), (-1,)) * share)
            return total + self._penalty(values), (outputs, tensors)

        (total, (outputs, tensors)), gradient = curvature.value_and_gradient(loss, weights, True)
        if self.examples is not None:
            first = slice(self.examples)
            tensors = {name: tensor[first] for name, tensor in tensors.items()}
            y, part = y[first], share[first]
            share = part * ops.cast(number, dtype) / ops.cast(ops.shape(part)[0], dtype)
        at_output = self._at_output(tensors[id(self._graph.outputs[0])], y, share)
        return total, outputs, gradient, self._backward(weights, tensors, at_output)

    def _nodes(self) -> list[Any]:
        """The calls of layers and operations in the network, each after those it needs."""
        by_depth = self._graph._nodes_by_depth
        nodes = [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]
        return [node for node in nodes if not node.is_input]

    def _scope(self, values: Sequence[Any]) -> keras.StatelessScope:
        return keras.StatelessScope(list(zip(self._variables, values, strict=True)))

    def _forward(self, values: Sequence[Any], x: Any) -> dict[int, Any]:
        """All tensors of the network, by the id of what stands for them in its graph."""
        tensors = {id(self._graph.inputs[0]): x}
        with self._scope(values):
            for node in self._nodes():
                arguments, named = node.arguments.fill_in(tensors)
                results = node.operation(*arguments, **named)
                for name, tensor in zip(node.outputs, _list(results), strict=True):
                    tensors[id(name)] = tensor
        return tensors

    def _penalty(self, values: Sequence[Any]) -> Any:
        pairs = zip(self._variables, values, strict=True)
        return sum(variable.regularizer(value) for variable, value in pairs if variable.regularizer)

    def _at_output(self, outputs: Any, y: Any, share: Any) -> Message:
        """The loss' own second derivatives by each output, exactly: with as many copies of the
        batch as there are outputs, each of which is multiplied with the Hessian for its own."""
        number, count = outputs.shape[-1], ops.shape(outputs)[0]
        copies = ops.repeat(outputs, number, axis=0)
        labels = ops.repeat(y, number, axis=0)
        ones = ops.tile(ops.eye(number, dtype=outputs.dtype), (count, 1))

        def total(z: Sequence[Any]) -> Any:
            return ops.sum(self._losses(labels, z[0]))

        (products,) = curvature.hessian_vector(total, [copies], [ones])
        each = ops.reshape(share, (-1, 1))
        diagonal = ops.reshape(ops.sum(products * ones, axis=-1), (-1, number)) * each
        _, (slope,) = curvature.value_and_gradient(
            lambda z: ops.sum(ops.reshape(self._losses(y, z[0]), (-1, 1)) * each), [outputs]
        )
        return Message(diagonal, slope, self.gauss_newton)

    def _backward(self, weights: Sequence[Any], tensors: dict, at_output: Message) -> list[Any]:
        diagonal: list[Any] = [None] * len(weights)
        messages = {id(self._graph.outputs[0]): at_output}

        def add(place: int, more: Any) -> None:
            diagonal[place] = more if diagonal[place] is None else diagonal[place] + more

        with self._scope(weights):
            for node in reversed(self._nodes()):
                arrived = [messages.pop(id(name), None) for name in node.outputs]
                inputs = [tensors[id(name)] for name in node.input_tensors]
                outputs = [tensors[id(name)] for name in node.outputs]
                if all(message is None for message in arrived):
                    continue
                filled = [
                    message or self._nothing(tensor)
                    for message, tensor in zip(arrived, outputs, strict=True)
                ]
                of_inputs, of_weights = _rule(node.operation)(node, inputs, filled)
                for name, message in zip(node.input_tensors, of_inputs, strict=True):
                    known = messages.get(id(name))
                    messages[id(name)] = message if known is None else known + message
                for variable, value in of_weights:
                    add(self._places[id(variable)], value)
        for place, (variable, value) in enumerate(zip(self._variables, weights, strict=True)):
            if variable.regularizer:
                penalty, one = variable.regularizer, [ops.ones_like(value)]
                add(place, curvature.hessian_vector(lambda w, f=penalty: f(w[0]), [value], one)[0])
        return [
            ops.zeros_like(value) if found is None else found
            for found, value in zip(diagonal, weights, strict=True)
        ]

    def _nothing(self, tensor: Any) -> Message:
        zeros = ops.zeros_like(tensor)
        return Message(zeros, zeros, self.gauss_newton)


def _list(values: Any) -> list[Any]:
    return list(values) if isinstance(values, (list, tuple)) else [values]


def _rule(operation: Any) -> Callable[[Any, list, list[Message]], tuple[list[Message], list]]:
    """(node, its inputs, messages at its outputs) -> messages at its inputs, (variable, diagonal).

    Raises:
      ValueError: there is none.
    """
    name = type(operation).__name__
    if isinstance(operation, LINEAR):
        _check_elementwise(operation)
        return _linear
    if isinstance(operation, ROUTING) or (
        name in ROUTING_OPERATIONS and not isinstance(operation, keras.layers.Layer)
    ):
        return _routed
    if isinstance(operation, AVERAGING) and operation.padding == "valid":
        return _averaged
    if isinstance(operation, GLOBAL_AVERAGING):
        return _averaged
    if isinstance(operation, ELEMENTWISE):
        _check_elementwise(operation)
        return _elementwise
    if isinstance(operation, layers.Rescaling):
        return _rescaled
    if isinstance(operation, EuclideanRBF):
        return _squared_distances
    raise ValueError(
        f"The diagonal Hessian does not cover {operation.name} ({name}). It covers dense and "
        "convolutional layers, max pooling and average pooling without padding, elementwise "
        "activation functions, Rescaling, and layers that only move numbers about. Take the "
        "network without that layer, or an optimizer that needs no curvature."
    )


def _check_elementwise(layer: Any) -> None:
    """Raises ValueError for an activation that mixes units, such as softmax."""
    function = getattr(layer, "activation", None)
    if function in (None, scaled_tanh) or isinstance(layer, (layers.ReLU, layers.LeakyReLU)):
        return
    name = getattr(function, "__name__", type(function).__name__)
    if name not in ELEMENTWISE_FUNCTIONS and not isinstance(function, ELEMENTWISE):
        raise ValueError(
            f"The diagonal Hessian does not cover the activation {name} of {layer.name}, which it "
            "does not know to work on each unit alone. A softmax belongs into the loss: give "
            "logits, and the loss from_logits=True."
        )


@contextlib.contextmanager
def _without_activation(layer: Any) -> Iterator[Callable]:
    """The layer's activation function, and the layer without it."""
    function = layer.activation or keras.activations.linear
    layer.activation = keras.activations.linear
    try:
        yield function
    finally:
        layer.activation = function


def _linear(node: Any, inputs: list, messages: list[Message]) -> tuple[list[Message], list]:
    layer, (x,), (message,) = node.operation, inputs, messages
    variables = layer.trainable_variables
    values = curvature.values_of(variables)

    def without_activation(tensors: Sequence[Any]) -> Any:
        pairs = zip(variables, tensors[1:], strict=True)
        with keras.StatelessScope(list(pairs)):
            return layer.call(tensors[0])

    with _without_activation(layer) as function:
        if function is not keras.activations.linear:
            message = _through(function, without_activation([x, *values]), message)
        squares = [ops.square(value) for value in (x, *values)]
        _, pull = curvature.vjp(without_activation, squares)
        curved, *of_weights = pull(message.curvature)
        gradient = None
        if not message.gauss_newton:
            _, pull = curvature.vjp(lambda tensors: without_activation([*tensors, *values]), [x])
            (gradient,) = pull(message.gradient)
    return [message.below(curved, gradient)], list(zip(variables, of_weights, strict=True))


def _through(function: Callable, a: Any, message: Message) -> Message:
    """From after an elementwise function to before it."""

    def slope(tensors: Sequence[Any]) -> Any:
        _, pull = curvature.vjp(lambda t: function(t[0]), tensors)
        return pull(ops.ones_like(tensors[0]))[0]

    if message.gauss_newton:
        return message.below(ops.square(slope([a])) * message.curvature)
    first, pull = curvature.vjp(slope, [a])
    (second,) = pull(ops.ones_like(a))
    return message.below(
        ops.square(first) * message.curvature + second * message.gradient,
        first * message.gradient,
    )


def _elementwise(node: Any, inputs: list, messages: list[Message]) -> tuple[list[Message], list]:
    return [_through(node.operation.call, inputs[0], messages[0])], []


def _transposed(node: Any, inputs: list, cotangents: list) -> list:
    """J^T cotangents of a call without weights."""
    shapes = {id(name): n for n, name in enumerate(node.input_tensors)}

    def call(tensors: Sequence[Any]) -> Any:
        arguments, named = node.arguments.fill_in({key: tensors[n] for key, n in shapes.items()})
        return _list(node.operation.call(*arguments, **named))

    _, pull = curvature.vjp(call, inputs)
    return pull(cotangents)


def _routed(node: Any, inputs: list, messages: list[Message]) -> tuple[list[Message], list]:
    curved = _transposed(node, inputs, [message.curvature for message in messages])
    first = messages[0]
    if any(message.gradient is None for message in messages):
        return [first.below(part) for part in curved], []
    slopes = _transposed(node, inputs, [message.gradient for message in messages])
    return [first.below(*pair) for pair in zip(curved, slopes, strict=True)], []


def _averaged(node: Any, inputs: list, messages: list[Message]) -> tuple[list[Message], list]:
    layer, (message,) = node.operation, messages
    if isinstance(layer, GLOBAL_AVERAGING):
        first = 1 if layer.data_format == "channels_last" else 2
        number = math.prod(inputs[0].shape[first : first + len(inputs[0].shape) - 2])
    else:
        number = math.prod(layer.pool_size)
    return _routed(node, inputs, [message.below(message.curvature / number, message.gradient)])


def _rescaled(node: Any, inputs: list, messages: list[Message]) -> tuple[list[Message], list]:
    scale, (message,) = node.operation.scale, messages
    gradient = None if message.gradient is None else message.gradient * scale
    return [message.below(message.curvature * scale**2, gradient)], []


def _squared_distances(
    node: Any, inputs: list, messages: list[Message]
) -> tuple[list[Message], list]:
    """y_i = sum_j (x_j - w_ij)^2 with fixed w: dy_i/dx_j = 2 (x_j - w_ij), and 2 once more."""
    (x,), (message,) = inputs, messages
    (codes,), h = curvature.values_of([node.operation.prototypes]), message.curvature
    total = ops.sum(h, axis=-1, keepdims=True)
    curved = 4.0 * (
        ops.square(x) * total - 2.0 * x * ops.matmul(h, codes) + ops.matmul(h, ops.square(codes))
    )
    if message.gradient is None:
        return [message.below(curved)], []
    slopes = ops.sum(message.gradient, axis=-1, keepdims=True)
    curved = curved + 2.0 * slopes
    if message.gauss_newton:
        return [message.below(ops.maximum(curved, 0.0))], []
    gradient = 2.0 * (x * slopes - ops.matmul(message.gradient, codes))
    return [message.below(curved, gradient)], []
