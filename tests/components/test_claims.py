"""Claims: the rule behind a verdict, what is kept of the trainings, the budget, and the page."""

import dataclasses
import json
import math

import pytest

from components.claims import derived, page, runs, verdicts
from components.claims.claim import Claim, Comparison, Plot
from components.claims.runs import Budget, BudgetSpent, Outcome
from components.claims.verdicts import FAILS, HOLDS, NOT_TRIED, UNDECIDED

GREATER = Comparison("a is greater than b", ("a", "error"), ("b", "error"))


def errors(**variants):
    """Figures of as many seeds as each variant has errors."""
    (seeds,) = {len(values) for values in variants.values()}
    return {
        seed: {name: {"error": values[seed]} for name, values in variants.items()}
        for seed in range(seeds)
    }


# The rule.


@pytest.mark.parametrize(
    ("a", "b", "verdict"),
    [
        ([9.0, 9.2, 8.8], [5.0, 5.1, 5.2], HOLDS),
        ([5.0, 5.1, 5.2], [9.0, 9.2, 8.8], FAILS),
        ([5.0, 7.0, 6.0], [5.5, 6.0, 6.2], UNDECIDED),
        # No difference is none.
        ([5.0, 5.0, 5.0], [5.0, 5.0, 5.0], FAILS),
        # Seeds that differ much from each other, and in pairs little.
        ([9.0, 5.0, 1.0], [8.0, 4.0, 0.1], HOLDS),
        # Two seeds say nothing, however far apart.
        ([9.0, 9.0], [1.0, 1.0], UNDECIDED),
    ],
)
def test_pairs_of_one_seed_are_compared(a, b, verdict):
    assert verdicts.compare(GREATER, errors(a=a, b=b)).verdict == verdict


def test_the_interval_is_students():
    found = verdicts.compare(GREATER, errors(a=[2.0, 3.0, 4.0], b=[1.0, 1.0, 1.0]))
    # Differences 1, 2, 3: mean 2, deviation 1; t of 2 degrees of freedom is 2.92 at 95 %.
    assert found.low == pytest.approx(2 - 2.919986 / math.sqrt(3), abs=1e-5)
    assert found.high == pytest.approx(2 + 2.919986 / math.sqrt(3), abs=1e-5)
    assert (found.greater, found.less, found.seeds) == (3.0, 1.0, 3)


@pytest.mark.parametrize(("by", "verdict"), [(1.0, HOLDS), (3.5, UNDECIDED), (6.0, FAILS)])
def test_a_difference_counts_from_the_least_effect_on(by, verdict):
    comparison = dataclasses.replace(GREATER, by=by)
    figures = errors(a=[8.0, 9.0, 8.5], b=[5.0, 5.0, 5.0])
    assert verdicts.compare(comparison, figures).verdict == verdict


def test_a_factor_multiplies_the_lesser_figure():
    figures = errors(a=[100.0, 110.0, 105.0], b=[40.0, 42.0, 41.0])
    twice = verdicts.compare(dataclasses.replace(GREATER, factor=2.0), figures)
    thrice = verdicts.compare(dataclasses.replace(GREATER, factor=3.0), figures)
    assert (twice.verdict, thrice.verdict) == (HOLDS, FAILS)


def test_a_figure_is_set_beside_a_number():
    below = Comparison("a is below 5", 5.0, ("a", "error"))
    assert verdicts.compare(below, errors(a=[1.0, 2.0, 1.5])).verdict == HOLDS


def test_seeds_without_both_figures_are_left_out():
    figures = errors(a=[9.0, 9.2, 8.8, 9.1], b=[5.0, 5.1, math.nan, 5.2])
    assert verdicts.compare(GREATER, figures).seeds == 3
    assert verdicts.compare(GREATER, {}).greater is None


@pytest.mark.parametrize(
    ("parts", "verdict"),
    [
        ([HOLDS, HOLDS], HOLDS),
        ([HOLDS, UNDECIDED], UNDECIDED),
        ([HOLDS, UNDECIDED, FAILS], FAILS),
        ([], UNDECIDED),
    ],
)
def test_a_claim_holds_where_all_its_parts_do(parts, verdict):
    findings = [verdicts.Finding(GREATER, part, None, None, None, None, 0) for part in parts]
    assert verdicts.overall(findings) == verdict


# Figures of several variants.


def test_steps_to_the_accuracy_of_the_baseline():
    def curve(*accuracy):
        return Outcome({}, {"test_accuracy": ([10.0, 20.0, 30.0], list(accuracy))})

    outcomes = {"baseline": curve(40, 60, 50), "fast": curve(61, 20, 70), "never": curve(1, 2, 3)}
    steps = derived.steps_to_baseline(outcomes)
    assert steps == {"baseline": {"steps": 20}, "fast": {"steps": 10}, "never": {"steps": 30}}


