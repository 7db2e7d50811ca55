"""TFX's Evaluator, which compares numbers of classes: they have to stand for the same names.

And a model has to be better than one that answers the same about every image, where that is asked.
"""

from __future__ import annotations

import json
import os
from typing import Any

from absl import logging
from tfx import types
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import path_utils, proto_utils

from components import constant, examples, imports, tasks
from components.tasks import CHANCE

_NAMED = 5
_CONFIG, _FIGURES = "eval_config", "TaskFigures"


class OtherClasses(ValueError):
    """Data whose classes are not those of the model."""


class Executor(base_beam_executor.BaseBeamExecutor):
    """Executor of `components.evaluate.component.Evaluator`."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Does what TFX's executor does.

        A baseline with other classes than the model's is left out: it answers another question.
        Where the configuration of `TaskFigures` has a `chance`, the first figure that blesses has
        to be at least what `components.constant` finds in the examples, too; the evaluation's
        folder says what that is.

        Raises:
          OtherClasses: the examples have other classes than the model.
        """
        model = artifact_utils.get_single_instance(input_dict["model"])
        uri = artifact_utils.get_single_uri(input_dict["examples"])
        names, wanted = model_labels(model), examples.label_names(uri)
        if names is not None and names != list(wanted):
            apart = sorted({*names} ^ {*wanted})[:_NAMED] or ["their order"]
            raise OtherClasses(
                f"the model cannot be measured on {uri}: its classes are others "
                f"({', '.join(apart)} in one of them only)"
            )
        baselines = input_dict.get("baseline_model", [])
        kept = [each for each in baselines if model_labels(each) == names]
        if len(kept) < len(baselines):
            logging.warning("The served model knows other classes and is not compared with")
        own = _tfx_executor()(self._context)
        config = proto_utils.json_to_proto(exec_properties[_CONFIG], _eval_config())
        least = _needed(uri, config)
        own.Do(
            {**input_dict, "baseline_model": kept},
            output_dict,
            {**exec_properties, _CONFIG: proto_utils.proto_to_json(config)},
        )
        if least:
            constant.write(artifact_utils.get_single_uri(output_dict["evaluation"]), least)


def _eval_config() -> Any:
    from tensorflow_model_analysis.proto import config_pb2

    return config_pb2.EvalConfig()


def _needed(uri: str, config: Any) -> dict[str, Any] | None:
    """What a model has to know beside the thresholds, which is set in the configuration's."""
    (spec,) = config.metrics_specs
    found = (json.loads(each.config) for each in spec.metrics if each.class_name == _FIGURES)
    given = next(found, {})
    if given.get(CHANCE) is None:
        return None
    task = tasks.find(given["task"]).bound(json.loads(given["arguments"]))
    least = constant.needed(constant.rows(uri, task), task, given[CHANCE])
    if least:
        metric = task.blessing[0]
        threshold = spec.thresholds[metric.name].value_threshold
        bound = threshold.upper_bound if metric.less_is_better else threshold.lower_bound
        if metric.passes(least["value"], bound.value):
            bound.value = least["value"]
    return least


def _tfx_executor() -> type[base_beam_executor.BaseBeamExecutor]:
    """TFX's own; imported here, because all of TFMA comes with it."""
    imports.load("tfx.components.evaluator.executor")
    import tensorflow_model_analysis as tfma
    from tfx import components
    from tfx.components.evaluator import executor

    if not hasattr(tfma, "EvalConfig"):
        # TFX 1.21 gives it to TFMA 0.48, which lacks it, once all components are imported.
        _ = components.Evaluator
    return executor.Executor


def model_labels(model: types.Artifact) -> list[str] | None:
    """The class names in a served model, in the order of its outputs; None where it has none."""
    folder = path_utils.serving_model_path(model.uri, path_utils.is_old_model_artifact(model))
    path = os.path.join(folder, "assets", "labels.txt")
    if not fileio.exists(path):
        return None
    with fileio.open(path, "rb") as file:
        return file.read().decode("utf-8").splitlines()
