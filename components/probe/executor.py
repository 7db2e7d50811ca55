"""Taps a network's layers, trains linear classifiers on them and measures those."""

import csv
import io
import json
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from sklearn.pipeline import Pipeline
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components import examples, model_run, progress, tasks
from components.judge import benchmarks
from components.judge.results import SCALES, data_name
from components.probe import classifiers
from components.probe.features import Taps

_STAGE = "Probe"
COLUMNS = ("layer", "values", "examples_per_class", "examples", *classifiers.CLASSIFIERS)


class Executor(base_executor.BaseExecutor):
    """Executor of `components.probe.component.Probe`."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Measures what each layer's features are worth.

        Args:
          input_dict: `examples`, `transform_graph` and `model_run`, one artifact each.
          output_dict: `probes`. Its folder gets `probes.json` (see `probe`, with the recipe's
            name, dataset, seed and base, and the accuracies `published` for these data, by layer
            and classifier) and `probes.csv` (its rows).
          exec_properties: `transfer`, the recipe's as JSON: of it `from`, `layers`,
            `examples_per_class` and `benchmarks`.

        Raises:
          ValueError: a layer that the network does not have, an empty split, or a task that cannot
            be probed.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        run = artifact_utils.get_single_uri(input_dict["model_run"])
        recipe = model_run.recipe(run)
        transfer = json.loads(exec_properties["transfer"])
        graph = artifact_utils.get_single_uri(input_dict["transform_graph"])
        taps = Taps(
            model_run.network(run),
            transfer["layers"],
            tft.TFTransformOutput(graph),
            recipe["preprocess"],
            tasks.find(recipe.get("task", tasks.EARLIEST)),
        )
        probed = probe(
            artifact_utils.get_single_uri(input_dict["examples"]),
            taps,
            transfer["layers"],
            transfer["examples_per_class"],
            recipe["seed"],
        )
        published = _published(transfer["benchmarks"], data_name(recipe["dataset"]))
        named = {key: recipe[key] for key in ("name", "size", "dataset", "seed")}
        _write(
            artifact_utils.get_single_uri(output_dict["probes"]),
            {**named, "from": transfer["from"], "published": published, **probed},
        )


def probe(
    uri: str, taps: Taps, layers: Sequence[str], examples_per_class: Sequence[int], seed: int
) -> dict[str, Any]:
    """The accuracy of linear classifiers on a network's features (section 5 of Zeiler and Fergus).

    Args:
      uri: an Examples artifact with a train and a test split.
      taps: of these layers.
      layers: names, from the input upwards.
      examples_per_class: numbers of training images, ascending. Of the last number the features of
        every layer are tried, of the others those of the last layer.
      seed: of the choice of the training images, and of the classifiers.

    Returns:
      `test_examples`, and `rows`, a mapping of `COLUMNS` each: the number of `values` of the layer,
      the `examples` learnt from, and the accuracy on the test split of each classifier, the mean of
      the classes' accuracies, in 0..1.

    Raises:
      ValueError: an empty split.
    """
    *fewer, most = examples_per_class
    features, labels, places = _training_features(uri, taps, most, seed)
    wanted = [(layers[-1], number) for number in fewer] + [(layer, most) for layer in layers]
    trials: list[_Trial] = []
    for done, (layer, number) in enumerate(wanted):
        text = f"training the classifiers: {layer}, {number} images a class"
        progress.report(_STAGE, done, len(wanted), text)
        few = places < number
        models = {
            name: classifiers.fitted(name, features[layer][few], labels[few], seed)
            for name in classifiers.CLASSIFIERS
        }
        facts = (layer, features[layer].shape[1], number, int(few.sum()))
        trials.append(_Trial(dict(zip(COLUMNS, facts, strict=False)), models))
    test_labels = _test(trials, uri, taps)
    return {
        "test_examples": len(test_labels),
        "rows": [trial.row(np.bincount(test_labels)) for trial in trials],
    }


@dataclass
class _Trial:
    """The classifiers of one layer and number of images, and their right answers by class."""

    facts: dict[str, Any]
    models: dict[str, Pipeline]
    right: dict[str, np.ndarray | int] = field(default_factory=lambda: defaultdict(int))

    def answer(self, features: Mapping[str, np.ndarray], labels: np.ndarray, classes: int) -> None:
        for name, model in self.models.items():
            hits = labels[model.predict(features[self.facts["layer"]]) == labels]
            self.right[name] += np.bincount(hits, minlength=classes)

    def row(self, examples_of_class: np.ndarray) -> dict[str, Any]:
        accuracies = {
            name: classifiers.accuracy(self.right[name], examples_of_class) for name in self.models
        }
        return {**self.facts, **accuracies}


def _training_features(
    uri: str, taps: Taps, number: int, seed: int
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """The features, labels and ranks of so many training images of each class."""
    records, labels = _split(uri, "train", taps)
    places = classifiers.ranks(labels, seed)
    chosen = places < number
    table = tf.constant(chosen)
    records = records.enumerate().filter(lambda i, _: table[i]).map(lambda _, record: record)
    parts: list[dict[str, np.ndarray]] = []
    done, total = 0, int(chosen.sum())
    for features, true in taps.features(records):
        parts.append(features)
        done += len(true)
        progress.report(_STAGE, done, total, f"features of {done:,} of {total:,} images")
    features = {layer: np.concatenate([part[layer] for part in parts]) for layer in parts[0]}
    return features, labels[chosen], places[chosen]


def _test(trials: Sequence[_Trial], uri: str, taps: Taps) -> np.ndarray:
    """Asks all classifiers about the test split, and returns its labels.

    No more than a batch of features is in memory.
    """
    records, labels = _split(uri, "test", taps)
    classes, done = int(labels.max()) + 1, 0
    for features, true in taps.features(records):
        for trial in trials:
            trial.answer(features, true, classes)
        done += len(true)
        progress.report(_STAGE, done, len(labels), f"{done:,} of {len(labels):,} test images")
    return labels


def _split(uri: str, split: str, taps: Taps) -> tuple[tf.data.Dataset, np.ndarray]:
    records = examples.records(uri, split)
    labels = taps.classes(records)
    if not len(labels):
        raise ValueError(f"{uri}: the {split} split is empty, there is nothing to try")
    return records, labels


def _published(figures: Mapping[str, Mapping[str, str]], data: str) -> dict[str, dict[str, float]]:
    """The papers' accuracies on these data by layer and classifier, in 0..1."""
    return {
        layer: {
            name: figure.value / SCALES[figure.unit]
            for name, figure in zip(ids, benchmarks.find(ids.values()), strict=True)
            if figure.data == data
        }
        for layer, ids in figures.items()
    }


def _write(folder: str, probed: Mapping[str, Any]) -> None:
    io_utils.write_string_file(os.path.join(folder, "probes.json"), json.dumps(probed, indent=1))
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS)
    writer.writeheader()
    writer.writerows(probed["rows"])
    io_utils.write_string_file(os.path.join(folder, "probes.csv"), table.getvalue())
