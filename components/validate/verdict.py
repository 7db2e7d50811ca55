"""The verdict on data: what was found, and what of it stops a run."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx.dsl.io import fileio

from components.served import OTHER_CLASSES
from components.validate import checks, copies
from components.validate.checks import Distance, Problem

_SPLITS = ("train", "test")
# What a recipe's `data_checks` may hold; texts of `convnets show` and of errors explain them.
LIMITS = ("missing_classes", OTHER_CLASSES, "skew", "drift", "image_drift", "anomalies")


class UnfitData(ValueError):
    """Data that are not fit to train on; the text says why, and how to go on anyway."""


@dataclass(frozen=True)
class Training:
    """One training split: its `checks.summary` and its `checks.statistics`."""

    summary: Mapping[str, Any]
    statistics: statistics_pb2.DatasetFeatureStatisticsList

    @classmethod
    def of(cls, facts: pd.DataFrame) -> Training:
        """That of some facts (`components.validate.facts`)."""
        train = facts[facts["split"] == "train"]
        return cls(checks.summary(train), checks.statistics(train))

    @classmethod
    def read(cls, uri: str) -> Training:
        """The newest one that a verdict was about, whose folder this is."""
        with fileio.open(os.path.join(uri, "verdict.json"), "rb") as file:
            summary = json.loads(file.read())["newest"]
        with fileio.open(os.path.join(uri, "statistics.pb"), "rb") as file:
            statistics = statistics_pb2.DatasetFeatureStatisticsList.FromString(file.read())
        return cls(summary, statistics)


@dataclass(frozen=True)
class Verdict:
    """What was found.

    Attributes:
      splits: `checks.summary` of each split.
      newest: the training split, of spans that of the newest, with which the next is compared.
      before: the summary of the training split before, None where there was none.
      distances: skew and drift.
      problems: what stops a run; empty where the data are fit to train on.
      duplicates, leaks: see `components.validate.copies`; they are told and stop nothing.
      spans: which spans these data are, as texts, the newest first; () of data without spans.
    """

    splits: Mapping[str, Mapping[str, Any]]
    newest: Training
    before: Mapping[str, Any] | None
    distances: Sequence[Distance]
    problems: Sequence[Problem]
    duplicates: Sequence[Mapping[str, Any]]
    leaks: Sequence[Mapping[str, Any]]
    spans: Sequence[str] = ()

    @property
    def line(self) -> str:
        """The verdict in a line."""
        images = " and ".join(f"{self.splits[split]['images']:,} {split}" for split in _SPLITS)
        parts = ["not fit to train on" if self.problems else "fit to train on"]
        if self.leaks:
            parts.append(f"{_count(len(self.leaks), 'test image')} (nearly) in training, too")
        if self.duplicates:
            contradicting = sum(group["contradicting"] for group in self.duplicates)
            labels = f", {contradicting} with contradicting labels" if contradicting else ""
            parts.append(f"{_count(len(self.duplicates), 'image')} more than once{labels}")
        drifts = [each.value for each in self.distances if each.check == "drift"]
        if drifts:
            parts.append(f"drift {max(drifts):.3f} at most")
        spans = f"span{'s' * (len(self.spans) > 1)} {', '.join(self.spans)}: " if self.spans else ""
        return f"{spans}{images} images: {'; '.join(parts)}"

    def to_json(self) -> dict[str, Any]:
        """As `verdict.json` has it: numbers of copies, whose lists are files of their own."""
        contradicting = sum(group["contradicting"] for group in self.duplicates)
        return {
            "line": self.line,
            "spans": self.spans,
            "splits": self.splits,
            "newest": self.newest.summary,
            "before": self.before,
            "distances": [
                dataclasses.asdict(each) | {"too_far": each.too_far} for each in self.distances
            ],
            "problems": [dataclasses.asdict(each) for each in self.problems],
            "duplicates": len(self.duplicates),
            "contradicting": contradicting,
            "leaks": len(self.leaks),
        }

    def check(self) -> None:
        """Raises what a run stops with.

        Raises:
          UnfitData: there are problems.
        """
        if self.problems:
            found = "".join(f"\n  {each.text}" for each in self.problems)
            way = ""
            if all(each.setting for each in self.problems):
                settings = " ".join(f"--set {each}" for each in self.settings)
                way = f"\nto go on anyway: {settings}"
            raise UnfitData(f"the data are not fit to train on:{found}{way}")

    @property
    def settings(self) -> list[str]:
        """The `KEY=VALUE`s that let problems pass, the highest value of each key."""
        highest: dict[str, str] = {}
        for setting in filter(None, (each.setting for each in self.problems)):
            key, _, value = setting.partition("=")
            if key not in highest or float(value) > float(highest[key]):
                highest[key] = value
        return [f"{key}={value}" for key, value in highest.items()]


def judge(
    facts: pd.DataFrame,
    names: Sequence[str],
    limits: Mapping[str, float],
    before: Training | None = None,
    anomalies: Sequence[str] = (),
    newest: pd.DataFrame | None = None,
) -> Verdict:
    """Looks data through.

    Args:
      facts: of both splits (`components.validate.facts`).
      names: the classes, [] where the task has none.
      limits: by the keys `LIMITS`.
      before: the last run's training split, to measure drift.
      anomalies: what TFDV found against the schema, a sentence each.
      newest: the facts of the newest span, where `facts` are of several.
    """
    splits = {split: checks.summary(facts[facts["split"] == split]) for split in _SPLITS}
    latest = Training.of(facts if newest is None else newest)
    several = checks.has_several(facts)
    earlier = before.summary if before else None
    empty = [split for split in _SPLITS if not splits[split]["images"]]
    skew = [] if empty else checks.skew(facts, limits)
    if several and not empty:
        skew.append(checks.shares("skew", splits["train"], splits["test"], limits))
    drifted = drift(latest, before, limits, several) if before else []
    problems = [
        Problem(f"the {split} split has no images ({len(facts):,} in all)", "") for split in empty
    ]
    problems += checks.missing_classes(splits, names, earlier, int(limits["missing_classes"]))
    problems += [checks.problem(each, *splits.values()) for each in skew if each.too_far]
    problems += [checks.problem(each, latest.summary, earlier) for each in drifted if each.too_far]
    if len(anomalies) > limits["anomalies"]:
        setting = f"data_checks.anomalies={len(anomalies)}"
        problems += [Problem(f"against the schema: {text}", setting) for text in anomalies]
    return Verdict(
        splits,
        latest,
        earlier,
        [*skew, *drifted],
        problems,
        copies.duplicates(facts),
        copies.leaks(facts),
    )


def drift(
    latest: Training, before: Training, limits: Mapping[str, float], several: bool
) -> list[Distance]:
    """How far a training split lies from the one before.

    Args:
      latest, before: the two.
      limits: by the keys `LIMITS`.
      several: whether an image holds as many classes as its objects or pixels are of.
    """
    found = checks.drift(latest.statistics, before.statistics, limits)
    if several:
        found.append(checks.shares("drift", latest.summary, before.summary, limits))
    return found


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
