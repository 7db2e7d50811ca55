"""The share of right answers, and what it gains over the commonest class, as metrics of TFMA.

TFMA's own accuracy wraps the metric of Keras 2, whose functions TensorFlow has to rewrite before
the first answer is counted: that takes longer than to count some thousand of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis.metrics import metric_types, metric_util
from tensorflow_model_analysis.proto import config_pb2

from components.evaluate.verdict import ACCURACY, GAIN

_Counts = tuple[int, Counter]  # of right answers, and of examples by label


class Accuracy(metric_types.Metric):
    """The share of examples whose label has the largest score.

    A score that is not finite makes the answer a wrong one. Of equal scores the first counts.
    """

    def __init__(self, name: str = ACCURACY):
        """
        Args:
          name: of the metric in the evaluation.
        """
        super().__init__(_accuracy, name=name)


class GainOverMajority(metric_types.Metric):
    """The accuracy less that of the answer that is always the commonest label."""

    def __init__(self, name: str = GAIN):
        """
        Args:
          name: of the metric in the evaluation.
        """
        super().__init__(_gain, name=name)


metric_types.register_metric(Accuracy)
metric_types.register_metric(GainOverMajority)


def _accuracy(
    name: str = ACCURACY,
    eval_config: config_pb2.EvalConfig | None = None,
    model_names: Sequence[str] = ("",),
) -> metric_types.MetricComputations:
    return _computations(lambda right, _: right, name, eval_config, model_names)


def _gain(
    name: str = GAIN,
    eval_config: config_pb2.EvalConfig | None = None,
    model_names: Sequence[str] = ("",),
) -> metric_types.MetricComputations:
    def gained(right: int, labels: Counter) -> int:
        return right - max(labels.values())

    return _computations(gained, name, eval_config, model_names)


def _computations(
    counted: Callable[[int, Counter], int],
    name: str,
    eval_config: config_pb2.EvalConfig | None,
    model_names: Sequence[str],
) -> metric_types.MetricComputations:
    keys = (metric_types.MetricKey(name=name, model_name=model) for model in model_names)
    return [
        metric_types.MetricComputation(
            [key], preprocessors=None, combiner=_Count(key, eval_config, counted)
        )
        for key in keys
    ]


class _Count(beam.CombineFn):
    """Counts the right answers of one model; what is `counted` of them becomes a share."""

    def __init__(
        self,
        key: metric_types.MetricKey,
        eval_config: config_pb2.EvalConfig | None,
        counted: Callable[[int, Counter], int],
    ):
        self._key = key
        self._eval_config = eval_config
        self._counted = counted

    def create_accumulator(self) -> _Counts:
        return 0, Counter()

    def add_input(self, counts: _Counts, element: metric_types.StandardMetricInputs) -> _Counts:
        right, labels = counts
        for label, scores, _ in metric_util.to_label_prediction_example_weight(
            element, self._eval_config, self._key.model_name, flatten=False
        ):
            finite = np.isfinite(scores).all()
            right += int(finite and np.argmax(scores) == label.item())
            labels[int(label.item())] += 1
        return right, labels

    def merge_accumulators(self, accumulators: Iterable[_Counts]) -> _Counts:
        right, labels = zip(*accumulators, strict=True)
        return sum(right), sum(labels, Counter())

    def extract_output(self, counts: _Counts) -> dict[metric_types.MetricKey, float]:
        right, labels = counts
        total = labels.total() if labels else 0
        return {self._key: self._counted(right, labels) / total if total else float("nan")}
