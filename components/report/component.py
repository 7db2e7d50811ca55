"""The report as a TFX component."""

import json
from collections.abc import Mapping

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

from components import artifacts
from components.report import executor


class ReportSpec(types.ComponentSpec):
    """Interface of `Report`."""

    PARAMETERS = {"thresholds": ExecutionParameter(type=str, optional=True)}
    INPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "model_run": ChannelParameter(type=standard_artifacts.ModelRun),
        "judgement": ChannelParameter(type=artifacts.Judgement),
        "probes": ChannelParameter(type=artifacts.Probes, optional=True),
        "transform_graph": ChannelParameter(type=standard_artifacts.TransformGraph, optional=True),
        "verdict": ChannelParameter(type=artifacts.DataVerdict, optional=True),
        "tuner_results": ChannelParameter(type=standard_artifacts.TunerResults, optional=True),
        "evaluations": ChannelParameter(type=standard_artifacts.ModelEvaluation, optional=True),
        "blessings": ChannelParameter(type=standard_artifacts.ModelBlessing, optional=True),
        "infra_blessing": ChannelParameter(type=standard_artifacts.InfraBlessing, optional=True),
    }
    OUTPUTS = {"report": ChannelParameter(type=artifacts.Report)}


class Report(base_component.BaseComponent):
    """Makes one self-contained page about a run: figures, curves, answers, filters."""

    SPEC_CLASS = ReportSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        model_run: types.BaseChannel,
        judgement: types.BaseChannel,
        probes: types.BaseChannel | None = None,
        transform_graph: types.BaseChannel | None = None,
        verdict: types.BaseChannel | None = None,
        tuner_results: types.BaseChannel | None = None,
        evaluations: types.BaseChannel | None = None,
        blessings: types.BaseChannel | None = None,
        infra_blessing: types.BaseChannel | None = None,
        thresholds: Mapping[str, float] | None = None,
    ):
        """
        Args:
          examples: Examples with a `test` split: the answers are shown beside it.
          model_run: the Trainer's ModelRun with history.json, recipe.json and model.keras.
          judgement: the Judge's Judgement.
          transform_graph: of the Transform; without it, nothing is shown of the augmentation.
          probes: of the Probe, where a trained network's features were tried on these images.
          verdict: of the DataValidator, on the data that were trained on.
          tuner_results: of the Tuner, where values were searched.
          evaluations, blessings: of the Evaluators, on the newest data and on the fixed ones.
          infra_blessing: of the Canary. With these three and
          thresholds: the recipe's, the page says whether the model replaces the served one.
        """
        super().__init__(
            spec=ReportSpec(
                examples=examples,
                model_run=model_run,
                judgement=judgement,
                probes=probes,
                transform_graph=transform_graph,
                verdict=verdict,
                tuner_results=tuner_results,
                evaluations=evaluations,
                blessings=blessings,
                infra_blessing=infra_blessing,
                thresholds=json.dumps(thresholds, sort_keys=True) if thresholds else None,
                report=types.Channel(type=artifacts.Report),
            )
        )
