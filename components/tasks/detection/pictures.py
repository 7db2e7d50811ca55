"""What the report says and shows of detections."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

from components import drawing, examples
from components.report import pages, pictures
from components.report.evidence import Evidence, Headline, Measured, Section, Table
from components.tasks.detection import TASK, metrics, precision, targets, words
from components.tasks.detection.matching import COCO_AREAS, FOUND, NOT_COUNTED
from components.tasks.detection.rows import (
    AREA_NAMES,
    BACKGROUND,
    CONFUSION,
    LOCALIZATION,
    RIGHT,
    Detections,
    Truths,
    by_picture,
    divided,
)
from components.tasks.detection.targets import Objects

_METRICS = {metric.name: metric for metric in TASK.metrics}
_FIRST = TASK.blessing[0]
_CURVES, _POINTS = 8, 100
_CLASSES = 100
_SHOWN = 6
_SIDE = 256
_GAP = 6
_KINDS = {
    RIGHT: "right",
    LOCALIZATION: "localisation: of the class, but the box is too far off, or the object is found "
    "already",
    CONFUSION: "confusion: of an object of another class",
    BACKGROUND: "background: where no object is",
}


def headline(evidence: Evidence) -> Headline:
    """The mean average precision."""
    value = evidence.judgement["metrics"][_FIRST.name]
    figure = "not defined" if value is None else _FIRST.text(value)
    _, truths, _ = divided(evidence.rows)
    strange = evidence.judgement["not_finite"]
    return Headline(
        figure=figure,
        words=f"{_FIRST.title}, {len(truths.rows):,} objects in "
        f"{evidence.judgement['examples']:,} test pictures",
        title=f"{figure} {_FIRST.title}",
        warning=f"In {strange:,} pictures the model gave boxes or scores that are not finite; they "
        "count as false."
        if strange
        else "",
        data=f"{len(evidence.judgement['labels'])} classes",
    )


def facts(evidence: Evidence) -> list[tuple[str, str]]:
    """All other figures that are defined."""
    return [
        (metric.title[0].upper() + metric.title[1:], metric.text(value))
        for name, value in evidence.judgement["metrics"].items()
        if (metric := _METRICS[name]) != _FIRST and value is not None
    ]


def curves(history: Sequence[Mapping[str, float]]) -> dict[str, pictures.Series]:
    """The parts of the loss that the network itself measures."""
    names = dict.fromkeys(
        name
        for epoch in history
        for name in epoch
        if name.endswith("_loss") and not name.startswith("val_")
    )
    return {
        name.replace("_", " ").capitalize(): pictures.Series(
            *([epoch.get(f"{part}{name}") for epoch in history] for part in ("", "val_"))
        )
        for name in names
    }


def sections(evidence: Evidence) -> list[Section]:
    """Curves, figures by class and size, how detections are wrong, best and worst pictures."""
    names = evidence.judgement["labels"]
    _, truths, found = divided(evidence.rows)
    parts = {
        "precision": ("Precision and recall", _curves(truths, found, names)),
        "classes": ("By class and size", _tables(evidence.rows, truths, found, names)),
        "kinds": ("What is wrong", _how_wrong(truths, found)),
    }
    told = [Section(name, title, each.markup()) for name, (title, each) in parts.items()]
    return [*told, *_best_and_worst(evidence)]


def _curves(truths: Truths, found: Detections, names: Sequence[str]) -> Measured:
    """Of the classes with the most objects."""
    counted = truths.label[~truths.not_counted]
    labels, numbers = np.unique(counted, return_counts=True)
    series = {}
    for label in labels[np.argsort(-numbers, kind="stable")][:_CURVES]:
        own = Detections(found.rows[(found.label == label) & (found.voc != NOT_COUNTED)])
        right, number = precision.curve(own.score, own.voc == FOUND)
        if len(right):
            step = -(-len(right) // _POINTS)
            positives = int((counted == label).sum())
            series[names[label]] = [
                (100 * r / positives, [100 * r / n])
                for r, n in zip(right[::step], number[::step], strict=True)
            ]
    if not series:
        return Measured("Nothing is found of a class that has objects.", [], [])
    drawn = pictures.lines("Precision, %", "recall, %", series)
    more = f" of the {_CURVES} classes with the most objects" if len(labels) > _CURVES else ""
    return Measured(
        f"Each threshold of the score gives a precision and a recall{more}; a detection is right "
        "where it overlaps an object of its class by half or more.",
        [drawn],
        [],
    )


def _tables(rows: np.ndarray, truths: Truths, found: Detections, names: Sequence[str]) -> Measured:
    by_class = []
    for label in np.unique(truths.label)[:_CLASSES]:
        own = Truths(truths.rows[truths.label == label])
        of_class = Detections(found.rows[found.label == label])
        figures = metrics.figures(np.concatenate([own.rows, of_class.rows]), {})
        counted = ~own.not_counted
        by_class.append(
            (
                names[label],
                f"{counted.sum():,}",
                f"{own.found[counted].sum():,}",
                f"{len(of_class.rows):,}",
                _text("map50", figures),
                _text("coco_ap", figures),
            )
        )
    every = metrics.figures(rows, {})
    sizes = []
    for area, name in enumerate(AREA_NAMES):
        ending = f"_{name}" if area else ""
        least, most = (f"{round(side**0.5)}" for side in COCO_AREAS[area])
        said = {"all": "all", "small": f"below {most} x {most} pixels"}
        said |= {"medium": "between", "large": f"above {least} x {least} pixels"}
        sizes.append(
            (
                said[name],
                f"{(~truths.ignored(area)).sum():,}",
                _text(f"coco_ap{ending}", every),
                _text(f"coco_ar{ending}" if area else "coco_ar100", every),
            )
        )
    return Measured(
        "Average precision at an overlap of 0.5, and COCO's mean over overlaps of 0.50 to 0.95. "
        "Objects that are difficult, and crowds, do not count.",
        [],
        [
            Table(("class", "objects", "found", "detections", "AP50", "COCO's AP"), by_class),
            Table(("size", "objects", "COCO's AP", "COCO's recall"), sizes),
        ],
    )


def _text(name: str, figures: Mapping[str, float | None]) -> str:
    value = figures[name]
    return "" if value is None else _METRICS[name].text(value)


def _how_wrong(truths: Truths, found: Detections) -> Measured:
    """Of the surest detections of each class, as many as it has objects."""
    kinds: list[np.ndarray] = []
    for label in np.unique(truths.label):
        number = int(((truths.label == label) & ~truths.not_counted).sum())
        own = Detections(found.rows[(found.label == label) & (found.voc != NOT_COUNTED)])
        kinds.append(own.kind[np.argsort(-own.score, kind="stable")[:number]])
    together = np.concatenate(kinds) if kinds else np.zeros(0)
    missed = int((~truths.not_counted & ~truths.found).sum())
    rows = [
        (words_of, f"{number:,}", f"{100 * number / max(len(together), 1):.1f} %")
        for kind, words_of in _KINDS.items()
        for number in [int((together == kind).sum())]
    ]
    return Measured(
        f"Of each class the surest detections, as many as it has objects: {len(together):,} in all "
        f"(Hoiem, Chodpathumwan, Dai 2012). {missed:,} objects are found by no detection at all.",
        [],
        [Table(("detections", "number", "share"), rows)],
    )


def _best_and_worst(evidence: Evidence) -> list[Section]:
    qualities = np.array([rows[0, 1] for rows in by_picture(evidence.rows)])
    order = np.argsort(qualities, kind="stable")
    chosen = {"worst": order[:_SHOWN], "best": order[::-1][:_SHOWN]}
    ids = [evidence.ids[place] for places in chosen.values() for place in places]
    records = examples.found(evidence.examples_uri, "test", ids)
    template = pages.of_task(TASK.name).get_template("pictures.html")
    found = []
    for which, places in chosen.items():
        shown = [
            _picture(evidence, int(place), records[evidence.ids[place]], qualities[place])
            for place in places
        ]
        markup = template.render(which=which, pictures=shown)
        found.append(Section(which, f"The {which} pictures", markup))
    return found


def _picture(evidence: Evidence, place: int, record: bytes, quality: float) -> pictures.Picture:
    """What is there, and beside it what is found."""
    names, name = evidence.judgement["labels"], evidence.ids[place]
    parsed = tf.io.parse_single_example(record, targets.FEATURES)
    (true,) = targets.truths({key: [value.numpy()] for key, value in parsed.items()})
    with Image.open(io.BytesIO(examples.encoded_image(record))) as opened:
        picture = opened.convert("RGB")
    scale = _SIDE / max(picture.size)
    shown = picture.resize([max(round(side * scale), 1) for side in picture.size])
    answer = {output: values[place] for output, values in evidence.answers.items()}
    likely = words.likely(answer, names, least=len(true.classes))
    panels = [
        drawing.boxes(shown, _of_objects(true, names, scale)),
        drawing.boxes(shown, [(box * scale, label, text) for box, label, text in likely]),
    ]
    joined = Image.new("RGB", (2 * shown.width + _GAP, shown.height), "white")
    for number, panel in enumerate(panels):
        joined.paste(panel, (number * (shown.width + _GAP), 0))
    alt = f"{name}: {len(true.classes)} objects, and {len(likely)} detections"
    return pictures.image(f"{name}: {100 * quality:.1f} %", alt, joined, "JPEG")


def _of_objects(
    true: Objects, names: Sequence[str], scale: float
) -> list[tuple[np.ndarray, int, str]]:
    ends = np.where(true.difficult, " (difficult)", np.where(true.crowd, " (crowd)", ""))
    return [
        (box * scale, int(label), f"{names[label]}{end}")
        for box, label, end in zip(true.boxes, true.classes, ends, strict=True)
    ]
