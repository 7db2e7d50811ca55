"""What the report says and shows of pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from components import examples
from components.report import pages, pictures
from components.report.evidence import Evidence, Headline, Measured, Section, Table
from components.tasks.verification import TASK, metrics, roc
from components.tasks.verification.words import DIFFERENT, SAME

_METRICS = {metric.name: metric for metric in TASK.metrics}
_FIRST = TASK.blessing[0]
_ERROR = "accuracy_standard_error"
_PAIR = "pair/encoded"
_SHOWN = 12
# Points of a drawn curve.
_POINTS = 200


def headline(evidence: Evidence) -> Headline:
    """The accuracy, with its standard error over the folds."""
    found = evidence.judgement["metrics"]
    accuracy, error = _text("accuracy", found), found[_ERROR]
    folds = len(metrics.accuracies(evidence.rows))
    how = (
        f", the mean over {folds} folds, each with the threshold that is best on the others"
        if folds > 1
        else ", by the network's own threshold"
    )
    strange = evidence.judgement["not_finite"]
    return Headline(
        figure=accuracy,
        words=f"of {evidence.judgement['examples']:,} test pairs right{how}",
        title=f"{accuracy} accuracy",
        aside="" if error is None else f"standard error {_METRICS[_ERROR].text(error)}",
        warning=f"For {strange:,} pairs the model gave scores that are not finite numbers; they "
        "count as wrong."
        if strange
        else "",
    )


def facts(evidence: Evidence) -> list[tuple[str, str]]:
    """The area under the ROC curve and the equal error rate."""
    found = evidence.judgement["metrics"]
    return [
        (metric.title[0].upper() + metric.title[1:], metric.text(found[name]))
        for name, metric in _METRICS.items()
        if name not in (_FIRST.name, _ERROR) and found[name] is not None
    ]


def curves(history: Sequence[Mapping[str, float]]) -> dict[str, pictures.Series]:
    """None: the loss says it."""
    del history
    return {}


def sections(evidence: Evidence) -> list[Section]:
    """The ROC curve and the accuracy of each fold, and the pairs that are the hardest."""
    score, same = evidence.rows[:, 0], evidence.rows[:, 1] > 0
    found = []
    if same.any() and not same.all():
        found.append(Section("roc", "ROC curve", _curve(evidence.rows).markup()))
    template = pages.of_task(TASK.name).get_template("hardest.html")
    hardest = _hardest(evidence, score, same)
    return [*found, Section("hardest", "The hardest pairs", template.render(pairs=hardest))]


def _curve(rows: np.ndarray) -> Measured:
    score, same = rows[:, 0], rows[:, 1] > 0
    false, true, _ = roc.curve(score, same)
    places = np.linspace(0, len(false) - 1, min(len(false), _POINTS)).round().astype(int)
    points = [(100 * false[place], [100 * true[place]]) for place in places]
    drawn = pictures.lines(
        "Same pairs found, %",
        "other pairs taken for the same, %",
        {"model": points, "chance": [(0.0, [0.0]), (100.0, [100.0])]},
    )
    folds = metrics.accuracies(rows)
    if len(folds) < 2:
        return Measured("Each point is a threshold of the score.", [drawn], [])
    table = Table(
        ("Fold", "Accuracy"),
        [(str(number), _FIRST.text(value)) for number, value in enumerate(folds, 1)],
    )
    words = "Each point is a threshold of the score. A fold is judged by the threshold of the rest."
    return Measured(words, [drawn], [table])


def _hardest(evidence: Evidence, score: np.ndarray, same: np.ndarray) -> list[dict[str, Any]]:
    """The pairs whose scores lie the farthest on the wrong side of the best threshold."""
    margin = np.where(same, score, -score)
    threshold = roc.best_threshold(score, same)
    if np.isfinite(threshold):
        margin -= np.where(same, threshold, -threshold)
    places = np.argsort(margin, kind="stable")[:_SHOWN]
    records = examples.found(evidence.examples_uri, "test", [evidence.ids[k] for k in places])
    return [
        {
            "id": evidence.ids[place],
            "truth": SAME if same[place] else DIFFERENT,
            "score": f"{score[place]:+.4f}",
            "wrong": bool(margin[place] < 0),
            "pictures": [pictures.thumbnail(each) for each in _both(records[evidence.ids[place]])],
        }
        for place in places
    ]


def _both(record: bytes) -> tuple[bytes, bytes]:
    features = tf.train.Example.FromString(record).features.feature
    return examples.encoded_image(record), features[_PAIR].bytes_list.value[0]


def _text(name: str, found: Mapping[str, float | None]) -> str:
    value = found[name]
    return "not defined" if value is None else _METRICS[name].text(value)
