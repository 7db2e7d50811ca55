"""The loss of nets for normals against its formula in NumPy and against finite differences."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_models.layers import UnitVectors, unit_vectors
from keras_models.losses import NormalsLoss

LEFT_OUT = (0.0, np.nan, np.inf, -np.inf)


@pytest.fixture
def maps():
    """Unit normals with holes of every kind, and answers of any length; three pictures of 5 x 7."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(3, 5, 7, 3))
    truth /= np.linalg.norm(truth, axis=-1, keepdims=True)
    holes = rng.uniform(size=truth.shape[:3]) < 0.3
    truth[holes] = rng.choice(LEFT_OUT, (holes.sum(), 1))
    return truth, rng.normal(0, 2, truth.shape)


def section_4_2(truth, answer):
    """The formula, pixel by pixel, of one picture."""
    products = [
        sum(t * y for t, y in zip(*pixel, strict=True)) / sum(y * y for y in pixel[1]) ** 0.5
        for pixel in zip(truth.reshape(-1, 3), answer.reshape(-1, 3), strict=True)
        if np.isfinite(pixel[0]).all() and pixel[0].any()
    ]
    return -sum(products) / len(products)


def gradient(loss, truth, answer):
    with tf.GradientTape() as tape:
        tape.watch(y := tf.constant(answer))
        value = loss.call(truth, y)
    return value, tape.gradient(value, y).numpy()


def test_it_is_the_formula(maps):
    expected = [section_4_2(*one) for one in zip(*maps, strict=True)]
    found = np.asarray(NormalsLoss().call(*maps))
    assert found.dtype == "float64"
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(NormalsLoss()(*maps), np.mean(expected), rtol=1e-5)


def test_its_gradient_is_that_of_finite_differences(maps):
    truth, answer = (x[:1, :3, :3] for x in maps)
    _, found = gradient(NormalsLoss(), truth, answer)
    step = 1e-6
    for place in np.ndindex(answer.shape):
        moved = np.zeros_like(answer)
        moved[place] = step
        rise = section_4_2(truth, answer + moved) - section_4_2(truth, answer - moved)
        np.testing.assert_allclose(found[place], rise / (2 * step), atol=1e-8)


def test_the_length_of_an_answer_costs_nothing(maps):
    truth, answer = maps
    expected, slope = gradient(NormalsLoss(), truth, answer)
    for factor in (1e-150, 1e-3, 1e3, 1e150):
        np.testing.assert_allclose(NormalsLoss().call(truth, answer * factor), expected, rtol=1e-12)
    np.testing.assert_allclose((slope * answer).sum(axis=-1), 0, atol=1e-12)


def test_it_goes_from_the_true_normals_to_their_opposites(maps):
    truth = np.where(np.isfinite(maps[0]), maps[0], 0.0)
    np.testing.assert_allclose(NormalsLoss().call(truth, 3 * truth), -1, rtol=1e-12)
    np.testing.assert_allclose(NormalsLoss().call(truth, -truth), 1, rtol=1e-12)


def test_what_is_left_out_has_no_part_whatever_the_answer_there(maps):
    truth, answer = maps
    valid = np.isfinite(truth).all(axis=-1) & truth.any(axis=-1)
    expected = NormalsLoss().call(truth, answer)
    for wrong in (*LEFT_OUT, 1e30):
        given = np.where(valid[..., None], answer, wrong)
        found, slope = gradient(NormalsLoss(), truth, given)
        np.testing.assert_array_equal(found, expected)
        assert np.isfinite(slope).all() and not slope[~valid].any() and slope[valid].all()


def test_a_picture_without_a_valid_pixel_costs_nothing():
    found, slope = gradient(NormalsLoss(), np.zeros((1, 3, 4, 3)), np.ones((1, 3, 4, 3)))
    assert found.numpy() == [0.0] and not slope.any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_answer_of_nothing_costs_nothing_and_can_be_left(dtype):
    truth = np.tile(np.array([0.6, 0.0, -0.8], dtype), (1, 2, 2, 1))
    answer = np.zeros_like(truth)
    answer[0, 0, 0] = 1e-30
    found, slope = gradient(NormalsLoss(), truth, answer)
    np.testing.assert_allclose(found, [0.2 / 3**0.5 / 4], rtol=1e-6)
    np.testing.assert_allclose(slope[0, 1], -truth[0, 1] / 4, rtol=1e-6)
    assert np.isfinite(slope).all()


@pytest.mark.parametrize("wrong", LEFT_OUT[1:])
def test_an_answer_that_is_no_number_is_seen(wrong):
    truth, answer = np.ones((2, 3, 4, 3)), np.ones((2, 3, 4, 3))
    answer[0, 1, 1, 2] = wrong
    found = np.asarray(NormalsLoss().call(truth, answer))
    np.testing.assert_array_equal(np.isnan(found), [True, False])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_short_types_are_computed_in_float32(maps, dtype):
    truth, answer = (keras.ops.cast(keras.ops.convert_to_tensor(x), dtype) for x in maps)
    found = NormalsLoss().call(truth, answer)
    assert found.dtype == tf.float32
    exact = [np.asarray(keras.ops.cast(x, "float64")) for x in (truth, answer)]
    expected = [section_4_2(*one) for one in zip(*exact, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_unit_vectors_of_the_largest_and_the_smallest_numbers():
    x = np.float32([[3e38, 0, -3e38], [1.2e-38, 0, 0], [0, 0, 0]])
    expected = [[0.5**0.5, 0, -(0.5**0.5)], [1, 0, 0], [0, 0, 0]]
    np.testing.assert_allclose(unit_vectors(x), expected, rtol=1e-6)
    assert (
        np.isnan(np.asarray(unit_vectors(np.float32([[np.inf, 1, 0], [np.nan, 1, 0]]))))
        .any(1)
        .all()
    )


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_it_trains_compiled_in_every_precision_from_nothing(maps, policy):
    """From answers of 0, as a net whose rectifiers all give 0 has them."""
    truth = np.where(np.isfinite(maps[0]), maps[0], 0.0).astype("float32")
    keras.config.set_dtype_policy(policy)
    try:
        image = keras.Input((5, 7, 2))
        answer = keras.layers.Conv2D(3, 3, padding="same", kernel_initializer="zeros")(image)
        net = keras.Model(image, UnitVectors(dtype="float32")(answer))
    finally:
        keras.config.set_dtype_policy("float32")
    net.compile(keras.optimizers.SGD(0.01), NormalsLoss(), jit_compile=True)
    pictures = np.random.default_rng(1).normal(size=(3, 5, 7, 2)).astype("float32")
    losses = net.fit(pictures, truth, epochs=5, verbose=0).history["loss"]
    assert np.isfinite(losses).all() and losses[-1] < losses[0] == 0


def test_it_is_rebuilt_from_its_config():
    loss = keras.losses.deserialize(keras.losses.serialize(NormalsLoss(reduction="sum")))
    assert isinstance(loss, NormalsLoss) and loss.reduction == "sum"
