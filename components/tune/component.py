"""The Tuner as a TFX component."""

from tfx import components
from tfx.dsl.components.base import executor_spec

from components.tune import executor


class Tuner(components.Tuner):
    """TFX's Tuner, whose results tell of failed trials too."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)
