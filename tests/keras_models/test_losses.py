"""The losses against their formulas in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_models.losses import MAPCriterion, SmoothedCrossentropy, SquashedSquaredError


@pytest.fixture
def penalties():
    return np.random.default_rng(0).uniform(0, 30, (6, 10)).astype("float32")


LABELS = np.array([3, 1, 4, 1, 5, 9])


def eqn_9(y, labels, j):
    return np.array(
        [
            row[label] + np.log(np.exp(-j) + np.exp(-row).sum())
            for row, label in zip(y.astype("float64"), labels, strict=True)
        ]
    )


@pytest.mark.parametrize("rubbish", [0.1, 1.0, 20.0])
@pytest.mark.parametrize("shape", [(6,), (6, 1)])
def test_map_criterion_is_equation_9(penalties, rubbish, shape):
    loss = MAPCriterion(rubbish, reduction="none")
    np.testing.assert_allclose(
        loss(LABELS.reshape(shape), -penalties), eqn_9(penalties, LABELS, rubbish), rtol=1e-5
    )
    mean = MAPCriterion(rubbish)(LABELS.reshape(shape), -penalties)
    np.testing.assert_allclose(mean, eqn_9(penalties, LABELS, rubbish).mean(), rtol=1e-5)


def test_map_criterion_is_finite_for_huge_penalties_and_pulls_the_right_one_down():
    y = tf.constant([[900.0, 800.0, 700.0]])
    with tf.GradientTape() as tape:
        tape.watch(y)
        loss = MAPCriterion()(np.array([0]), -y)
    np.testing.assert_allclose(loss, 899.0)
    # All three are "rubbish": only the penalty of the right class moves.
    np.testing.assert_allclose(tape.gradient(loss, y), [[1.0, 0.0, 0.0]], atol=1e-6)


def test_map_criterion_computes_in_float32_from_short_types(penalties):
    halves = tf.cast(-penalties, tf.float16)
    loss = MAPCriterion()(LABELS, halves)
    assert loss.dtype == tf.float32
    expected = eqn_9(-np.asarray(halves, "float32"), LABELS, 1.0).mean()
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_map_criterion_is_rebuilt_from_its_config():
    loss = keras.losses.deserialize(keras.losses.serialize(MAPCriterion(2.5)))
    assert isinstance(loss, MAPCriterion) and loss.rubbish == 2.5


@pytest.mark.parametrize("rubbish", [0, -1.0])
def test_the_rubbish_penalty_is_positive(rubbish):
    with pytest.raises(ValueError, match="positive"):
        MAPCriterion(rubbish)


def test_squashed_squared_error_by_hand():
    """A unit at its target costs nothing; one at 0 costs 1, whatever its target."""
    at_target = 1.5 * np.arctanh(1 / 1.7159)
    logits = np.array([[at_target, -at_target, -at_target], [0, 0, at_target]], "float32")
    loss = SquashedSquaredError(reduction="none")
    np.testing.assert_allclose(loss(np.array([0, 2]), logits), [0, 2 / 3], atol=1e-6)
    # A whole unit from -1 to +1.
    np.testing.assert_allclose(loss(np.array([[1]]), logits[:1]), [8 / 3], rtol=1e-6)
    assert isinstance(
        keras.losses.deserialize(keras.losses.serialize(SquashedSquaredError())),
        SquashedSquaredError,
    )


@pytest.mark.parametrize("loss", [MAPCriterion(), SquashedSquaredError()])
@pytest.mark.parametrize("label", [4, -1, np.nan])
def test_a_label_that_is_no_class_has_no_loss(loss, label):
    logits = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    losses = np.asarray(loss.call(np.array([0, label, 3]), logits))
    np.testing.assert_array_equal(np.isnan(losses), [False, True, False])


@pytest.mark.parametrize("loss", [MAPCriterion(), SquashedSquaredError()])
def test_a_loss_at_the_edges_of_numbers(loss):
    logits = np.array([[6e4, 0, 0, 0], [0, 6e4, 0, 0], [1, 2, 3, np.nan]])
    exact = np.asarray(loss.call(np.zeros(3, int), logits))
    assert exact.dtype == "float64" and np.isfinite(exact[:2]).all() and np.isnan(exact[2])
    for dtype in ("float16", "bfloat16", "float32"):
        short = keras.ops.cast(keras.ops.convert_to_tensor(logits), dtype)
        found = np.asarray(loss.call(np.zeros(3, int), short))
        np.testing.assert_allclose(found, exact, rtol=5e-3)


def test_smoothed_labels_are_keras_own_of_rows():
    logits = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
    labels = np.array([0, 1, 2, 3, 1, 0])
    for smoothing in (0.0, 0.1, 0.5):
        loss = SmoothedCrossentropy(smoothing)
        rows = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
        expected = rows(np.eye(4)[labels], logits)
        np.testing.assert_allclose(loss(labels, logits), expected, rtol=1e-6)
        again = SmoothedCrossentropy.from_config(loss.get_config())
        np.testing.assert_array_equal(again(labels[:, None], logits), loss(labels, logits))
    assert np.isnan(SmoothedCrossentropy()(np.array([4]), logits[:1]))
    with pytest.raises(ValueError, match="from 0 to 1"):
        SmoothedCrossentropy(1.5)
