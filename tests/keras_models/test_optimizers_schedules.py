"""Keras' optimizers against the papers' update rules by hand, and rates that change."""

import keras
import numpy as np
import pytest

from keras_models.optimizers import DivideOnPlateau, SutskeverSGD

GRADIENTS = [np.random.default_rng(n).standard_normal(3) for n in range(8)]
START = np.array([1.0, -2.0, 0.5])
# Keras keeps constants such as rates as float32.
CLOSE = {"rtol": 1e-5, "atol": 1e-7}


def walked(optimizer, gradients=GRADIENTS, change=None):
    """The values of a variable after each gradient; `change` is called before the fifth."""
    variable = keras.Variable(START, dtype="float64")
    optimizer.build([variable])
    values = []
    for number, gradient in enumerate(gradients):
        if change and number == 4:
            change(optimizer)
        optimizer.apply([keras.ops.convert_to_tensor(gradient)])
        values.append(keras.ops.convert_to_numpy(variable))
    return values


def test_sgd():
    expected = START - 0.1 * np.cumsum(GRADIENTS, axis=0)
    np.testing.assert_allclose(walked(keras.optimizers.SGD(0.1)), expected, **CLOSE)


def test_momentum_holds_the_rate_in_the_velocity_after_a_change_too():
    # Krizhevsky et al. 2012, section 5: v <- 0.9 v - rate g, w <- w + v. In the other form, v <-
    # 0.9 v + g and w <- w - rate v, a division of the rate would brake at once.
    w, v, other, velocity = START, 0.0, START, 0.0
    found, braked = [], []
    for number, gradient in enumerate(GRADIENTS):
        rate = 0.1 if number < 4 else 0.01
        v = 0.9 * v - rate * gradient
        w = w + v
        velocity = 0.9 * velocity + gradient
        other = other - rate * velocity
        found.append(w)
        braked.append(other)
    values = walked(
        keras.optimizers.SGD(0.1, momentum=0.9),
        change=lambda optimizer: setattr(optimizer, "learning_rate", 0.01),
    )
    np.testing.assert_allclose(values, found, **CLOSE)
    np.testing.assert_allclose(values[:4], braked[:4], **CLOSE)
    assert np.abs(values[4] - braked[4]).max() > 0.05


def test_nesterov_is_at_the_point_ahead():
    # v <- mu v - rate f'(theta + mu v), theta <- theta + v; Keras' weights are theta + mu v.
    def slope(w):
        return w * np.array([1.0, 0.5, 2.0])

    theta, v, found = START, np.zeros(3), []
    for _ in range(8):
        v = 0.9 * v - 0.1 * slope(theta + 0.9 * v)
        theta = theta + v
        found.append(theta + 0.9 * v)
    variable = keras.Variable(START, dtype="float64")
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)
    values = []
    for _ in range(8):
        gradient = slope(keras.ops.convert_to_numpy(variable))
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        values.append(keras.ops.convert_to_numpy(variable))
    np.testing.assert_allclose(values, found, **CLOSE)


def test_adagrad_is_that_of_the_paper_without_its_start():
    # Duchi et al. 2011: w <- w - rate g / sqrt(sum of g^2); Keras adds 0.1 to the sum at first.
    total = np.cumsum(np.square(GRADIENTS), axis=0)
    expected = START - 0.5 * np.cumsum(GRADIENTS / np.sqrt(total), axis=0)
    paper = keras.optimizers.Adagrad(0.5, initial_accumulator_value=0.0, epsilon=1e-12)
    np.testing.assert_allclose(walked(paper), expected, **CLOSE)
    kept = START - 0.5 * np.cumsum(GRADIENTS / np.sqrt(total + 0.1), axis=0)
    plain = keras.optimizers.Adagrad(0.5, epsilon=1e-12)
    np.testing.assert_allclose(walked(plain), kept, **CLOSE)


@pytest.mark.parametrize("rate", [1.0, 0.25])
def test_adadelta_is_algorithm_1_at_a_rate_of_1(rate):
    w, squares, updates, found = START, 0.0, 0.0, []
    for gradient in GRADIENTS:
        squares = 0.95 * squares + 0.05 * gradient**2
        update = -np.sqrt(updates + 1e-6) / np.sqrt(squares + 1e-6) * gradient
        updates = 0.95 * updates + 0.05 * update**2
        # Keras' extra rate; the average is of the updates without it.
        w = w + rate * update
        found.append(w)
    optimizer = keras.optimizers.Adadelta(rate, rho=0.95, epsilon=1e-6)
    np.testing.assert_allclose(walked(optimizer), found, **CLOSE)


