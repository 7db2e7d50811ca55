"""Evaluator: TFX's own, with an executor that looks at the classes first."""

from tfx.components.evaluator import component
from tfx.dsl.components.base import executor_spec

from components.evaluate.executor import Executor


class Evaluator(component.Evaluator):
    """Measures a model beside another on the same examples; see TFX's Evaluator."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
