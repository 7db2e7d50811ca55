"""Losses of depth nets."""

import keras
from keras import ops

from keras_models.layers.precision import widened


@keras.saving.register_keras_serializable(package="keras_models")
class LogDepthLoss(keras.losses.Loss):
    """The scale-invariant error of log depths, with gradients (Eqn 1), one number a picture:

        1/n sum d^2 - scale_invariance / n^2 (sum d)^2 + 1/n sum ((d_x)^2 + (d_y)^2)

    d is the difference of the log depths, answer minus truth, of the n valid pixels; d_x and d_y
    are its differences from one pixel to the next on the right and below, where both are valid.
    Pixels whose true depth is not a positive finite number are left out, whatever the answer there;
    a picture without a valid one costs 0.

    The first two terms are computed as the variance of d and (1 - scale_invariance) times the
    square of its mean, which is the same without the difference of large numbers.

    Args:
        scale_invariance: 1/2 in both papers; 0 is the plain squared error, 1 the error that no
            common factor of the depths changes.
        gradients: whether the last sum is there, as in the paper of 2015; without it the loss is
            that of 2014 (Eqn 4).

    `y_true` depths in metres, [N, h, w] or [N, h, w, 1]; `y_pred` log depths of the same height and
    width. Computed in float32 at least. An answer that is NaN or infinite at a valid pixel makes
    the picture's loss NaN.

    The authors' code weighs the first two terms of the pictures of a batch by n^2, and divides the
    gradients by the number of pairs; here it is the formula, a picture.

    Source: Eigen, Fergus 2015, section 6.1 and Eqn 1; Eigen, Puhrsch, Fergus 2014, section 3.3.
    """

    def __init__(
        self,
        scale_invariance: float = 0.5,
        gradients: bool = True,
        name: str = "log_depth_loss",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        if not 0 <= scale_invariance <= 1:
            raise ValueError(f"scale_invariance must be from 0 to 1, not {scale_invariance!r}.")
        self.scale_invariance = scale_invariance
        self.gradients = gradients

    def call(self, y_true, y_pred):
        truth, answer = (_maps(widened(ops.convert_to_tensor(y))) for y in (y_true, y_pred))
        valid = ops.logical_and(ops.isfinite(truth), truth > 0)
        # What is left out is 1 before the logarithm and 0 before the difference, so that neither
        # it nor its gradient is NaN.
        d = ops.where(valid, answer, 0.0) - ops.log(ops.where(valid, truth, 1.0))
        weight = ops.cast(valid, d.dtype)
        n = ops.maximum(ops.sum(weight, axis=(1, 2), keepdims=True), 1.0)
        mean = ops.sum(d, axis=(1, 2), keepdims=True) / n
        loss = ops.sum(weight * ops.square(d - mean), axis=(1, 2), keepdims=True) / n
        loss += (1.0 - self.scale_invariance) * ops.square(mean)
        if self.gradients:
            right = weight[:, :, 1:] * weight[:, :, :-1] * ops.square(d[:, :, 1:] - d[:, :, :-1])
            below = weight[:, 1:] * weight[:, :-1] * ops.square(d[:, 1:] - d[:, :-1])
            loss += sum(ops.sum(x, axis=(1, 2), keepdims=True) for x in (right, below)) / n
        return ops.squeeze(loss, axis=(1, 2))

    def get_config(self):
        config = {"scale_invariance": self.scale_invariance, "gradients": self.gradients}
        return super().get_config() | config


def _maps(x):
    """[N, h, w] of [N, h, w] or [N, h, w, 1]."""
    return ops.squeeze(x, axis=-1) if len(x.shape) == 4 else x
