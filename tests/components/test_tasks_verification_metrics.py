"""The figures of pairs against scikit-learn, and against what is counted one by one."""

import numpy as np
import pytest
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn import metrics as sklearn
from sklearn.model_selection import LeaveOneGroupOut

from components import tasks
from components.tasks.verification import metrics, roc

TASK = tasks.find("verification")


def pairs(count: int, seed: int, decimals: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores, with ties where they have few decimals, and whether they are of the same."""
    random = np.random.default_rng(seed)
    same = np.arange(count) % 3 > 0
    score = np.round(random.normal(same * 1.2, 1.0), decimals)
    # In the digits that a network has.
    return score.astype(np.float32).astype(np.float64), same


def figures(score, same, fold) -> dict:
    truths = np.stack([same, np.broadcast_to(fold, len(same))], axis=1).astype(np.int64)
    rows = metrics.rows({"score": np.float32(score)}, truths, {})
    return metrics.figures(rows, {})


many = pytest.mark.parametrize("decimals", [0, 1, 6])
seeds = pytest.mark.parametrize("seed", range(5))


@many
@seeds
def test_curve_area_and_equal_error_rate_are_scikit_learns(seed, decimals):
    score, same = pairs(200, seed, decimals)
    false, true, thresholds = roc.curve(score, same)
    expected = sklearn.roc_curve(same, score, drop_intermediate=False)
    np.testing.assert_allclose([false, true], expected[:2])
    np.testing.assert_allclose(thresholds[1:], expected[2][1:])
    assert roc.area(score, same) == pytest.approx(sklearn.roc_auc_score(same, score))
    between = interp1d(false, true)
    rate = brentq(lambda x: 1 - x - between(x), 0, 1)
    assert roc.equal_error_rate(score, same) == pytest.approx(rate, abs=1e-9)


@many
@seeds
def test_no_threshold_makes_fewer_mistakes(seed, decimals):
    score, same = pairs(60, seed, decimals)
    tried = [-np.inf, np.inf, *score, *(score - 1e-9), *(score + 1e-9)]
    best = max(((score > each) == same).mean() for each in tried)
    found = roc.best_threshold(score, same)
    assert ((score > found) == same).mean() == best
    assert found not in score


@seeds
def test_a_fold_is_judged_by_the_threshold_of_the_others(seed):
    score, same = pairs(120, seed, 1)
    fold = np.arange(120) % 10
    expected = []
    for others, own in LeaveOneGroupOut().split(score, groups=fold):
        threshold = roc.best_threshold(score[others], same[others])
        expected.append(sklearn.accuracy_score(same[own], score[own] > threshold))
    found = figures(score, same, fold)
    assert found["accuracy"] == pytest.approx(np.mean(expected))
    # LFW's: the root of the sum of the squared differences over nine, over the root of ten.
    spread = np.sqrt(np.square(expected - np.mean(expected)).sum() / 9)
    assert found["accuracy_standard_error"] == pytest.approx(spread / np.sqrt(10))


def test_the_order_of_pairs_and_the_scale_of_scores_change_nothing():
    score, same = pairs(90, 0, 3)
    fold = np.arange(90) % 10
    order = np.random.default_rng(1).permutation(90)
    found = figures(score, same, fold)
    for changed in (
        figures(score[order], same[order], fold[order]),
        figures(7 * score - 3, same, fold),
    ):
        assert changed == pytest.approx(found)


@pytest.mark.parametrize("fold", [-1, 4])
def test_without_folds_the_network_decides(fold):
    score, same = pairs(90, 0, 3)
    found = figures(score, same, fold)
    assert found["accuracy"] == ((score > 0) == same).mean()
    assert found["accuracy_standard_error"] is None


def test_a_score_that_is_no_number_is_wrong_at_any_threshold():
    score, same = pairs(90, 0, 3)
    fold = np.arange(90) % 10
    good = figures(score, same, fold)
    for strange in (np.nan, np.inf, -np.inf):
        some = np.where(np.arange(90) < 30, strange, score)
        bad = figures(some, same, fold)
        assert bad["accuracy"] < good["accuracy"]
        assert bad["roc_area"] < good["roc_area"]
        assert bad["equal_error_rate"] > good["equal_error_rate"]
        every = figures(np.full(90, strange), same, fold)
        assert (every["accuracy"], every["roc_area"], every["equal_error_rate"]) == (0, 0, 1)


def test_pairs_of_one_kind_have_no_curve():
    found = figures(np.arange(4.0), np.ones(4, bool), -1)
    assert found["roc_area"] is found["equal_error_rate"] is None
    assert found["accuracy"] == 0.75


def test_perfect_scores():
    found = figures([3, 2, -2, -3] * 10, [1, 1, 0, 0] * 10, np.arange(40) % 10)
    assert found["accuracy"] == found["roc_area"] == 1
    assert found["accuracy_standard_error"] == found["equal_error_rate"] == 0


def test_what_is_needed_is_above_one_answer_for_all():
    truths = np.stack([np.arange(100) % 2, np.arange(100) % 10], axis=1)
    answer = metrics.constant([truths[:60], truths[60:]], (), {})
    assert answer["score"] == pytest.approx([0.0])
    rows = metrics.rows({"score": np.repeat(answer["score"], 100)}, truths, {})
    value, text = metrics.needed(rows, 0.05, {})
    assert value == 0.59 and text.startswith("needs 59.0 %: the commoner answer alone gets 50.0 %")
