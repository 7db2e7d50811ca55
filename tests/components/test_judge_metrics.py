import numpy as np
import pytest
from scipy import stats
from sklearn.dummy import DummyClassifier
from sklearn.metrics import accuracy_score, log_loss, top_k_accuracy_score, zero_one_loss

from components.judge import results
from components.tasks.classification import metrics


@pytest.fixture
def answers():
    random = np.random.default_rng(1)
    logits = random.normal(size=(500, 12))
    labels = random.integers(0, 12, 500)
    logits[np.arange(500), labels] += 1.5
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return scores.astype(np.float32), labels


def measured(scores, labels, name=None):
    """All figures, or one, of answers that come in two batches."""
    parts = [slice(0, 1), slice(1, None)] if len(labels) > 1 else [slice(None)]
    rows = [metrics.rows({"scores": scores[part]}, labels[part], {}) for part in parts]
    found = metrics.figures(np.concatenate(rows), {})
    return found if name is None else found[name]


def test_errors_agree_with_scikit_learn(answers):
    scores, labels = answers
    found = measured(scores, labels)
    assert found["error"] == pytest.approx(zero_one_loss(labels, scores.argmax(axis=1)))
    assert found["accuracy"] == pytest.approx(accuracy_score(labels, scores.argmax(axis=1)))
    assert found["top5_error"] == pytest.approx(1 - top_k_accuracy_score(labels, scores, k=5))
    assert found["cross_entropy"] == pytest.approx(log_loss(labels, scores), rel=1e-5)
    commonest = DummyClassifier().fit(scores, labels).score(scores, labels)
    assert found["gain_over_majority"] == pytest.approx(found["accuracy"] - commonest)


def test_a_case_worked_by_hand():
    scores = np.array([[0.7, 0.2, 0.1], [0.4, 0.5, 0.1], [0.25, 0.25, 0.5]], np.float32)
    labels = np.array([0, 0, 2])
    assert measured(scores, labels, "error") == pytest.approx(1 / 3)
    assert measured(scores, labels, "cross_entropy") == pytest.approx(
        -(np.log(0.7) + np.log(0.4) + np.log(0.5)) / 3, rel=1e-6
    )


def test_every_metric_has_a_name_for_tables(answers):
    assert measured(*answers).keys() <= results.METRICS.keys()


def test_top_five_needs_more_than_five_classes():
    assert measured(np.eye(5, dtype=np.float32), np.arange(5), "top5_error") is None


def test_between_equal_scores_the_lower_label_is_the_answer():
    scores = np.full((2, 4), 0.25, np.float32)
    assert measured(scores, np.array([0, 1]), "error") == 0.5


def test_rejection_by_the_margin_of_the_top_two():
    # The margins are 0.8, 0.6, 0.4 and 0.2; the answers right, wrong, right, right.
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]], np.float32)
    labels = np.array([0, 1, 0, 0])
    assert measured(scores, labels, "rejected_at_0.5_error") == pytest.approx(0.75)
    right = scores.argmax(axis=1)
    assert measured(scores, right, "rejected_at_0.5_error") == 0.0
    assert measured(scores, 1 - right, "rejected_at_0.5_error") is None


def test_rejection_agrees_with_trying_every_threshold(answers):
    scores, labels = answers
    ordered = np.sort(scores, axis=1)
    margin = ordered[:, -1] - ordered[:, -2]
    wrong = scores.argmax(axis=1) != labels
    kept = [margin >= threshold for threshold in margin]
    fewest = min(1 - keep.mean() for keep in kept if wrong[keep].mean() <= 0.005)
    assert measured(scores, labels, "rejected_at_0.5_error") == pytest.approx(fewest)


def test_scores_that_are_not_finite_are_wrong():
    scores = np.array([[np.nan] * 6, [np.inf, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]], np.float32)
    found = measured(scores, np.zeros(3, int))
    assert found["error"] == pytest.approx(2 / 3)
    assert found["accuracy"] == pytest.approx(1 / 3)
    assert found["top5_error"] == pytest.approx(2 / 3)
    assert found["cross_entropy"] is None
    assert found["rejected_at_0.5_error"] is None


