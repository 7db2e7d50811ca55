"""Predictions written down: as CSV, as lines of JSON, and drawn into their pictures."""

from __future__ import annotations

import base64
import contextlib
import csv
import io
import json
import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from components import tasks
from components.answers import readable
from components.ingest import images
from pipelines.predictions import answerers
from pipelines.predictions.engine import Prediction
from pipelines.predictions.pictures import Picture, content

_ERROR = "error"


@dataclass(frozen=True)
class Form:
    """What is written of an answer.

    Attributes:
      task: what is answered, as far as it is known before the first answer.
      names: of the classes, where they are known.
      top: how many candidates of a ranking are written; None for the first, and in JSON for the
        outputs as they are.
    """

    task: tasks.Task | None
    names: Sequence[str] = ()
    top: int | None = None

    def check(self) -> None:
        """Raises ValueError where candidates are wanted of answers that rank none."""
        if self.task is not None:
            self.task_of([each.name for each in self.task.outputs])

    def task_of(self, answer: Iterable[str]) -> tasks.Task | None:
        """The task of an answer; None where it is of no known one.

        Args:
          answer: by output, or the names of the outputs.

        Raises:
          ValueError: candidates are wanted, and this ranks none.
        """
        task = answerers.task_of(answer, self.task)
        if self.top is not None and not (task and task.part("words").RANKED):
            what = f"an answer of {task.name} ranks nothing" if task else "no task ranks these"
            raise ValueError(f"{what}: leave --top-k out")
        return task

    def fields(self, answer: Mapping[str, Any]) -> tuple[str, ...]:
        """The columns in which answers such as this are written."""
        task = self.task_of(answer)
        if task is None:
            return tuple(sorted(answer))
        return task.part("words").fields(self.names, self.top or 1)

    def values(self, answer: Mapping[str, Any]) -> tuple[Any, ...]:
        """What is written in each of the `fields`: texts and numbers, None for what is neither."""
        task = self.task_of(answer)
        if task is None:
            return tuple(_one_cell(answer[name]) for name in sorted(answer))
        given = task.part("words").values(readable(answer), self.names, self.top or 1)
        return tuple(map(plain, given))

    def row(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """The `values` by the `fields`."""
        return dict(zip(self.fields(answer), self.values(answer), strict=True))

    def columns(self) -> tuple[str, ...]:
        """Those that name the pictures of a question."""
        if self.task is None or self.task.one_picture:
            return ("file",)
        return tuple(
            column
            for name, frames in self.task.stacks.items()
            for column in ([f"{name}_{place + 1}" for place in range(frames)] if frames else [name])
        )


def as_json(prediction: Prediction, form: Form) -> str:
    """One line: an object of `file`, of several `files`, and each output or, instead, `error`.

    Where `form` asks for candidates, they are there in place of the outputs. NaN and the infinities
    are null. Bytes that are no UTF-8 are written as TensorFlow Serving does: {"b64": "..."}.
    """
    names = prediction.names
    named = {"files": list(names)} if len(names) > 1 else {"file": names[0]}
    if prediction.answer is None:
        return json.dumps({**named, _ERROR: prediction.error})
    if form.top is None:
        found = {name: plain(value) for name, value in sorted(prediction.answer.items())}
    else:
        found = form.row(prediction.answer)
    return json.dumps({**named, **found}, allow_nan=False)


def check_free(path: Path, overwrite: bool) -> None:
    """Raises ValueError where a file is there already and is not to be replaced."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder; --csv takes a file")
    if path.exists() and not overwrite:
        raise ValueError(f"{path} is there already; --overwrite replaces it")


def partial(path: Path) -> Path:
    """What a table is called until it is whole."""
    return path.with_name(f"{path.name}.partial")


@contextlib.contextmanager
def csv_file(path: Path, form: Form) -> Iterator[Callable[[Prediction], None]]:
    """Writes a table while the block lasts; yields what takes the predictions, one after the other.

    A row a question: its pictures, the answer in the task's fields, and the error. The table is
    written beside `path` and takes its place at the end; where the block ends by an error, what was
    written stays beside it (`partial`).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Names of files may hold bytes that are no UTF-8; they are written as they are.
    with partial(path).open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = _Rows(csv.writer(file, lineterminator="\n"), form)
        try:
            yield rows.take
        except BaseException:
            if not rows.number:
                partial(path).unlink()
            raise
        finally:
            rows.end()
    partial(path).replace(path)


class _Rows:
    """The rows of a table, whose columns are known with the first answer."""

    def __init__(self, writer: Any, form: Form) -> None:
        self._writer = writer
        self._form = form
        self._fields: tuple[str, ...] | None = None
        self._before: list[Prediction] = []
        self.number = 0

    def take(self, prediction: Prediction) -> None:
        self.number += 1
        if self._fields is None:
            self._before.append(prediction)
            if prediction.answer is not None:
                self._begin(self._form.fields(prediction.answer))
        else:
            self._write(prediction)

    def end(self) -> None:
        if self._fields is None:
            self._begin(())

    def _begin(self, fields: tuple[str, ...]) -> None:
        self._fields = fields
        self._writer.writerow([*self._form.columns(), *fields, _ERROR])
        for prediction in self._before:
            self._write(prediction)
        self._before.clear()

    def _write(self, prediction: Prediction) -> None:
        names = prediction.names
        # A folder that was missed stands alone, in the place of the first picture.
        files = [*names, *[""] * (len(self._form.columns()) - len(names))]
        if prediction.answer is None:
            values: Iterable[Any] = [""] * len(self._fields or ())
        else:
            values = ("" if each is None else each for each in self._form.values(prediction.answer))
        self._writer.writerow([*files, *values, prediction.error])


class Places:
    """The PNG file of each drawn picture: below the folder as the picture lies below its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Of the names their hashes: two that are the same by chance would cost a number.
        self._taken: set[int] = set()

    def of(self, picture: Picture) -> Path:
        """The file of the next picture; of two of one name the second has a number."""
        stem = os.path.splitext(picture.below)[0]
        name, number = stem, 1
        # Some file systems hold a.png and A.png for the same.
        while hash(name.casefold()) in self._taken:
            number += 1
            name = f"{stem}-{number}"
        self._taken.add(hash(name.casefold()))
        return self._folder / f"{name}.png"


def check_places(questions: Iterable[tuple[Picture, ...]], folder: Path) -> None:
    """Raises ValueError where a file that would be drawn is there already."""
    places = Places(folder)
    for first, *_ in questions:
        if not first.missed and (place := places.of(first)).exists():
            raise ValueError(f"{place} is there already, and --draw overwrites nothing")


@contextlib.contextmanager
def drawing(folder: Path, form: Form) -> Iterator[Callable[[Prediction], None]]:
    """Draws while the block lasts; yields what takes the predictions, in their order.

    The answer is drawn by threads, in a file called as the first picture of the question.

    Raises:
      ValueError: what is answered is of no known task.
      OSError: a file is there already, or cannot be written.
    """
    places, cores = Places(folder), os.cpu_count() or 1
    waiting: deque[Future[None]] = deque()

    def take(prediction: Prediction) -> None:
        first = prediction.pictures[0]
        if first.missed:
            return
        place = places.of(first)
        if prediction.answer is None:
            return
        task = form.task_of(prediction.answer)
        if task is None:
            raise ValueError("what is answered is of no known task: nothing is drawn")
        asked = prediction.pictures
        waiting.append(pool.submit(draw, asked, prediction.answer, task, form.names, place))
        if len(waiting) > 4 * cores:
            waiting.popleft().result()

    with ThreadPoolExecutor(cores) as pool:
        yield take
        for each in waiting:
            each.result()


def draw(
    pictures: Sequence[Picture],
    answer: Mapping[str, Any],
    task: tasks.Task,
    names: Sequence[str],
    place: Path,
) -> None:
    """Writes the pictures of a question, side by side, with the answer drawn as the task does it.

    Of a stack the first picture is shown.
    """
    shown, number = [], 0
    for frames in task.stacks.values():
        shown.append(images.decoded(content(pictures[number])).image)
        number += frames or 1
    file = io.BytesIO()
    task.part("words").draw(_beside(shown), readable(answer), names).save(file, "PNG")
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("xb") as new:
        new.write(file.getvalue())


def _beside(shown: Sequence[Image.Image]) -> Image.Image:
    """Pictures in a row, from the top; a single one as it is."""
    if len(shown) == 1:
        return shown[0]
    size = (sum(each.width for each in shown), max(each.height for each in shown))
    row = Image.new("RGB", size, "white")
    left = 0
    for each in shown:
        row.paste(each, (left, 0))
        left += each.width
    return row


def plain(value: Any) -> Any:
    """A value of an answer as JSON has it."""
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return {"b64": base64.b64encode(value).decode()}
    if value is None or isinstance(value, str):
        return value
    array = np.asarray(value)
    if array.dtype.kind in "biu":
        return array.tolist()
    found = np.empty(array.shape, object)
    each_plain = plain if array.dtype.hasobject else _number
    found.ravel()[:] = [each_plain(each) for each in array.ravel()]
    return found.tolist()


def _number(value: np.generic) -> float | None:
    """With the digits that tell it from others of its type: 0.1, not 0.10000000149."""
    number = float(str(value))
    return number if math.isfinite(number) else None


def _one_cell(value: Any) -> Any:
    """A number or a text as it is, more of them as JSON."""
    found = plain(value)
    return json.dumps(found) if isinstance(found, (list, dict)) else found
