"""What the report says and shows of answers for each pixel."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from components import examples
from components.report import pages, pictures
from components.report.evidence import Evidence, Headline, Section
from components.tasks import Task

_SHOWN = 12
# Of one example its name, its picture, its truth, and the answers about it by output.
Row = Callable[[str, np.ndarray, Any, Mapping[str, np.ndarray]], pictures.Picture]


def headline(evidence: Evidence, task: Task) -> Headline:
    """The figures that bless."""
    values = evidence.judgement["metrics"]
    figures = [
        "not finite" if values[metric.name] is None else metric.text(values[metric.name])
        for metric in task.blessing
    ]
    titles = [metric.title for metric in task.blessing]
    strange = evidence.judgement["not_finite"]
    return Headline(
        figure=" and ".join(figures),
        words=f"{' and '.join(titles)} over all measured pixels of "
        f"{evidence.judgement['examples']:,} test pictures",
        title=" and ".join(map(" ".join, zip(figures, titles, strict=True))),
        warning=f"For {strange:,} pictures the model gave answers that are not finite numbers."
        if strange
        else "",
    )


def facts(evidence: Evidence, task: Task) -> list[tuple[str, str]]:
    """All figures but those of the headline."""
    metrics = {metric.name: metric for metric in task.metrics}
    first = {metric.name for metric in task.blessing}
    return [
        (metrics[name].title[0].upper() + metrics[name].title[1:], metrics[name].text(value))
        for name, value in evidence.judgement["metrics"].items()
        if name not in first and value is not None
    ]


def worst(evidence: Evidence, task: Task, rows: Mapping[str, Row]) -> list[Section]:
    """The pictures with the highest errors, by the task's template `worst.html`.

    Args:
      evidence: of the run.
      task: whose answers they are.
      rows: what draws a row, by the title that it has beside the picture's name.
    """
    ids = list(evidence.ids[:_SHOWN])
    records = examples.found(evidence.examples_uri, "test", ids)
    targets = task.part("targets")
    found = []
    for place, name in enumerate(ids):
        picture, truth = photograph(records[name]), true(records[name], targets)
        answer = {output: values[place] for output, values in evidence.answers.items()}
        found.append([draw(f"{name}{said}", picture, truth, answer) for said, draw in rows.items()])
    template = pages.of_task(task.name).get_template("worst.html")
    return [Section("worst", "The highest errors", template.render(pictures=found))]


def photograph(record: bytes) -> np.ndarray:
    """The picture of a tf.Example, uint8 [H, W, 3]."""
    with Image.open(io.BytesIO(examples.encoded_image(record))) as opened:
        return np.asarray(opened.convert("RGB"))


def true(record: bytes, targets: ModuleType) -> Any:
    """The truth of a tf.Example, as the task's `targets` gives it."""
    parsed = tf.io.parse_single_example(record, targets.FEATURES)
    (found,) = targets.truths({key: [value.numpy()] for key, value in parsed.items()})
    return found
