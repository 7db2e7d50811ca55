"""A recipe to a TFX pipeline."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import tensorflow_model_analysis as tfma
from tfx import v1 as tfx
from tfx.types.channel_utils import union

from components.artifacts import DataVerdict
from components.baseline import PreviousBlessedModel
from components.canary.component import Canary
from components.ingest.component import ImageExampleGen
from components.ingest.contract import Encoding
from components.ingest.sources import Source
from components.judge.component import Judge
from components.preprocess import steps
from components.probe.component import Probe
from components.push.component import Pusher
from components.report.component import Report
from components.tune.component import Tuner
from components.validate.component import DataValidator
from components.validate.previous import PreviousData
from pipelines import tuning
from pipelines.beam import Beam
from pipelines.paths import Paths
from pipelines.recipe import Recipe, RecipeError

_OTHER_STAGES_KEYS = ("thresholds", "validation", "protocol", "benchmarks", "transfer", "tune")
_JUDGED_KEYS = ("name", "size", "dataset", "full_data", "seed", "preprocess")
_ON_THIS_MACHINE = Beam()


def create_pipeline(
    recipe: Recipe,
    source: Source,
    paths: Paths,
    metadata: bool = True,
    beam: Beam = _ON_THIS_MACHINE,
    earlier: Sequence[Source] = (),
) -> tfx.dsl.Pipeline:
    """The road from images to a served model.

    Args:
      recipe: what is trained, and how it is judged.
      source: the images, prepared.
      paths: where artifacts, checkpoints and served models go.
      metadata: whether the pipeline brings its own SQLite metadata store and compares with the
        newest blessed model other than the candidate. Kubeflow has a store of its own, and knows
        TFX's two built-in resolver strategies only.
      beam: where the stages on Beam compute.
      earlier: the other spans of the window, prepared; they are trained on, too, while statistics
        and figures are those of `source`, the newest.

    Returns:
      The pipeline; its components' ids are their class names, and `Baseline` for the resolver.

    Raises:
      RecipeError: a recipe on another's network that does not say where that is.
    """
    _check_base(recipe)
    encoding = Encoding(**recipe.ingest)
    # Kubeflow looks for the newest span when the pipeline runs.
    source = source if metadata else dataclasses.replace(source, span=None)
    examples, *others = (ImageExampleGen(each, encoding) for each in (source, *earlier))
    for span, other in zip(earlier, others, strict=True):
        other.with_id(f"{examples.id}-span-{span.span}")
    if beam.ingest() != beam.stages():
        for each in (examples, *others):
            each.with_beam_pipeline_args(beam.ingest())
    trained_on = examples.outputs["examples"]
    if others:
        trained_on = union([trained_on, *(other.outputs["examples"] for other in others)])
    statistics = tfx.components.StatisticsGen(examples=examples.outputs["examples"])
    schema = tfx.components.SchemaGen(
        statistics=statistics.outputs["statistics"], infer_feature_shape=True
    )
    previous = [_previous_data(recipe, examples)] if metadata else []
    validator = _validator(recipe, trained_on, statistics, schema, *previous)
    transform = _transform(recipe, trained_on, schema)
    # Nothing is computed with data that are stopped.
    transform.add_upstream_node(validator)
    tuners = [_tuner(recipe, paths, trained_on, transform)] if tuning.is_on(recipe.tune) else []
    trainer = _trainer(recipe, paths, trained_on, schema, transform, *tuners)
    baseline = _baseline(trainer, by_content=metadata)
    evaluator = tfx.components.Evaluator(
        examples=examples.outputs["examples"],
        model=trainer.outputs["model"],
        baseline_model=baseline.outputs["model"],
        example_splits=["test"],
        eval_config=_eval_config(recipe),
    )
    judge = Judge(
        examples=examples.outputs["examples"],
        model=trainer.outputs["model"],
        protocol=recipe.protocol,
        benchmarks=recipe.benchmarks,
        recipe=_judged(recipe),
        model_run=trainer.outputs["model_run"],
    )
    probes = [_probe(recipe, examples, transform, trainer)] if recipe.transfer else []
    report = Report(
        examples=examples.outputs["examples"],
        model_run=trainer.outputs["model_run"],
        judgement=judge.outputs["judgement"],
        probes=probes[0].outputs["probes"] if probes else None,
        transform_graph=transform.outputs["transform_graph"],
        verdict=validator.outputs["verdict"],
        tuner_results=tuners[0].outputs["tuner_results"] if tuners else None,
    )
    canary = Canary(model=trainer.outputs["model"], examples=examples.outputs["examples"])
    pusher = Pusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        infra_blessing=canary.outputs["blessing"],
        push_destination=tfx.proto.PushDestination(
            filesystem=tfx.proto.PushDestination.Filesystem(
                base_directory=paths.served(recipe.name)
            )
        ),
    )
    components = [
        examples,
        *others,
        statistics,
        schema,
        *previous,
        validator,
        transform,
        *tuners,
        trainer,
        baseline,
        evaluator,
        judge,
        *probes,
        report,
        canary,
        pusher,
    ]
    return tfx.dsl.Pipeline(
        pipeline_name=recipe.name,
        pipeline_root=paths.pipeline(recipe.name),
        components=components,
        enable_cache=True,
        metadata_connection_config=_sqlite(paths.metadata) if metadata else None,
        beam_pipeline_args=beam.stages(),
    )


def _sqlite(path: str):
    return tfx.orchestration.metadata.sqlite_metadata_connection_config(path)


def _check_base(recipe: Recipe) -> None:
    folders = ("model_run", "transform_graph")
    missing = [f"transfer.{key}" for key in folders if recipe.transfer and not recipe.transfer[key]]
    if missing:
        raise RecipeError(
            f"{recipe.name} retrains the network of {recipe.transfer['from']}: --set "
            f"{' and '.join(missing)} to the folders that a run of it left"
        )


def _data_identity(recipe: Recipe) -> str:
    """Data that are stored in another way would seem to have drifted."""
    return json.dumps({"dataset": recipe.dataset, "ingest": recipe.ingest}, sort_keys=True)


def _previous_data(recipe: Recipe, examples):
    return tfx.dsl.Resolver(
        strategy_class=PreviousData,
        config={"dataset": _data_identity(recipe)},
        verdict=tfx.dsl.Channel(type=DataVerdict),
        examples=examples.outputs["examples"],
    ).with_id("PreviousData")


def _validator(recipe: Recipe, examples, statistics, schema, previous=None):
    validator = DataValidator(
        examples=examples,
        statistics=statistics.outputs["statistics"],
        schema=schema.outputs["schema"],
        validation=recipe.validation,
        dataset=_data_identity(recipe),
        previous=previous.outputs["verdict"] if previous else None,
    )
    return validator.with_id("ExampleValidator")


def _judged(recipe: Recipe) -> dict[str, Any]:
    """What the Judge has to know of the recipe.

    A net that is tested in the middle of the scales that it was trained with is tested at all of
    them where a protocol says so: its `preprocess.resize` is then both ends (Simonyan and
    Zisserman 2015, section 4).
    """
    values = {key: getattr(recipe, key) for key in _JUDGED_KEYS}
    sampled = steps.sampling(recipe.augment) or {}
    scales = [sampled[key] for key in ("low", "high") if key in sampled]
    if scales and sum(scales) == 2 * (recipe.preprocess["resize"] or 0):
        values["preprocess"] = {**recipe.preprocess, "resize": scales}
    return values


def _probe(recipe: Recipe, examples, transform, trainer):
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
    return tfx.components.Transform(
        examples=examples,
        schema=schema.outputs["schema"],
        preprocessing_fn="components.preprocess.transform.preprocessing_fn",
        splits_config=tfx.proto.SplitsConfig(analyze=["train"], transform=[]),
        # The images stay encoded on disk; the trainer applies the graph as it reads them.
        materialize=False,
        disable_statistics=True,
        custom_config={"preprocess": dict(recipe.preprocess), **base, **axes},
    )


def _tuner(recipe: Recipe, paths: Paths, examples, transform):
    return Tuner(
        tuner_fn="components.tune.search.tuner_fn",
        examples=examples,
        transform_graph=transform.outputs["transform_graph"],
        train_args=tfx.proto.TrainArgs(splits=["train"]),
        # A part of the training split is held out: the test split is not for choosing.
        eval_args=tfx.proto.EvalArgs(splits=["train"]),
        custom_config=_training_config(recipe, paths, tune=recipe.tune),
    )


def _trainer(recipe: Recipe, paths: Paths, examples, schema, transform, tuner=None):
    best = {"hyperparameters": tuner.outputs["best_hyperparameters"]} if tuner else {}
    return tfx.components.Trainer(
        run_fn="components.train.run.run_fn",
        examples=examples,
        transform_graph=transform.outputs["transform_graph"],
        schema=schema.outputs["schema"],
        train_args=tfx.proto.TrainArgs(splits=["train"]),
        eval_args=tfx.proto.EvalArgs(splits=["test"]),
        custom_config=_training_config(recipe, paths),
        **best,
    )


def _training_config(recipe: Recipe, paths: Paths, **more: Any) -> dict[str, str]:
    """The recipe without what only judging needs: to change that is no reason to train again.

    The network of a recipe on another's is an argument of its model.
    """
    values = json.loads(recipe.to_json())
    if recipe.transfer:
        values["model_args"]["base"] = f"{recipe.transfer['model_run']}/model.keras"
    kept = {key: values[key] for key in values if key not in _OTHER_STAGES_KEYS}
    return {
        "recipe": json.dumps(kept | more),
        "checkpoints": f"{paths.pipeline(recipe.name)}/checkpoints",
    }


def _baseline(trainer, by_content: bool):
    channels = {
        "model": tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
        "model_blessing": tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
    }
    if by_content:
        strategy = PreviousBlessedModel
        channels["candidate"] = trainer.outputs["model"]
    else:
        strategy = tfx.dsl.experimental.LatestBlessedModelStrategy
    return tfx.dsl.Resolver(strategy_class=strategy, **channels).with_id("Baseline")


def _eval_config(recipe: Recipe) -> tfma.EvalConfig:
    threshold = tfma.MetricThreshold(
        value_threshold=tfma.GenericValueThreshold(
            lower_bound={"value": recipe.thresholds["accuracy"]}
        ),
        change_threshold=tfma.GenericChangeThreshold(
            direction=tfma.MetricDirection.HIGHER_IS_BETTER,
            absolute={"value": -recipe.thresholds["change"]},
        ),
    )
    metrics = [
        tfma.MetricConfig(class_name="ExampleCount"),
        tfma.MetricConfig(class_name="SparseCategoricalAccuracy", threshold=threshold),
    ]
    return tfma.EvalConfig(
        model_specs=[
            tfma.ModelSpec(
                signature_name="serving_default", label_key="label", prediction_key="scores"
            )
        ],
        slicing_specs=[tfma.SlicingSpec()],
        metrics_specs=[tfma.MetricsSpec(metrics=metrics)],
    )
