"""PreviousModel: the baseline, where an orchestrator's metadata cannot be asked for it."""

from __future__ import annotations

import os
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter
from tfx.utils import io_utils, path_utils

from components import served
from components.artifacts import ABSENT


class Executor(base_executor.BaseExecutor):
    """Copies the newest pushed version of a model."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Fills the output.

        Args:
          input_dict: empty.
          output_dict: `model`; with the property `ABSENT` where nothing was pushed yet.
          exec_properties: `served`, the folder that holds the versions.
        """
        model = artifact_utils.get_single_instance(output_dict["model"])
        newest = served.newest(exec_properties["served"])
        if newest is None:
            model.set_int_custom_property(ABSENT, 1)
            return
        io_utils.copy_dir(newest, path_utils.serving_model_dir(model.uri))
        model.set_string_custom_property("version", os.path.basename(newest))


class PreviousModelSpec(types.ComponentSpec):
    """Interface of `PreviousModel`."""

    PARAMETERS = {"served": ExecutionParameter(type=str)}
    INPUTS = {}
    OUTPUTS = {"model": ChannelParameter(type=standard_artifacts.Model)}


class PreviousModel(base_component.BaseComponent):
    """The newest pushed model of a recipe, against which a candidate is measured.

    A model is pushed only if evaluation and canary blessed it, so that this is the last blessed
    one. It is copied: servers' folders are cleaned up, artifacts stay. What has been pushed changes
    from run to run, so that its result must not be taken from a cache.
    """

    SPEC_CLASS = PreviousModelSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, folder: str):
        """Makes the component.

        Args:
          folder: holds a folder a version; it need not be there yet.
        """
        model = types.Channel(type=standard_artifacts.Model)
        super().__init__(spec=PreviousModelSpec(served=folder, model=model))
