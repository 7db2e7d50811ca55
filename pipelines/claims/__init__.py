"""One module a group of claims; each lists them in `CLAIMS`, in the order in which they are run."""

from __future__ import annotations

from components.claims.claim import Claim
from components.settings import RecipeError, near_matches
from pipelines.claims import (
    ablations,
    architecture,
    depth,
    normalization,
    optimizers,
    regularization,
    saddles,
    surfaces,
)

PREFIX = "claim-"
_MODULES = (
    depth,
    normalization,
    regularization,
    surfaces,
    saddles,
    optimizers,
    architecture,
    ablations,
)


def all_claims() -> dict[str, Claim]:
    """Every claim by name."""
    return {claim.name: claim for module in _MODULES for claim in module.CLAIMS}


def find(name: str) -> Claim:
    """The claim called `name`, with or without `claim-`.

    Raises:
      RecipeError: no such claim; the near matches are named.
    """
    claims = all_claims()
    full = name if name.startswith(PREFIX) else PREFIX + name
    if full not in claims:
        raise RecipeError(f"unknown claim {name!r}: {near_matches(full, claims)}")
    return claims[full]
