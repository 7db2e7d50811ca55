"""A training whose loss is no number stops, and says where and what to do."""

import keras
import numpy as np
import pytest

from keras_models.optimizers import (
    DampedNewton,
    Diverged,
    HessianFree,
    SaddleFreeNewton,
    StopOnDivergence,
)


def fit(rate: float, bad: int | None = None, **compiled) -> keras.callbacks.History:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(rate), "mse", **compiled)
    x = np.random.default_rng(0).standard_normal((40, 4)).astype("float32")
    if bad is not None:
        x[bad] = np.nan
    return model.fit(
        x,
        x[:, :1],
        batch_size=8,
        epochs=3,
        shuffle=False,
        verbose=0,
        callbacks=[StopOnDivergence()],
    )


def test_the_batch_and_the_step_are_named():
    with pytest.raises(Diverged, match=r"nan at step 4 \(batch 4 of epoch 1\)"):
        fit(0.01, bad=27)


def test_an_epoch_has_no_more_batches_than_it_has():
    """Keras numbers batches by whole executions: it would be the eighth of five."""
    with pytest.raises(Diverged, match=r"nan at step 5 \(batch 5 of epoch 1\)"):
        fit(0.01, bad=35, steps_per_execution=4)


def test_a_rate_that_is_too_large_is_told():
    with pytest.raises(Diverged, match=r"divide it by 10 \(it was 1e\+15\).*gradient_error"):
        fit(1e15)


def test_a_finite_loss_goes_on():
    losses = fit(0.01).history["loss"]
    assert len(losses) == 3 and losses[-1] < losses[0]


@pytest.mark.parametrize(
    "method",
    [
        DampedNewton,
        SaddleFreeNewton,
        lambda *given: SaddleFreeNewton(*given, vectors=1),
        HessianFree,
    ],
    ids=["damped-newton", "saddle-free-newton", "lanczos", "hessian-free"],
)
def test_curvature_that_is_no_number_stops_though_loss_and_gradient_are_finite(method):
    model = keras.Sequential(
        [keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros", use_bias=False)]
    )

    class Between(keras.losses.Loss):
        """Has no second derivative where an output is its target."""

        def call(self, y, outputs):
            return keras.ops.sum(keras.ops.abs(outputs - y) ** 1.5, axis=-1)

    x, y = np.ones((2, 1), "float32"), np.array([[0.0], [1.0]], "float32")
    with pytest.raises(Diverged, match=r"step 1 \(batch 1 of epoch 1, of its (Hessian|curvature)"):
        method(model, Between()).fit(x, y)
