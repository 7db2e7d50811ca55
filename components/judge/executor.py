"""Runs models over the test split and writes what came out beside what was published."""

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
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

from components import examples, model_run, progress
from components.judge import benchmarks, metrics, protocols, results
from components.judge.scoring import Scorer

_SPLIT = "test"
# Images between two reports of progress; those of which many views are asked take longer.
_BATCH = 256
_BATCH_OF_VIEWS = 16
_FEATURES = {
    "label": tf.io.FixedLenFeature([], tf.int64),
    "image/id": tf.io.FixedLenFeature([], tf.string),
}


@dataclass(frozen=True)
class Judged:
    """A judgement and the answers that it is about.

    Attributes:
      judgement: recipe, size, dataset, seed, models (how many), protocol, examples (how many),
        metrics (fractions, nats and steps), not_finite (how many answers are not), labels (names of
        the classes), rows (see `results.compare`, in the units of the papers).
      scores: float32 [N, C], in the order of the classes.
      labels: int64 [N].
      ids: of the N images.
    """

    judgement: dict[str, Any]
    scores: np.ndarray
    labels: np.ndarray
    ids: list[str]


def judge(
    models: Sequence[str],
    uri: str,
    protocol: str,
    figures: Iterable[str],
    recipe: Mapping[str, Any],
    history: Sequence[Mapping[str, float]] = (),
) -> Judged:
    """Measures SavedModels on the test split and sets them beside published figures.

    Args:
      models: folders of SavedModels. Several are an ensemble: the mean of their probabilities.
      uri: an Examples artifact.
      protocol: name of a protocol, by which each model is asked.
      figures: ids of benchmarks; counts of parameters and operations among them are passed over.
      recipe: name, size, dataset and, where they are known, full_data, seed, preprocess and
        deviations.
      history: of the training, an entry an epoch, for the steps to an accuracy.

    Raises:
      KeyError: unknown protocol or benchmark; the near matches are named.
      ValueError: no model, a model that the protocol cannot ask, empty split, or a model of other
        classes.
    """
    way = protocols.find(protocol)
    published = [row for row in benchmarks.find(figures) if row.metric not in results.COUNTS]
    if not models:
        raise ValueError("there is no model to judge")
    resize = recipe.get("preprocess", {}).get("resize")
    scorers = [Scorer(tf.saved_model.load(model), way, resize) for model in models]
    names = examples.label_names(uri)
    scores, labels, ids = predict(scorers, uri, _BATCH_OF_VIEWS if way.parts else _BATCH)
    check_classes(names, scores, labels)
    measured = metrics.measure(scores, labels)
    measured |= metrics.measure_training(history, {row.metric for row in published})
    asked = protocols.of_ensemble(protocol, len(models))
    judgement = {
        "recipe": recipe["name"],
        "size": recipe["size"],
        "dataset": recipe["dataset"],
        "seed": recipe.get("seed"),
        "models": len(models),
        "protocol": asked,
        "examples": len(ids),
        "metrics": measured,
        "not_finite": int((~np.isfinite(scores).all(axis=1)).sum()),
        "labels": names,
        "rows": [results.compare(row, measured, recipe, asked) for row in published],
    }
    return Judged(judgement, scores, labels, ids)


def predict(
    scorers: Sequence[Scorer], uri: str, batch_size: int = _BATCH
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Asks for the scores of every example of the test split: the mean over the scorers.

    Args:
      scorers: one a model.
      uri: an Examples artifact.
      batch_size: examples between two reports of progress.

    Returns:
      scores [N, C] float32, labels [N] int64, and the N ids of the images.

    Raises:
      ValueError: the split is missing or empty, or the models differ in their classes.
    """
    records = examples.records(uri, _SPLIT)
    total = examples.count(records)
    if not total:
        raise ValueError(f"{uri}: the {_SPLIT} split is empty, there is nothing to judge")
    scores: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    ids: list[str] = []
    for batch in records.batch(batch_size).prefetch(tf.data.AUTOTUNE):
        answers = [scorer.scores(batch) for scorer in scorers]
        classes = sorted({answer.shape[1] for answer in answers})
        if len(classes) > 1:
            raise ValueError(f"models of {classes} classes are no ensemble")
        scores.append(np.mean(answers, axis=0, dtype=np.float32))
        parsed = tf.io.parse_example(batch, _FEATURES)
        labels.append(parsed["label"].numpy())
        ids += [name.decode("utf-8", "replace") for name in parsed["image/id"].numpy()]
        progress.report("Judge", len(ids), total, f"{len(ids):,} of {total:,} images")
    return np.concatenate(scores), np.concatenate(labels), ids


def check_classes(names: list[str], scores: np.ndarray, labels: np.ndarray) -> None:
    """Refuses a model whose classes are not those of the examples.

    Raises:
      ValueError: the model has more or fewer classes than the examples, or a label has no name.
    """
    if scores.shape[1] != len(names):
        raise ValueError(
            f"the model gives {scores.shape[1]} scores an image, the examples have {len(names)} "
            "classes: they do not belong together"
        )
    if labels.min() < 0 or labels.max() >= len(names):
        raise ValueError(
            f"the examples have labels from {labels.min()} to {labels.max()}, but names for "
            f"0 to {len(names) - 1} only"
        )


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
            `results.compare`) and `predictions.npz` (scores, label, id), see `Judged`.
          exec_properties: `protocol`, `benchmarks` (JSON list of ids), `recipe` (JSON object with
            name, size, dataset and, where they are known, full_data, seed and preprocess).

        Raises:
          KeyError: unknown protocol or benchmark; the near matches are named.
          ValueError: a model that the protocol cannot ask, empty split, or a model of other
            classes.
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
    np.savez_compressed(
        predictions, scores=judged.scores, label=judged.labels, id=np.array(judged.ids)
    )
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