def test_the_range_of_a_method_is_over_its_constants():
    outcomes = {
        name: Outcome({"test_error": error})
        for name, error in {"sgd:1": 90.0, "sgd:0.1": 5.0, "ada:1": 6.0, "ada:2": 7.0}.items()
    }
    ranges = derived.ranges(outcomes)
    assert ranges == {"sgd:*": {"range": 85.0, "best": 5.0}, "ada:*": {"range": 1.0, "best": 6.0}}


# What is kept.

TRAINED = []


def made_up(settings, seed, check):
    """An experiment: the error that the settings say, and one unit of time."""
    TRAINED.append((settings["error"], seed))
    check()
    return Outcome(
        {"error": float(settings["error"]) + seed / 10}, {"loss": ([1.0, 2.0], [3.0, 1.0])}
    )


@pytest.fixture
def claim():
    TRAINED.clear()
    return Claim(
        name="claim-made-up",
        paper="Nobody 2026",
        claim="a is worse than b",
        here="made up <figures>",
        experiment="components.claims.made_up:made_up",
        variants={"a": {"error": 9.0}, "b": {"error": 5.0}},
        comparisons=(GREATER,),
        plots=(Plot("Error, %", "error"), Plot("Loss", "loss", "epoch", curve=True)),
    )


@pytest.fixture(autouse=True)
def experiment(monkeypatch):
    monkeypatch.setattr(runs, "load", lambda path: made_up)


def test_trainings_are_done_seed_by_seed_and_not_again(claim, tmp_path):
    runs.train(claim, tmp_path, Budget(None))
    assert TRAINED == [(9.0, 0), (5.0, 0), (9.0, 1), (5.0, 1), (9.0, 2), (5.0, 2)]
    runs.train(claim, tmp_path, Budget(None))
    assert len(TRAINED) == 6
    assert page.result(claim, tmp_path).verdict == HOLDS


def test_only_what_has_changed_is_trained_again(claim, tmp_path):
    runs.train(claim, tmp_path, Budget(None))
    TRAINED.clear()
    other = dataclasses.replace(claim, variants={"a": {"error": 9.0}, "b": {"error": 6.0}})
    runs.train(other, tmp_path, Budget(None))
    assert TRAINED == [(6.0, 0), (6.0, 1), (6.0, 2)]


def test_a_kept_run_is_json_with_its_settings(claim, tmp_path):
    runs.train(claim, tmp_path, Budget(None))
    files = sorted(path.name for path in runs.folder(claim, tmp_path).iterdir())
    assert files[:2] == ["a-seed0.json", "a-seed1.json"]
    kept = json.loads((runs.folder(claim, tmp_path) / "b-seed2.json").read_text())
    assert kept["outcome"]["figures"] == {"error": 5.2}
    assert kept["settings"][1] == {"error": 5.0}


def test_figures_that_are_not_finite_are_not_kept(claim, tmp_path):
    infinite = dataclasses.replace(claim, variants={"a": {"error": "inf"}, "b": {"error": 1.0}})
    runs.train(infinite, tmp_path, Budget(None))
    (finding,) = verdicts.judge(claim, runs.figures(infinite, runs.kept(infinite, tmp_path)))
    assert (finding.verdict, finding.seeds) == (UNDECIDED, 0)


