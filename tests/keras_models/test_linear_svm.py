"""The dual coordinate descent, against LIBLINEAR's."""

import numpy as np
import pytest
from sklearn.svm import LinearSVC

from keras_models.optimizers.linear_svm import fit_linear_svm


def examples(number: int, length: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(number, length)).astype(np.float32)
    return x, x[:, :3].sum(axis=1) + 0.5 * draw.normal(size=number) > 1.5


@pytest.mark.parametrize(("cost", "bias_scale"), [(1.0, 1.0), (0.01, 10.0)])
@pytest.mark.parametrize("length", [5, 400])
def test_it_is_liblinears_minimum(cost, bias_scale, length):
    x, positive = examples(200, length)
    found = fit_linear_svm(x, positive, cost, 2.0, bias_scale, tolerance=1e-4)
    known = LinearSVC(
        C=cost,
        loss="hinge",
        class_weight={True: 2.0},
        intercept_scaling=bias_scale,
        tol=1e-6,
        max_iter=200_000,
    ).fit(x.astype(np.float64), positive)
    weights, bias = known.coef_[0], float(known.intercept_[0])
    margins = np.where(positive, 1, -1) * (x @ weights + bias)
    costs = np.where(positive, 2 * cost, cost)
    objective = 0.5 * (weights @ weights + (bias / bias_scale) ** 2)
    objective += np.maximum(0, 1 - margins) @ costs
    assert found.objective == pytest.approx(objective, rel=1e-2)
    np.testing.assert_allclose(found.weights, weights, atol=2e-3 * np.abs(weights).max())
    assert found.bias == pytest.approx(bias, abs=5e-3)


def test_easy_examples_do_not_count():
    x, positive = examples(300, 8)
    found = fit_linear_svm(x, positive, tolerance=1e-4)
    margins = np.where(positive, 1, -1) * (x @ found.weights + found.bias)
    hard = margins < 1.001
    assert hard.sum() < 200
    again = fit_linear_svm(x[hard], positive[hard], tolerance=1e-4)
    np.testing.assert_allclose(again.weights, found.weights, atol=2e-3)


def test_the_same_seed_gives_the_same():
    x, positive = examples(100, 4)
    one, other = (fit_linear_svm(x, positive, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.weights, other.weights)


@pytest.mark.parametrize(
    ("labels", "arguments", "reason"),
    [
        ([True] * 4, {}, "both classes"),
        ([False] * 4, {}, "both classes"),
        ([True, False], {}, "both classes"),
        ([True, False] * 2, {"cost": 0}, "must be positive"),
        ([True, False] * 2, {"positive_weight": -1}, "must be positive"),
    ],
)
def test_what_it_refuses(labels, arguments, reason):
    with pytest.raises(ValueError, match=reason):
        fit_linear_svm(np.ones((4, 2)), np.array(labels), **arguments)
