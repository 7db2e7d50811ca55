"""The checks of data, on TensorFlow Data Validation: missing classes, skew and drift."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

# The class of an image, and those of the objects or pixels in it.
LABEL, CLASSES = "label", "classes"
# Their names in sentences, and how their mean is printed.
IMAGE_FEATURES = {"height": "{:.0f} pixels", "width": "{:.0f} pixels", "brightness": "{:.1f}"}
_SPLITS = ("train", "test")
_MOST_CLASSES = 1_000_000
_NAMED_CLASSES = 5
# A share of n drawn images is within four standard deviations of the truth in all but one draw of
# 16,000; a drift of 0.2 between two halves of 40 images says nothing.
_DEVIATIONS = 4.0
# The divergence of two samples from one source: (bins - 1) / (8 ln 2) (1/n + 1/m) in the mean, of
# the ten bins that TFDV takes, and three times that at the most.
_DIVERGENCE_BY_CHANCE = 3 * 9 / (8 * math.log(2))


@dataclass(frozen=True)
class Problem:
    """Why data are not fit to train on.

    Attributes:
      text: what was found, with its figures.
      setting: the `KEY=VALUE` that lets it pass; empty where none does.
    """

    text: str
    setting: str


@dataclass(frozen=True)
class Distance:
    """How far two distributions lie apart.

    Attributes:
      check: `skew` (test from training split) or `drift` (from the data before).
      feature: `label`, `classes`, or one of `IMAGE_FEATURES`.
      value: the largest difference of a class's shares, or the Jensen-Shannon divergence.
      limit: what the recipe allows.
      chance: what is not told apart from chance, with so few images.
    """

    check: str
    feature: str
    value: float
    limit: float
    chance: float

    @property
    def too_far(self) -> bool:
        return self.value > max(self.limit, self.chance)


def statistics(facts: pd.DataFrame) -> statistics_pb2.DatasetFeatureStatisticsList:
    """TFDV's statistics of the labels, sizes and brightnesses of some examples."""
    columns = [name for name in (LABEL, *IMAGE_FEATURES) if facts[name].notna().all()]
    # As TFDV keeps the counts of so many classes, the comparators see each of them.
    options = tfdv.StatsOptions(num_rank_histogram_buckets=_MOST_CLASSES)
    # An index with gaps would be taken for a feature.
    return tfdv.generate_statistics_from_dataframe(facts[columns].reset_index(drop=True), options)


def summary(facts: pd.DataFrame) -> dict[str, Any]:
    """Of a split.

    Returns:
      `images`, how many there are; `classes`, by name how many images hold it, {} where the task
      has none; and the means of the `IMAGE_FEATURES`.
    """
    means = {name: float(facts[name].mean()) for name in IMAGE_FEATURES}
    named = facts[CLASSES].explode() if has_several(facts) else facts[LABEL]
    counts = named.value_counts().to_dict()
    classes = {name: int(counts[name]) for name in sorted(counts)}
    return {"images": len(facts), "classes": classes, **means}


def has_several(facts: pd.DataFrame) -> bool:
    """Whether an image holds as many classes as its objects or pixels are of."""
    return bool(facts[CLASSES].notna().any())


def missing_classes(
    splits: Mapping[str, Mapping[str, Any]],
    names: Sequence[str],
    before: Mapping[str, Any] | None,
    allowed: int,
) -> list[Problem]:
    """Classes without an image in a split, or that the data before had.

    Args:
      splits: the `summary` of each split.
      names: the classes of the data set.
      before: the `summary` of the data before, if there were any.
      allowed: how many may be missing in a split.
    """
    problems = []
    any_class = any(found["classes"] for found in splits.values())
    for split, found in splits.items():
        absent = [name for name in names if name not in found["classes"]]
        if any_class and found["images"] and len(absent) > allowed:
            text = (
                f"{_classes(absent)} missing in the {split} split: none of its "
                f"{found['images']:,} images, {allowed} such classes allowed"
            )
            problems.append(Problem(text, f"data_checks.missing_classes={len(absent)}"))
    gone = [name for name in (before or {}).get("classes", {}) if name not in names]
    if len(gone) > allowed:
        images = sum(before["classes"][name] for name in gone)
        text = (
            f"{_classes(gone)} gone: the data before had {images:,} training images of "
            f"{'it' if len(gone) == 1 else 'them'}, {allowed} such classes allowed"
        )
        problems.append(Problem(text, f"data_checks.missing_classes={len(gone)}"))
    return problems


def skew(facts: pd.DataFrame, limits: Mapping[str, float]) -> list[Distance]:
    """How far the labels of the test split lie from those of the training split.

    Args:
      facts: of both splits.
      limits: the recipe's `data_checks`.
    """
    train, test = (statistics(facts[facts["split"] == split]) for split in _SPLITS)
    schema = _schema(train, limits)
    measured = tfdv.validate_statistics(train, schema, serving_statistics=test)
    return _distances("skew", measured, (train, test), limits)


