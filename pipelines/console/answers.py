"""What a served model has answered: in the words of its task, as JSON, and drawn into pictures."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components import tasks
from components.answers import readable

# An array of more values is shown by its shape and its range.
_FEW = 6


def task_of(outputs: Iterable[str], pushed: tasks.Task | None) -> tasks.Task | None:
    """Which task answers with outputs of these names.

    Args:
      outputs: the names.
      pushed: that of the pushed model of the same name, where there is one.

    Returns:
      the pushed model's, where the outputs are its; else the one task that has just these; None
      where there is none, or more than one.
    """
    given = set(outputs)
    if pushed and {each.name for each in pushed.outputs} <= given:
        return pushed
    known = [tasks.find(name) for name in tasks.names()]
    fitting = [task for task in known if {each.name for each in task.outputs} == given]
    return fitting[0] if len(fitting) == 1 else None


def in_words(
    answers: Sequence[Mapping[str, Any]], task: tasks.Task | None, names: Sequence[str] = ()
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The columns of a table of answers, and a row for each.

    Args:
      answers: the outputs for an image by their names.
      task: what the model answers; where it is not known, the outputs are shown as they are.
      names: of the model's classes, where they are known.
    """
    if task:
        words = task.part("words")
        return words.columns(), [words.row(readable(answer), names) for answer in answers]
    columns = tuple(sorted(answers[0]))
    return columns, [tuple(_shown(answer[name]) for name in columns) for answer in answers]


def as_json(files: Sequence[str], answer: Mapping[str, Any]) -> str:
    """One line: an object of `file`, of several `files`, and each output.

    NaN and the infinities are null. Bytes that are no UTF-8 are written as TensorFlow Serving does:
    {"b64": "..."}.
    """
    outputs = {name: _plain(value) for name, value in sorted(answer.items())}
    named = {"files": list(files)} if len(files) > 1 else {"file": files[0]}
    return json.dumps({**named, **outputs}, allow_nan=False)


def places(images: Sequence[Path], folder: Path) -> list[Path]:
    """The PNG file of each drawn image, by the image's name; `folder` is made.

    Raises:
      ValueError: one of the files is there already.
    """
    found: list[Path] = []
    taken: set[str] = set()
    for image in images:
        name, number = image.stem, 1
        # Some file systems hold a.png and A.png for the same.
        while name.casefold() in taken:
            number += 1
            name = f"{image.stem}-{number}"
        taken.add(name.casefold())
        found.append(folder / f"{name}.png")
    for place in found:
        if place.exists():
            raise ValueError(f"{place} is there already, and --draw overwrites nothing")
    folder.mkdir(parents=True, exist_ok=True)
    return found


def draw(image: Path, answer: Mapping[str, Any], task: tasks.Task, place: Path) -> None:
    """Writes the image with the answer drawn as the task does it."""
    from components.ingest import images

    picture = images.decoded(image.read_bytes()).image
    content = io.BytesIO()
    task.part("words").draw(picture, readable(answer)).save(content, "PNG")
    with place.open("xb") as file:
        file.write(content.getvalue())


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


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return {"b64": base64.b64encode(value).decode()}
    array = np.asarray(value)
    if array.dtype.kind in "biu":
        return array.tolist()
    plain = np.empty(array.shape, object)
    each_plain = _plain if array.dtype.hasobject else _number
    plain.ravel()[:] = [each_plain(each) for each in array.ravel()]
    return plain.tolist()


def _number(value: np.generic) -> float | None:
    """With the digits that tell it from others of its type: 0.1, not 0.10000000149."""
    number = float(str(value))
    return number if math.isfinite(number) else None
