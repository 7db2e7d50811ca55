"""Layers, activations and initializers that the papers define and Keras does not have."""

from keras_models.layers.activations import scaled_tanh
from keras_models.layers.convolution import LENET5_C3, TableConv2D
from keras_models.layers.initializers import FanInUniform
from keras_models.layers.output import EuclideanRBF, prototype_codes
from keras_models.layers.pooling import Subsampling2D

__all__ = [
    "LENET5_C3",
    "EuclideanRBF",
    "FanInUniform",
    "Subsampling2D",
    "TableConv2D",
    "prototype_codes",
    "scaled_tanh",
]