def drift(
    train: statistics_pb2.DatasetFeatureStatisticsList,
    before: statistics_pb2.DatasetFeatureStatisticsList,
    limits: Mapping[str, float],
) -> list[Distance]:
    """How far labels, sizes and brightness lie from those of the data before.

    Args:
      train, before: the `statistics` of the two training splits.
      limits: the recipe's `data_checks`.
    """
    schema = _schema(train, limits)
    measured = tfdv.validate_statistics(train, schema, previous_statistics=before)
    return _distances("drift", measured, (train, before), limits)


def shares(
    check: str, train: Mapping[str, Any], other: Mapping[str, Any], limits: Mapping[str, float]
) -> Distance:
    """How far apart the shares of images are that hold a class, of images that hold several.

    TFDV would count objects, of which one image may have many.

    Args:
      check: `skew` or `drift`.
      train: the `summary` of the training split.
      other: of the test split, or of the training split before.
      limits: the recipe's `data_checks`.
    """
    names = {**train["classes"], **other["classes"]}
    apart = (abs(_share(train, name) - _share(other, name)) for name in names)
    few = sum(1 / side["images"] for side in (train, other))
    return Distance(check, CLASSES, max(apart, default=0.0), limits[check], _chance(few))


def _chance(few: float) -> float:
    """What chance makes of the shares of two samples, the sum of whose 1 / n is `few`."""
    # Of all shares, a half varies most.
    return _DEVIATIONS * math.sqrt(0.25 * few)


def _schema(
    train: statistics_pb2.DatasetFeatureStatisticsList, limits: Mapping[str, float]
) -> schema_pb2.Schema:
    """A schema that has TFDV measure the distances."""
    schema = tfdv.infer_schema(train)
    for feature in schema.feature:
        if feature.name == LABEL:
            feature.skew_comparator.infinity_norm.threshold = limits["skew"]
            feature.drift_comparator.infinity_norm.threshold = limits["drift"]
        else:
            divergence = feature.drift_comparator.jensen_shannon_divergence
            divergence.threshold = limits["image_drift"]
    return schema


def _distances(
    check: str,
    measured: anomalies_pb2.Anomalies,
    sides: Sequence[statistics_pb2.DatasetFeatureStatisticsList],
    limits: Mapping[str, float],
) -> list[Distance]:
    few = sum(1 / max(side.datasets[0].num_examples, 1) for side in sides)
    found = []
    for each in measured.drift_skew_info:
        (feature,) = each.path.step
        if feature == LABEL:
            limit, chance = limits[check], _chance(few)
        else:
            limit, chance = limits["image_drift"], _DIVERGENCE_BY_CHANCE * few
        for measurement in getattr(each, f"{check}_measurements"):
            found.append(Distance(check, feature, measurement.value, limit, chance))
    return found


def problem(distance: Distance, train: Mapping[str, Any], other: Mapping[str, Any]) -> Problem:
    """A distance that is too far, in words.

    Args:
      distance: what was measured.
      train: the `summary` of the training split.
      other: of the test split, or of the training split before.
    """
    setting = "image_drift" if distance.feature in IMAGE_FEATURES else distance.check
    # Rounded up, so that the setting given is enough.
    enough = f"data_checks.{setting}={math.ceil(distance.value * 100) / 100:.2f}"
    allowed = f"{distance.value:.3f}, {distance.limit:g} allowed"
    if distance.feature in IMAGE_FEATURES:
        form = IMAGE_FEATURES[distance.feature]
        text = (
            f"the {distance.feature} of the images has drifted: "
            f"{form.format(train[distance.feature])} in the mean of {train['images']:,} training "
            f"images, and {form.format(other[distance.feature])} of the {other['images']:,} "
            f"before (Jensen-Shannon divergence {allowed})"
        )
        return Problem(text, enough)
    name = max(
        {**train["classes"], **other["classes"]},
        key=lambda name: abs(_share(train, name) - _share(other, name)),
    )
    held = "in " if distance.feature == CLASSES else ""
    here = f"{held}{_share(train, name):.1%} of the {train['images']:,} training images"
    there = f"{held}{_share(other, name):.1%} of the {other['images']:,}"
    if distance.check == "skew":
        text = f"the splits are skewed: class {name} is {here} and {there} test images"
    else:
        text = f"the labels have drifted: class {name} is {here}, and was {there} before"
    return Problem(f"{text} (a difference of {allowed})", enough)


def _share(split: Mapping[str, Any], name: str) -> float:
    return split["classes"].get(name, 0) / split["images"]


def _classes(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"class {names[0]} is"
    more = f" and {len(names) - _NAMED_CLASSES} more" if len(names) > _NAMED_CLASSES else ""
    return f"{len(names)} classes ({', '.join(names[:_NAMED_CLASSES])}{more}) are"
