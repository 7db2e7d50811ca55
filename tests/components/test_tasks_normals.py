"""The figures of normals against SciPy's and NumPy's, and what is served and shown of them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.spatial.transform import Rotation

from components.ingest.normals import encoded
from components.tasks.normals import answers, checks, metrics, targets, words
from keras_models.depth.scales import answer_pixels

RIGHT, DOWN, AHEAD = np.eye(3)


def figures(answer, truth):
    return metrics.figures(metrics.rows({"normals": answer}, list(truth), {}), {})


@pytest.fixture
def maps():
    """Unit normals with holes, and answers of any length up to a half turn away."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(4, 48, 64, 3))
    truth /= np.linalg.norm(truth, axis=-1, keepdims=True)
    spread = np.where(rng.uniform(size=truth.shape[:3]) < 0.7, 0.3, 3.0)[..., None]
    answer = (truth + spread * rng.normal(size=truth.shape)) * rng.uniform(0.1, 9)
    truth[rng.uniform(size=truth.shape[:3]) < 0.2] = 0
    truth[0, :5], truth[3] = np.nan, 0
    return truth, answer


def degrees(truth, answer):
    """A second way: how far the shortest turn of one into the other goes."""
    valid = np.isfinite(truth).all(axis=-1) & (np.abs(truth).sum(axis=-1) > 0)
    turns = [
        Rotation.align_vectors([t], [y])[0].magnitude()
        for t, y in zip(truth[valid][::7], answer[valid][::7], strict=True)
    ]
    return valid, np.degrees(turns)


def test_angles_are_those_of_a_second_implementation(maps):
    valid, expected = degrees(*maps)
    found = np.stack([metrics.angles(y, t) for t, y in zip(*maps, strict=True)])
    np.testing.assert_allclose(found[valid][::7], expected, atol=1e-6)


def test_figures_are_those_of_all_angles_at_once(maps):
    truth, answer = maps
    valid = np.isfinite(truth).all(axis=-1) & truth.any(axis=-1)
    t, y = truth[valid], answer[valid] / np.linalg.norm(answer[valid], axis=-1, keepdims=True)
    angles = np.degrees(np.arccos(np.clip((t * y).sum(axis=-1), -1, 1)))
    found = figures(answer, truth)
    assert found["angle_mean"] == pytest.approx(angles.mean(), rel=1e-9)
    for limit in (11.25, 22.5, 30):
        assert found[f"within_{limit:g}"] == (angles < limit).mean()
    assert np.median(angles) < 45 and abs(found["angle_median"] - np.median(angles)) < 0.1


@pytest.mark.parametrize("angle", [0.0, 1e-4, 11.25, 30.0, 44.99, 45.0, 90.3, 180.0])
def test_one_angle_is_found_as_exactly_as_is_said(angle):
    truth = np.tile(AHEAD, (1, 4, 5, 1))
    turned = np.cos(np.radians(angle)) * AHEAD + np.sin(np.radians(angle)) * RIGHT
    found = figures(np.tile(turned, (1, 2, 3, 1)), truth)
    assert found["angle_mean"] == pytest.approx(angle, abs=1e-5)
    assert abs(found["angle_median"] - angle) <= (0.1 if angle < 45 else 1.0)
    assert found["within_30"] == (angle < 30 - 1e-9)


def test_rows_concatenate_and_do_not_grow_with_the_pictures_size(maps):
    truth, answer = maps
    whole = metrics.rows({"normals": answer}, list(truth), {})
    parts = [metrics.rows({"normals": answer[i : i + 1]}, truth[i : i + 1], {}) for i in range(4)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    small = metrics.rows({"normals": answer[:, :2, :2]}, [each[:2, :2] for each in truth], {})
    assert small.shape == whole.shape and whole.nbytes < 5000 * len(truth)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 0.0])
def test_an_answer_that_is_no_normal_is_as_wrong_as_can_be(wrong):
    truth, answer = np.tile(AHEAD, (1, 2, 2, 1)), np.tile(AHEAD, (1, 2, 2, 1))
    answer[0, 0, 0] = wrong
    found = figures(answer, truth)
    assert (found["angle_mean"], found["within_30"]) == (45.0, 0.75)


