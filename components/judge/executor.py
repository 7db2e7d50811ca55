"""Runs models over the test split and writes what came out beside what was published."""

import csv
import functools
import io
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from components import constant, examples, model_run, progress, tasks
from components.judge import benchmarks, protocols, results
from components.judge.scoring import Scorer, together
from components.tasks import Task

_SPLIT = "test"
# Images between two reports of progress; those of which many views are asked take longer.
_BATCH = 256
_BATCH_OF_VIEWS = 16
_ID = "image/id"


@dataclass(frozen=True)
class Answers:
    """What models gave for the test split.

    Attributes:
      rows: float64 [R, K], of the task's metrics.
      number: of the images.
      not_finite: for how many images an answer is not finite.
      ids: of the images whose answers are kept: all of them, or the worst ones, the worst first.
      kept: these answers, by output [N, ...].
    """

    rows: np.ndarray
    number: int
    not_finite: int
    ids: list[str]
    kept: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Judged:
    """A judgement and the answers that it is about.

    Attributes:
      judgement: task, recipe, size, dataset, seed, models (how many), protocol, examples (how
        many), metrics (in their own units; None for one that is not defined or not
        finite), constant (those of a model that knows the truths of the training split and no
        picture), needed (on other data than the recipe's own what a model has to reach: the
        metric, the model's figure, the value and, as text, why; else None), not_finite (how many
        answers are not), labels (names of the classes), rows (see `results.compare`, in the units
        of the papers).
      answers: of the models.
    """

    judgement: dict[str, Any]
    answers: Answers


def judge(
    models: Sequence[str],
    uri: str,
    protocol: str,
    figures: Iterable[str],
    recipe: Mapping[str, Any],
    history: Sequence[Mapping[str, float]] = (),
    report: Callable[[int, int], None] | None = None,
) -> Judged:
    """Measures SavedModels on the test split and sets them beside published figures.

    Args:
      models: folders of SavedModels. Several are an ensemble: the mean of their answers, or what
        the task makes of them.
      uri: an Examples artifact.
      protocol: name of a protocol, by which each model is asked.
      figures: ids of benchmarks; counts of parameters and operations among them are passed over.
      recipe: task, name, size, dataset and, where they are known, task_args, full_data, seed,
        preprocess, deviations and chance, see `components.constant`.
      history: of the training, an entry an epoch, for the steps to an accuracy.
      report: called with how many images are done, of how many; by default whoever watches the run
        is told.

    Raises:
      KeyError: unknown protocol or benchmark; the near matches are named.
      ValueError: no model, a model that the protocol cannot ask, empty split, or a model of another
        task or other classes.
    """
    way = protocols.find(protocol)
    published = [row for row in benchmarks.find(figures) if row.metric not in results.COUNTS]
    if not models:
        raise ValueError("there is no model to judge")
    task = tasks.of_recipe(recipe)
    resize = recipe.get("preprocess", {}).get("resize")
    scorers = [Scorer(tf.saved_model.load(model), way, task, resize) for model in models]
    names = examples.label_names(uri)
    arguments = task.arguments
    batch_size = _BATCH_OF_VIEWS if way.parts else _BATCH
    answers = ask(scorers, uri, task, arguments, batch_size, report)
    metrics = task.part("metrics")
    measured = _finite(metrics.figures(answers.rows, arguments))
    same = constant.rows(uri, task)
    of_same = {} if same is None else _finite(metrics.figures(same, arguments))
    first = task.blessing[0].name
    least = constant.needed(same, task, recipe.get(tasks.CHANCE))
    of_training = metrics.of_training(history, {row.metric for row in published})
    measured |= of_training
    asked = protocols.of_ensemble(protocol, len(models))
    judgement = {
        "task": task.name,
        "task_args": dict(arguments),
        "recipe": recipe["name"],
        "size": recipe["size"],
        "dataset": recipe["dataset"],
        "seed": recipe.get("seed"),
        "models": len(models),
        "protocol": asked,
        "examples": answers.number,
        "constant": {each.name: of_same[each.name] for each in task.metrics} if of_same else {},
        "metrics": {each.name: measured[each.name] for each in task.metrics} | of_training,
        "needed": least and {"metric": first, "figure": measured[first], **least},
        "not_finite": answers.not_finite,
        "labels": names,
        "rows": [results.compare(row, measured, recipe, asked) for row in published],
    }
    return Judged(judgement, answers)


def _finite(figures: Mapping[str, float | None]) -> dict[str, float | None]:
    """JSON has no infinity and no NaN."""
    return {
        name: value if value is not None and np.isfinite(value) else None
        for name, value in figures.items()
    }


