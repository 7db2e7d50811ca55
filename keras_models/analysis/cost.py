"""Parameters and connections of a net, layer by layer."""

from dataclasses import dataclass
from math import prod

import keras
from keras import layers

from keras_models.layers import EuclideanRBF, Subsampling2D, TableConv2D


@dataclass(frozen=True)
class LayerCost:
    """One layer: its trainable parameters, and the connections of all its units of one example.

    A connection is one input or one bias of one unit, as LeCun, Bottou, Bengio, Haffner 1998
    count them in section II.B: a unit of 5 x 5 inputs and a bias has 26.
    """

    name: str
    parameters: int
    connections: int


# Connections of one position of the output maps (or of the layer, where it has no maps).
_CONNECTIONS_A_POSITION = {
    layers.Conv2D: lambda layer: layer.count_params(),
    TableConv2D: lambda layer: layer.count_params(),
    Subsampling2D: lambda layer: layer.coefficient.shape[0] * (layer.pool_size**2 + 1),
    layers.Dense: lambda layer: layer.count_params(),
    EuclideanRBF: lambda layer: prod(layer.prototypes.shape),
}


def layer_costs(model: keras.Model) -> list[LayerCost]:
    """The costs of every layer of `model` that has connections with weights.

    Raises:
        ValueError: a layer with weights of a kind whose connections cannot be counted here.
    """
    costs = []
    for layer in model.layers:
        count = _CONNECTIONS_A_POSITION.get(type(layer))
        if count is None and layer.weights:
            known = sorted(kind.__name__ for kind in _CONNECTIONS_A_POSITION)
            raise ValueError(f"{layer.name} is a {type(layer).__name__}; counted are {known}.")
        if count is not None:
            parameters = sum(prod(weight.shape) for weight in layer.trainable_weights)
            costs.append(LayerCost(layer.name, parameters, count(layer) * _positions(layer)))
    return costs


def _positions(layer: layers.Layer) -> int:
    """Positions of an output map; 1 for a layer without maps."""
    shape = layer.output.shape[1:]
    if getattr(layer, "data_format", None) == "channels_first":
        return prod(shape[1:])
    return prod(shape[:-1])
