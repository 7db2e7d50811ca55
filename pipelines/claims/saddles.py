"""Saddle points.

Y. Dauphin, R. Pascanu, C. Gulcehre, K. Cho, S. Ganguli, Y. Bengio: Identifying and attacking the
saddle point problem in high-dimensional non-convex optimization. NIPS 2014.
"""

from typing import Any

from components.claims.claim import Claim, Comparison, Plot

_METHODS = ("sgd", "damped-newton", "saddle-free-newton")
# Data and hidden units. The Hessian has 111 rows a hidden unit, and ten.
_NETS = tuple((dataset, hidden) for dataset in ("mnist", "cifar10") for hidden in (4, 8))


def _settings(dataset: str, hidden: int, method: str) -> dict[str, Any]:
    shared = {
        "dataset": dataset,
        "side": 10,
        "train_images": 1000,
        "hidden": hidden,
        "method": method,
    }
    if method == "sgd":
        return {**shared, "epochs": 100, "batch": 50, "rates": [0.03, 0.1, 0.3]}
    return {**shared, "updates": 25}


def _comparisons() -> list[Comparison]:
    """For each net: a lower error than with either of the others, and less negative curvature."""
    found = []
    for dataset, hidden in _NETS:
        net = f"{dataset}-{hidden}"
        for other in _METHODS[:2]:
            theirs, ours = f"{net}-{other}", f"{net}-saddle-free-newton"
            what = f"{other} with {hidden} units on {dataset}"
            found += [
                Comparison(
                    f"A lower training error than {what}",
                    (theirs, "train_error"),
                    (ours, "train_error"),
                ),
                Comparison(
                    f"A lowest eigenvalue nearer to zero than of {what}",
                    (theirs, "negative"),
                    (ours, "negative"),
                ),
            ]
    return found


def _lines() -> dict[str, dict[str, float]]:
    """For each data set and method its variants by their hidden units."""
    lines: dict[str, dict[str, float]] = {}
    for dataset, hidden in _NETS:
        for method in _METHODS:
            lines.setdefault(f"{dataset}, {method}", {})[f"{dataset}-{hidden}-{method}"] = hidden
    return lines


CLAIMS = (
    Claim(
        name="claim-saddle-points",
        paper="Dauphin, Pascanu, Gulcehre, Cho, Ganguli, Bengio 2014, Identifying and attacking "
        "the saddle point problem",
        claim="On small nets saddle-free Newton reaches lower training errors than stochastic "
        "gradient descent and damped Newton, which stall near saddle points: the lowest "
        "eigenvalue of the Hessian is nearer to zero where it ends (section 7, Figure 3).",
        here="1,000 images of 10 x 10, grey; 4 and 8 hidden tanh units where the paper has 5 to "
        "50; exact Newton methods with 25 updates from all images, which stay where they are when "
        "none of seven dampings lowers the loss; momentum with 100 epochs of batches of 50, at the "
        "best of three rates.",
        experiment="components.claims.saddles:descend",
        variants={
            f"{dataset}-{hidden}-{method}": _settings(dataset, hidden, method)
            for dataset, hidden in _NETS
            for method in _METHODS
        },
        comparisons=tuple(_comparisons()),
        plots=(
            *(
                Plot(title, figure, "hidden units", _lines(), log=True)
                for title, figure in (
                    ("Training error, %", "train_error"),
                    ("Lowest eigenvalue below zero", "negative"),
                )
            ),
            *(
                Plot(
                    f"Training loss, {dataset}, {hidden} units, nats",
                    "train_loss",
                    "update or epoch",
                    {dataset: {f"{dataset}-{hidden}-{method}": hidden for method in _METHODS}},
                    curve=True,
                    log=True,
                )
                for dataset, hidden in _NETS
            ),
        ),
    ),
)
