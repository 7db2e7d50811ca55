"""Asks about many pictures: read, checked and asked in batches, on all cores, in order."""

from __future__ import annotations

import itertools
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from components.tasks import Task
from pipelines.predictions.answerers import Answer, Answerer, first_line
from pipelines.predictions.pictures import Picture, checked

# Of a batch at most: questions, bytes of their files, pixels of their pictures. A dozen bytes a
# pixel are needed while a model resizes them.
BATCH = 32
_BYTES, _PIXELS = 32 << 20, 32 << 20
# Questions read before they are asked; a thread reads a few of them at a time.
AHEAD, _FEW = 4 * BATCH, 8
# Batches at a time: while one decodes its pictures, the network computes the other.
_ASKED = 2
# What the next picture would be told, too. Others are about what was sent.
_OF_THE_SERVER = ("UNAVAILABLE", "NOT_FOUND", "FAILED_PRECONDITION", "UNIMPLEMENTED")
_OF_THE_SERVER += ("PERMISSION_DENIED", "UNAUTHENTICATED", "CANCELLED", "DEADLINE_EXCEEDED")
# What gRPC says where nobody listens; a server that is busy says another thing.
_NOBODY = re.compile(r"UNAVAILABLE: .*connect")
_IMAGE = "image/encoded"
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Prediction:
    """What a model answers about one question.

    Attributes:
      pictures: that it was asked about: one, or as many as its inputs take.
      answer: by output an array, a NumPy scalar or bytes of a text (`components.answers.readable`);
        None where there is none.
      error: why there is none, of several pictures with the name of the bad one; "" where there
        is one.
    """

    pictures: tuple[Picture, ...]
    answer: Answer | None
    error: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the pictures."""
        return tuple(each.name for each in self.pictures)

    @property
    def message(self) -> str:
        """The error, with the names of the pictures."""
        return f"{', '.join(self.names)}: {self.error}"


def pictures_each(task: Task | None) -> int:
    """How many pictures a question takes; of an unknown task one."""
    return sum(frames or 1 for frames in task.stacks.values()) if task else 1


def check_count(number: int, task: Task | None) -> None:
    """Raises ValueError where the last question would lack pictures."""
    each = pictures_each(task)
    if number % each:
        wanted = ", ".join(
            f"{name} ({frames} images)" if frames else name for name, frames in task.stacks.items()
        )
        raise ValueError(f"{number} images; the model is asked about {each} at a time: {wanted}")


def predict(
    answerer: Answerer,
    pictures: Iterable[Picture],
    batch_size: int = BATCH,
    report: Callable[[int], None] = lambda done: None,
) -> Iterator[Prediction]:
    """What a model answers, question by question in the order of the pictures.

    A picture that cannot be read, or that the model refuses, is a prediction without an answer, and
    the rest goes on. A model of several inputs is asked about so many pictures at a time, in the
    order of its inputs. Whatever the number of pictures is, a few batches are held.

    Args:
      answerer: who is asked.
      pictures: what about.
      batch_size: questions at a time, at most; large pictures go in smaller batches.
      report: called with how many questions are done.

    Raises:
      ValueError: the server or the model cannot be asked at all; or the last question lacks
        pictures.
    """
    reading, asking = ThreadPoolExecutor(os.cpu_count()), ThreadPoolExecutor(_ASKED)
    done = 0
    try:
        fews = _fews(questions(pictures, answerer.task))
        read = in_order(
            reading, lambda few: [_read(each, answerer.task) for each in few], fews, AHEAD // _FEW
        )
        batches = _batches(itertools.chain.from_iterable(read), batch_size)
        answered = in_order(asking, lambda batch: _answered(answerer, batch), batches, _ASKED + 1)
        for batch in answered:
            done += len(batch)
            report(done)
            yield from batch
    finally:
        asking.shutdown(wait=True, cancel_futures=True)
        reading.shutdown(wait=True, cancel_futures=True)


def in_order(
    pool: ThreadPoolExecutor,
    function: Callable[[_Item], _Result],
    items: Iterable[_Item],
    ahead: int,
) -> Iterator[_Result]:
    """As `map`, computed by threads, of which so many results at most wait to be taken."""
    waiting: deque[Future[_Result]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def questions(pictures: Iterable[Picture], task: Task | None) -> Iterator[tuple[Picture, ...]]:
    """The pictures of each question; one that is missed is a question of its own.

    Raises:
      ValueError: the last question lacks pictures.
    """
    each = pictures_each(task)
    together: list[Picture] = []
    for picture in pictures:
        if picture.missed:
            yield (picture,)
            continue
        together.append(picture)
        if len(together) == each:
            yield tuple(together)
            together.clear()
    check_count(len(together), task)


def _fews(asked: Iterator[_Item]) -> Iterator[list[_Item]]:
    while few := list(itertools.islice(asked, _FEW)):
        yield few


@dataclass(frozen=True)
class _Question:
    """Pictures with their files and the boxes found in them, or why a file is not there."""

    pictures: tuple[Picture, ...]
    contents: tuple[bytes, ...]
    pixels: int
    error: str
    boxes: Mapping[str, Any] = field(default_factory=dict)


def _read(pictures: tuple[Picture, ...], task: Task | None) -> _Question:
    contents, pixels = [], 0
    for picture in pictures:
        try:
            file, size = checked(picture)
        except ValueError as error:
            which = f"{picture.name}: " if len(pictures) > 1 else ""
            return _Question(pictures, (), 0, f"{which}{error}")
        contents.append(file)
        pixels += size
    return _Question(pictures, tuple(contents), pixels, "", boxes_of(contents, task))


def boxes_of(contents: Sequence[bytes], task: Task | None) -> dict[str, Any]:
    """Where a model takes proposals, those that ingestion would find in the picture."""
    if task is None or task.proposals is None:
        return {}
    from components.ingest.proposals import finding

    pictures = _by_input(contents, task)
    (image,) = (pictures[each.name] for each in task.inputs if each.feature == _IMAGE)
    found = finding.of_file(image, finding.Proposals(**task.proposals))
    return {name: finding.padded(found, count) for name, count in task.box_counts.items()}


def _batches(asked: Iterable[_Question], most: int) -> Iterator[list[_Question]]:
    batch: list[_Question] = []
    size = pixels = 0
    for question in asked:
        more = sum(map(len, question.contents))
        full = size + more > _BYTES or pixels + question.pixels > _PIXELS
        if batch and (full or len(batch) == most):
            yield batch
            batch, size, pixels = [], 0, 0
        batch.append(question)
        size, pixels = size + more, pixels + question.pixels
    if batch:
        yield batch


def _answered(answerer: Answerer, batch: Sequence[_Question]) -> list[Prediction]:
    whole = [question for question in batch if not question.error]
    answers = iter(_asked(answerer, whole) if whole else ())
    return [
        Prediction(question.pictures, None, question.error) if question.error else next(answers)
        for question in batch
    ]


def _asked(answerer: Answerer, batch: Sequence[_Question]) -> list[Prediction]:
    """Of a batch that is refused the halves are asked, so that one bad picture stops no other."""
    from serving.errors import ServingError

    try:
        given = answerer.ask([shown(each.contents, answerer.task, each.boxes) for each in batch])
    except ServingError as error:
        text = f"{error.code.name}: {first_line(error.message)}"
        if _NOBODY.search(text):
            text = "no server answers there; convnets serve starts one"
        if error.code.name in _OF_THE_SERVER:
            raise ValueError(f"{answerer.name}: {text}") from error
        if len(batch) == 1:
            (question,) = batch
            return [Prediction(question.pictures, None, f"refused by the model: {text}")]
        half = len(batch) // 2
        return [*_asked(answerer, batch[:half]), *_asked(answerer, batch[half:])]
    return [
        Prediction(question.pictures, answer) for question, answer in zip(batch, given, strict=True)
    ]


def shown(
    contents: Sequence[bytes], task: Task | None, boxes: Mapping[str, Any]
) -> bytes | Mapping[str, Any]:
    """The pictures of one question, and the boxes in them, as a model takes them."""
    if task is None or task.one_picture:
        return contents[0]
    return {**_by_input(contents, task), **boxes}


def _by_input(contents: Sequence[bytes], task: Task) -> dict[str, Any]:
    left = iter(contents)
    return {
        name: [*itertools.islice(left, frames)] if frames else next(left)
        for name, frames in task.stacks.items()
    }
