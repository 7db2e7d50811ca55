"""The probe as a TFX component."""

import json
from collections.abc import Mapping
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

from components.artifacts import Probes
from components.probe import executor


class ProbeSpec(types.ComponentSpec):
    """Interface of `Probe`."""

    PARAMETERS = {"transfer": ExecutionParameter(type=str)}
    INPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "transform_graph": ChannelParameter(type=standard_artifacts.TransformGraph),
        "model_run": ChannelParameter(type=standard_artifacts.ModelRun),
    }
    OUTPUTS = {"probes": ChannelParameter(type=Probes)}


class Probe(base_component.BaseComponent):
    """Measures linear classifiers on the features of a network's layers."""

    SPEC_CLASS = ProbeSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        transform_graph: types.BaseChannel,
        model_run: types.BaseChannel,
        transfer: Mapping[str, Any],
    ):
        """
        Args:
          examples: Examples with a train and a test split.
          transform_graph: of the Transform component, as the images of `model_run` went through.
          model_run: of the Trainer; of a retrained network all layers but the last are the base's.
          transfer: plain data, the recipe's `transfer`.
        """
        super().__init__(
            spec=ProbeSpec(
                examples=examples,
                transform_graph=transform_graph,
                model_run=model_run,
                probes=types.Channel(type=Probes),
                transfer=json.dumps(transfer, sort_keys=True),
            )
        )
