"""A recipe to a TFX pipeline."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from typing import Any

import tensorflow_data_validation as tfdv
from tensorflow_model_analysis import sdk as tfma
from tfx.components.schema_gen.component import SchemaGen
from tfx.components.statistics_gen.component import StatisticsGen
from tfx.components.trainer.component import Trainer
from tfx.components.transform.component import Transform
from tfx.dsl.components.common.resolver import Resolver
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline
from tfx.proto.pusher_pb2 import PushDestination
from tfx.proto.trainer_pb2 import EvalArgs, TrainArgs
from tfx.proto.transform_pb2 import SplitsConfig
from tfx.types.channel import Channel
from tfx.types.channel_utils import union
from tfx.types.standard_artifacts import Model, ModelBlessing, PushedModel

from components import tasks
from components.artifacts import DataVerdict
from components.baseline import ServedModel
from components.canary.component import Canary
from components.evaluate.component import Evaluator
from components.ingest.component import ImageExampleGen
from components.ingest.contract import Encoding
from components.ingest.sources import Source
from components.judge.component import Judge
from components.preprocess import steps
from components.push.component import Pusher
from components.push.previous import PreviousModel
from components.report.component import Report
from components.served import OTHER_CLASSES
from components.tasks import Metric
from components.validate.component import DataValidator
from components.validate.previous import PreviousData
from pipelines import judging, tuning
from pipelines.beam import Beam
from pipelines.history import revision
from pipelines.paths import Paths
from pipelines.recipe import Recipe, RecipeError

_ON_THIS_MACHINE = Beam()
# Without sketches every distinct value, the images' bytes among them, goes through Beam's shuffle.
# With them features of up to 1,000 distinct values are counted exactly, and a schema's domain has
# 100 at the most.
_SKETCHES = tfdv.StatsOptions(use_sketch_based_topk_uniques=True)


def create_pipeline(
    recipe: Recipe,
    source: Source,
    paths: Paths,
    metadata: bool = True,
    beam: Beam = _ON_THIS_MACHINE,
    earlier: Sequence[Source] = (),
    fixed: Source | None = None,
) -> Pipeline:
    """The pipeline from images to a served model.

    Args:
      recipe: what is trained, and how it is judged.
      source: the images, prepared.
      paths: where artifacts, checkpoints and served models go.
      metadata: whether the pipeline brings its own SQLite metadata store and compares with the
        served model. Kubeflow has a store of its own, which no
        step can ask: there the pushed models and a folder of verdicts stand for it.
      beam: where the stages on Beam compute.
      earlier: the other spans of the window, prepared; they are trained on, too, while statistics
        and figures are those of `source`, the newest.
      fixed: the recipe's `fixed` data, prepared.

    Returns:
      The pipeline; its components' ids are their class names, and `Baseline` for the resolver.

    Raises:
      RecipeError: a recipe on another's network that does not say where that is; one with fixed
        data where these are not given.
    """
    _check_base(recipe)
    if recipe.fixed and fixed is None:
        raise RecipeError("the recipe's fixed data are not given")
    encoding = Encoding(**recipe.encoding)
    examples, *others = (_ingest(each, encoding, metadata) for each in (source, *earlier))
    for place, (span, other) in enumerate(zip(earlier, others, strict=True), 1):
        # On Kubeflow the steps are there before the spans.
        number = f"span-{span.span}" if metadata else f"earlier-{place}"
        other.with_id(f"{examples.id}-{number}")
    references = []
    if fixed is not None:
        references = [_ingest(fixed, encoding, metadata).with_id(f"{examples.id}-fixed")]
    if beam.ingest() != beam.stages():
        for each in (examples, *others, *references):
            each.with_beam_pipeline_args(beam.ingest())
    trained_on = examples.outputs["examples"]
    if others:
        trained_on = union([trained_on, *(other.outputs["examples"] for other in others)])
    statistics = StatisticsGen(examples=examples.outputs["examples"], stats_options=_SKETCHES)
    schema = SchemaGen(statistics=statistics.outputs["statistics"], infer_feature_shape=True)
    previous = [_previous_data(recipe, examples)] if metadata else []
    history = None if metadata else paths.verdicts(recipe.model_name)
    served = paths.served(recipe.model_name)
    validator = _validator(recipe, trained_on, statistics, schema, served, history, *previous)
    transform = _transform(recipe, trained_on, schema)
    # Nothing is computed with data that are stopped.
    transform.add_upstream_node(validator)
    tuners = [_tuner(recipe, paths, trained_on, transform)] if tuning.is_on(recipe.tune) else []
    trainer = _trainer(recipe, paths, trained_on, schema, transform, *tuners)
    baseline = _baseline(trainer) if metadata else PreviousModel(served)
    baseline = baseline.with_id("Baseline")
    chance = recipe.thresholds[tasks.CHANCE]
    evaluator = _evaluator(recipe, examples, trainer, baseline, chance)
    # On the fixed data a model is compared with the served one.
    of_fixed = [_evaluator(recipe, each, trainer, baseline) for each in references]
    evaluators = [evaluator, *(each.with_id(f"{evaluator.id}-fixed") for each in of_fixed)]
    judge = Judge(
        examples=examples.outputs["examples"],
        model=trainer.outputs["model"],
        protocol=recipe.protocol,
        benchmarks=recipe.benchmarks,
        recipe=judging.judged(recipe),
        model_run=trainer.outputs["model_run"],
    )
    probed = recipe.transfer and tasks.find(recipe.task).probed
    probes = [_probe(recipe, examples, transform, trainer)] if probed else []
    canary = Canary(model=trainer.outputs["model"], examples=examples.outputs["examples"])
    report = Report(
        examples=examples.outputs["examples"],
        model_run=trainer.outputs["model_run"],
        judgement=judge.outputs["judgement"],
        probes=probes[0].outputs["probes"] if probes else None,
        transform_graph=transform.outputs["transform_graph"],
        verdict=validator.outputs["verdict"],
        tuner_results=tuners[0].outputs["tuner_results"] if tuners else None,
        evaluations=_all_of(evaluators, "evaluation"),
        blessings=_all_of(evaluators, "blessing"),
        infra_blessing=canary.outputs["blessing"],
        thresholds=recipe.thresholds,
    )
    pusher = Pusher(
        model=trainer.outputs["model"],
        model_blessing=_all_of(evaluators, "blessing"),
        infra_blessing=canary.outputs["blessing"],
        push_destination=PushDestination(
            filesystem=PushDestination.Filesystem(base_directory=served)
        ),
        custom_config={OTHER_CLASSES: recipe.data_checks.get(OTHER_CLASSES, 0)},
    )
    components = [
        examples,
        *others,
        *references,
        statistics,
        schema,
        *previous,
        validator,
        transform,
        *tuners,
        trainer,
        baseline,
        *evaluators,
        judge,
        *probes,
        report,
        canary,
        pusher,
    ]
    return Pipeline(
        pipeline_name=recipe.model_name,
        pipeline_root=paths.pipeline(recipe.model_name),
        components=components,
        enable_cache=True,
        metadata_connection_config=(
            sqlite_metadata_connection_config(paths.metadata) if metadata else None
        ),
        beam_pipeline_args=beam.stages(),
    )


def _ingest(source: Source, encoding: Encoding, metadata: bool):
    """Kubeflow's steps are told their span when the pipeline runs."""
    known = source if metadata else dataclasses.replace(source, span=None)
    return ImageExampleGen(known, encoding)


