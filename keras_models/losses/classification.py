"""Losses of classification nets."""

import keras
from keras import ops

from keras_models.layers import scaled_tanh
from keras_models.layers.precision import widened


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
    penalties, as every net of `keras_models.classification` puts out. Computed in float32 at least.
    The loss of a label that is no class, which would be taken for the rubbish, is NaN.

    Source: LeCun, Bottou, Bengio, Haffner 1998, section II.C, Eqn 9.
    """

    def __init__(self, rubbish: float = 1.0, name: str = "map_criterion", **kwargs):
        super().__init__(name=name, **kwargs)
        if rubbish <= 0:
            raise ValueError(f"rubbish must be a positive penalty, not {rubbish!r}.")
        self.rubbish = rubbish

    def call(self, y_true, y_pred):
        logits = widened(ops.convert_to_tensor(y_pred))
        labels, known = _labels(y_true, logits.shape[-1])
        rubbish = ops.full_like(logits[:, :1], -self.rubbish)
        losses = keras.losses.sparse_categorical_crossentropy(
            labels, ops.concatenate([logits, rubbish], axis=-1), from_logits=True
        )
        return ops.where(known, losses, float("nan"))

    def get_config(self):
        return super().get_config() | {"rubbish": self.rubbish}


@keras.saving.register_keras_serializable(package="keras_models")
class SquashedSquaredError(keras.losses.Loss):
    """The mean squared error of outputs 1.7159 tanh(2/3 a) whose targets are +1 and -1.

    `y_true` integer labels [N] or [N, 1]; `y_pred` [N, classes] logits a. One number an example:
    the mean over the outputs. Computed in float32 at least. The loss of a label that is no class
    is NaN.

    Source: LeCun et al. 1989, Backpropagation applied to handwritten zip code recognition: "the
    mean squared error", and values of the targets within the range of the sigmoid.
    """

    def __init__(self, name: str = "squashed_squared_error", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        logits = widened(ops.convert_to_tensor(y_pred))
        labels, known = _labels(y_true, logits.shape[-1])
        targets = 2.0 * ops.one_hot(labels, logits.shape[-1], dtype=logits.dtype) - 1.0
        losses = ops.mean(ops.square(scaled_tanh(logits) - targets), axis=-1)
        return ops.where(known, losses, float("nan"))


@keras.saving.register_keras_serializable(package="keras_models")
class SmoothedCrossentropy(keras.losses.Loss):
    """The cross-entropy with labels that are smoothed: (1 - e) for the class and e / K for each of
    the K classes.

    `keras.losses.CategoricalCrossentropy` has the same for labels in the form of one row of K
    numbers; this takes the numbers of the classes.

    Args:
        label_smoothing: e, from 0 to 1; 0 is the plain cross-entropy.

    `y_true` integer labels [N] or [N, 1]; `y_pred` [N, classes] logits. One number an example.
    Computed in float32 at least. The loss of a label that is no class is NaN.

    Raises:
        ValueError: e is not from 0 to 1.

    Source: Szegedy, Vanhoucke, Ioffe, Shlens, Wojna 2016, Rethinking the Inception architecture
    for computer vision, section 7 (e = 0.1).
    """

    def __init__(self, label_smoothing: float = 0.1, name: str = "smoothed_crossentropy", **kwargs):
        super().__init__(name=name, **kwargs)
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"label_smoothing must be from 0 to 1, not {label_smoothing!r}.")
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        logits = widened(ops.convert_to_tensor(y_pred))
        labels, known = _labels(y_true, logits.shape[-1])
        losses = keras.losses.categorical_crossentropy(
            ops.one_hot(labels, logits.shape[-1], dtype=logits.dtype),
            logits,
            from_logits=True,
            label_smoothing=self.label_smoothing,
        )
        return ops.where(known, losses, float("nan"))

    def get_config(self):
        return super().get_config() | {"label_smoothing": self.label_smoothing}


def _labels(y_true, classes: int):
    """The labels as int32 [N], 0 for those that are no class, and which are one."""
    labels = ops.reshape(ops.convert_to_tensor(y_true), (-1,))
    known = ops.logical_and(labels >= 0, labels < classes)
    return ops.cast(ops.where(known, labels, ops.zeros_like(labels)), "int32"), known