class Clock:
    """A clock that goes on by a second whenever it is looked at."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 1.0
        return self.now


def test_the_budget_ends_the_trainings_and_what_was_not_reached_is_said(claim, tmp_path):
    runs.train(claim, tmp_path, Budget(9.5, Clock()))
    result = page.result(claim, tmp_path)
    assert 0 < result.done < result.wanted == 6
    assert result.verdict == UNDECIDED
    assert "with seed" in result.left
    left = runs.left_to_do(claim, tmp_path)
    runs.train(claim, tmp_path, Budget(None))
    # The training that the budget ended begins anew; the kept ones do not.
    assert TRAINED[-len(left) :] == [(claim.variants[v]["error"], seed) for seed, v in left]
    assert page.result(claim, tmp_path).left == ""


def test_a_training_that_will_not_end_in_time_is_not_begun(claim, tmp_path):
    runs.train(dataclasses.replace(claim, seeds=(0,)), tmp_path, Budget(None))
    for path in runs.folder(claim, tmp_path).glob("a-*.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "seconds": 1000.0}))
    TRAINED.clear()
    runs.train(claim, tmp_path, Budget(100))
    assert TRAINED == [(5.0, 1), (5.0, 2)]


class Watched:
    """A clock that a training sets."""

    now = 0.0

    def __call__(self):
        return self.now


def trained(clock, starting, of_a_step, steps, check):
    """A training that builds for so long, and whose steps take so long each; the steps done."""
    clock.now += starting
    for step in range(1, steps + 1):
        clock.now += of_a_step
        check(step / steps)
    return steps


@pytest.mark.parametrize(("of_a_step", "fits"), [(0.49, True), (0.61, False), (10, False)])
def test_the_first_steps_tell_that_a_training_cannot_end_in_time(of_a_step, fits):
    clock = Watched()
    check = runs.Check(Budget(60, clock))
    if fits:
        assert trained(clock, 10, of_a_step, 100, check) == 100
        return
    with pytest.raises(BudgetSpent):
        trained(clock, 10, of_a_step, 100, check)
    assert clock.now <= 10 + 11 * of_a_step


def test_less_than_the_shortest_training_took_begins_none(claim, tmp_path):
    one = {"a": claim.variants["a"]}
    runs.train(dataclasses.replace(claim, variants=one, comparisons=()), tmp_path, Budget(None))
    for path in runs.folder(claim, tmp_path).glob("a-*.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "seconds": 1000.0}))
    TRAINED.clear()
    runs.train(claim, tmp_path, Budget(100))
    assert TRAINED == []


def test_what_builds_for_long_is_not_taken_for_slow_steps():
    clock = Watched()
    assert trained(clock, 50, 0.05, 100, runs.Check(Budget(60, clock))) == 100


def test_a_variant_that_does_not_fit_gives_its_time_to_the_others(claim, tmp_path, monkeypatch):
    clock = Watched()

    def slow_or_quick(settings, seed, check):
        TRAINED.append((settings["error"], seed))
        trained(clock, 1, settings["error"], 20, check)
        return Outcome({"error": settings["error"]})

    monkeypatch.setattr(runs, "load", lambda path: slow_or_quick)
    both = dataclasses.replace(claim, variants={"a": {"error": 9.0}, "b": {"error": 0.1}})
    runs.train(both, tmp_path, Budget(100, clock))
    assert TRAINED == [(9.0, 0), (0.1, 0), (0.1, 1), (0.1, 2)]
    assert page.result(both, tmp_path).left == "a with seeds 0, 1, 2"


def test_the_budget_counts_from_when_it_is_told():
    clock = Clock()
    assert Budget(10, clock, began=-4.0).left() == 5.0


def test_what_has_no_training_is_not_tried(claim, tmp_path):
    untried = page.result(claim, tmp_path)
    assert (untried.verdict, untried.parts[0].verdict) == (NOT_TRIED, NOT_TRIED)
    one = {"a": claim.variants["a"]}
    runs.train(dataclasses.replace(claim, variants=one, comparisons=()), tmp_path, Budget(None))
    half = page.result(claim, tmp_path)
    assert (half.verdict, half.parts[0].verdict) == (UNDECIDED, NOT_TRIED)


def test_claims_share_what_is_left():
    clock = Clock()
    budget = Budget(100, clock)
    assert 40 < budget.share(2).left() < 50
    with pytest.raises(BudgetSpent):
        Budget(1, clock).check()
    assert Budget(None).share(3).left() == math.inf


def test_a_comparison_names_variants_that_there_are(claim):
    with pytest.raises(ValueError, match="compares 'c', which is no variant"):
        dataclasses.replace(claim, comparisons=(Comparison("", ("c", "error"), 1.0),))


# The page.


def test_the_page_has_claim_verdict_figures_and_pictures(claim, tmp_path):
    runs.train(claim, tmp_path, Budget(None))
    untried = dataclasses.replace(claim, name="claim-untried")
    path = page.write([page.result(c, tmp_path) for c in (claim, untried)], tmp_path)
    text = path.read_text()
    assert text.count("<svg") == 2
    assert "a error 9.1, b error 5.1" in text
    assert "made up &lt;figures&gt;" in text
    assert 'claim-untried: <span class="not">not tried</span>' in text
    assert "Not tried: a, b with seeds 0, 1, 2." in text


def test_places_and_published_values_are_drawn(claim, tmp_path):
    plot = Plot("E", "error", "n", {"here": {"a": 1, "b": 10}}, published={1: 8.0}, log=True)
    claim = dataclasses.replace(claim, plots=(plot,))
    runs.train(claim, tmp_path, Budget(None))
    (drawn,) = page.result(claim, tmp_path).pictures
    assert drawn.alt == "E by n: here from 9.1 to 5.1; published from 8 to 8"


def test_curves_are_drawn_of_chosen_variants(claim, tmp_path):
    plot = Plot("Loss", "loss", "epoch", {"one": {"b": 1}}, curve=True)
    claim = dataclasses.replace(claim, plots=(plot,))
    runs.train(claim, tmp_path, Budget(None))
    (drawn,) = page.result(claim, tmp_path).pictures
    assert drawn.alt == "Loss by epoch: b from 3 to 1"
