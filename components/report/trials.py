"""The part of the page about the search: what each trial reached, and with which values."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from components.report import pictures
from components.report.probes import Section, Table

_SEARCHES = {
    "random": "at random",
    "grid": "on a grid",
    "gaussian_process": "where a Gaussian process promises most",
    "hyperband": "by Hyperband",
}


def section(found: Mapping[str, Any]) -> Section:
    """The section about the content of a `trials.json`."""
    rows = found["rows"]
    done = [row for row in rows if row["score"] is not None]
    failed = len(rows) - len(done)
    sets = "1 set of values was" if len(rows) == 1 else f"{len(rows)} sets of values were"
    explanation = (
        f"Before the training, {sets} chosen "
        f"{_SEARCHES[found['search']]} and trained on four fifths of the training images. The "
        "accuracy is that on the last fifth; the test images had no part in it. "
        f"Trial {int(found['best']) + 1} has the highest, and its values were trained with."
    )
    if failed:
        explanation += f" {failed} came to nothing."
    drawn = [_by_trial(done), *(_by_value(done, path, found["space"]) for path in found["space"])]
    return Section(explanation, drawn, [_table(rows, list(found["space"]))])


def _by_trial(rows: Sequence[Mapping[str, Any]]) -> pictures.Picture:
    points = [(int(row["trial"]) + 1, 100 * row["score"]) for row in rows]
    so_far = list(itertools.accumulate((score for _, score in points), max))
    return pictures.scatter("Accuracy by trial, %", "trial", points, line=so_far)


def _by_value(
    rows: Sequence[Mapping[str, Any]], path: str, space: Mapping[str, Any]
) -> pictures.Picture:
    choices = space[path]
    a_range = isinstance(choices, Mapping)
    values = [row["values"][path] for row in rows]
    # A list's values stand beside each other in its order.
    places = values if a_range else [_text(value) for value in values]
    points = [(place, 100 * row["score"]) for place, row in zip(places, rows, strict=True)]
    if not a_range:
        order = [_text(choice) for choice in choices]
        points.sort(key=lambda point: order.index(point[0]))
    log = a_range and choices.get("sampling") == "log"
    return pictures.scatter(f"Accuracy by {path.split('.')[-1]}, %", path, points, log=log)


def _table(rows: Sequence[Mapping[str, Any]], paths: Sequence[str]) -> Table:
    """The best first, those that failed last."""
    ordered = sorted(rows, key=lambda row: -1.0 if row["score"] is None else row["score"])
    return Table(
        ("Trial", *paths, "Epochs", "Seconds", "Accuracy"),
        [
            (
                str(int(row["trial"]) + 1),
                *(_text(row["values"][path]) for path in paths),
                "" if row["epochs"] is None else str(row["epochs"]),
                "" if row["seconds"] is None else f"{row['seconds']:.0f}",
                row["error"] if row["score"] is None else f"{100 * row['score']:.2f} %",
            )
            for row in reversed(ordered)
        ],
    )


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)
