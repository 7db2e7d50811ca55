"""The stages of a recipe's pipeline, known before TFX is loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from components import tasks
from pipelines import tuning
from pipelines.recipe import Recipe


def _always(recipe: Recipe) -> bool:
    del recipe
    return True


def _with_fixed_data(recipe: Recipe) -> bool:
    return recipe.fixed is not None


def _tuned(recipe: Recipe) -> bool:
    return tuning.is_on(recipe.tune)


def _probed(recipe: Recipe) -> bool:
    return recipe.transfer is not None and tasks.find(recipe.task).probed


class Stage(NamedTuple):
    """One stage.

    Attributes:
      name: the id of its component in the pipeline.
      work: what it does, in a few words.
      has: whether a recipe's pipeline has it.
    """

    name: str
    work: str
    has: Callable[[Recipe], bool] = _always


# In the order in which TFX sorts the components of `pipelines.build`.
_TABLE = (
    Stage("ImageExampleGen", "read the images"),
    Stage("ImageExampleGen-fixed", "read the fixed images", _with_fixed_data),
    Stage("PreviousData", "data of the last run"),
    Stage("StatisticsGen", "measure the examples"),
    Stage("SchemaGen", "infer the schema"),
    Stage("ExampleValidator", "are the data fit"),
    Stage("Transform", "training set's means"),
    Stage("Tuner", "search hyperparameters", _tuned),
    Stage("Trainer", "train"),
    Stage("Baseline", "the served model"),
    Stage("Canary", "try it in the server"),
    Stage("Judge", "set beside the paper"),
    Stage("Probe", "try each layer's features", _probed),
    Stage("Evaluator", "bless or not"),
    Stage("Evaluator-fixed", "bless on fixed data", _with_fixed_data),
    Stage("Pusher", "hand to the server"),
    Stage("Report", "draw the report"),
)
WORK = {stage.name: stage.work for stage in _TABLE}
# Those of every recipe.
STAGES = tuple(stage.name for stage in _TABLE if stage.has is _always)


def stages(recipe: Recipe) -> tuple[str, ...]:
    """The stages of a recipe's pipeline. Spans before the newest have more."""
    return tuple(stage.name for stage in _TABLE if stage.has(recipe))
