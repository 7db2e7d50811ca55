"""What a model has answered, as a table on the screen: in the words of its task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from components.answers import readable
from pipelines.predictions.tables import Form

# An array of more values is shown by its shape and its range.
_FEW = 6


def in_words(
    answers: Sequence[Mapping[str, Any]], form: Form
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The columns of a table of answers, and a row for each.

    Args:
      answers: the outputs for an image by their names.
      form: what is answered; where that is not known, the outputs are shown as they are.
    """
    task = form.task_of(answers[0])
    if task is None:
        columns = tuple(sorted(answers[0]))
        return columns, [tuple(_shown(answer[name]) for name in columns) for answer in answers]
    if form.top is not None:
        rows = [tuple(map(_cell, form.values(answer))) for answer in answers]
        return form.fields(answers[0]), rows
    words = task.part("words")
    return words.columns(), [words.row(readable(answer), form.names) for answer in answers]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return "" if value is None else str(value)


def _shown(value: Any) -> str:
    """A value, the few values of an array, or the shape and the range of more."""
    value = readable({"": value})[""]
    if isinstance(value, str):
        return value
    array = np.asarray(value)
    if array.size <= _FEW:
        return ", ".join(_short(each) for each in array.ravel())
    sides = " x ".join(map(str, array.shape))
    if array.dtype.hasobject:
        return f"{sides} texts"
    return f"{sides}, from {_short(array.min())} to {_short(array.max())}"


def _short(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
