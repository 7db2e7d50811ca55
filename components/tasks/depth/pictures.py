"""What the report says and shows of depths."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

from components import examples
from components.report import maps, pages, pictures
from components.report.evidence import Evidence, Headline, Section
from components.tasks.depth import TASK, metrics, targets

_METRICS = {metric.name: metric for metric in TASK.metrics}
_FIRST = TASK.blessing[0]
_SHOWN = 12


def headline(evidence: Evidence) -> Headline:
    """The absolute relative error."""
    value = evidence.judgement["metrics"][_FIRST.name]
    figure = "not finite" if value is None else _FIRST.text(value)
    strange = evidence.judgement["not_finite"]
    return Headline(
        figure=figure,
        words=f"{_FIRST.title} over all measured pixels of "
        f"{evidence.judgement['examples']:,} test pictures",
        title=f"{figure} {_FIRST.title}",
        warning=f"For {strange:,} pictures the model gave depths that are not finite numbers."
        if strange
        else "",
    )


def facts(evidence: Evidence) -> list[tuple[str, str]]:
    """All other figures."""
    return [
        (metric.title[0].upper() + metric.title[1:], metric.text(value))
        for name, value in evidence.judgement["metrics"].items()
        if (metric := _METRICS[name]) != _FIRST and value is not None
    ]


def curves(history: Sequence[Mapping[str, float]]) -> dict[str, pictures.Series]:
    """None: the loss says it."""
    del history
    return {}


def sections(evidence: Evidence) -> list[Section]:
    """The pictures with the highest errors: predicted and true depths, and the error."""
    ids = list(evidence.ids[:_SHOWN])
    records = examples.found(evidence.examples_uri, "test", ids)
    rows = [
        _row(name, records[name], evidence.answers["depth"][place])
        for place, name in enumerate(ids)
    ]
    template = pages.of_task(TASK.name).get_template("worst.html")
    return [Section("worst", "The highest errors", template.render(rows=rows))]


def _row(name: str, record: bytes, predicted: np.ndarray) -> pictures.Picture:
    parsed = tf.io.parse_single_example(record, targets.FEATURES)
    (true,) = targets.truths({key: [value.numpy()] for key, value in parsed.items()})
    with Image.open(io.BytesIO(examples.encoded_image(record))) as opened:
        picture = np.asarray(opened.convert("RGB"))
    measured = np.where(true > 0, true, np.nan)
    resized = metrics.resized(predicted, true.shape)
    shown = {"predicted": resized, "true": measured}
    return maps.row(name, "m", picture, shown, {"error": np.abs(resized - measured)})
