"""Hessian-free steps against solutions of the explicit systems."""

import keras
import numpy as np
import pytest

from keras_models.optimizers import Diverged, HessianFree
from keras_models.optimizers.hessian_free import _falls_no_more, conjugate_gradients

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def net(seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((4,), dtype="float64"),
            keras.layers.Dense(6, activation="softplus", dtype="float64"),
            keras.layers.Dense(3, dtype="float64"),
        ]
    )


@pytest.fixture(scope="module")
def examples():
    x = np.random.default_rng(0).standard_normal((60, 4))
    return x, np.argmax(x[:, :3] * x[:, 1:], axis=1)


def test_conjugate_gradients_solve_the_system():
    random = np.random.default_rng(0)
    root = random.standard_normal((20, 20))
    matrix, gradient = root @ root.T + np.eye(20), random.standard_normal(20)
    solutions = conjugate_gradients(
        lambda v: matrix @ v, gradient, random.standard_normal(20), np.diag(matrix), 200
    )
    exact = np.linalg.solve(matrix, -gradient)
    _, p, value = solutions[-1]
    lowest = 0.5 * exact @ matrix @ exact + gradient @ exact
    assert value == pytest.approx(0.5 * p @ matrix @ p + gradient @ p)
    # The test ends once 10 iterations have gained less than half a percent.
    assert lowest - 1e-9 <= value < 0.99 * lowest
    numbers = [number for number, *_ in solutions]
    assert numbers == sorted(set(numbers)) and numbers[:4] == [1, 2, 3, 4]
    assert np.diff([value for *_, value in solutions]).max() < 0


def test_a_step_is_the_solution_of_the_damped_system(examples):
    free = HessianFree(net(), LOSS, damping=5.0)
    objective, start = free.objective, free.objective.vector
    loss, gradient = objective.loss_and_gradient(start, *examples)
    columns = [objective.gauss_newton_product(start, *examples, e) for e in np.eye(start.size)]
    damped = np.stack(columns) + 5.0 * np.eye(start.size)
    expected = np.linalg.solve(damped, -gradient)
    records = free.step(*examples)
    np.testing.assert_allclose(
        objective.vector - start, expected, atol=2e-3 * np.abs(expected).max()
    )
    fall = 0.5 * expected @ damped @ expected + gradient @ expected
    assert records["ratio"] == pytest.approx((records["loss_after"] - loss) / fall, rel=1e-2)
    # The model was good, so that the damping shrinks.
    assert records["ratio"] > 0.75 and free.damping == pytest.approx(5.0 * 2 / 3)
    assert records["length"] == 1.0


def test_learns_and_goes_on_as_if_it_had_not_stopped(examples, tmp_path):
    settings = {"curvature_share": 0.5, "chunk": 25}
    whole = HessianFree(net(), LOSS, **settings)
    records = whole.fit(*examples, epochs=12)
    assert records[-1]["loss_after"] < 0.3 * records[0]["loss"]
    assert all(record["loss_after"] <= record["loss"] for record in records)
    first = HessianFree(net(), LOSS, **settings)
    first.fit(*examples, epochs=5)
    first.save(str(tmp_path / "state.npz"))
    second = HessianFree(net(seed=1), LOSS, **settings)
    second.load(str(tmp_path / "state.npz"))
    assert second.fit(*examples, epochs=12) == records[5:]
    np.testing.assert_array_equal(second.objective.vector, whole.objective.vector)


def test_no_number_stops(examples):
    x = examples[0].copy()
    x[3, 0] = np.inf
    with pytest.raises(Diverged, match="step 1"):
        HessianFree(net(), LOSS).fit(x, examples[1])


@pytest.mark.parametrize(
    "arguments",
    [{"damping": 0.0}, {"iterations": 0}, {"curvature_share": 0.0}, {"warm": 2.0}],
)
def test_bad_arguments_are_told(arguments):
    with pytest.raises(ValueError, match="must be"):
        HessianFree(net(), LOSS, **arguments)


def test_conjugate_gradients_end_by_martens_test():
    def values(number, since, now):
        back = max(10, number // 10)
        return [0.0] * (number - back) + [since] * back + [now]

    # Over 10 iterations half a percent; over 20, of the 200th, one.
    for number, least in ((20, 0.005), (200, 0.01)):
        assert _falls_no_more(values(number, -1 + 0.98 * least, -1.0), number)
        assert not _falls_no_more(values(number, -1 + 1.02 * least, -1.0), number)
    assert not _falls_no_more(values(10, -1.0, -1.0), 10)
    assert not _falls_no_more(values(20, 1.0, 1.0), 20)


def parabola(inputs=((1.0,),), **arguments) -> tuple[HessianFree, np.ndarray, np.ndarray]:
    """The loss is (w - 1)^2 times the mean of the squared inputs, from w = 0 on."""
    dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros", dtype="float64")
    model = keras.Sequential([keras.Input((1,), dtype="float64"), dense])
    return HessianFree(model, "mean_squared_error", **arguments), *(2 * [np.array(inputs)])


def test_goes_back_to_the_solution_before_the_loss_rises():
    free, *given = parabola()
    start = np.zeros(1)

    def chosen(*steps):
        solutions = [(n, np.array([step]), -float(n)) for n, step in enumerate(steps)]
        step, value, after = free._backtracked(solutions, start, *given)
        assert after == pytest.approx((step[0] - 1) ** 2)
        return step[0], value

    assert chosen(0.5, 0.9, 1.5, 3.0) == (0.9, -1.0)
    # No farther, though an earlier one is lower still.
    assert chosen(1.0, 3.0, 2.0) == (2.0, -2.0)


@pytest.mark.parametrize(
    ("step", "length"),
    # Too long; lower, but not by a hundredth of what the slope says; long enough; uphill.
    [(2.4, 0.8), (1.99, 0.8), (1.0, 1.0), (3.0, 0.8**2), (-1.0, 0.0)],
)
def test_the_line_search_shortens_until_the_loss_has_fallen_enough(step, length):
    free, *given = parabola()
    loss, after = 1.0, (step - 1) ** 2
    found = free._line_search(np.array([step]), -2 * step, np.zeros(1), loss, after, *given)
    assert found == pytest.approx((length, (length * step - 1) ** 2))


@pytest.mark.parametrize(
    ("damping", "ratio", "factor"),
    [(1.0, -1.93, 3 / 2), (2.208, 0.2, 3 / 2), (2.653, 0.5, 1.0), (20.0, 1.8, 2 / 3)],
)
def test_the_damping_follows_how_good_the_model_was(damping, ratio, factor):
    # Curvature is of the first example, which has little of it: a small damping goes too far.
    free, *given = parabola([[0.1], [2.0]], damping=damping, curvature_share=0.5)
    assert free.step(*given)["ratio"] == pytest.approx(ratio, abs=0.01)
    assert free.damping == pytest.approx(factor * damping)


def test_the_preconditioner_is_martens(examples):
    free = HessianFree(net(), LOSS, damping=0.01, iterations=1)
    objective, start, (x, y) = free.objective, free.objective.vector, examples
    ones = [objective.loss_and_gradient(start, x[n : n + 1], y[n : n + 1])[1] for n in range(60)]
    squares = np.mean(np.square(ones), axis=0)
    expected = -np.mean(ones, axis=0) / (squares + 0.01) ** 0.75
    free.step(x, y)
    # One iteration from 0 goes along the scaled gradient.
    found = free.direction / np.linalg.norm(free.direction)
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), rtol=1e-6, atol=1e-9)