def ask(
    scorers: Sequence[Scorer],
    uri: str,
    task: Task,
    arguments: Mapping[str, Any],
    batch_size: int = _BATCH,
    report: Callable[[int, int], None] | None = None,
) -> Answers:
    """Asks about every example of the test split, and puts together what the scorers answer.

    Memory grows by the rows of the metrics and by the answers that are kept.

    Args:
      scorers: one a model.
      uri: an Examples artifact.
      task: what is asked.
      arguments: of the task.
      batch_size: examples between two reports of progress.
      report: as for `judge`.

    Raises:
      ValueError: the split is missing or empty, or the models are of another task or classes.
    """
    records = examples.records(uri, _SPLIT)
    total = examples.count(records)
    if not total:
        raise ValueError(f"{uri}: the {_SPLIT} split is empty, there is nothing to judge")
    names = examples.label_names(uri)
    targets, checks = task.part("targets"), task.part("checks")
    spec = {_ID: tf.io.FixedLenFeature([], tf.string), **targets.FEATURES}
    number = not_finite = 0
    rows: list[np.ndarray] = []
    kept = Kept(task, arguments)
    for batch in records.batch(batch_size).prefetch(tf.data.AUTOTUNE):
        given = together([scorer.answers(batch) for scorer in scorers], task)
        parsed = {name: value.numpy() for name, value in tf.io.parse_example(batch, spec).items()}
        ids = [name.decode("utf-8", "replace") for name in parsed.pop(_ID)]
        truths = targets.truths(parsed)
        checks.check(given, truths, names)
        rows.append(kept.add(ids, given, truths))
        number += len(ids)
        not_finite += int(_not_finite(given).sum())
        (report or _tell)(number, total)
    return Answers(np.concatenate(rows), number, not_finite, *kept.found())


def _tell(done: int, total: int) -> None:
    progress.report("Judge", done, total, f"{done:,} of {total:,} images")


class Kept:
    """The answers that are kept for the report: all of them, or those about the worst images."""

    def __init__(self, task: Task, arguments: Mapping[str, Any]):
        """
        Args:
          task: whose `kept` says how many; the worst are those by the first metric of `blessing`.
          arguments: of the task.
        """
        self._number = task.kept
        self._metric = task.blessing[0]
        self._metrics = task.part("metrics")
        self._arguments = arguments
        self._found: list[tuple[float, str, dict[str, np.ndarray]]] = []

    def add(self, ids: Sequence[str], answers: Mapping[str, np.ndarray], truths: Any) -> np.ndarray:
        """Takes a batch and returns its rows."""
        measure = functools.partial(self._metrics.rows, arguments=self._arguments)
        if self._number is None:
            self._found.append((0.0, ids, answers))
            return measure(answers, truths)
        rows = []
        for place, name in enumerate(ids):
            one = slice(place, place + 1)
            answer = {output: values[one] for output, values in answers.items()}
            rows.append(measure(answer, truths[one]))
            self._found.append((self._badness(rows[-1]), [name], answer))
        self._found.sort(key=lambda each: -each[0])
        del self._found[self._number :]
        return np.concatenate(rows)

    def found(self) -> tuple[list[str], dict[str, np.ndarray]]:
        """The images' ids and the answers by output, the worst first where not all are kept."""
        _, ids, answers = zip(*self._found, strict=True)
        together = {name: np.concatenate([each[name] for each in answers]) for name in answers[0]}
        return [name for batch in ids for name in batch], together

    def _badness(self, rows: np.ndarray) -> float:
        value = self._metrics.figures(rows, self._arguments)[self._metric.name]
        if value is None or not np.isfinite(value):
            return np.inf
        return value if self._metric.less_is_better else -value


def _not_finite(answers: Mapping[str, np.ndarray]) -> np.ndarray:
    """For which of N images a value of some answer is not finite, bool [N]."""
    wild = [
        ~np.isfinite(values.reshape(len(values), -1)).all(axis=1) for values in answers.values()
    ]
    return np.any(wild, axis=0)


class Executor(base_executor.BaseExecutor):
    """Executor of `components.judge.component.Judge`."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Measures and compares.

        Args:
          input_dict: `examples` and `model`, one artifact each, and `model_run` where there is one
            (its `history.json` says the steps to an accuracy).
          output_dict: `judgement`. Its folder gets `judgement.json`, `table.csv` (the rows, see
            `results.compare`) and `predictions.npz` (rows, id and the outputs kept, see
            `Answers`).
          exec_properties: `protocol`, `benchmarks` (JSON list of ids), `recipe` (JSON object, see
            `judge`).

        Raises:
          KeyError: unknown protocol or benchmark; the near matches are named.
          ValueError: a model that the protocol cannot ask, empty split, or a model of another task
            or other classes.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        model = artifact_utils.get_single_instance(input_dict["model"])
        runs = input_dict.get("model_run")
        judged = judge(
            [path_utils.serving_model_path(model.uri, path_utils.is_old_model_artifact(model))],
            artifact_utils.get_single_uri(input_dict["examples"]),
            exec_properties["protocol"],
            json.loads(exec_properties["benchmarks"]),
            json.loads(exec_properties["recipe"]),
            model_run.history(artifact_utils.get_single_uri(runs)) if runs else [],
        )
        logging.info("Judged: %s", judged.judgement["metrics"])
        _write(artifact_utils.get_single_uri(output_dict["judgement"]), judged)


def _write(folder: str, judged: Judged) -> None:
    predictions = io.BytesIO()
    answers = judged.answers
    np.savez_compressed(predictions, rows=answers.rows, id=np.array(answers.ids), **answers.kept)
    with fileio.open(os.path.join(folder, "predictions.npz"), "wb") as file:
        file.write(predictions.getvalue())
    io_utils.write_string_file(
        os.path.join(folder, "judgement.json"),
        json.dumps(judged.judgement, indent=1, ensure_ascii=False, allow_nan=False),
    )
    table = io.StringIO()
    writer = csv.DictWriter(table, results.COLUMNS)
    writer.writeheader()
    writer.writerows(judged.judgement["rows"])
    io_utils.write_string_file(os.path.join(folder, "table.csv"), table.getvalue())
