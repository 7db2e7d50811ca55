"""The sum of functions optimizer on sums whose least is known, and on a network."""

import keras
import numpy as np
import pytest

from keras_models.optimizers import Diverged, SumOfFunctions

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def linear() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [keras.Input((6,), dtype="float64"), keras.layers.Dense(1, dtype="float64")]
    )


def net(seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((4,), dtype="float64"),
            keras.layers.Dense(8, activation="softplus", dtype="float64"),
            keras.layers.Dense(3, dtype="float64"),
        ]
    )


@pytest.fixture(scope="module")
def examples():
    x = np.random.default_rng(0).standard_normal((200, 4))
    return x, np.argmax(x[:, :3] * x[:, 1:], axis=1)


def test_finds_the_least_squares():
    random = np.random.default_rng(0)
    x = random.standard_normal((120, 6)) * [1, 2, 0.5, 1, 3, 1]
    y = (x @ random.standard_normal(6) + 0.1 * random.standard_normal(120))[:, None]
    sums = SumOfFunctions(linear(), "mean_squared_error")
    records = sums.fit(x, y, epochs=25, batch_size=20)
    with_one = np.column_stack([x, np.ones(120)])
    exact, *_ = np.linalg.lstsq(with_one, y[:, 0], rcond=None)
    np.testing.assert_allclose(sums.objective.vector, exact, atol=1e-3)
    # It began with two of the six batches and took all of them in.
    assert records[0]["active"] == 2 and records[-1]["active"] == 6


# After three rounds the subspace still grows.
@pytest.mark.parametrize(("history", "batch_size", "epochs"), [(4, 50, 9), (10, 20, 3)])
def test_learns_and_goes_on_as_if_it_had_not_stopped(
    history, batch_size, epochs, examples, tmp_path
):
    whole = SumOfFunctions(net(), LOSS, history=history)
    start = whole.objective.loss(whole.objective.vector, *examples)
    records = whole.fit(*examples, epochs=20, batch_size=batch_size)
    assert whole.objective.loss(whole.objective.vector, *examples) < 0.7 * start
    first = SumOfFunctions(net(), LOSS, history=history)
    before = first.fit(*examples, epochs=epochs, batch_size=batch_size)
    first.save(str(tmp_path / "state.npz"))
    second = SumOfFunctions(net(seed=1), LOSS, history=history)
    second.load(str(tmp_path / "state.npz"))
    assert before + second.fit(*examples, epochs=20, batch_size=batch_size) == records
    np.testing.assert_array_equal(second.objective.vector, whole.objective.vector)
    with pytest.raises(ValueError, match=r"knows \d+ batches, and these are 2"):
        second.fit(*examples, epochs=30, batch_size=100)


def test_a_state_of_another_version(tmp_path):
    path = str(tmp_path / "state.npz")
    sums = SumOfFunctions(net(), LOSS)
    sums.save(path)
    with np.load(path) as file:
        np.savez(path, **{name: file[name] for name in file.files if name != "spans"})
    with pytest.raises(ValueError, match="another version: it lacks spans"):
        sums.load(path)


def test_no_number_stops(examples):
    x = examples[0].copy()
    x[:] = np.nan
    with pytest.raises(Diverged, match=r"step 1 \(batch 1"):
        SumOfFunctions(net(), LOSS).fit(x, examples[1])


def test_a_bad_example_in_a_later_batch_stops_too(examples):
    x = examples[0].copy()
    x[-1] = np.nan
    with pytest.raises(Diverged, match=r"the loss is nan at step \d+ \(batch 4"):
        SumOfFunctions(net(), LOSS).fit(x, examples[1], epochs=6, batch_size=50)


def test_bad_arguments_are_told(examples):
    with pytest.raises(ValueError, match="must be 1 or more"):
        SumOfFunctions(net(), LOSS, history=0)
    with pytest.raises(NotImplementedError, match="use fit"):
        SumOfFunctions(net(), LOSS).step(*examples)


def prepared(batches: int, directions: int) -> SumOfFunctions:
    """All batches in use and seen twice at 0, in the subspace of the first weights."""
    sums = SumOfFunctions(linear(), "mean_squared_error")
    sums.basis, sums.place = np.eye(7)[:, :directions], np.zeros(directions)
    sums._start(batches)
    sums.active[:], sums.seen[:] = True, 2
    return sums


def remember(sums: SumOfFunctions, number: int, moves, changes) -> None:
    sums.moves[number, : len(moves)], sums.changes[number, : len(changes)] = moves, changes
    sums._hessians[number] = sums._hessian(number)


def test_curvature_that_is_not_positive_becomes_the_median():
    sums = prepared(1, 3)
    remember(sums, 0, np.eye(3)[:2], np.diag([-2.0, 3.0, 0.0])[:2])
    least, axes, inner = sums._hessians[0]
    found = least * np.eye(3) + axes @ inner @ axes.T
    np.testing.assert_allclose(found, np.diag([2.5, 3.0, 2.0]), atol=1e-9)


def test_looks_at_the_batch_that_is_farthest_as_the_hessian_measures():
    sums = prepared(3, 2)
    remember(sums, 2, np.eye(2), np.diag([100.0, 1.0]))
    for far in (0, 1):
        sums.positions[far], sums.positions[1 - far] = [1.0, 0.0], [0.0, 2.0]
        assert sums._farthest() == far
    sums.active[1] = False
    assert sums._farthest() == 0
    sums.seen[2] = 1
    assert sums._farthest() == 2


def test_takes_more_batches_only_when_their_gradients_differ():
    sums = prepared(8, 2)
    sums.active[4:] = False
    sums.gradients[:4] = [1.0, 0.0]
    sums._grow_active()
    assert sums.active.sum() == 4
    sums.gradients[:2] = [-1.0, 0.0]
    sums.seen[0] = 1
    sums._grow_active()
    assert sums.active.sum() == 4
    sums.seen[0] = 2
    sums._grow_active()
    assert sums.active.all()


def test_a_step_to_a_far_higher_loss_is_taken_back(examples):
    x, y = examples[0][:, [0, 1, 2, 3, 0, 1]], examples[1][:, None].astype("float64")
    sums = SumOfFunctions(linear(), "mean_squared_error")
    sums.fit(x, y, epochs=4, batch_size=50)
    sums.place = sums.place + 100.0
    far = sums.origin + sums.basis @ sums.place
    seen = sums.seen[0]
    records = sums._look(0, x[:50], y[:50])
    assert records["accepted"] == 0 and sums.seen[0] == seen + 1
    middle = sums.origin + sums.basis @ sums.positions[sums.active].mean(axis=0)
    np.testing.assert_allclose(sums.objective.vector, (far + middle) / 2)


def test_the_subspace_stays_small_and_keeps_the_weights(examples):
    sums = SumOfFunctions(net(), LOSS)
    for epochs in range(1, 13):
        sums.fit(*examples, epochs=epochs, batch_size=100)
        # Twice as many as the positions and gradients of two batches, and two more.
        assert sums.basis.shape[1] <= 12
    before = sums.basis @ sums.positions.T
    sums._collapse()
    assert sums.basis.shape[1] <= 5
    np.testing.assert_allclose(sums.basis @ sums.positions.T, before, atol=1e-9)
    np.testing.assert_allclose(sums.origin + sums.basis @ sums.place, sums.objective.vector)
