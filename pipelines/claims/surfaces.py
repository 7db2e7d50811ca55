"""Loss surfaces.

A. Choromanska, M. Henaff, M. Mathieu, G. Ben Arous, Y. LeCun: The loss surfaces of multilayer
networks. AISTATS 2015.
"""

from components.claims.claim import Claim, Comparison, Plot

# Section 5: hidden units, and the correlation of training and test loss that is published.
_PUBLISHED = {25: 0.7616, 50: 0.6861, 100: 0.5983, 250: 0.5302, 500: 0.4081}
# The Hessian is found whole where it has fewer than 3,000 rows.
_LARGEST_HESSIAN = 25


def _restarts(hidden: int) -> dict:
    return {
        "dataset": "mnist",
        "side": 10,
        "train_images": 10_000,
        "test_images": 10_000,
        "hidden": hidden,
        "restarts": 30,
        "epochs": 30,
        "batch": 100,
        "rate": 1.0,
        "hessian_images": 10_000 if hidden <= _LARGEST_HESSIAN else 0,
    }


def _places(variants: dict[int, str]) -> dict[str, float]:
    return {variant: hidden for hidden, variant in variants.items()}


_SIZES = {hidden: f"n{hidden}" for hidden in _PUBLISHED}
_OURS = {"here": _places(_SIZES)}

CLAIMS = (
    Claim(
        name="claim-loss-surfaces",
        paper="Choromanska, Henaff, Mathieu, Ben Arous, LeCun 2015, The loss surfaces of "
        "multilayer networks",
        claim="Restarts of a net with one hidden layer end in test losses that lie the closer "
        "together the larger the net; training and test loss are the less correlated the larger "
        "it is; and what is found are minima, or saddle points of a low index.",
        here="Digits of 10 x 10 as in the paper; 10,000 training images, 30 passes, and 30 "
        "restarts for each of 5 seeds where the paper has 1,000. The Hessian is that of one "
        "solution a seed with 25 hidden units.",
        experiment="components.claims.surfaces:restarts",
        variants={name: _restarts(hidden) for hidden, name in _SIZES.items()},
        seeds=(0, 1, 2, 3, 4),
        comparisons=(
            Comparison(
                "The spread of test losses shrinks from 25 to 100 hidden units",
                ("n25", "spread"),
                ("n100", "spread"),
            ),
            Comparison("It shrinks on from 100 to 500", ("n100", "spread"), ("n500", "spread")),
            Comparison(
                "Training and test loss are less correlated with 100 units than with 25",
                ("n25", "correlation"),
                ("n100", "correlation"),
            ),
            Comparison(
                "They are less correlated still with 500",
                ("n100", "correlation"),
                ("n500", "correlation"),
            ),
            Comparison(
                "Fewer than 5 % of the Hessian's eigenvalues are negative in the solutions",
                5.0,
                ("n25", "index"),
            ),
        ),
        plots=(
            Plot(
                "Standard deviation of the test loss, nats",
                "spread",
                "hidden units",
                _OURS,
                log=True,
            ),
            Plot(
                "Correlation of training and test loss",
                "correlation",
                "hidden units",
                _OURS,
                published=_PUBLISHED,
                log=True,
            ),
            Plot("Mean test loss, nats", "test_loss", "hidden units", _OURS, log=True),
        ),
    ),
)
