"""Optimizers by name: `--set optimizer=adadelta` stands for the plain data here.

The constants are those of the papers, or, where a paper has none for a net like it, ones that LeNet
learns MNIST with (docs/optimizers.md). All other optimizers of Keras have a name, too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from components.settings import RecipeError, near
from pipelines import source_code

_OF_KERAS = "keras.optimizers"
# The arguments of Keras' schedules that are rates; others are shares of these, or steps.
_RATES = ("initial_learning_rate", "warmup_target", "end_learning_rate", "values")
OPTIMIZERS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "sgd": {"class": "keras.optimizers:SGD", "learning_rate": 0.01},
        "momentum": {"class": "keras.optimizers:SGD", "learning_rate": 0.002, "momentum": 0.9},
        "nesterov": {
            "class": "keras.optimizers:SGD",
            "learning_rate": 0.002,
            "momentum": 0.9,
            "nesterov": True,
        },
        "sutskever": {
            "class": "keras_models.optimizers:SutskeverSGD",
            "learning_rate": 0.002,
            "momentum": 0.9,
        },
        # Sums of squares that start at 0 begin with steps of the whole rate for each weight, and a
        # rate that survives these is too small after. Duchi et al. start from delta, of any size.
        "adagrad": {
            "class": "keras.optimizers:Adagrad",
            "learning_rate": 0.05,
            "initial_accumulator_value": 10.0,
        },
        # Zeiler 2012, section 4.1; Keras' rate, which the paper has not, is 1.
        "adadelta": {
            "class": "keras.optimizers:Adadelta",
            "learning_rate": 1.0,
            "rho": 0.95,
            "epsilon": 1e-6,
        },
        # LeCun et al. 1998, appendix C: mu is the paper's.
        "diagonal-lm": {
            "class": "keras_models.optimizers:StochasticDiagonalLM",
            "learning_rate": 0.002,
            "mu": 0.02,
        },
        # The paper's rate, 1, and its slow start: v and h overestimated at first, by less than the
        # paper's tenth of the number of weights, since batches see fewer steps than examples.
        # Nearly all weights of LeNet-5 have a curvature below 0.1: an epsilon of that size leaves
        # it to the steep ones. "g" alone needs a rate above 1: its h is the largest of all.
        "vsgd-l": {
            "class": "keras_models.optimizers:VSGD",
            "variant": "l",
            "slow_start": 400.0,
            "initial_steps": 50,
            "epsilon": 0.1,
        },
        "vsgd-b": {
            "class": "keras_models.optimizers:VSGD",
            "variant": "b",
            "slow_start": 100.0,
            "initial_steps": 50,
            "epsilon": 0.1,
        },
        "vsgd-g": {
            "class": "keras_models.optimizers:VSGD",
            "variant": "g",
            "learning_rate": 20.0,
            "slow_start": 200.0,
            "initial_steps": 100,
        },
    }
)


def known() -> dict[str, Mapping[str, Any]]:
    """Every optimizer by its name: those above, and the others of Keras with its own constants."""
    paths = {name: f"{_OF_KERAS}:{name}" for name in source_code.public_names(_OF_KERAS)}
    own = {name.lower(): {"class": path} for name, path in paths.items() if _is_optimizer(path)}
    return {**own, **OPTIMIZERS}


def _is_optimizer(path: str) -> bool:
    """Functions, the base class and what joins other optimizers are none."""
    name = path.rpartition(":")[2]
    if name == "Optimizer" or not name[0].isupper():
        return False
    try:
        return "learning_rate" in source_code.arguments(path).names
    except source_code.Undecided:
        return False


def named(name: str) -> dict[str, Any]:
    """The optimizer of a name, in any case.

    Raises:
      RecipeError: there is none; the near matches and all names are in the text.
    """
    optimizers = known()
    if name.lower() not in optimizers:
        close = near(name, optimizers)
        meant = f"did you mean {' or '.join(close)}? " if close else ""
        raise RecipeError(
            f"unknown optimizer {name!r}: {meant}known: {', '.join(sorted(optimizers))}; another "
            'is given whole, as {"class": "MODULE:NAME", ...}'
        )
    return dict(optimizers[name.lower()])


def rate_setting(optimizer: Mapping[str, Any], rate: float) -> str:
    """The assignment that gives an optimizer a rate, as `Recipe.override` takes it.

    Args:
      optimizer: the recipe's.
      rate: above 0; of a schedule the highest, with all others in proportion.

    Raises:
      RecipeError: the rate, or the schedule, is none that can be set so.
    """
    if not (math.isfinite(rate) and rate > 0):
        raise RecipeError(f"a learning rate is a number above 0, not {rate:g}")
    schedule = optimizer.get("learning_rate")
    schedule = _scaled(schedule, rate) if isinstance(schedule, Mapping) else rate
    return f"optimizer.learning_rate={json.dumps(schedule)}"


def _scaled(schedule: Mapping[str, Any], rate: float) -> dict[str, Any]:
    rates = {key: schedule[key] for key in _RATES if schedule.get(key) is not None}
    flat = [each for v in rates.values() for each in (v if isinstance(v, list | tuple) else [v])]
    if not flat or not all(isinstance(each, int | float) for each in flat) or max(flat) <= 0:
        raise RecipeError(
            f"the rates of {schedule.get('class')} are not known here: set its arguments, "
            "optimizer.learning_rate.KEY=VALUE"
        )
    factor = rate / max(flat)

    def times(value: Any) -> Any:
        # Rounded, so that 0.3 is not 0.30000000000000004.
        if isinstance(value, list | tuple):
            return [times(each) for each in value]
        return float(f"{value * factor:.9g}")

    return {**schedule, **{key: times(value) for key, value in rates.items()}}
