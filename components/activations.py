"""The function that a network's output comes out of."""

from __future__ import annotations

import keras
import tensorflow as tf

PROBABILITIES = ("softmax", "sigmoid", "hard_sigmoid", "hardsigmoid", "sparsemax", "sparse_plus")
# Layers that hand on the values that they get.
_HANDED_ON = (
    *("Activation", "Dropout", "Flatten", "Identity", "Permute", "Reshape", "Squeeze"),
    *("ExpandDims", "Transpose", "Cast"),
)


def of_probabilities(output: keras.KerasTensor) -> str | None:
    """The function that makes probabilities of a network's output, by its name; None without one.

    Args:
      output: of a model of the functional API, the layers of which may be models with a `call` of
        their own.
    """
    operation, node, place = output._keras_history
    if isinstance(operation, keras.Model) and getattr(operation, "outputs", None):
        return of_probabilities(operation.outputs[place])
    activation = getattr(operation, "activation", None)
    kind = type(operation).__name__
    name = getattr(activation, "__name__", kind).lower()
    if name in PROBABILITIES:
        return name
    inputs = operation._inbound_nodes[node].input_tensors
    if kind in _HANDED_ON and name in ("linear", kind.lower()) and inputs:
        return of_probabilities(inputs[0])
    if type(operation).__module__.partition(".")[0] in ("keras", "keras_models"):
        return None
    return _traced(operation, inputs, place)


def _traced(layer: keras.Layer, inputs: list[keras.KerasTensor], place: int) -> str | None:
    """The same of a layer of one's own, found in the graph that TensorFlow makes of it."""

    @tf.function(autograph=False)
    def called(*values: tf.Tensor) -> list[tf.Tensor]:
        return keras.tree.flatten(layer(*values))

    specs = [tf.TensorSpec(each.shape, each.dtype) for each in inputs]
    operation = called.get_concrete_function(*specs).outputs[place].op
    while operation.type in ("Identity", "Reshape", "Cast", "Squeeze"):
        operation = operation.inputs[0].op
    name = operation.type.lower()
    return name if name in PROBABILITIES else None
