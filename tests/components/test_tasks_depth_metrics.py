"""The figures of depth against scikit-learn's."""

import numpy as np
import pytest
from sklearn import metrics as sk

from components.tasks.depth import metrics


def rows(answers, truths, crop=False):
    maps = (np.asarray(x, np.float32).reshape(np.shape(x)[:3]) for x in (answers, truths))
    answers, truths = maps
    return metrics.rows({"depth": answers}, list(truths), {"crop": crop})


def figures(table):
    return metrics.figures(table, {"crop": False})


@pytest.fixture
def maps():
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.5, 10, (4, 48, 64, 1))
    truth[rng.uniform(size=truth.shape) < 0.2] = 0
    truth[0, :5], truth[3] = np.nan, np.inf
    return truth, rng.uniform(0.5, 10, truth.shape)


@pytest.mark.parametrize("crop", [False, True])
def test_they_are_those_of_scikit_learn(maps, crop):
    truth, answer = (np.float64(np.float32(x)) for x in maps)
    found = figures(rows(answer, truth, crop))
    box = (slice(None), *metrics.eigen_crop(48, 64)) if crop else ...
    truth, answer = truth[box], answer[box]
    valid = np.isfinite(truth) & (truth > 0)
    t, y = truth[valid], answer[valid]
    logs = np.log(y), np.log(t)
    picture = np.nonzero(valid)[0]
    means = np.array([(logs[0] - logs[1])[picture == i].mean() for i in picture])
    ratio = np.maximum(y / t, t / y)
    expected = [sk.accuracy_score(np.ones(t.size), ratio < 1.25**n) for n in (1, 2, 3)]
    expected += [sk.mean_absolute_percentage_error(t, y)]
    expected += [sk.mean_squared_error(t, y, sample_weight=1 / t) * (1 / t).mean()]
    expected += [sk.mean_squared_error(t, y) ** 0.5, sk.mean_squared_error(*logs) ** 0.5]
    expected += [sk.mean_squared_error(logs[1] + means, logs[0]) ** 0.5]
    np.testing.assert_allclose(list(found.values()), expected, rtol=1e-10)


def test_rows_concatenate(maps):
    truth, answer = maps
    parts = [rows(answer[i : i + 1], truth[i : i + 1]) for i in range(4)]
    np.testing.assert_array_equal(np.concatenate(parts), rows(answer, truth))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 0.0, -1.0])
def test_an_answer_that_is_no_depth_is_wrong(wrong):
    truth, answer = np.ones((1, 2, 2)), np.ones((1, 2, 2))
    answer[0, 0, 0] = wrong
    found = figures(rows(answer, truth))
    assert found["threshold_1.25^3"] == 0.75
    assert found["rms_log"] == found["rms_log_scale_invariant"] == np.inf
    assert found["abs_rel"] > 0


def test_without_a_valid_pixel_there_is_no_figure():
    nothing = rows(np.ones((2, 3, 4)), np.zeros((2, 3, 4)))
    assert set(figures(nothing).values()) == {None}
    assert set(figures(nothing[:0]).values()) == {None}


def test_the_crop_is_eigens():
    assert metrics.eigen_crop(480, 640) == (slice(45, 471), slice(41, 601))
    assert metrics.eigen_crop(240, 320) == (slice(22, 236), slice(20, 300))


def test_an_answer_of_another_size_is_brought_to_the_truths():
    # Linear in the column, and so it stays between the places of the answers.
    answer = np.broadcast_to(np.arange(4.0) + 1.5, (1, 3, 4))
    truth = np.broadcast_to(np.arange(8.0) / 2 + 1.25, (1, 6, 8))
    found = rows(answer, truth)
    inner = rows(truth, truth)
    assert found[0, metrics.COLUMNS.index("pixels")] == 48
    assert figures(found)["abs_rel"] == pytest.approx(0.25 * 6 / 48 / 1.25 + 0.25 * 6 / 48 / 4.75)
    assert figures(inner)["abs_rel"] == 0.0


def test_a_constant_answer_is_the_mean_of_what_was_measured():
    truths = [[np.float32([[1, 2], [0, 4]])], [np.float32([[3, 2], [0, 0]])]]
    (depth,) = metrics.constant(iter(truths), [], {"crop": False})["depth"]
    np.testing.assert_array_equal(depth, [[2, 2], [0, 4]])


def test_less_error_than_that_of_the_constant_map_is_needed():
    truth = np.full((2, 4, 5), 2.0)
    truth[1] = 4.0
    value, text = metrics.needed(rows(np.full((2, 4, 5), 3.0), truth), 0.05, {"crop": False})
    assert value < 0.375 and value == pytest.approx((0.5 + 0.25) / 2)
    assert text == (
        "needs less than 0.3750: so much has the mean of the training depths, the same for each "
        "of 2 test pictures"
    )
    nothing = rows(np.full((2, 4, 5), 3.0), np.zeros((2, 4, 5)))
    assert metrics.needed(nothing, 0.05, {"crop": False}) is None
