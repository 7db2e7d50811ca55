"""Variables that an optimizer moves at a part of its rate."""

import keras
import numpy as np
import pytest

from keras_models.optimizers import with_smaller_rate


def moved(optimizer, steps=1) -> list[np.ndarray]:
    """How far two variables of the same value go by the same gradient."""
    variables = [keras.Variable([1.0, -2.0], name=name) for name in ("slow", "fast")]
    optimizer.build(variables)
    with_smaller_rate(optimizer, variables[:1], 0.1)
    for _ in range(steps):
        gradient = keras.ops.array([0.5, 0.25])
        optimizer.apply([gradient, gradient], variables)
    return [np.asarray(variable) - [1.0, -2.0] for variable in variables]


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Lion", "Adagrad", "Nadam"])
def test_the_step_is_a_part_of_the_others(name):
    slow, fast = moved(getattr(keras.optimizers, name)(0.01), steps=2)
    assert np.abs(fast).min() > 1e-4
    np.testing.assert_allclose(slow, 0.1 * fast, rtol=1e-3)


def test_a_scaled_loss_changes_nothing_of_it():
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))
    variables = [keras.Variable(1.0, name=name) for name in ("slow", "fast")]
    optimizer.build(variables)
    with_smaller_rate(optimizer, variables[:1], 0.5)
    gradient = optimizer.scale_loss(keras.ops.array(1.0))
    optimizer.apply([gradient, gradient], variables)
    np.testing.assert_allclose([0.95, 0.9], [np.asarray(each) for each in variables], rtol=1e-6)


def test_a_model_with_it_is_saved_as_any_other(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(with_smaller_rate(keras.optimizers.Adam(0.1), [], 0.5), "mse")
    model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
    model.save(tmp_path / "net.keras")
    assert type(keras.models.load_model(tmp_path / "net.keras").optimizer) is keras.optimizers.Adam
