"""Loss functions that the papers define and Keras does not have, one file a task."""

from keras_models.losses.classification import (
    MAPCriterion,
    SmoothedCrossentropy,
    SquashedSquaredError,
)
from keras_models.losses.depth import LogDepthLoss
from keras_models.losses.normals import NormalsLoss

__all__ = [
    "LogDepthLoss",
    "MAPCriterion",
    "NormalsLoss",
    "SmoothedCrossentropy",
    "SquashedSquaredError",
]
