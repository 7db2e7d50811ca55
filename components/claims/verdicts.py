"""The rule that turns figures of several seeds into holds, does not hold, or undecided."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from components.claims.claim import Claim, Comparison, Figure

HOLDS, FAILS, UNDECIDED = "holds", "does not hold", "undecided"
NOT_TRIED = "not tried"
# Fewer say nothing about the chance in a training.
FEWEST_SEEDS = 3
# How often "holds" is said of a difference that is not there, and likewise "does not hold".
_ERROR = 0.05

# The figures of each seed: {seed: {variant: {figure: value}}}.
Figures = Mapping[int, Mapping[str, Mapping[str, float]]]


@dataclass(frozen=True)
class Finding:
    """What the seeds say of one comparison.

    Attributes:
      comparison: which.
      verdict: `HOLDS`, `FAILS`, `UNDECIDED`, or `NOT_TRIED` where no seed has trained both sides.
      greater, less: means over the seeds that have both figures; None without any.
      low, high: the interval of the mean of greater - factor * less (90 %: 5 % on either side);
        None for fewer than two seeds.
      seeds: how many have both figures.
    """

    comparison: Comparison
    verdict: str
    greater: float | None
    less: float | None
    low: float | None
    high: float | None
    seeds: int


def compare(comparison: Comparison, figures: Figures) -> Finding:
    """Compares two figures in pairs: both of a pair are of one seed.

    The difference holds where Student's interval of its mean lies above `comparison.by`, does not
    hold where the interval lies at or below it, and is undecided in between or with fewer than
    `FEWEST_SEEDS` pairs. Figures that are missing or not finite leave out their seed.
    """
    pairs = [
        (_value(comparison.greater, of_seed), _value(comparison.less, of_seed))
        for _, of_seed in sorted(figures.items())
    ]
    whole = np.array([pair for pair in pairs if all(map(math.isfinite, pair))]).reshape(-1, 2)
    if not len(whole):
        verdict = UNDECIDED if _is_tried(comparison, figures) else NOT_TRIED
        return Finding(comparison, verdict, None, None, None, None, 0)
    greater, less = whole.mean(axis=0)
    low = high = None
    verdict = UNDECIDED
    if len(whole) > 1:
        low, high = _interval(whole[:, 0] - comparison.factor * whole[:, 1])
        if len(whole) >= FEWEST_SEEDS:
            verdict = _verdict(low, high, comparison.by)
    return Finding(comparison, verdict, float(greater), float(less), low, high, len(whole))


def overall(findings: Sequence[Finding]) -> str:
    """Of a claim in parts: it holds where all do, does not where one does not."""
    verdicts = {finding.verdict for finding in findings}
    if FAILS in verdicts:
        return FAILS
    return HOLDS if verdicts == {HOLDS} else UNDECIDED


def judge(claim: Claim, figures: Figures) -> list[Finding]:
    """What the figures say of each part of a claim."""
    return [compare(comparison, figures) for comparison in claim.comparisons]


def _is_tried(comparison: Comparison, figures: Figures) -> bool:
    sides = (comparison.greater, comparison.less)
    variants = [side[0] for side in sides if isinstance(side, tuple)]
    return any(all(variant in of_seed for variant in variants) for of_seed in figures.values())


def _value(figure: Figure, of_seed: Mapping[str, Mapping[str, float]]) -> float:
    if not isinstance(figure, tuple):
        return figure
    variant, name = figure
    value = of_seed.get(variant, {}).get(name)
    return math.nan if value is None else value


def _interval(differences: np.ndarray) -> tuple[float, float]:
    count = len(differences)
    middle = differences.mean()
    half = stats.t.ppf(1 - _ERROR, count - 1) * differences.std(ddof=1) / math.sqrt(count)
    return float(middle - half), float(middle + half)


def _verdict(low: float, high: float, by: float) -> str:
    if low > by:
        return HOLDS
    return FAILS if high <= by else UNDECIDED
