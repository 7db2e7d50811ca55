"""Losses of nets for surface normals."""

import keras
from keras import ops

from keras_models.layers.normalization import unit_vectors
from keras_models.layers.precision import widened


@keras.saving.register_keras_serializable(package="keras_models")
class NormalsLoss(keras.losses.Loss):
    """The negative mean inner product of unit normals (section 4.2), one number a picture:

        - 1/n sum N . N*

    N is the answer divided by its length, with the gradient through the division
    (`keras_models.layers.unit_vectors`), N* the true normal, of the n valid pixels. -1 is the best.
    Pixels whose true normal is 0, or has a number that is not finite, are left out, whatever the
    answer there; a picture without a valid one costs 0.

    `y_true` unit vectors [N, h, w, 3]; `y_pred` vectors of any length, of the same shape. Computed
    in float32 at least. An answer of 0 costs 0 at its pixel. One that is NaN or infinite at a valid
    pixel makes the picture's loss NaN.

    Source: Eigen, Fergus 2015, section 4.2 and Eqn 2.
    """

    def __init__(self, name: str = "normals_loss", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        truth, answer = (widened(ops.convert_to_tensor(y)) for y in (y_true, y_pred))
        finite = ops.all(ops.isfinite(truth), axis=-1, keepdims=True)
        valid = ops.logical_and(finite, ops.any(truth != 0, axis=-1, keepdims=True))
        # What is left out is 0 before the division, so that neither it nor its gradient is NaN.
        product = unit_vectors(ops.where(valid, answer, 0.0)) * ops.where(valid, truth, 0.0)
        n = ops.maximum(ops.sum(ops.cast(valid, product.dtype), axis=(1, 2, 3)), 1.0)
        return -ops.sum(product, axis=(1, 2, 3)) / n
