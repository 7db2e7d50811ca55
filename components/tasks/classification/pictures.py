"""What the report says and shows of a classification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from components import examples
from components.report import pages, pictures
from components.report.evidence import Evidence, Headline, Section
from components.tasks.classification import TASK, confusion, mistakes, probes

_METRICS = {metric.name: metric for metric in TASK.metrics}
_MISTAKES = 24
_CLASSES = 40
_CONFUSIONS = 10
_BAR_REM = 6.0
# Of the metrics' rows.
_LABEL, _RIGHT = 0, 1


def headline(evidence: Evidence) -> Headline:
    """The test error and its interval."""
    judgement = evidence.judgement
    wrong, of = int((evidence.rows[:, _RIGHT] == 0).sum()), len(evidence.rows)
    low, high = mistakes.interval(wrong, of)
    error = _METRICS["error"].text(judgement["metrics"]["error"])
    strange = judgement["not_finite"]
    return Headline(
        figure=error,
        words=f"test error: {wrong:,} of {of:,} images wrong",
        title=f"{error} test error",
        aside=f"95\N{NO-BREAK SPACE}% interval {100 * low:.2f} to {100 * high:.2f} %",
        warning=f"For {strange:,} images the model gave scores that are not finite numbers; they "
        "count as wrong."
        if strange
        else "",
        data=f"{len(judgement['labels'])} classes",
    )


def facts(evidence: Evidence) -> list[tuple[str, str]]:
    """Cross-entropy and top-5 error, where they are defined."""
    measured = evidence.judgement["metrics"]
    return [
        (metric.title[0].upper() + metric.title[1:], metric.text(measured[metric.name]))
        for metric in (_METRICS["cross_entropy"], _METRICS["top5_error"])
        if measured[metric.name] is not None
    ]


def curves(history: Sequence[Mapping[str, float]]) -> dict[str, pictures.Series]:
    """The error in percent."""
    train, validation = (
        [_percent_wrong(epoch.get(f"{part}accuracy")) for epoch in history] for part in ("", "val_")
    )
    return {"Error, %": pictures.Series(train, validation)}


def _percent_wrong(accuracy: float | None) -> float | None:
    return None if accuracy is None else 100.0 * (1.0 - accuracy)


def sections(evidence: Evidence) -> list[Section]:
    """What other features are worth, the worst mistakes, and what is taken for what."""
    names = evidence.judgement["labels"]
    scores, labels = evidence.answers["scores"], evidence.rows[:, _LABEL].astype(np.int64)
    matrix = mistakes.confusion_matrix(scores, labels)
    classes = _classes(mistakes.by_class(matrix, labels), names)
    confused = [
        (names[true], names[given], number)
        for true, given, number in mistakes.confusions(matrix, _CONFUSIONS)
    ]
    found = []
    if evidence.probed:
        measured = probes.section(evidence.probed)
        found.append(Section("probes", "What each layer knows", measured.markup()))
    return [
        *found,
        _section("mistakes", "The worst mistakes", mistakes=_worst(evidence, scores, labels)),
        _section(
            "confusion",
            "What is taken for what",
            confusion=confusion.drawing(matrix, names),
            confusions=confused,
        ),
        _section(
            "classes",
            "Error by class",
            classes=classes[:_CLASSES],
            classes_left=max(len(classes) - _CLASSES, 0),
        ),
    ]


def _section(name: str, heading: str, **shown: Any) -> Section:
    """The section that the template of this name makes."""
    template = pages.of_task("classification").get_template(f"{name}.html")
    return Section(name, heading, template.render(**shown))


def _worst(evidence: Evidence, scores: np.ndarray, labels: np.ndarray) -> list[dict[str, Any]]:
    names = evidence.judgement["labels"]
    found = mistakes.worst(scores, labels, evidence.ids, _MISTAKES)
    encoded = examples.images(evidence.examples_uri, "test", [mistake.id for mistake in found])
    return [
        {
            "id": mistake.id,
            "label": names[mistake.label],
            "given": names[mistake.given],
            "score": f"{100 * mistake.score:.1f} %",
            "picture": pictures.thumbnail(encoded[mistake.id]),
        }
        for mistake in found
    ]


def _classes(rows: Sequence[mistakes.ClassErrors], names: Sequence[str]) -> list[dict[str, Any]]:
    """In label order, or the highest errors first where there are many."""
    if len(rows) > _CLASSES:
        rows = sorted(rows, key=lambda row: -row.error)
    highest = max(row.error for row in rows) or 1.0
    return [
        {
            **asdict(row),
            "name": names[row.label],
            "error": _METRICS["error"].text(row.error),
            "bar": f"{_BAR_REM * row.error / highest:.2f}",
            "taken_for": "" if row.taken_for is None else names[row.taken_for],
        }
        for row in rows
    ]
