"""DataValidator: TFX's ExampleValidator, whose verdict counts."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

from components import artifacts
from components.validate import executor


class DataValidatorSpec(types.ComponentSpec):
    """Interface of `DataValidator`."""

    PARAMETERS = {
        "data_checks": ExecutionParameter(type=str),
        "dataset": ExecutionParameter(type=str),
        "served": ExecutionParameter(type=str, optional=True),
        "history": ExecutionParameter(type=str, optional=True),
    }
    INPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "statistics": ChannelParameter(type=standard_artifacts.ExampleStatistics),
        "schema": ChannelParameter(type=standard_artifacts.Schema),
        "previous": ChannelParameter(type=artifacts.DataVerdict, optional=True),
    }
    OUTPUTS = {
        "anomalies": ChannelParameter(type=standard_artifacts.ExampleAnomalies),
        "verdict": ChannelParameter(type=artifacts.DataVerdict),
    }


class DataValidator(base_component.BaseComponent):
    """Stops a run on data that are not fit to train on, in words.

    TFX's ExampleValidator compares statistics with the schema, writes the anomalies that it finds
    and never stops a run. This one, whose executor is derived from it, does that too, and then
    looks for classes without images or other than the served model's, skew between the splits,
    drift from the data of the last run (or span), duplicates and test images that leak into the
    training split.
    """

    SPEC_CLASS = DataValidatorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        statistics: types.BaseChannel,
        schema: types.BaseChannel,
        data_checks: Mapping[str, float],
        dataset: str,
        previous: types.BaseChannel | None = None,
        history: str | None = None,
        served: str | None = None,
    ):
        """Makes the component.

        Args:
          examples: what is trained on, an artifact a span, with the facts of ImageExampleGen.
          statistics, schema: of the newest of them.
          data_checks: the limits, by the keys of `components.validate.verdict.LIMITS`.
          dataset: says which data these are: verdicts on others are not compared with.
          previous: the verdict on the data before.
          history: instead, a folder that keeps the verdicts (`components.validate.history`).
          served: folder of the versions that a model trained on these data would replace.
        """
        super().__init__(
            spec=DataValidatorSpec(
                examples=examples,
                statistics=statistics,
                schema=schema,
                previous=previous,
                data_checks=json.dumps(dict(data_checks), sort_keys=True),
                dataset=dataset,
                history=history,
                served=served,
                anomalies=types.Channel(type=standard_artifacts.ExampleAnomalies),
                verdict=types.Channel(type=artifacts.DataVerdict),
            )
        )
