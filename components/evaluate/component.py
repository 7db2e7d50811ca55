"""Evaluator: TFX's own, with an executor that looks at the classes first."""

from __future__ import annotations

from collections.abc import Sequence

from tensorflow_model_analysis import sdk as tfma
from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import standard_artifacts, standard_component_specs
from tfx.utils import json_utils

from components.evaluate.executor import Executor


class Evaluator(base_beam_component.BaseBeamComponent):
    """Measures a model beside another on the same examples, as TFX's Evaluator does."""

    SPEC_CLASS = standard_component_specs.EvaluatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        baseline_model: types.BaseChannel,
        example_splits: Sequence[str],
        eval_config: tfma.EvalConfig,
    ):
        """Makes the component.

        Args:
          examples: Examples.
          model: the Model that may be blessed.
          baseline_model: the Model beside which it is measured, if there is one.
          example_splits: the splits that are measured on.
          eval_config: metrics and thresholds.
        """
        super().__init__(
            spec=standard_component_specs.EvaluatorSpec(
                examples=examples,
                model=model,
                baseline_model=baseline_model,
                example_splits=json_utils.dumps(list(example_splits)),
                eval_config=eval_config,
                # As TFX's own component has it where nothing is said.
                fairness_indicator_thresholds=json_utils.dumps(None),
                evaluation=types.Channel(type=standard_artifacts.ModelEvaluation),
                blessing=types.Channel(type=standard_artifacts.ModelBlessing),
            )
        )
