"""Maxout and PReLU against the papers' formulas."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_models.layers import Maxout, prelu


def normal(shape):
    return np.random.default_rng(3).normal(size=shape).astype("float32")


@pytest.mark.parametrize(("shape", "axis"), [((4, 6), -1), ((2, 3, 4, 6), -1), ((2, 6, 3, 4), 1)])
@pytest.mark.parametrize("pieces", [1, 2, 3, 6])
def test_maxout_is_the_largest_of_each_group(shape, axis, pieces):
    x, layer = normal(shape), Maxout(pieces, axis)
    units = 6 // pieces
    groups = [np.take(x, range(i, 6, units), axis=axis) for i in range(units)]
    expected = np.stack([group.max(axis=axis) for group in groups], axis=axis)
    np.testing.assert_array_equal(layer(x), expected)
    assert layer.compute_output_shape(shape) == expected.shape


def test_maxout_hands_the_gradient_to_the_largest():
    x = tf.constant([[1.0, 3.0, 2.0, 5.0, 0.0, 1.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = Maxout(2)(x)
    np.testing.assert_array_equal(tape.gradient(y, x), [[0, 1, 1, 1, 0, 0]])


def test_maxout_refuses_what_is_no_group():
    with pytest.raises(ValueError, match="5 features on axis -1 are not groups of 2"):
        Maxout(2)(np.zeros((1, 5)))
    with pytest.raises(ValueError, match="at least 1, not 0"):
        Maxout(0)


@pytest.mark.parametrize(
    ("shared", "shape", "slopes"),
    [
        ("channel", (2, 4, 5, 3), (1, 1, 3)),
        ("all", (2, 4, 5, 3), (1, 1, 1)),
        ("channel", (2, 3), (3,)),
        ("all", (2, 3), (1,)),
    ],
)
def test_prelu_is_equations_1_to_3(shared, shape, slopes):
    layer, y = prelu(shared, rank=len(shape)), tf.constant(normal(shape))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(y)
        f = layer(y)
        error = tf.reduce_sum(f * normal(shape)[::-1])
    (alpha,) = layer.trainable_variables
    assert alpha.name == "alpha" and alpha.shape == slopes
    np.testing.assert_array_equal(alpha, np.full(slopes, 0.25))
    # Eqn 1.
    np.testing.assert_allclose(f, np.maximum(y, 0) + 0.25 * np.minimum(y, 0), rtol=1e-6)
    # Eqns 2 and 3: the sum of dE/df * (0 where y > 0, y elsewhere) over what shares a slope.
    of_f = np.asarray(tape.gradient(error, f))
    each = of_f * np.where(np.asarray(y) > 0, 0, y)
    axes = tuple(range(len(shape))) if shared == "all" else tuple(range(len(shape) - 1))
    expected = each.sum(axis=axes).reshape(slopes)
    np.testing.assert_allclose(tape.gradient(error, alpha.value), expected, rtol=1e-4)


def test_prelu_slopes_move_by_equation_4():
    layer, y = prelu(rank=2), tf.constant(normal((4, 3)))
    layer.build(y.shape)
    optimizer = keras.optimizers.SGD(learning_rate=0.1, momentum=0.9)
    alpha, step = np.full(3, 0.25), np.zeros(3)
    for _ in range(3):
        with tf.GradientTape() as tape:
            error = tf.reduce_sum(tf.square(layer(y)))
        optimizer.apply(tape.gradient(error, [layer.alpha.value]), [layer.alpha])
        negative = np.minimum(y, 0)
        step = 0.9 * step + 0.1 * (2 * alpha * negative**2).sum(axis=0)
        alpha = alpha - step
        np.testing.assert_allclose(layer.alpha, alpha, rtol=1e-5)


def test_prelu_refuses_another_sharing():
    with pytest.raises(ValueError, match=r"\('channel', 'all'\), not 'none'"):
        prelu("none")
