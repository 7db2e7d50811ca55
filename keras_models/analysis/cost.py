"""What a net costs, layer by layer: parameters, multiply-adds, connections, activations; and how
much of the picture each unit sees."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import keras
from keras import layers

from keras_models.analysis.receptive_field import Field, field_after, sides_of
from keras_models.classification.fully_convolutional import DenseAsConv2D
from keras_models.classification.lenet import UnitBias
from keras_models.layers import (
    ComponentNormalization,
    DropConnect,
    EuclideanRBF,
    Subsampling2D,
    TableConv2D,
    TiledConv2D,
    WeightNoise,
)

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class LayerCost:
    """One call of one layer, for one example; or the total of a net.

    Attributes:
        name: of the layer, after those of the nets that it is nested in: "outer/inner".
        kind: the name of its class.
        shape: of its output, without the batch.
        parameters: trainable numbers; 0 where the same layer has been called before.
        multiply_adds: of convolutions and fully connected layers only, as the papers count them:
            one for every weight and every position that it is used at. Biases, normalisations,
            activations and poolings count nothing.
        connections: inputs and biases of all units of layers with weights, as LeCun, Bottou,
            Bengio, Haffner 1998 count them in section II.B: a unit of 5 x 5 inputs and a bias
            has 26.
        activations: values of its output, which training keeps; 0 where it is the input in
            another shape.
        receptive_field: pixels of the picture that a unit sees, along each side, borders
            included; None where that is not known.
        stride: pixels of the picture from one unit to the next, along each side, or None.
        depth: of the layers that have multiply-adds, how many lie on the longest way from an
            input through this one.
    """

    name: str
    kind: str
    shape: Shape
    parameters: int
    multiply_adds: int
    connections: int
    activations: int
    receptive_field: tuple[int, ...] | None
    stride: tuple[int, ...] | None
    depth: int


def _biases(layer: layers.Layer) -> int:
    return layer.bias.shape[-1] if layer.use_bias else 0


def _convolution(layer) -> tuple[int, int]:
    weights = prod(layer.kernel.shape)
    return weights, weights + _biases(layer)


def _separable(layer) -> tuple[int, int]:
    weights = prod(layer.depthwise_kernel.shape) + prod(layer.pointwise_kernel.shape)
    return weights, weights + _biases(layer)


def _tiled(layer: TiledConv2D) -> tuple[int, int]:
    weights = prod(layer.kernel.shape[2:])
    return weights, weights + _biases(layer)


def _all_parameters(layer) -> tuple[int, int]:
    return prod(layer.kernel.shape), layer.count_params()


# Multiply-adds and connections of one position of the output maps (or of the layer, where it has
# no maps). A kind of layer stands for those that are derived from it, too.
_A_POSITION: dict[type, Callable[..., tuple[int, int]]] = {
    layers.Conv1D: _convolution,
    layers.Conv2D: _convolution,
    layers.Conv3D: _convolution,
    layers.DepthwiseConv1D: _convolution,
    layers.DepthwiseConv2D: _convolution,
    layers.SeparableConv1D: _separable,
    layers.SeparableConv2D: _separable,
    layers.Dense: _convolution,
    TableConv2D: _all_parameters,
    TiledConv2D: _tiled,
    DropConnect: _all_parameters,
    DenseAsConv2D: lambda layer: _convolution(layer.dense),
    UnitBias: lambda layer: (0, layer.bias.shape[-1]),
    EuclideanRBF: lambda layer: (prod(layer.prototypes.shape),) * 2,
    Subsampling2D: lambda layer: (0, layer.coefficient.shape[0] * (layer.pool_size**2 + 1)),
    # Weights that the papers count no multiply-adds for.
    ComponentNormalization: lambda layer: (0, 0),
    layers.BatchNormalization: lambda layer: (0, 0),
    layers.GroupNormalization: lambda layer: (0, 0),
    layers.LayerNormalization: lambda layer: (0, 0),
    layers.Normalization: lambda layer: (0, 0),
    layers.PReLU: lambda layer: (0, 0),
}
# Their output is the input in another shape.
_VIEWS = (layers.Flatten, layers.Reshape)


def layer_costs(
    model: keras.Model, input_shape: Shape | Sequence[Shape] | None = None
) -> list[LayerCost]:
    """The cost of every layer of a net, in the order of computation, layers of nested nets too.

    Args:
        model: functional or sequential, built.
        input_shape: of one example; needed where the net leaves sides open. A list of shapes
            where the net has several inputs.

    Raises:
        ValueError: a layer with weights of a kind that is not counted here, or whose output has no
            fixed shape; an input shape that is open or does not fit; a model of another kind.
    """
    count = _Count()
    inputs = []
    shapes = _input_shapes(model, input_shape)
    for tensor, shape in zip(model.inputs, shapes, strict=True):
        pixel = Field((1,) * (len(shape) - 1), (1,) * (len(shape) - 1))
        inputs.append(_Maps(keras.KerasTensor((None, *shape), tensor.dtype), pixel, depth=0))
        count.add(tensor.name, "InputLayer", inputs[-1:], parameters=0, a_position=(0, 0))
    count.through(model, inputs, "")
    return count.rows


def total_cost(costs: Sequence[LayerCost], name: str = "total") -> LayerCost:
    """The sums of a net's costs; receptive field and stride are those of its last maps."""
    maps = [cost for cost in costs if len(cost.shape) > 1] or costs
    return LayerCost(
        name=name,
        kind="",
        shape=costs[-1].shape,
        parameters=sum(cost.parameters for cost in costs),
        multiply_adds=sum(cost.multiply_adds for cost in costs),
        connections=sum(cost.connections for cost in costs),
        activations=sum(cost.activations for cost in costs),
        receptive_field=maps[-1].receptive_field,
        stride=maps[-1].stride,
        depth=max(cost.depth for cost in costs),
    )


