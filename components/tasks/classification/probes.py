"""The part of the page about a network's features: accuracy by layer, and by number of examples."""

from collections.abc import Mapping, Sequence
from typing import Any

from components.report import pictures
from components.report.evidence import Measured, Table

_CLASSIFIERS = {"svm": "linear SVM", "softmax": "softmax"}


def section(probed: Mapping[str, Any]) -> Measured:
    """The section about the content of a `probes.json`."""
    rows = probed["rows"]
    most = max(row["examples_per_class"] for row in rows)
    top = rows[-1]["layer"]
    by_layer = [row for row in rows if row["examples_per_class"] == most]
    by_number = [row for row in rows if row["layer"] == top]
    explanation = (
        f"The features are those of {probed['from']}, which has not learnt from these images; "
        f"only the classifiers have. By layer they had at most {most} training images of each "
        f"class; by number, the features of {top}. The accuracy is the mean of the classes' "
        f"accuracies on {probed['test_examples']:,} test images."
    )
    layers = [row["layer"] for row in by_layer]
    numbers = [str(row["examples_per_class"]) for row in by_number]
    drawn = [pictures.percents("Accuracy by layer, %", "layer", layers, _series(by_layer))]
    if len(numbers) > 1:
        axis = "training images of each class"
        drawn.append(pictures.percents(f"Accuracy of {top}, %", axis, numbers, _series(by_number)))
    names = tuple(_CLASSIFIERS.values())
    published = probed["published"]
    unpublished = dict.fromkeys(_CLASSIFIERS)
    papers = tuple(f"{name}, paper" for name in names) if any(published.values()) else ()
    tables = [
        Table(
            ("Layer", "Values", *names, *papers),
            [
                (
                    *(row["layer"], f"{row['values']:,}", *_percents(row)),
                    *(_percents(unpublished | published.get(row["layer"], {})) if papers else ()),
                )
                for row in by_layer
            ],
        ),
        Table(
            ("Images of each class", "In all", *names),
            [
                (str(row["examples_per_class"]), f"{row['examples']:,}", *_percents(row))
                for row in by_number
            ],
        ),
    ]
    return Measured(explanation, drawn, tables)


def _series(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    return {name: [row[key] for row in rows] for key, name in _CLASSIFIERS.items()}


def _percents(row: Mapping[str, Any]) -> tuple[str, ...]:
    accuracies = (row[key] for key in _CLASSIFIERS)
    return tuple("" if value is None else f"{100 * value:.1f} %" for value in accuracies)
