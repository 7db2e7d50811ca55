"""Loss functions that the papers define and Keras does not have, one file a task."""

from keras_models.losses.classification import (
    MAPCriterion,
    SmoothedCrossentropy,
    SquashedSquaredError,
)
from keras_models.losses.depth import LogDepthLoss

__all__ = ["LogDepthLoss", "MAPCriterion", "SmoothedCrossentropy", "SquashedSquaredError"]