def _input_shapes(model: keras.Model, given) -> list[Shape]:
    """The shape of each input, without the batch."""
    try:
        open_shapes = [tuple(tensor.shape[1:]) for tensor in model.inputs]
    except (AttributeError, TypeError, ValueError):
        raise ValueError(
            f"{model.name} has no graph of layers to count: functional and sequential models "
            "that are built have one."
        ) from None
    if given is None:
        shapes = open_shapes
    else:
        shapes = [tuple(shape) for shape in ([given] if len(open_shapes) == 1 else given)]
    for tensor, shape, declared in zip(model.inputs, shapes, open_shapes, strict=True):
        if given is None and None in shape:
            raise ValueError(
                f"{tensor.name} has as many values as there happen to be, {shape}: they are not "
                "counted without input_shape."
            )
        fits = len(shape) == len(declared) and all(
            side is not None and side == (known or side)
            for side, known in zip(shape, declared, strict=True)
        )
        if not fits:
            raise ValueError(f"input_shape must be as {declared} with numbers, not {shape}.")
    return shapes


@dataclass(frozen=True)
class _Maps:
    """What flows through the graph in place of a tensor."""

    spec: keras.KerasTensor
    field: Field | None
    depth: int

    @property
    def shape(self) -> Shape:
        return tuple(self.spec.shape[1:])


class _Count:
    """The rows of `layer_costs`, as they are found on the way through a model."""

    def __init__(self):
        self.rows: list[LayerCost] = []
        self._counted: set[int] = set()

    def through(self, model: keras.Model, inputs: list[_Maps], prefix: str) -> Any:
        """The outputs of a model."""

        def called(operation) -> Callable[..., Any]:
            return lambda *args, **kwargs: self.call(operation, prefix, args, kwargs)

        if isinstance(model, keras.Sequential):
            outputs = inputs[0]
            for layer in model.layers:
                outputs = called(layer)(outputs)
            return outputs
        # Keras' own walk over the graph; there is no public one that leaves the model as it is.
        return model._run_through_graph(inputs, operation_fn=called)

    def call(self, operation, prefix: str, args: tuple, kwargs: dict) -> Any:
        """Counts one call of a layer, and gives its outputs."""
        inputs = [x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, _Maps)]
        name = prefix + operation.name
        if isinstance(operation, keras.Model) and hasattr(operation, "inputs"):
            return self.through(operation, inputs, f"{name}/")
        args, kwargs = keras.tree.map_structure(
            lambda x: x.spec if isinstance(x, _Maps) else x, (args, kwargs)
        )
        specs = operation.compute_output_spec(*args, **kwargs)
        # Noise on the weights changes nothing of what is computed with them.
        layer = operation.layer if isinstance(operation, WeightNoise) else operation
        shapes, fields = [x.shape for x in inputs], [x.field for x in inputs]
        a_position = _a_position(layer, name)
        depth = max((x.depth for x in inputs), default=0) + bool(a_position[0])

        def maps(spec) -> _Maps:
            return _Maps(spec, field_after(layer, shapes, fields, tuple(spec.shape[1:])), depth)

        outputs = keras.tree.map_structure(maps, specs)
        self.add(
            name,
            type(layer).__name__,
            keras.tree.flatten(outputs),
            self._parameters(layer),
            a_position,
            layer,
        )
        return outputs

    def add(self, name, kind, outputs, parameters, a_position, layer=None) -> None:
        """One row."""
        shape, field = outputs[0].shape, outputs[0].field
        if any(None in each.shape for each in outputs):
            raise ValueError(
                f"{name} has as many values as there happen to be, {shape}: they are not counted."
            )
        multiply_adds, connections = a_position
        positions = prod(sides_of(shape, layer)) if any(a_position) else 0
        values = 0 if isinstance(layer, _VIEWS) else sum(prod(each.shape) for each in outputs)
        self.rows.append(
            LayerCost(
                name=name,
                kind=kind,
                shape=shape,
                parameters=parameters,
                multiply_adds=multiply_adds * positions,
                connections=connections * positions,
                activations=values,
                receptive_field=field and field.size,
                stride=field and field.stride,
                depth=outputs[0].depth,
            )
        )

    def _parameters(self, layer) -> int:
        """Trainable numbers that no earlier row has."""
        new = [w for w in getattr(layer, "trainable_weights", ()) if id(w) not in self._counted]
        self._counted.update(map(id, new))
        return sum(prod(weight.shape) for weight in new)


def _a_position(layer, name: str) -> tuple[int, int]:
    """Multiply-adds and connections of one position of a layer's output."""
    kind = next((base for base in type(layer).__mro__ if base in _A_POSITION), None)
    if kind is not None:
        return _A_POSITION[kind](layer)
    if getattr(layer, "weights", ()):
        known = ", ".join(sorted(each.__name__ for each in _A_POSITION))
        raise ValueError(
            f"{name} is a {type(layer).__name__}, which has weights; counted are {known}, and "
            "layers without weights."
        )
    return 0, 0
