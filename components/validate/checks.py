"""The checks of data, on TensorFlow Data Validation: missing classes, skew and drift."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

LABEL = "label"
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
      setting: the `KEY=VALUE` that lets it pass.
    """

    text: str
    setting: str


@dataclass(frozen=True)
class Distance:
    """How far two distributions lie apart.

    Attributes:
      check: `skew` (test from training split) or `drift` (from the data before).
      feature: `label`, or one of `IMAGE_FEATURES`.
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
    """`images`, `classes` (name: count, {} where the task has none) and the means of a split."""
    means = {name: float(facts[name].mean()) for name in IMAGE_FEATURES}
    counts = facts[LABEL].value_counts().to_dict()
    classes = {name: int(counts[name]) for name in sorted(counts)}
    return {"images": len(facts), "classes": classes, **means}


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
    for split, found in splits.items():
        absent = [name for name in names if name not in found["classes"]]
        if found["classes"] and len(absent) > allowed:
            text = (
                f"{_classes(absent)} missing in the {split} split: none of its "
                f"{found['images']:,} images, {allowed} such classes allowed"
            )
            problems.append(Problem(text, f"validation.missing_classes={len(absent)}"))
    gone = [name for name in (before or {}).get("classes", {}) if name not in names]
    if len(gone) > allowed:
        images = sum(before["classes"][name] for name in gone)
        text = (
            f"{_classes(gone)} gone: the data before had {images:,} training images of "
            f"{'it' if len(gone) == 1 else 'them'}, {allowed} such classes allowed"
        )
        problems.append(Problem(text, f"validation.missing_classes={len(gone)}"))
    return problems


def distances(
    facts: pd.DataFrame,
    before: statistics_pb2.DatasetFeatureStatisticsList | None,
    limits: Mapping[str, float],
) -> list[Distance]:
    """What TFDV's comparators measure between splits, and between these data and those before.

    Args:
      facts: of both splits.
      before: the `statistics` of the training split before, if there was one.
      limits: the recipe's `validation`.
    """
    train, test = (statistics(facts[facts["split"] == split]) for split in _SPLITS)
    schema = tfdv.infer_schema(train)
    for feature in schema.feature:
        _compare(feature, limits)
    measured = tfdv.validate_statistics(
        train, schema, previous_statistics=before, serving_statistics=test
    )
    found = []
    for each in measured.drift_skew_info:
        (feature,) = each.path.step
        for check, other in (("skew", test), ("drift", before)):
            for measurement in getattr(each, f"{check}_measurements"):
                found.append(_distance(check, feature, measurement, (train, other), limits))
    return found


def _compare(feature: schema_pb2.Feature, limits: Mapping[str, float]) -> None:
    if feature.name == LABEL:
        feature.skew_comparator.infinity_norm.threshold = limits["skew"]
        feature.drift_comparator.infinity_norm.threshold = limits["drift"]
    else:
        divergence = feature.drift_comparator.jensen_shannon_divergence
        divergence.threshold = limits["image_drift"]


def _distance(
    check: str,
    feature: str,
    measurement: anomalies_pb2.DriftSkewInfo.Measurement,
    sides: Sequence[statistics_pb2.DatasetFeatureStatisticsList],
    limits: Mapping[str, float],
) -> Distance:
    images = [side.datasets[0].num_examples for side in sides]
    few = sum(1 / max(number, 1) for number in images)
    if feature == LABEL:
        # Of all shares, a half varies most.
        chance = _DEVIATIONS * math.sqrt(0.25 * few)
        return Distance(check, feature, measurement.value, limits[check], chance)
    chance = _DIVERGENCE_BY_CHANCE * few
    return Distance(check, feature, measurement.value, limits["image_drift"], chance)


def problem(
    distance: Distance,
    splits: Mapping[str, Mapping[str, Any]],
    before: Mapping[str, Any] | None,
) -> Problem:
    """A distance that is too far, in words.

    Args:
      distance: what was measured.
      splits: the `summary` of each split.
      before: the `summary` of the training split before, where the distance is a drift.
    """
    train = splits["train"]
    setting = "image_drift" if distance.feature != LABEL else distance.check
    # Rounded up, so that the setting given is enough.
    enough = f"validation.{setting}={math.ceil(distance.value * 100) / 100:.2f}"
    allowed = f"{distance.value:.3f}, {distance.limit:g} allowed"
    if distance.feature != LABEL:
        form = IMAGE_FEATURES[distance.feature]
        text = (
            f"the {distance.feature} of the images has drifted: "
            f"{form.format(train[distance.feature])} in the mean of {train['images']:,} training "
            f"images, and {form.format(before[distance.feature])} of the {before['images']:,} "
            f"before (Jensen-Shannon divergence {allowed})"
        )
        return Problem(text, enough)
    other = splits["test"] if distance.check == "skew" else before
    name = max(
        {**train["classes"], **other["classes"]},
        key=lambda name: abs(_share(train, name) - _share(other, name)),
    )
    here = f"{_share(train, name):.1%} of the {train['images']:,} training images"
    there = f"{_share(other, name):.1%} of the {other['images']:,}"
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
