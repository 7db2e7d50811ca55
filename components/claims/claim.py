"""A claim of a paper, and what is trained to try it: plain data. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# A figure of a variant, such as ("plain56", "train_error"), or a number beside which one is set.
Figure = tuple[str, str] | float


@dataclass(frozen=True)
class Comparison:
    """One part of a claim: that of one seed's figures, greater > factor * less + by.

    Attributes:
      says: the part in words.
      greater, less: the figures compared.
      by: the least difference that counts, in the figures' unit.
      factor: what the lesser figure is multiplied by.
    """

    says: str
    greater: Figure
    less: Figure
    by: float = 0.0
    factor: float = 1.0


@dataclass(frozen=True)
class Plot:
    """One picture about a claim.

    Attributes:
      title: what is drawn, with its unit.
      of: the figure (or, with `curve`, the curve) of the variants.
      axis: what lies along the horizontal axis.
      series: for each line its name, and its variants with their places; without any, the variants
        stand beside each other by their names. With `curve`, whose curves are drawn; without any,
        those of all variants.
      published: the paper's own values by place, drawn as a line of their own.
      curve: whether `of` is a curve of each variant.
      log: whether the places are on a logarithmic axis.
    """

    title: str
    of: str
    axis: str = ""
    series: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    published: Mapping[float, float] = field(default_factory=dict)
    curve: bool = False
    log: bool = False


@dataclass(frozen=True)
class Claim:
    """A paper's claim, and the experiment that tries it.

    Attributes:
      name: what the command line calls it, `claim-...`.
      paper: the citation.
      claim: what the paper says, in words.
      here: how the experiment differs from the paper's: what is smaller, and what that leaves out.
      experiment: import path of a function `(settings, seed, check) -> Outcome`
        (`components.claims.runs`), which calls `check()` often, and lets through what that raises.
      variants: the settings of each variant, plain data.
      comparisons: the parts of the claim; it holds where all of them do.
      plots: what is drawn.
      seeds: each variant is trained once with each of them.
      derive: import path of a function that adds figures which need the runs of several variants:
        `{variant: Outcome}` of one seed, of all variants, to `{variant: {figure: value}}`, where a
        "variant" may also stand for several.
    """

    name: str
    paper: str
    claim: str
    here: str
    experiment: str
    variants: Mapping[str, Mapping[str, Any]]
    comparisons: tuple[Comparison, ...]
    plots: tuple[Plot, ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    derive: str = ""

    def __post_init__(self) -> None:
        for comparison in self.comparisons:
            for side in (comparison.greater, comparison.less):
                known = self.derive or not isinstance(side, tuple) or side[0] in self.variants
                if not known:
                    raise ValueError(f"{self.name} compares {side[0]!r}, which is no variant of it")
