"""Loss functions that the papers define and Keras does not have, one file a task."""

from keras_models.losses.classification import MAPCriterion, SquashedSquaredError

__all__ = ["MAPCriterion", "SquashedSquaredError"]
