"""The loss of depth nets against its formula in NumPy and against finite differences."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_models.losses import LogDepthLoss

BOTH = pytest.mark.parametrize("gradients", [True, False])


@pytest.fixture
def maps():
    """Depths with holes of every kind, and log depths; three pictures of 5 x 7."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.5, 10, (3, 5, 7))
    holes = rng.uniform(size=truth.shape) < 0.3
    truth[holes] = rng.choice([0.0, -1.0, np.nan, np.inf, -np.inf], holes.sum())
    return truth, rng.normal(1, 1, truth.shape)


def eqn_1(truth, answer, scale_invariance=0.5, gradients=True):
    """The formula, pixel by pixel, of one picture."""
    valid = np.isfinite(truth) & (truth > 0)
    d = {(i, j): answer[i, j] - np.log(truth[i, j]) for i, j in np.argwhere(valid)}
    n = len(d)
    loss = sum(x**2 for x in d.values()) / n
    loss -= scale_invariance * sum(d.values()) ** 2 / n**2
    if gradients:
        for (i, j), x in d.items():
            loss += sum((d[k] - x) ** 2 for k in ((i + 1, j), (i, j + 1)) if k in d) / n
    return loss


@BOTH
@pytest.mark.parametrize("scale_invariance", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("channels", [(), (1,)])
def test_it_is_the_formula(maps, gradients, scale_invariance, channels):
    loss = LogDepthLoss(scale_invariance, gradients)
    expected = [eqn_1(*one, scale_invariance, gradients) for one in zip(*maps, strict=True)]
    truth, answer = (x.reshape(*x.shape, *channels) for x in maps)
    found = np.asarray(loss.call(truth, answer))
    assert found.dtype == "float64"
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(loss(truth, answer), np.mean(expected), rtol=1e-5)


@BOTH
def test_its_gradient_is_that_of_finite_differences(maps, gradients):
    truth, answer = (x[:1] for x in maps)
    loss = LogDepthLoss(gradients=gradients)
    with tf.GradientTape() as tape:
        tape.watch(y := tf.constant(answer))
        value = loss.call(truth, y)
    found = tape.gradient(value, y).numpy()
    step = 1e-6
    for place in np.ndindex(answer.shape):
        moved = np.zeros_like(answer)
        moved[place] = step
        rise = eqn_1(truth[0], (answer + moved)[0], gradients=gradients)
        rise -= eqn_1(truth[0], (answer - moved)[0], gradients=gradients)
        np.testing.assert_allclose(found[place], rise / (2 * step), atol=1e-8)


def test_a_common_factor_costs_what_scale_invariance_leaves():
    truth = np.full((1, 4, 5), 2.0)
    answer = np.log(truth) + 3.0
    for scale_invariance, expected in ((0.0, 9.0), (0.5, 4.5), (1.0, 0.0)):
        found = LogDepthLoss(scale_invariance).call(truth, answer)
        np.testing.assert_allclose(found, [expected], atol=1e-12)


@BOTH
def test_what_is_left_out_has_no_part_whatever_the_answer_there(maps, gradients):
    truth, answer = maps
    loss = LogDepthLoss(gradients=gradients)
    invalid = ~(np.isfinite(truth) & (truth > 0))
    expected = loss.call(truth, answer)
    for wrong in (np.nan, np.inf, -np.inf, 1e30):
        with tf.GradientTape() as tape:
            tape.watch(y := tf.constant(np.where(invalid, wrong, answer)))
            found = loss.call(truth, y)
        np.testing.assert_array_equal(found, expected)
        gradient = tape.gradient(found, y).numpy()
        assert np.isfinite(gradient).all() and not gradient[invalid].any()
        assert gradient[~invalid].all()


@BOTH
def test_a_picture_without_a_valid_pixel_costs_nothing(gradients):
    with tf.GradientTape() as tape:
        tape.watch(y := tf.ones((1, 3, 4, 1)))
        found = LogDepthLoss(gradients=gradients).call(tf.zeros((1, 3, 4, 1)), y)
    assert found.numpy() == [0.0] and not tape.gradient(found, y).numpy().any()


@BOTH
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_an_answer_that_is_no_number_is_seen(gradients, wrong):
    answer = np.zeros((2, 3, 4))
    answer[0, 1, 1] = wrong
    found = np.asarray(LogDepthLoss(gradients=gradients).call(np.ones((2, 3, 4)), answer))
    np.testing.assert_array_equal(np.isnan(found), [True, False])


@BOTH
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_short_types_are_computed_in_float32(maps, gradients, dtype):
    truth, answer = (keras.ops.cast(keras.ops.convert_to_tensor(x), dtype) for x in maps)
    found = LogDepthLoss(gradients=gradients).call(truth, answer)
    assert found.dtype == tf.float32
    exact = [np.asarray(keras.ops.cast(x, "float64")) for x in (truth, answer)]
    expected = [eqn_1(*one, gradients=gradients) for one in zip(*exact, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_far_answers_in_half_precision_do_not_overflow():
    answer = tf.constant(np.full((1, 55, 74), 300.0), tf.float16)
    found = LogDepthLoss().call(tf.ones((1, 55, 74), tf.float16), answer)
    np.testing.assert_allclose(found, [45_000.0])


def test_depths_from_the_smallest_to_the_largest_number():
    truth = np.array([[[1e-30, 1e-3, 1.0, 1e30]]], "float32")
    with tf.GradientTape() as tape:
        tape.watch(y := tf.zeros(truth.shape))
        found = LogDepthLoss().call(truth, y)
    np.testing.assert_allclose(found, [eqn_1(truth[0].astype("float64"), np.zeros((1, 4)))], 1e-5)
    assert np.isfinite(tape.gradient(found, y)).all()


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_it_trains_compiled_in_every_precision(maps, policy):
    keras.utils.set_random_seed(3)
    truth = maps[0][..., None].astype("float32")
    keras.config.set_dtype_policy(policy)
    try:
        image = keras.Input((5, 7, 2))
        depth = keras.layers.Conv2D(1, 3, padding="same", dtype="float32")(image)
        net = keras.Model(image, depth)
    finally:
        keras.config.set_dtype_policy("float32")
    net.compile(keras.optimizers.SGD(0.05), LogDepthLoss(), jit_compile=True)
    pictures = np.random.default_rng(1).normal(size=(3, 5, 7, 2)).astype("float32")
    losses = net.fit(pictures, truth, epochs=5, verbose=0).history["loss"]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]


def test_it_is_rebuilt_from_its_config():
    loss = keras.losses.deserialize(keras.losses.serialize(LogDepthLoss(0.25, gradients=False)))
    assert isinstance(loss, LogDepthLoss)
    assert (loss.scale_invariance, loss.gradients) == (0.25, False)


@pytest.mark.parametrize("scale_invariance", [-0.1, 1.1, np.nan])
def test_wrong_arguments_are_refused_and_told(scale_invariance):
    with pytest.raises(ValueError, match="scale_invariance must be from 0 to 1, not"):
        LogDepthLoss(scale_invariance)
