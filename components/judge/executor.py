"""Runs a model over the test split and writes what came out beside what was published."""

import io
import json
import os
from collections.abc import Iterable, Mapping
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

from components import examples, progress
from components.judge import benchmarks, metrics, protocols, results

_SPLIT = "test"
_BATCH = 256
_FEATURES = {
    "label": tf.io.FixedLenFeature([], tf.int64),
    "image/id": tf.io.FixedLenFeature([], tf.string),
}


@dataclass(frozen=True)
class Judged:
    """A judgement and the answers that it is about.

    Attributes:
      judgement: recipe, size, dataset, seed, protocol, examples (how many), metrics (fractions and
        nats), not_finite (how many answers are not), labels (names of the classes), rows (see
        `results.compare`, in the units of the papers).
      scores: float32 [N, C], in the order of the classes.
      labels: int64 [N].
      ids: of the N images.
    """

    judgement: dict[str, Any]
    scores: np.ndarray
    labels: np.ndarray
    ids: list[str]


def judge(
    model: str,
    uri: str,
    protocol: str,
    figures: Iterable[str],
    recipe: Mapping[str, Any],
) -> Judged:
    """Measures a SavedModel on the test split and sets it beside published figures.

    Args:
      model: folder of the SavedModel.
      uri: an Examples artifact.
      protocol: name of a protocol.
      figures: ids of benchmarks.
      recipe: name, size, dataset and, where they are known, full_data and seed.

    Raises:
      KeyError: unknown protocol or benchmark; the near matches are named.
      ValueError: empty split, or a model of other classes.
    """
    way = protocols.find(protocol)
    published = benchmarks.find(figures)
    names = examples.label_names(uri)
    scores, labels, ids = predict(tf.saved_model.load(model), way, uri)
    check_classes(names, scores, labels)
    measured = metrics.measure(scores, labels)
    judgement = {
        "recipe": recipe["name"],
        "size": recipe["size"],
        "dataset": recipe["dataset"],
        "seed": recipe.get("seed"),
        "protocol": protocol,
        "examples": len(ids),
        "metrics": measured,
        "not_finite": int((~np.isfinite(scores).all(axis=1)).sum()),
        "labels": names,
        "rows": [results.compare(row, measured, recipe, protocol) for row in published],
    }
    return Judged(judgement, scores, labels, ids)


def predict(
    model: Any, protocol: protocols.Protocol, uri: str, split: str = _SPLIT
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Asks a SavedModel for the scores of every example of a split.

    Args:
      model: a SavedModel as `tf.saved_model.load` returns it.
      protocol: how one image becomes one row of scores.
      uri: an Examples artifact.

    Returns:
      scores [N, C] float32, labels [N] int64, and the N ids of the images.

    Raises:
      ValueError: the split is missing or empty.
    """
    records = examples.records(uri, split)
    total = examples.count(records)
    if not total:
        raise ValueError(f"{uri}: the {split} split is empty, there is nothing to judge")
    scores: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    ids: list[str] = []
    for batch in records.batch(_BATCH).prefetch(tf.data.AUTOTUNE):
        scores.append(protocol.scores(model, batch).numpy())
        parsed = tf.io.parse_example(batch, _FEATURES)
        labels.append(parsed["label"].numpy())
        ids += [name.decode("utf-8", "replace") for name in parsed["image/id"].numpy()]
        progress.report("Judge", len(ids), total, f"{len(ids):,} of {total:,} images")
    return np.concatenate(scores).astype(np.float32), np.concatenate(labels), ids


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
          input_dict: `examples` and `model`, one artifact each.
          output_dict: `judgement`. Its folder gets `judgement.json` and `predictions.npz` (scores,
            label, id), see `Judged`.
          exec_properties: `protocol`, `benchmarks` (JSON list of ids), `recipe` (JSON object with
            name, size, dataset and, where they are known, full_data and seed).

        Raises:
          KeyError: unknown protocol or benchmark; the near matches are named.
          ValueError: empty split, or a model of other classes.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        model = artifact_utils.get_single_instance(input_dict["model"])
        judged = judge(
            path_utils.serving_model_path(model.uri, path_utils.is_old_model_artifact(model)),
            artifact_utils.get_single_uri(input_dict["examples"]),
            exec_properties["protocol"],
            json.loads(exec_properties["benchmarks"]),
            json.loads(exec_properties["recipe"]),
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
