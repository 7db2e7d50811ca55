"""The trainings behind a claim: done within a time budget, each kept, none done twice."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from components.claims.claim import Claim
from components.claims.verdicts import Figures
from components.train.objects import load

# After so many calls, or so large a part, what a training takes can be told.
_SURE_CALLS, _SURE_PART = 10, 0.1


@dataclass(frozen=True)
class Outcome:
    """What one training came to.

    Attributes:
      figures: numbers by name; errors are in percent. Those that are not finite are not kept.
      curves: by name, places (such as steps) and values.
    """

    figures: Mapping[str, float]
    curves: Mapping[str, tuple[list[float], list[float]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A training that has been done: of which variant, with which seed, in how many seconds."""

    variant: str
    seed: int
    seconds: float
    outcome: Outcome


class BudgetSpent(Exception):
    """The time for the claims is over, or too short for this training."""


class Budget:
    """Seconds that may be used, or None for as many as it takes."""

    def __init__(
        self,
        seconds: float | None,
        clock: Callable[[], float] = time.monotonic,
        began: float | None = None,
    ):
        """
        Args:
          seconds: how many.
          clock: gives the time.
          began: the time from which they count; None for now.
        """
        self.clock = clock
        self._end = None if seconds is None else (clock() if began is None else began) + seconds

    def left(self) -> float:
        return float("inf") if self._end is None else self._end - self.clock()

    def check(self) -> None:
        """Raises BudgetSpent where nothing is left."""
        if self.left() <= 0:
            raise BudgetSpent

    def share(self, parts: int) -> Budget:
        """One of so many equal parts of what is left."""
        left = self.left()
        return Budget(None if left == float("inf") else max(left, 0.0) / parts, self.clock)


class Check:
    """What a training calls as it goes on, so that the budget can end it.

    The rate of the first calls tells how long the rest will take, without what comes before them:
    building and compiling the network.
    """

    def __init__(self, budget: Budget):
        self._budget = budget
        self._first: tuple[float, float] | None = None
        self._calls = 0

    def __call__(self, done: float = 0.0) -> None:
        """Raises BudgetSpent where nothing is left, or the training will not end with what is.

        Args:
          done: the part of the training that lies behind; 0 where that is not known.
        """
        self._budget.check()
        if not done:
            return
        now = self._budget.clock()
        self._calls += 1
        began, before = self._first = self._first or (now, done)
        sure = self._calls >= _SURE_CALLS or done - before >= _SURE_PART
        if sure and (now - began) * (1 - done) > self._budget.left() * (done - before):
            raise BudgetSpent


def train(
    claim: Claim,
    root: Path,
    budget: Budget,
    on_run: Callable[[str, int, float | None], None] = lambda variant, seed, seconds: None,
) -> None:
    """Does the trainings of a claim that have not been done, seed by seed, while there is time.

    Args:
      claim: which.
      root: the folder below which runs are kept, in `claims/NAME`.
      budget: a training that the budget ends leaves nothing. One that would not end in time, going
        by another seed's, or by the shortest of the claim, is not begun, and one whose first steps
        say so is given up at once.
      on_run: told of each training when it begins (without seconds) and when it has been kept.
    """
    experiment = load(claim.experiment)
    too_long: set[str] = set()
    for seed, variant in left_to_do(claim, root):
        if variant in too_long or budget.left() <= _least(kept(claim, root), variant):
            continue
        on_run(variant, seed, None)
        began = time.monotonic()
        try:
            outcome = experiment(claim.variants[variant], seed, Check(budget))
        except BudgetSpent:
            too_long.add(variant)
            continue
        run = Run(variant, seed, time.monotonic() - began, outcome)
        _keep(claim, root, run)
        on_run(variant, seed, run.seconds)


def _least(done: Sequence[Run], variant: str) -> float:
    """The seconds that a training needs at least, as far as others tell."""
    of_variant = [run.seconds for run in done if run.variant == variant]
    return max(of_variant) if of_variant else min((run.seconds for run in done), default=0.0)


def left_to_do(claim: Claim, root: Path) -> list[tuple[int, str]]:
    """The seeds and variants that are not among the kept runs, in the order of training.

    All variants have a seed behind them before one has the next: what a budget leaves is pairs.
    """
    done = {(run.seed, run.variant) for run in kept(claim, root)}
    every = ((seed, variant) for seed in claim.seeds for variant in claim.variants)
    return [pair for pair in every if pair not in done]


def kept(claim: Claim, root: Path) -> list[Run]:
    """The kept runs of a claim whose settings are still those of their variants."""
    return list(_read(claim, root))


def figures(claim: Claim, runs: Iterable[Run]) -> Figures:
    """All figures of the runs by seed, variant and name, the derived ones among them."""
    by_seed: dict[int, dict[str, Outcome]] = {}
    for run in runs:
        by_seed.setdefault(run.seed, {})[run.variant] = run.outcome
    derive = load(claim.derive) if claim.derive else lambda outcomes: {}
    # What is derived from some of the variants alone might say something else.
    return {
        seed: _figures(outcomes, derive(outcomes) if len(outcomes) == len(claim.variants) else {})
        for seed, outcomes in by_seed.items()
    }


def _figures(
    outcomes: Mapping[str, Outcome], derived: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, float]]:
    variants = [*outcomes, *(variant for variant in derived if variant not in outcomes)]
    return {
        variant: {
            **(outcomes[variant].figures if variant in outcomes else {}),
            **derived.get(variant, {}),
        }
        for variant in variants
    }


def folder(claim: Claim, root: Path) -> Path:
    """Where the runs of a claim are kept."""
    return root / "claims" / claim.name


def _path(claim: Claim, root: Path, variant: str, seed: int) -> Path:
    return folder(claim, root) / f"{variant}-seed{seed}.json"


def _keep(claim: Claim, root: Path, run: Run) -> None:
    path = _path(claim, root, run.variant, run.seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {**asdict(run), "settings": _identity(claim, run.variant)}
    figures = run.outcome.figures.items()
    content["outcome"]["figures"] = {key: one for key, one in figures if math.isfinite(one)}
    # Written beside its place and moved there: a run is whole, or it is not there.
    written = path.with_suffix(".writing")
    written.write_text(json.dumps(content, allow_nan=False), encoding="utf-8")
    os.replace(written, path)


def _read(claim: Claim, root: Path) -> Iterator[Run]:
    for variant in claim.variants:
        for seed in claim.seeds:
            path = _path(claim, root, variant, seed)
            if not path.exists():
                continue
            content = json.loads(path.read_text(encoding="utf-8"))
            if content.pop("settings") == _identity(claim, variant):
                content["outcome"] = Outcome(**content["outcome"])
                yield Run(**content)


def _identity(claim: Claim, variant: str) -> Any:
    """What a run depends on, as JSON gives it back."""
    return json.loads(json.dumps([claim.experiment, claim.variants[variant]]))
