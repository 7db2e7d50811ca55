"""Losses of classification nets."""

import keras
from keras import ops

from keras_models.layers import scaled_tanh


@keras.saving.register_keras_serializable(package="keras_models")
class MAPCriterion(keras.losses.Loss):
    """The maximum a posteriori criterion on penalties (Eqn 9), one number an example:

        y_D + log(exp(-j) + sum_i exp(-y_i))

    y_i is the penalty of class i and D the desired class. exp(-j) stands for a "rubbish" class
    that takes the pictures of no class: it pulls the penalty of the right class towards zero
    even where all others are large, and keeps penalties that are large already from being
    pushed up for ever. It equals -log p_D with p = softmax over the classes and the rubbish.

    Args:
        rubbish: the constant j, a penalty; positive.

    `y_true` integer labels [N] or [N, 1]; `y_pred` [N, classes] logits, that is minus the
    penalties, as every net of `keras_models.classification` puts out. Computed in float32.

    Source: LeCun, Bottou, Bengio, Haffner 1998, section II.C, Eqn 9.
    """

    def __init__(self, rubbish: float = 1.0, name: str = "map_criterion", **kwargs):
        super().__init__(name=name, **kwargs)
        if rubbish <= 0:
            raise ValueError(f"rubbish must be a positive penalty, not {rubbish!r}.")
        self.rubbish = rubbish

    def call(self, y_true, y_pred):
        logits = ops.cast(y_pred, "float32")
        labels = ops.cast(ops.reshape(y_true, (-1,)), "int32")
        rubbish = ops.full_like(logits[:, :1], -self.rubbish)
        return keras.losses.sparse_categorical_crossentropy(
            labels, ops.concatenate([logits, rubbish], axis=-1), from_logits=True
        )

    def get_config(self):
        return super().get_config() | {"rubbish": self.rubbish}


@keras.saving.register_keras_serializable(package="keras_models")
class SquashedSquaredError(keras.losses.Loss):
    """The mean squared error of outputs 1.7159 tanh(2/3 a) whose targets are +1 and -1.

    `y_true` integer labels [N] or [N, 1]; `y_pred` [N, classes] logits a. One number an example:
    the mean over the outputs. Computed in float32.

    Source: LeCun et al. 1989, Backpropagation applied to handwritten zip code recognition: "the
    mean squared error", and values of the targets within the range of the sigmoid.
    """

    def __init__(self, name: str = "squashed_squared_error", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        logits = ops.cast(y_pred, "float32")
        labels = ops.cast(ops.reshape(y_true, (-1,)), "int32")
        targets = 2.0 * ops.one_hot(labels, logits.shape[-1]) - 1.0
        return ops.mean(ops.square(scaled_tanh(logits) - targets), axis=-1)
