"""Damped and saddle-free Newton steps against those of explicit matrices."""

import keras
import numpy as np
import pytest

from keras_models.optimizers import DampedNewton, Diverged, SaddleFreeNewton

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def small_net(seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((3,), dtype="float64"),
            keras.layers.Dense(4, activation="softplus", dtype="float64"),
            keras.layers.Dense(2, dtype="float64"),
        ]
    )


@pytest.fixture(scope="module")
def examples():
    x = np.random.default_rng(0).standard_normal((30, 3))
    return x, (x[:, 0] * x[:, 1] > 0).astype("int32")


@pytest.mark.parametrize("vectors", [None, 22])
@pytest.mark.parametrize("method", [DampedNewton, SaddleFreeNewton])
def test_a_step_is_that_of_the_explicit_matrix(method, vectors, examples):
    # 22 Lanczos vectors span all of the directions that the gradient and the Hessian reach.
    newton = method(small_net(), LOSS, vectors=vectors, dampings=[0.1])
    objective, start = newton.objective, newton.objective.vector
    loss, gradient = objective.loss_and_gradient(start, *examples)
    values, directions = np.linalg.eigh(objective.hessian(start, *examples))
    assert values[0] < -1e-3, "no saddle here"
    if method is SaddleFreeNewton:
        values = np.abs(values)
    expected = start - directions @ ((directions.T @ gradient) / (values + 0.1))
    records = newton.step(*examples)
    assert records["loss"] == pytest.approx(loss)
    if objective.loss(expected, *examples) < loss:
        np.testing.assert_allclose(objective.vector, expected, rtol=1e-5, atol=1e-7)
        assert records["damping"] == 0.1
    else:
        np.testing.assert_array_equal(objective.vector, start)


def test_the_damping_is_the_best_of_the_set(examples):
    newton = SaddleFreeNewton(small_net(), LOSS)
    start = newton.objective.vector
    tried = {}
    for damping in newton.dampings:
        alone = SaddleFreeNewton(small_net(), LOSS, dampings=[damping])
        tried[damping] = alone.step(*examples)["loss_after"]
    records = newton.step(*examples)
    assert records["loss_after"] == pytest.approx(min(tried.values()))
    assert newton.objective.loss(newton.objective.vector, *examples) == records["loss_after"]
    assert not np.array_equal(newton.objective.vector, start)


def test_saddle_free_escapes_where_damped_newton_stays():
    # f = (1 - w v)^2 / 2 has a saddle at 0, where both weights are nearly nothing.
    def net():
        model = keras.Sequential(
            [
                keras.Input((1,), dtype="float64"),
                *[keras.layers.Dense(1, use_bias=False, dtype="float64") for _ in range(2)],
            ]
        )
        for variable, value in zip(model.trainable_variables, (1e-3, -0.9e-3), strict=True):
            variable.assign([[value]])
        return model

    x = y = np.ones((1, 1))
    free = SaddleFreeNewton(net(), "mean_squared_error")
    assert free.fit(x, y, epochs=30)[-1]["loss_after"] < 1e-6
    damped = DampedNewton(net(), "mean_squared_error", dampings=[1e-6])
    assert damped.fit(x, y, epochs=30)[-1]["loss"] > 0.9


@pytest.mark.parametrize("vectors", [None, 5])
def test_goes_on_as_if_it_had_not_stopped(vectors, examples, tmp_path):
    whole = SaddleFreeNewton(small_net(), LOSS, vectors=vectors, inner_steps=2)
    records = whole.fit(*examples, epochs=3, batch_size=15)
    first = SaddleFreeNewton(small_net(), LOSS, vectors=vectors, inner_steps=2)
    assert first.fit(*examples, epochs=1, batch_size=15) == records[:2]
    first.save(str(tmp_path / "state.npz"))
    second = SaddleFreeNewton(small_net(seed=1), LOSS, vectors=vectors, inner_steps=2)
    second.load(str(tmp_path / "state.npz"))
    assert second.fit(*examples, epochs=3, batch_size=15) == records[2:]
    np.testing.assert_array_equal(second.objective.vector, whole.objective.vector)
    assert all(record["loss_after"] <= record["loss"] for record in records)
    with pytest.raises(ValueError, match="holds SaddleFreeNewton"):
        DampedNewton(small_net(), LOSS).load(str(tmp_path / "state.npz"))
    with pytest.raises(ValueError, match=r"ends with \.npz"):
        second.save(str(tmp_path / "state"))


def test_no_number_stops_with_the_step_the_batch_and_advice(examples):
    x, y = examples[0].copy(), examples[1]
    x[7] = np.nan
    newton = SaddleFreeNewton(small_net(), LOSS)
    before = newton.objective.vector
    with pytest.raises(Diverged, match=r"nan at step 1 \(batch 1 of epoch 1\).*learning rate"):
        newton.fit(x, y)
    np.testing.assert_array_equal(newton.objective.vector, before)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (keras.layers.Dropout(0.5), "without dropout"),
        (keras.layers.BatchNormalization(), "without dropout, noise and batch normalization"),
        (keras.layers.Dense(2, dtype="mixed_float16"), "mixed_precision=false"),
        (keras.layers.Dense(2, activity_regularizer="l2"), "left out of the loss"),
    ],
)
def test_refuses_what_it_cannot_train(layer, words):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3), layer])
    with pytest.raises(ValueError, match=words):
        SaddleFreeNewton(model, LOSS)


def test_bad_arguments_are_told():
    for arguments in ({"dampings": []}, {"dampings": [0.0]}, {"vectors": 0}, {"inner_steps": 0}):
        with pytest.raises(ValueError, match="must be"):
            SaddleFreeNewton(small_net(), LOSS, **arguments)
    with pytest.raises(ValueError, match="cannot be drawn"):
        SaddleFreeNewton(small_net(), LOSS).fit(np.zeros((4, 3)), np.zeros(4), batch_size=5)
