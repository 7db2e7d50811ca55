"""What became of the claims: as plain data for the screen, and as one HTML page."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.claims import runs, verdicts
from components.claims.claim import Claim, Figure, Plot
from components.claims.verdicts import Finding
from components.report import pictures
from components.report.pages import PAGES

_LOOKS = {
    verdicts.HOLDS: "yes",
    verdicts.FAILS: "no",
    verdicts.UNDECIDED: "not",
    verdicts.NOT_TRIED: "not",
}


@dataclass(frozen=True)
class Part:
    """A part of a claim: what it says, what came of it, and with which figures."""

    says: str
    verdict: str
    figures: str

    @property
    def look(self) -> str:
        return _LOOKS[self.verdict]


@dataclass(frozen=True)
class Result:
    """What came of a claim.

    Attributes:
      name, paper, claim, here: as of `Claim`.
      verdict, parts: of the whole and of each comparison.
      done, wanted: how many trainings there are, and how many there would be.
      seconds: what those took.
      left: in words the trainings that are missing; empty without any.
      pictures: what is drawn, of claims with trainings.
    """

    name: str
    paper: str
    claim: str
    here: str
    verdict: str
    parts: list[Part]
    done: int
    wanted: int
    seconds: float
    left: str
    pictures: list[pictures.Picture]

    @property
    def look(self) -> str:
        return _LOOKS[self.verdict]

    @property
    def time(self) -> str:
        return f"{self.seconds / 60:.1f} min" if self.seconds else ""


def result(claim: Claim, root: Path) -> Result:
    """What the kept runs of a claim say."""
    kept = runs.kept(claim, root)
    figures = runs.figures(claim, kept)
    findings = verdicts.judge(claim, figures)
    left = runs.left_to_do(claim, root)
    return Result(
        claim.name,
        claim.paper,
        claim.claim,
        claim.here,
        verdicts.overall(findings) if kept else verdicts.NOT_TRIED,
        [Part(one.comparison.says, one.verdict, _figures(one)) for one in findings],
        len(kept),
        len(kept) + len(left),
        sum(run.seconds for run in kept),
        _left(left),
        [drawn for plot in claim.plots if (drawn := _drawn(plot, kept, figures))],
    )


def write(results: Iterable[Result], root: Path) -> Path:
    """Writes the page about all claims; returns its path."""
    path = root / "claims" / "index.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    template = PAGES.get_template("claims.html")
    text = template.render(claims=list(results), fewest=verdicts.FEWEST_SEEDS)
    path.write_text(text, encoding="utf-8")
    return path


def _figures(finding: Finding) -> str:
    if finding.greater is None:
        return "no seed has both figures"
    comparison = finding.comparison
    text = (
        f"{_named(comparison.greater)} {finding.greater:.4g}, "
        f"{_named(comparison.less)} {finding.less:.4g}"
    )
    if finding.low is not None:
        times = "" if comparison.factor == 1 else f"{comparison.factor:g} times "
        above = f", to be above {comparison.by:g}" if comparison.by else ""
        text += (
            f"; first less {times}second {finding.low:.4g} to {finding.high:.4g}{above}, "
            f"{finding.seeds} seeds"
        )
    return text


def _named(figure: Figure) -> str:
    return " ".join(figure).replace("_", " ") if isinstance(figure, tuple) else "the bound"


def _left(left: Sequence[tuple[int, str]]) -> str:
    """The variants whose trainings are missing, and with which seeds."""
    seeds: dict[str, list[str]] = collections.defaultdict(list)
    for seed, variant in left:
        seeds[variant].append(str(seed))
    by_seeds: dict[str, list[str]] = collections.defaultdict(list)
    for variant, missing in seeds.items():
        by_seeds[", ".join(missing)].append(variant)
    return "; ".join(
        f"{', '.join(variants)} with seed{'s' if ',' in missing else ''} {missing}"
        for missing, variants in by_seeds.items()
    )


def _drawn(
    plot: Plot, kept: Sequence[runs.Run], figures: verdicts.Figures
) -> pictures.Picture | None:
    """The picture, or None where no run has what it shows."""
    if plot.curve:
        chosen = {variant for places in plot.series.values() for variant in places}
        curves = _curves(plot.of, [run for run in kept if not chosen or run.variant in chosen])
        return pictures.lines(plot.title, plot.axis, curves, plot.log) if curves else None
    values: dict[str, list[float]] = collections.defaultdict(list)
    for of_seed in figures.values():
        for variant, named in of_seed.items():
            if plot.of in named:
                values[variant].append(named[plot.of])
    if not values:
        return None
    if not plot.series:
        return pictures.dots(plot.title, values)
    series = {name: _placed(places, values) for name, places in plot.series.items()}
    series = {name: points for name, points in series.items() if points}
    if plot.published:
        series["published"] = [(place, [value]) for place, value in plot.published.items()]
    return pictures.lines(plot.title, plot.axis, series, plot.log)


def _curves(name: str, kept: Sequence[runs.Run]) -> dict[str, list[tuple[float, list[float]]]]:
    by_variant: dict[str, dict[float, list[float]]] = {}
    for run in kept:
        for place, value in zip(*run.outcome.curves.get(name, ((), ())), strict=True):
            by_variant.setdefault(run.variant, {}).setdefault(place, []).append(value)
    return {variant: sorted(points.items()) for variant, points in by_variant.items()}


def _placed(
    places: Mapping[str, float], values: Mapping[str, Sequence[float]]
) -> list[tuple[float, Sequence[float]]]:
    found = [(place, values[variant]) for variant, place in places.items() if variant in values]
    return sorted(found, key=lambda point: point[0])
