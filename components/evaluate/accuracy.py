"""The share of right answers as a metric of TFMA.

TFMA's own wraps the metric of Keras 2, whose functions TensorFlow has to rewrite before the first
answer is counted: that takes longer than to count some thousand of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis.metrics import metric_types, metric_util
from tensorflow_model_analysis.proto import config_pb2

from components.evaluate.verdict import ACCURACY

_Counts = tuple[int, int]  # of right answers, and of all


class Accuracy(metric_types.Metric):
    """The share of examples whose label has the largest score.

    A score that is not finite makes the answer a wrong one. Of equal scores the first counts.
    """

    def __init__(self, name: str = ACCURACY):
        """
        Args:
          name: of the metric in the evaluation.
        """
        super().__init__(_computations, name=name)


metric_types.register_metric(Accuracy)


def _computations(
    name: str = ACCURACY,
    eval_config: config_pb2.EvalConfig | None = None,
    model_names: Sequence[str] = ("",),
) -> metric_types.MetricComputations:
    keys = (metric_types.MetricKey(name=name, model_name=model) for model in model_names)
    return [
        metric_types.MetricComputation([key], preprocessors=None, combiner=_Count(key, eval_config))
        for key in keys
    ]


class _Count(beam.CombineFn):
    """Counts the right answers of one model."""

    def __init__(self, key: metric_types.MetricKey, eval_config: config_pb2.EvalConfig | None):
        self._key = key
        self._eval_config = eval_config

    def create_accumulator(self) -> _Counts:
        return 0, 0

    def add_input(self, counts: _Counts, element: metric_types.StandardMetricInputs) -> _Counts:
        right, total = counts
        for label, scores, _ in metric_util.to_label_prediction_example_weight(
            element, self._eval_config, self._key.model_name, flatten=False
        ):
            finite = np.isfinite(scores).all()
            right += int(finite and np.argmax(scores) == label.item())
            total += 1
        return right, total

    def merge_accumulators(self, accumulators: Iterable[_Counts]) -> _Counts:
        right, total = zip(*accumulators, strict=True)
        return sum(right), sum(total)

    def extract_output(self, counts: _Counts) -> dict[metric_types.MetricKey, float]:
        right, total = counts
        return {self._key: right / total if total else float("nan")}