def test_no_rows_define_nothing():
    assert set(metrics.figures(np.zeros((0, 6)), {}).values()) == {None}


def test_a_certain_and_wrong_answer_has_a_finite_cost():
    found = measured(np.array([[1.0, 0.0]], np.float32), np.array([1]), "cross_entropy")
    assert found == pytest.approx(-np.log(np.finfo(np.float32).eps))


HISTORY = [
    {"epoch": 1, "val_accuracy": 0.71, "steps": 400.0},
    {"epoch": 2, "val_accuracy": 0.722, "steps": 800.0},
    {"epoch": 3, "val_accuracy": 0.75, "steps": 1200.0},
]


def test_steps_to_an_accuracy_are_those_of_the_first_epoch_that_reaches_it():
    assert metrics.steps_to_accuracy(HISTORY, 0.722) == 800
    assert metrics.steps_to_accuracy(HISTORY, 0.723) == 1200
    assert metrics.steps_to_accuracy(HISTORY, 0.76) is None
    assert metrics.steps_to_accuracy([], 0.1) is None
    assert metrics.steps_to_accuracy([{"epoch": 1, "val_accuracy": 0.9}], 0.1) is None


def test_a_history_gives_what_a_figure_asks_for():
    wanted = ["error", "steps_to_72.2_accuracy"]
    assert metrics.of_training(HISTORY, wanted) == {"steps_to_72.2_accuracy": 800}
    assert metrics.of_training([], ["error"]) == {}


def needed(*counts, level=0.05):
    """What so many test images of each class ask for."""
    labels = np.repeat(np.arange(len(counts)), counts)
    scores = np.full((len(labels), len(counts)), 1 / len(counts), np.float32)
    return metrics.needed(metrics.rows({"scores": scores}, labels, {}), level, {})


@pytest.mark.parametrize("level", [0.05, 0.01])
@pytest.mark.parametrize(
    "counts", [(66, 54), (6, 6), (4, 4), (1135, 8865), (30, 30, 30), (1,) * 40, (999, 1)]
)
def test_chance_explains_what_is_needed_as_seldom_as_is_asked(counts, level):
    n, p = sum(counts), max(counts) / sum(counts)
    value, text = needed(*counts, level=level)
    k = round(value * n)
    assert value == k / n
    chance = stats.binom(n, p)
    assert chance.sf(k - 1) <= level < chance.sf(k - 2)
    # About so many standard errors above the share of the commonest class.
    errors = (k - n * p) / np.sqrt(n * p * (1 - p))
    assert errors > stats.norm.isf(level) - 0.35
    if n > 1000:
        assert errors == pytest.approx(stats.norm.isf(level), abs=0.05)
    if k <= n:
        assert text.startswith(f"needs {100 * value:.1f} %: ")


def test_what_is_needed_is_said_in_words():
    value, text = needed(66, 54)
    assert value == 76 / 120
    assert text == (
        "needs 63.3 %: the most frequent class alone gets 55.0 % of 120 test images (66), and by "
        "chance 76 or more in at most 5 % of such test splits"
    )


@pytest.mark.parametrize("counts", [(2, 1), (2, 2), (10, 0)])
def test_of_too_few_images_none_are_enough(counts):
    value, text = needed(*counts)
    assert value > 1
    assert text.startswith("cannot be told from chance: the most frequent class alone gets")
    assert text.endswith("more test images can tell")


def test_the_constant_answer_knows_the_commonest_class_of_training_alone():
    """What is needed is above that of the test images, whichever it is."""
    labels = np.array([0] * 40 + [1] * 60)
    scores = np.tile(np.float32([[0.9, 0.1]]), (100, 1))
    rows = metrics.rows({"scores": scores}, labels, {})
    assert metrics.figures(rows, {})["accuracy"] == 0.4
    assert metrics.needed(rows, 0.05, {})[0] == (stats.binom.isf(0.05, 100, 0.6) + 1) / 100
