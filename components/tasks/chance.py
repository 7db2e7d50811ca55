"""How many answers have to be right to say more than the commonest answer alone does."""

from __future__ import annotations

import numpy as np


def needed(labels: np.ndarray, level: float, what: str, examples: str) -> tuple[float, str]:
    """The accuracy that says more than the most frequent answer of the test examples does.

    The one-sided binomial test of an accuracy against the share p of the most frequent class, which
    is called the no information rate in Kuhn 2008, "Building Predictive Models in R Using the caret
    Package", J. Stat. Softw. 28(5), `confusionMatrix`: of n test examples so many, k, have to be
    right that always giving this class would get them in fewer than `level` of all test splits of n
    examples, P(X >= k) <= level with X ~ Binomial(n, p). This is the exact form of about z standard
    errors above p, sqrt(p (1 - p) / n) each: z = 1.645 at the level 0.05, the usual one.

    Args:
      labels: the true answers, int64 [N].
      level: above 0 and at most 0.5.
      what: the most frequent answer, in words.
      examples: what the N are, in words.

    Returns:
      The accuracy k / n, which is above 1 where n examples can show nothing, and why in words.
    """
    from scipy import stats

    n = len(labels)
    commonest = int(np.unique(labels, return_counts=True)[1].max())
    share = commonest / n
    k = int(stats.binom.isf(level, n, share)) + 1
    alone = f"{what} alone gets {100 * share:.1f} % of {n:,} {examples}"
    seldom = f"{100 * level:.3g} % of such test splits"
    if k > n:
        return k / n, (
            f"cannot be told from chance: {alone}, and by chance all of them in more than "
            f"{seldom}; more {examples} can tell"
        )
    return k / n, (
        f"needs {100 * k / n:.1f} %: {alone} ({commonest:,}), and by chance {k:,} or more in at "
        f"most {seldom}"
    )
