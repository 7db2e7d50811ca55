"""What a served model has answered: NumPy arrays by the names of a task's outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from components.tasks.task import Output

# N answers: an array [N, ...] for each output, texts as str.
Answers = dict[str, np.ndarray]


def readable(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Outputs by name with texts in the place of bytes, whatever their shape."""
    return {name: _text(value) for name, value in outputs.items()}


def of_rest(rows: Sequence[Any], outputs: Sequence[Output]) -> Answers:
    """The `predictions` of TensorFlow Serving's REST API.

    Args:
      rows: an object an image, by the names of the outputs; the value itself where the model has
        one output alone.
      outputs: of the task. Those that a model does not give are not there.
    """
    (first, *_) = outputs
    named = [row if isinstance(row, Mapping) else {first.name: row} for row in rows]
    return {
        each.name: np.array([row[each.name] for row in named], _dtype(each))
        for each in outputs
        if all(each.name in row for row in named)
    }


def one_by_one(answers: Answers) -> list[dict[str, Any]]:
    """The answers to each question."""
    return [
        dict(zip(answers, values, strict=True)) for values in zip(*answers.values(), strict=True)
    ]


def joined(parts: Sequence[Mapping[str, np.ndarray]]) -> Answers:
    """The answers of several requests as those of one.

    Outputs of any length are as long in each request as its longest one: the shorter are filled up
    with zeros, or empty texts.
    """
    names = [name for name in parts[0] if all(name in part for part in parts)]
    return {name: _joined([np.atleast_1d(part[name]) for part in parts]) for name in names}


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    largest = np.max([array.shape[1:] for array in arrays], axis=0).astype(int)
    filler = "" if arrays[0].dtype.hasobject else 0
    filled = []
    for array in arrays:
        ends = [(0, size - given) for size, given in zip(largest, array.shape[1:], strict=True)]
        filled.append(np.pad(array, [(0, 0), *ends], constant_values=filler))
    return np.concatenate(filled)


def _dtype(output: Output) -> np.dtype:
    return np.dtype(object if output.dtype == "string" else output.dtype)


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, np.ndarray) and value.dtype.hasobject:
        texts = np.empty(value.shape, object)
        texts.ravel()[:] = [_text(each) for each in value.ravel()]
        return texts
    return value
