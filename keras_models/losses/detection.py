"""Losses of detection nets."""

import keras
from keras import ops

from keras_models.layers.precision import widened


def smooth_l1(errors, sigma: float = 1.0):
    """0.5 (sigma x)^2 of errors below 1 / sigma^2, |x| - 0.5 / sigma^2 of larger ones.

    Args:
        errors: of any shape; computed in float32 at least.
        sigma: 1 in Fast R-CNN; 3 in the proposal net of the authors' code of Faster R-CNN.

    Source: Girshick 2015, Eqn 3.
    """
    sizes = ops.abs(widened(ops.convert_to_tensor(errors)))
    square = sigma**2
    return ops.where(sizes < 1 / square, 0.5 * square * sizes * sizes, sizes - 0.5 / square)


@keras.saving.register_keras_serializable(package="keras_models")
class SmoothL1(keras.losses.Loss):
    """`smooth_l1` of `y_pred - y_true`, the sum over the last axis.

    Args:
        sigma: as of `smooth_l1`; positive.
    """

    def __init__(self, sigma: float = 1.0, name: str = "smooth_l1", **kwargs):
        super().__init__(name=name, **kwargs)
        if sigma <= 0:
            raise ValueError(f"sigma must be positive, not {sigma!r}.")
        self.sigma = sigma

    def call(self, y_true, y_pred):
        true, answer = (widened(ops.convert_to_tensor(y)) for y in (y_true, y_pred))
        return ops.sum(smooth_l1(answer - true, self.sigma), axis=-1)

    def get_config(self):
        return super().get_config() | {"sigma": self.sigma}


def proposal_loss(logits, codes, kinds, targets, places, sigma: float = 3.0, weights=1.0) -> tuple:
    """The two terms of the loss of a region proposal net, a number a picture each, not yet weighed.

    Args:
        logits: [N, S] of "object" against "none" for the S anchors that are drawn.
        codes: [N, S, 4], their answers t.
        kinds: [N, S]: 1 positive, 0 negative, -1 no anchor.
        targets: [N, S, 4], t*.
        places: N_reg, the number of places of anchors.
        sigma: of `smooth_l1`.
        weights: how much each anchor counts, [N, S].

    Returns:
        L_cls and L_reg, float32 [N]: the cross-entropy over N_cls = S, and the smooth L1 of the
        positive anchors over `places`. Eqn 1 is L_cls + 10 L_reg.

    Source: Ren et al. 2015, Eqn 1.
    """
    logits = widened(ops.convert_to_tensor(logits))
    positive, used = ops.cast(kinds == 1, logits.dtype), kinds >= 0
    # log(1 + exp(x)) - p x, in the form that does not overflow.
    entropy = ops.softplus(logits) - positive * logits
    class_loss = ops.sum(ops.where(used, weights * entropy, 0.0), axis=-1) / logits.shape[-1]
    return class_loss, _box_loss(codes, targets, kinds == 1, sigma, weights) / places


def region_loss(logits, codes, labels, targets, sigma: float = 1.0, weights=1.0) -> tuple:
    """The two terms of the multi-task loss of regions, a number a picture each, not yet weighed.

    Args:
        logits: [N, S, classes + 1], the background first.
        codes: [N, S, classes, 4]: t^u of each class, or [N, S, 4] of all.
        labels: u, int [N, S]: 0 for background, number of the class + 1; -1 no region.
        targets: v, [N, S, 4].
        sigma: of `smooth_l1`.
        weights: how much each region counts, [N, S].

    Returns:
        L_cls and [u >= 1] L_loc, float32 [N], the mean over the S regions. Eqn 1 adds them up.

    Source: Girshick 2015, Eqns 1 to 3.
    """
    logits, codes = (widened(ops.convert_to_tensor(x)) for x in (logits, codes))
    number = logits.shape[1]
    labels = ops.cast(labels, "int32")
    entropy = keras.losses.sparse_categorical_crossentropy(
        ops.maximum(labels, 0), logits, from_logits=True
    )
    class_loss = ops.sum(ops.where(labels >= 0, weights * entropy, 0.0), axis=-1) / number
    if len(codes.shape) == 4:
        # By a product: the gradient of a gather is slow on some backends.
        chosen = ops.one_hot(labels - 1, codes.shape[2], dtype="bool")[..., None]
        codes = ops.sum(ops.where(chosen, codes, 0.0), axis=2)
    return class_loss, _box_loss(codes, targets, labels >= 1, sigma, weights) / number


def _box_loss(codes, targets, counted, sigma: float, weights):
    codes = widened(ops.convert_to_tensor(codes))
    errors = ops.where(counted[..., None], codes - targets, 0.0)
    return ops.sum(weights * ops.sum(smooth_l1(errors, sigma), axis=-1), axis=-1)
