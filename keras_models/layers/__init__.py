"""Layers, activations and initializers that the papers define and Keras does not have."""

from keras_models.layers.activations import Maxout, prelu, scaled_tanh
from keras_models.layers.comparison import (
    AbsoluteDifference,
    ChiSquaredTerms,
    NegativeDistance,
)
from keras_models.layers.convolution import LENET5_C3, TableConv2D
from keras_models.layers.features import ComponentNormalization
from keras_models.layers.initializers import FanInUniform
from keras_models.layers.locally_connected import LocallyConnected2D, TiledConv2D
from keras_models.layers.normalization import (
    ActivationBatchNormalization,
    ChannelScaling,
    LocalContrastNormalization,
    LocalResponseNormalization,
    UnitVectors,
    unit_vectors,
)
from keras_models.layers.output import EuclideanRBF, prototype_codes
from keras_models.layers.pooling import (
    OffsetMaxPooling2D,
    SpatialPyramidPooling2D,
    StochasticPooling2D,
    Subsampling2D,
    SumPooling2D,
)
from keras_models.layers.regions import RegionMaxPooling2D
from keras_models.layers.regularization import DropConnect, WeightNoise

__all__ = [
    "LENET5_C3",
    "AbsoluteDifference",
    "ActivationBatchNormalization",
    "ChannelScaling",
    "ChiSquaredTerms",
    "ComponentNormalization",
    "DropConnect",
    "EuclideanRBF",
    "FanInUniform",
    "LocalContrastNormalization",
    "LocalResponseNormalization",
    "LocallyConnected2D",
    "Maxout",
    "NegativeDistance",
    "OffsetMaxPooling2D",
    "RegionMaxPooling2D",
    "SpatialPyramidPooling2D",
    "StochasticPooling2D",
    "Subsampling2D",
    "SumPooling2D",
    "TableConv2D",
    "TiledConv2D",
    "UnitVectors",
    "WeightNoise",
    "prelu",
    "prototype_codes",
    "scaled_tanh",
    "unit_vectors",
]
