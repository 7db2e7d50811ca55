"""The Tuner as a TFX component."""

from tfx.components.tuner import component
from tfx.dsl.components.base import executor_spec

from components.tune import executor


class Tuner(component.Tuner):
    """TFX's Tuner, whose results tell of failed trials too."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)
