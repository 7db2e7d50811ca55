"""The canary as a TFX component."""

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter

from components.canary import executor


class CanarySpec(types.ComponentSpec):
    """Interface of `Canary`."""

    PARAMETERS = {}
    INPUTS = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "examples": ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS = {"blessing": ChannelParameter(type=standard_artifacts.InfraBlessing)}


class Canary(base_component.BaseComponent):
    """Loads a candidate in the server, asks it about real images and blesses it if it answers well.

    Does the work of TFX's InfraValidator where there is no container engine; its blessing is what
    Pusher takes as `infra_blessing`.
    """

    SPEC_CLASS = CanarySpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(self, model: types.BaseChannel, examples: types.BaseChannel):
        """
        Args:
          model: the Trainer's Model.
          examples: Examples with a `test` split, the images to ask about.
        """
        super().__init__(
            spec=CanarySpec(
                model=model,
                examples=examples,
                blessing=types.Channel(type=standard_artifacts.InfraBlessing),
            )
        )