@pytest.mark.parametrize("nesterov", [False, True])
def test_sutskevers_momentum_grows(nesterov):
    def mu(step):
        return min(1 - 2.0 ** (-1 - np.log2(step // 2 + 1)), 0.8)

    assert [mu(step) for step in range(8)] == pytest.approx(
        [0.5, 0.5, 0.75, 0.75, 0.8, 0.8, 0.8, 0.8]
    )
    theta, v, found = START, np.zeros(3), []
    for step, gradient in enumerate(GRADIENTS):
        v = mu(step) * v - 0.1 * gradient
        theta = theta + v
        found.append(theta + (mu(step + 1) * v if nesterov else 0))
    optimizer = SutskeverSGD(0.1, momentum=0.8, period=2, nesterov=nesterov)
    np.testing.assert_allclose(walked(optimizer), found, **CLOSE)
    again = SutskeverSGD.from_config(optimizer.get_config())
    np.testing.assert_allclose(walked(again), found, **CLOSE)


def test_keras_schedules_by_steps_exponential_and_one_over_t():
    schedules = keras.optimizers.schedules
    steps = np.array([0, 9, 10, 25])

    def rates(schedule):
        return [float(schedule(step)) for step in steps]

    by_steps = schedules.PiecewiseConstantDecay([9, 19], [0.1, 0.01, 0.001])
    assert rates(by_steps) == pytest.approx([0.1, 0.1, 0.01, 0.001])
    exponential = schedules.ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5, staircase=True)
    assert rates(exponential) == pytest.approx([0.1, 0.1, 0.05, 0.025])
    one_over_t = schedules.InverseTimeDecay(0.1, decay_steps=5, decay_rate=1.0)
    assert rates(one_over_t) == pytest.approx(0.1 / (1 + steps / 5))


def plateau_model():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


def rates_of(callback, values, history):
    """The rates after each epoch, of an epoch each value of the monitored quantity."""
    found = []
    callback.on_train_begin()
    for epoch, value in enumerate(values):
        logs = {"val_loss": value}
        callback.on_epoch_end(epoch, logs)
        history.append(logs)
        found.append(
            round(float(keras.ops.convert_to_numpy(callback.model.optimizer.learning_rate)), 6)
        )
    return found


def test_divides_on_a_plateau_and_goes_on_where_it_was():
    values = [5, 4, 4, 4.1, 3, 3, 3, 3, 2]
    expected = [0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.001, 0.001, 0.001]
    history = []
    whole = DivideOnPlateau(history, patience=2)
    whole.set_model(plateau_model())
    assert rates_of(whole, values, history) == expected
    for stop in range(1, len(values)):
        history = []
        first = DivideOnPlateau(history, patience=2)
        first.set_model(plateau_model())
        before = rates_of(first, values[:stop], history)
        second = DivideOnPlateau(history, patience=2)
        # The rate is a variable of the optimizer, which the checkpoint holds.
        second.set_model(first.model)
        assert before + rates_of(second, values[stop:], history) == expected


def test_divides_the_rate_under_a_loss_that_is_scaled():
    model = plateau_model()
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1)), "mse")
    x = np.ones((2, 1))
    # No epoch is better by so much.
    plateau = DivideOnPlateau(patience=1, monitor="loss", change=1e9)
    model.fit(x, x, epochs=2, callbacks=[plateau], verbose=0)
    np.testing.assert_allclose(model.optimizer.learning_rate, 0.01, rtol=1e-6)


def test_plateau_says_what_is_wrong():
    with pytest.raises(ValueError, match="must be"):
        DivideOnPlateau(patience=0)
    model = plateau_model()
    x = np.ones((2, 1))
    with pytest.raises(ValueError, match="val_loss is not logged, but loss"):
        model.fit(x, x, callbacks=[DivideOnPlateau()], verbose=0)
    model.compile(
        keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)), "mse"
    )
    with pytest.raises(ValueError, match="follows a schedule"):
        model.fit(x, x, callbacks=[DivideOnPlateau(monitor="loss")], verbose=0)
    for wrong in ({"momentum": 0.2}, {"momentum": 1.0}, {"period": 0}):
        with pytest.raises(ValueError, match="must be"):
            SutskeverSGD(**wrong)