def _check_base(recipe: Recipe) -> None:
    folders = ("model_run", "transform_graph")
    missing = [f"transfer.{key}" for key in folders if recipe.transfer and not recipe.transfer[key]]
    if missing:
        raise RecipeError(
            f"{recipe.name} starts from the network of {recipe.transfer['from']}: --set "
            f"{' and '.join(missing)} to the folders that a run of it left"
        )


def _data_identity(recipe: Recipe) -> str:
    """Data that are stored in another way would seem to have drifted."""
    return json.dumps({"dataset": recipe.dataset, "ingest": recipe.ingest}, sort_keys=True)


def _previous_data(recipe: Recipe, examples):
    return Resolver(
        strategy_class=PreviousData,
        config={"dataset": _data_identity(recipe)},
        verdict=Channel(type=DataVerdict),
        examples=examples.outputs["examples"],
    ).with_id("PreviousData")


def _validator(recipe: Recipe, examples, statistics, schema, served, history, previous=None):
    validator = DataValidator(
        examples=examples,
        statistics=statistics.outputs["statistics"],
        schema=schema.outputs["schema"],
        data_checks=recipe.data_checks,
        dataset=_data_identity(recipe),
        previous=previous.outputs["verdict"] if previous else None,
        history=history,
        served=served,
    )
    return validator.with_id("ExampleValidator")


def _probe(recipe: Recipe, examples, transform, trainer):
    from components.probe.component import Probe

    return Probe(
        examples=examples.outputs["examples"],
        transform_graph=transform.outputs["transform_graph"],
        model_run=trainer.outputs["model_run"],
        transfer=recipe.transfer,
    )


def _transform(recipe: Recipe, examples, schema):
    # A network that was trained on other images goes on to see their mean subtracted.
    base = {"base": recipe.transfer["transform_graph"]} if recipe.transfer else {}
    axes = {"axes": True} if steps.uses(recipe.augment, "pca_colour") else {}
    return Transform(
        examples=examples,
        schema=schema.outputs["schema"],
        preprocessing_fn="components.preprocess.transform.preprocessing_fn",
        splits_config=SplitsConfig(analyze=["train"], transform=[]),
        # The images stay encoded on disk; the trainer applies the graph as it reads them.
        materialize=False,
        disable_statistics=True,
        custom_config={"preprocess": dict(recipe.preprocess), **base, **axes},
    )


