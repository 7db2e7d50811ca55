"""The judge as a TFX component."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

from components.artifacts import Judgement
from components.judge import benchmarks as tables
from components.judge import executor, protocols


class JudgeSpec(types.ComponentSpec):
    """Interface of `Judge`."""

    PARAMETERS = {
        "protocol": ExecutionParameter(type=str),
        "benchmarks": ExecutionParameter(type=str),
        "recipe": ExecutionParameter(type=str),
    }
    INPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "model": ChannelParameter(type=standard_artifacts.Model),
        "model_run": ChannelParameter(type=standard_artifacts.ModelRun, optional=True),
    }
    OUTPUTS = {"judgement": ChannelParameter(type=Judgement)}


class Judge(base_component.BaseComponent):
    """Measures a model on the test split by a protocol, beside the published figures."""

    SPEC_CLASS = JudgeSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        protocol: str,
        benchmarks: Sequence[str],
        recipe: Mapping[str, Any],
        model_run: types.BaseChannel | None = None,
    ):
        """
        Args:
          examples: Examples with a `test` split.
          model: Model with the served signatures.
          protocol: name of a protocol of `components.judge.protocols`.
          benchmarks: ids of published figures of `components.judge.benchmarks`.
          recipe: plain data: name, size, dataset, full_data, seed, preprocess, deviations, chance.
          model_run: of the Trainer, for figures about the steps to an accuracy.

        Raises:
          KeyError: unknown protocol or benchmark, known before anything has run.
        """
        protocols.find(protocol)
        tables.find(benchmarks)
        super().__init__(
            spec=JudgeSpec(
                examples=examples,
                model=model,
                model_run=model_run,
                judgement=types.Channel(type=Judgement),
                protocol=protocol,
                benchmarks=json.dumps(list(benchmarks)),
                recipe=json.dumps(dict(recipe), sort_keys=True),
            )
        )
