"""Loss functions that the papers define and Keras does not have, one file a task."""

from keras_models.losses.classification import (
    MAPCriterion,
    SmoothedCrossentropy,
    SquashedSquaredError,
)
from keras_models.losses.depth import LogDepthLoss
from keras_models.losses.detection import SmoothL1, proposal_loss, region_loss, smooth_l1

__all__ = [
    "LogDepthLoss",
    "MAPCriterion",
    "SmoothL1",
    "SmoothedCrossentropy",
    "SquashedSquaredError",
    "proposal_loss",
    "region_loss",
    "smooth_l1",
]
