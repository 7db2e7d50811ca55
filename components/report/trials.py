"""The part of the page about the search: what each trial reached, and with which values."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.report import pictures
from components.report.evidence import Measured, Table
from components.tasks import Task

_SEARCHES = {
    "random": "at random",
    "grid": "on a grid",
    "gaussian_process": "where a Gaussian process promises most",
    "hyperband": "by Hyperband",
}


@dataclass(frozen=True)
class _Score:
    """What trials are compared by: its name, how it is printed, and which of two is better."""

    title: str
    unit: str
    scale: float
    less_is_better: bool

    @property
    def heading(self) -> str:
        return self.title[:1].upper() + self.title[1:]

    @property
    def best(self) -> str:
        return "lowest" if self.less_is_better else "highest"

    def titled(self, by: str) -> str:
        """The title of a drawing: what is measured, by what, in which unit."""
        return f"{self.heading} by {by}" + (f", {self.unit}" if self.unit else "")

    def of(self, row: Mapping[str, Any]) -> float:
        return self.scale * row["score"]

    def text(self, row: Mapping[str, Any]) -> str:
        figure = f"{self.of(row):.2f}" if self.unit == "%" else f"{self.of(row):.4g}"
        return f"{figure} {self.unit}".rstrip()


def _score(task: Task) -> _Score:
    """The entry of the history that a task watches: one of its metrics, or one of Keras' alone."""
    name = task.monitor.removeprefix("val_")
    for metric in (*task.blessing, *task.metrics):
        if metric.name == name:
            # Rates are measured as fractions.
            unit, scale = (metric.unit, 1.0) if metric.unit else ("%", 100.0)
            return _Score(metric.title, unit, scale, task.monitor_less_is_better)
    return _Score(name.replace("_", " "), "", 1.0, task.monitor_less_is_better)


def section(found: Mapping[str, Any], task: Task) -> Measured:
    """The section about the content of a `trials.json`.

    Args:
      found: that content.
      task: whose `monitor` the trials were compared by.
    """
    rows, score = found["rows"], _score(task)
    done = [row for row in rows if row["score"] is not None]
    failed = len(rows) - len(done)
    sets = "1 set of values was" if len(rows) == 1 else f"{len(rows)} sets of values were"
    explanation = (
        f"Before the training, {sets} chosen "
        f"{_SEARCHES[found['search']]} and trained on four fifths of the training images. The "
        f"{score.title} is that on the last fifth; the test images had no part in it. "
        f"Trial {int(found['best']) + 1} has the {score.best}, and its values were trained with."
    )
    if failed:
        explanation += f" {failed} came to nothing."
    space = found["space"]
    drawn = [_by_trial(done, score), *(_by_value(done, path, space, score) for path in space)]
    return Measured(explanation, drawn, [_table(rows, list(space), score)])


def _by_trial(rows: Sequence[Mapping[str, Any]], score: _Score) -> pictures.Picture:
    points = [(int(row["trial"]) + 1, score.of(row)) for row in rows]
    better = min if score.less_is_better else max
    so_far = list(itertools.accumulate((height for _, height in points), better))
    return pictures.scatter(
        score.titled("trial"), "trial", points, so_far, less_is_better=score.less_is_better
    )


def _by_value(
    rows: Sequence[Mapping[str, Any]], path: str, space: Mapping[str, Any], score: _Score
) -> pictures.Picture:
    choices = space[path]
    a_range = isinstance(choices, Mapping)
    values = [row["values"][path] for row in rows]
    # A list's values stand beside each other in its order.
    places = values if a_range else [_text(value) for value in values]
    points = [(place, score.of(row)) for place, row in zip(places, rows, strict=True)]
    if not a_range:
        order = [_text(choice) for choice in choices]
        points.sort(key=lambda point: order.index(point[0]))
    log = a_range and choices.get("sampling") == "log"
    title = score.titled(path.split(".")[-1])
    return pictures.scatter(title, path, points, log=log, less_is_better=score.less_is_better)


def _table(rows: Sequence[Mapping[str, Any]], paths: Sequence[str], score: _Score) -> Table:
    """The best first, those that failed last."""
    order = sorted(
        (row for row in rows if row["score"] is not None),
        key=lambda row: row["score"],
        reverse=not score.less_is_better,
    )
    order += [row for row in rows if row["score"] is None]
    return Table(
        ("Trial", *paths, "Epochs", "Seconds", score.heading),
        [
            (
                str(int(row["trial"]) + 1),
                *(_text(row["values"][path]) for path in paths),
                "" if row["epochs"] is None else str(row["epochs"]),
                "" if row["seconds"] is None else f"{row['seconds']:.0f}",
                row["error"] if row["score"] is None else score.text(row),
            )
            for row in order
        ],
    )


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)