def test_a_constant_answer_has_the_mean_direction_and_looks_at_the_camera_else():
    truth = np.zeros((2, 1, 3, 3), np.float32)
    truth[0, 0, 0], truth[1, 0, 0], truth[1, 0, 1] = -AHEAD, -DOWN, RIGHT
    (found,) = metrics.constant(iter([truth[:1], truth[1:]]), [], {})["normals"]
    np.testing.assert_allclose(found[0], [[0, -(0.5**0.5), -(0.5**0.5)], RIGHT, -AHEAD], atol=1e-6)


def test_a_smaller_angle_than_that_of_the_constant_map_is_needed():
    truth = np.tile(AHEAD, (2, 4, 5, 1))
    turned = np.tile((AHEAD + RIGHT) / 2, (2, 4, 5, 1))
    rows = metrics.rows({"normals": turned}, list(truth), {})
    value, text = metrics.needed(rows, 0.05, {})
    assert value == pytest.approx(45) and value < metrics.figures(rows, {})["angle_mean"]
    assert text.startswith("needs less than 45.0000: so much has the mean of the training normals")
    nothing = metrics.rows({"normals": turned}, list(0 * truth), {})
    assert metrics.needed(nothing, 0.05, {}) is None


def test_what_is_stored_is_read_alike_in_training_and_in_judging():
    rng = np.random.default_rng(1)
    normals = rng.normal(size=(6, 8, 3))
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    pixels = encoded(normals)
    # 0, and the black that other data have where nothing was measured.
    pixels[0], pixels[1] = encoded(np.zeros((8, 3))), 0
    stored = tf.io.encode_png(pixels)
    (judged,) = targets.truths({"normals/encoded": np.array([stored.numpy()])})
    trained = targets.placed({"normals/encoded": stored}, None)["normals"].numpy()
    np.testing.assert_allclose(trained, judged, atol=1e-6)
    assert judged.dtype == np.float32 and not judged[:2].any()
    np.testing.assert_allclose(np.linalg.norm(judged[2:], axis=-1), 1, atol=1e-6)
    # Of 8 bits a component.
    assert metrics.angles(judged[2:], normals[2:]).max() < 0.6


def test_targets_are_the_normals_where_the_network_answers():
    image = keras.Input((60, 80, 3))
    net = keras.Model(image, keras.layers.Resizing(25, 35)(image))
    truth = np.random.default_rng(2).normal(size=(2, 60, 80, 3)).astype("float32")
    rows, columns = answer_pixels((25, 35), 2)
    np.testing.assert_array_equal(targets.fitted(tf.constant(truth), net), truth[:, rows, columns])


def test_served_normals_have_length_1_between_the_answers_too():
    turned = np.float32([[[RIGHT, 3 * DOWN]]])
    served = answers.served(tf.constant(turned), tf.constant([]), (1, 8))["normals"].numpy()
    assert served.shape == (1, 1, 8, 3)
    np.testing.assert_allclose(np.linalg.norm(served, axis=-1), 1, atol=1e-6)
    np.testing.assert_allclose(served[0, 0, [0, -1]], [RIGHT, DOWN], atol=1e-6)
    # From one to the other, whatever their lengths were.
    np.testing.assert_allclose(served[0, 0, :, 0], served[0, 0, ::-1, 1], atol=1e-6)


@pytest.mark.parametrize("channels", [1, 2])
def test_a_network_of_other_answers_is_refused(channels):
    image = keras.Input((8, 8, 3))
    net = keras.Model(image, keras.layers.Conv2D(channels, 3)(image))
    with pytest.raises(ValueError, match=r"a map of normals, \(None, height, width, 3\)"):
        answers.check(net, None)


def test_the_canary_objects_to_what_is_no_unit_vector():
    good = np.tile(np.float32(AHEAD), (2, 3, 4, 1))
    assert checks.objections({"normals": good}, ()) == []
    bad = good.copy()
    bad[1, 2, 3] *= 1.01
    assert checks.objections({"normals": bad}, ()) == ["a normal of length 1.01"]
    assert "not a map of vectors" in checks.objections({"normals": good[..., 0]}, ())[0]
    with pytest.raises(ValueError, match="for 3 pictures"):
        checks.check({"normals": good}, [good] * 3, ())


def test_an_answer_is_told_by_what_the_picture_looks_at_and_shown_as_a_normal_map():
    answer = {"normals": np.float32([[-DOWN, -AHEAD, -AHEAD, RIGHT]])}
    assert words.row(answer, ()) == ("25 %", "0 %", "0 %", "25 %", "50 %")
    colours = words.colours(answer)[0].tolist()
    assert colours == [[128, 255, 128], [128, 128, 255], [128, 128, 255], [255, 128, 128]]
