"""Optimizers.

M. D. Zeiler: ADADELTA: an adaptive learning rate method. arXiv:1212.5701, 2012.
"""

from typing import Any

from components.claims.claim import Claim, Comparison, Plot
from pipelines.claims._parts import TRAINING, of_net

# Table 1: the rates of the others.
_RATES = (1.0, 0.1, 0.01, 0.001, 0.0001)
# Table 2: of ADADELTA.
_DECAYS, _EPSILONS = (0.9, 0.95, 0.99), (1e-2, 1e-4, 1e-6, 1e-8)
_OTHERS: dict[str, dict[str, Any]] = {
    "sgd": {"class": "keras.optimizers:SGD"},
    "momentum": {"class": "keras.optimizers:SGD", "momentum": 0.9},
    "adagrad": {"class": "keras.optimizers:Adagrad", "initial_accumulator_value": 0.0},
}
_BY_RATE = {method: {f"{method}:{rate:g}": rate for rate in _RATES} for method in _OTHERS}
_BY_EPSILON = {
    f"ADADELTA, decay {decay:g}": {f"adadelta:{decay:g},{e:g}": e for e in _EPSILONS}
    for decay in _DECAYS
}


def _trained(optimizer: dict[str, Any]) -> dict[str, Any]:
    return of_net(
        "Dense",
        "mnist",
        14,
        {"units": [200, 100], "activation": "tanh"},
        train_images=5000,
        test_images=5000,
        batch_size=100,
        epochs=6,
        optimizer=optimizer,
    )


def _adadelta(decay: float, epsilon: float) -> dict[str, Any]:
    # Algorithm 1 has no learning rate: Keras' is 1.
    return {
        "class": "keras.optimizers:Adadelta",
        "learning_rate": 1.0,
        "rho": decay,
        "epsilon": epsilon,
    }


def _less_sensitive(name: str, method: str) -> Comparison:
    return Comparison(
        f"Its errors range at least 10 points less over its constants than those of {name}",
        (f"{method}:*", "range"),
        ("adadelta:*", "range"),
        by=10.0,
    )


CLAIMS = (
    Claim(
        name="claim-adadelta",
        paper="Zeiler 2012, ADADELTA: an adaptive learning rate method",
        claim="ADADELTA is insensitive to its two constants over orders of magnitude, where SGD, "
        "momentum and ADAGRAD need their rate set well (Tables 1 and 2).",
        here="Two layers of 200 and 100 tanh units (500 and 300 in the paper), 5,000 digits of 14 "
        "x 14, 6 epochs of 50 steps, where the paper's six have 600. The rates and constants are "
        "the paper's.",
        experiment=TRAINING,
        variants={
            **{
                f"{method}:{rate:g}": _trained({**optimizer, "learning_rate": rate})
                for method, optimizer in _OTHERS.items()
                for rate in _RATES
            },
            **{
                f"adadelta:{decay:g},{epsilon:g}": _trained(_adadelta(decay, epsilon))
                for decay in _DECAYS
                for epsilon in _EPSILONS
            },
        },
        derive="components.claims.derived:ranges",
        comparisons=(
            _less_sensitive("SGD", "sgd"),
            _less_sensitive("momentum", "momentum"),
            _less_sensitive("ADAGRAD", "adagrad"),
        ),
        plots=(
            Plot("Test error, %", "test_error", "learning rate", _BY_RATE, log=True),
            Plot("Test error of ADADELTA, %", "test_error", "epsilon", _BY_EPSILON, log=True),
        ),
    ),
)
