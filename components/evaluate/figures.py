"""A task's figures as metrics of TFMA: the rows that the judge collects, collected in Beam."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow as tf
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.metrics import metric_types
from tensorflow_model_analysis.proto import config_pb2

from components import tasks

# Rows are put together when there are so many pieces: each time anew, all would be copied.
_PIECES = 1024


class TaskFigures(metric_types.Metric):
    """The figures by which a task's models are blessed, each under its own name."""

    def __init__(
        self,
        task: str,
        arguments: str = "{}",
        chance: float | None = None,
        name: str = "figures",
    ):
        """
        Args:
          task: its name.
          arguments: of the task, as JSON.
          chance: for the Evaluator, which sets a threshold by it (`components.evaluate.executor`).
          name: of the metric in the configuration.
        """
        del chance
        super().__init__(_computations, name=name, task=task, arguments=arguments)


metric_types.register_metric(TaskFigures)


def _computations(
    task: str,
    arguments: str,
    name: str = "figures",
    eval_config: config_pb2.EvalConfig | None = None,
    model_names: Sequence[str] = ("",),
) -> metric_types.MetricComputations:
    del name, eval_config
    return [_computation(task, arguments, model) for model in model_names]


def _computation(task: str, arguments: str, model: str) -> metric_types.MetricComputation:
    found = tasks.find(task)
    keys = [_key(each.name, model) for each in found.blessing]
    truths = metric_types.FeaturePreprocessor(feature_keys=[*found.part("targets").FEATURES])
    return metric_types.MetricComputation(
        keys, preprocessors=[truths], combiner=_Figures(task, arguments, model)
    )


def _key(name: str, model: str) -> metric_types.MetricKey:
    # Thresholds by name are those of keys of which it is open whether examples are weighted.
    return metric_types.MetricKey(name, model_name=model, example_weighted=None)


class _Figures(beam.CombineFn):
    """The rows of one model, and the figures that they give."""

    def __init__(self, task: str, arguments: str, model: str):
        self._task = task
        self._arguments = arguments
        self._model = model

    def setup(self) -> None:
        task = tasks.find(self._task)
        self._found = task
        self._values = {**task.arguments, **json.loads(self._arguments)}
        self._targets, self._metrics = task.part("targets"), task.part("metrics")

    def create_accumulator(self) -> list[np.ndarray]:
        return []

    def add_input(
        self, rows: list[np.ndarray], element: metric_types.StandardMetricInputs
    ) -> list[np.ndarray]:
        features = element[constants.FEATURES_KEY]
        truths = self._targets.truths(
            {
                name: _of_one(features.get(name), spec)
                for name, spec in self._targets.FEATURES.items()
            }
        )
        rows.append(self._metrics.rows(self._answers(element), truths, self._values))
        return self.compact(rows) if len(rows) > _PIECES else rows

    def _answers(self, element: metric_types.StandardMetricInputs) -> dict[str, np.ndarray]:
        given: Any = element.get_predictions(self._model)
        if not isinstance(given, dict):
            # TFMA takes the only output out of its mapping.
            given = dict.fromkeys(self._found.measured, given)
        outputs = {each.name: each for each in self._found.outputs}
        return {
            # Of one number an example TFMA gives it alone, or as a list of one.
            name: np.reshape(
                given[name], (1, *(np.shape(given[name]) if outputs[name].shape else ()))
            )
            for name in self._found.measured
        }

    def merge_accumulators(self, accumulators: Iterable[list[np.ndarray]]) -> list[np.ndarray]:
        return [rows for each in accumulators for rows in each]

    def compact(self, rows: list[np.ndarray]) -> list[np.ndarray]:
        return [np.concatenate(rows)] if rows else rows

    def extract_output(self, rows: list[np.ndarray]) -> dict[metric_types.MetricKey, float]:
        figures: dict[str, float | None] = {}
        if rows:
            figures = self._metrics.figures(np.concatenate(rows), self._values)
        found = ((each.name, figures.get(each.name)) for each in self._found.blessing)
        return {
            _key(name, self._model): np.nan if value is None else value for name, value in found
        }


def _of_one(values: Any, spec: Any) -> Any:
    """A feature of one example as `tf.io.parse_example` has it of a batch of one."""
    if isinstance(spec, tf.io.RaggedFeature):
        given = np.zeros(0, spec.dtype.as_numpy_dtype) if values is None else values
        return [np.reshape(given, -1)]
    if values is None or not np.size(values):
        values = spec.default_value
    return np.reshape(values, (1, *spec.shape))
