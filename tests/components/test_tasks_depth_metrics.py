"""The figures of depth against scikit-learn's."""

import numpy as np
import pytest
from sklearn import metrics as sk

from components.tasks.depth import metrics


@pytest.fixture
def maps():
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.5, 10, (4, 48, 64, 1))
    truth[rng.uniform(size=truth.shape) < 0.2] = 0
    truth[0, :5], truth[3] = np.nan, np.inf
    return truth, rng.uniform(0.5, 10, truth.shape)


@pytest.mark.parametrize("crop", [False, True])
def test_they_are_those_of_scikit_learn(maps, crop):
    truth, answer = maps
    found = metrics.figures(metrics.rows(answer, truth, crop))
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
    parts = [metrics.rows(answer[i : i + 1], truth[i : i + 1]) for i in range(4)]
    np.testing.assert_array_equal(np.concatenate(parts), metrics.rows(answer, truth))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 0.0, -1.0])
def test_an_answer_that_is_no_depth_is_wrong(wrong):
    truth, answer = np.ones((1, 2, 2)), np.ones((1, 2, 2))
    answer[0, 0, 0] = wrong
    found = metrics.figures(metrics.rows(answer, truth))
    assert found["threshold_1.25^3"] == 0.75
    assert found["rms_log"] == found["rms_log_scale_invariant"] == np.inf
    assert found["abs_rel"] > 0


def test_without_a_valid_pixel_there_is_no_figure():
    nothing = metrics.rows(np.ones((2, 3, 4)), np.zeros((2, 3, 4)))
    assert set(metrics.figures(nothing).values()) == {None}
    assert set(metrics.figures(nothing[:0]).values()) == {None}


def test_the_crop_is_eigens():
    assert metrics.eigen_crop(480, 640) == (slice(45, 471), slice(41, 601))
    assert metrics.eigen_crop(240, 320) == (slice(22, 236), slice(20, 300))


def test_maps_of_different_sides_are_refused():
    with pytest.raises(ValueError, match=r"answers are \(1, 2, 3\)"):
        metrics.rows(np.ones((1, 2, 3)), np.ones((1, 2, 4)))