def _tuner(recipe: Recipe, paths: Paths, examples, transform):
    from components.tune.component import Tuner

    return Tuner(
        tuner_fn="components.tune.search.tuner_fn",
        examples=examples,
        transform_graph=transform.outputs["transform_graph"],
        train_args=TrainArgs(splits=["train"]),
        eval_args=EvalArgs(splits=["train"]),
        custom_config=_training_config(recipe, paths, tune=recipe.tune),
    )


def _trainer(recipe: Recipe, paths: Paths, examples, schema, transform, tuner=None):
    best = {"hyperparameters": tuner.outputs["best_hyperparameters"]} if tuner else {}
    return Trainer(
        run_fn="components.train.run.run_fn",
        examples=examples,
        transform_graph=transform.outputs["transform_graph"],
        schema=schema.outputs["schema"],
        train_args=TrainArgs(splits=["train"]),
        # A part of the training split is held out: the test split is judged alone.
        eval_args=EvalArgs(splits=["train"]),
        custom_config=_training_config(recipe, paths),
        **best,
    )


def _training_config(recipe: Recipe, paths: Paths, **more: Any) -> dict[str, str]:
    """The recipe without what only judging needs: to change that is no reason to train again.

    The network of a recipe on another's is an argument of its model.
    """
    kept = recipe.for_stage("train")
    if recipe.transfer:
        kept["model_args"]["base"] = f"{recipe.transfer['model_run']}/model.keras"
    modules = revision.own_sources(kept)
    return {
        "recipe": json.dumps(kept | more),
        "checkpoints": f"{paths.pipeline(recipe.model_name)}/checkpoints",
        # With other sources nothing comes from the cache, and no training is gone on with.
        **({"modules": json.dumps(modules)} if modules else {}),
    }


def _baseline(trainer):
    return Resolver(
        strategy_class=ServedModel,
        model=Channel(type=Model),
        model_blessing=Channel(type=ModelBlessing),
        pushed=Channel(type=PushedModel),
        candidate=trainer.outputs["model"],
    )


def _evaluator(recipe: Recipe, examples, trainer, baseline, chance: float | None = None):
    return Evaluator(
        examples=examples.outputs["examples"],
        model=trainer.outputs["model"],
        baseline_model=baseline.outputs["model"],
        example_splits=["test"],
        eval_config=_eval_config(recipe, chance),
    )


def _all_of(components, output: str):
    """An output of one component, or of several."""
    channels = [component.outputs[output] for component in components]
    return channels[0] if len(channels) == 1 else union(channels)


def _eval_config(recipe: Recipe, chance: float | None = None) -> tfma.EvalConfig:
    """TFMA's, with a threshold for each of the task's figures that bless."""
    task = tasks.find(recipe.task).bound(recipe.task_args)
    first, *others = task.blessing
    bounds = {each.name: each.bound for each in others}
    bounds[first.name] = recipe.thresholds[first.name]
    thresholds = {
        each.name: _threshold(each, bounds[each.name])
        for each in task.blessing
        if each is first or bounds[each.name] is not None
    }
    thresholds[first.name].change_threshold.CopyFrom(
        _change(first, recipe.thresholds[tasks.CHANGE])
    )
    arguments = {"task": task.name, "arguments": json.dumps(dict(recipe.task_args))}
    if chance is not None:
        arguments[tasks.CHANCE] = chance
    figures = tfma.MetricConfig(
        class_name="TaskFigures",
        module="components.evaluate.figures",
        config=json.dumps(arguments, sort_keys=True),
    )
    metrics = [tfma.MetricConfig(class_name="ExampleCount"), figures]
    return tfma.EvalConfig(
        model_specs=[tfma.ModelSpec(signature_name=task.examples_signature)],
        slicing_specs=[tfma.SlicingSpec()],
        metrics_specs=[tfma.MetricsSpec(metrics=metrics, thresholds=thresholds)],
    )


def _threshold(metric: Metric, bound: float | None) -> tfma.MetricThreshold:
    if bound is None:
        # TFMA blesses nothing without a bound: this one is reached by any finite figure.
        bound = sys.float_info.max * (1 if metric.less_is_better else -1)
    side = "upper_bound" if metric.less_is_better else "lower_bound"
    value = tfma.GenericValueThreshold(**{side: {"value": bound}})
    return tfma.MetricThreshold(value_threshold=value)


def _change(metric: Metric, allowed: float) -> tfma.GenericChangeThreshold:
    directions = tfma.MetricDirection
    less = metric.less_is_better
    return tfma.GenericChangeThreshold(
        direction=directions.LOWER_IS_BETTER if less else directions.HIGHER_IS_BETTER,
        absolute={"value": allowed if less else -allowed},
    )
