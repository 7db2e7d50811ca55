"""Who is asked about pictures: a server, or a SavedModel in this process."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components import tasks
from pipelines import keras_files, served

# What TensorFlow adds to its messages: where it was.
_PLACES = re.compile(r"\{\{.*?\}\} ?|\[\[.*?\]\]|\[Op:\w+\].*")
_LONGEST = 200
# A batch of large pictures in a deep network, on a machine that has other work.
_SECONDS = 600.0
# By output what is answered about one question: arrays, NumPy's scalars, bytes.
Answer = dict[str, Any]


@dataclass(frozen=True)
class Answerer:
    """A model that can be asked.

    Attributes:
      name: what it is called in errors.
      ask: answers questions: encoded pictures or, of several inputs, mappings of them. Called from
        several threads. Raises serving.errors.ServingError.
      task: what it answers; None where that is not known.
      names: of its classes, where they are known.
    """

    name: str
    ask: Callable[[Sequence[Any]], list[Answer]]
    task: tasks.Task | None
    names: Sequence[str]


@contextlib.contextmanager
def of_server(
    address: str, model: str, task: tasks.Task | None, names: Sequence[str]
) -> Iterator[Answerer]:
    """A model on the server at `HOST:PORT`.

    Args:
      address: the server's.
      model: its name there.
      task, names: what is known of it: a server does not tell.
    """
    from serving.client import Client

    with Client(address, _SECONDS) as client:

        def ask(asked: Sequence[Any]) -> list[Answer]:
            return client.predict(model, asked, batch_size=len(asked))

        yield Answerer(address, ask, task, names)


def facts(path: Path) -> tuple[tasks.Task, list[str]]:
    """What a model on this machine answers, and the names of its classes, before it is loaded.

    Args:
      path: as `pipelines.models.find` gives it.

    Raises:
      ValueError: the model answers a task that is not known here; or nothing says what a `.keras`
        file answers.
    """
    if path.is_dir():
        return served.facts(path)
    said = keras_files.facts(path)
    return said.task, said.names


@contextlib.contextmanager
def of_path(path: Path) -> Iterator[Answerer]:
    """A SavedModel, or a `.keras` file that says how its pictures are prepared.

    Args:
      path: as `pipelines.models.find` gives it.

    Raises:
      ValueError: as `facts`, and as `of_saved_model`.
    """
    if path.is_dir():
        with of_saved_model(path) as found:
            yield found
        return
    with tempfile.TemporaryDirectory() as folder:
        keras_files.as_saved_model(path, keras_files.facts(path), Path(folder))
        with of_saved_model(Path(folder)) as found:
            yield found


@contextlib.contextmanager
def of_saved_model(folder: Path) -> Iterator[Answerer]:
    """A SavedModel of ours, loaded into this process while the block lasts.

    Args:
      folder: the one that holds saved_model.pb.

    Raises:
      ValueError: it cannot be loaded, or answers a task that is not known here.
    """
    task, names = served.facts(folder)
    from serving import messages
    from serving.runtime import tf
    from serving.saved_model import DEFAULT_SIGNATURE, SavedModel

    try:
        model = SavedModel(str(folder))
    except (tf.OpError, OSError, ValueError) as error:
        raise ValueError(f"{folder} cannot be loaded: {first_line(str(error))}") from error

    def ask(asked: Sequence[Any]) -> list[Answer]:
        ((signature, batch),) = messages.image_batches(asked, DEFAULT_SIGNATURE, len(asked))
        return messages.answers(model.predict(signature, batch), batch)

    try:
        yield Answerer(str(folder), ask, task, names)
    finally:
        model.close()


def task_of(outputs: Iterable[str], known: tasks.Task | None) -> tasks.Task | None:
    """Which task answers with outputs of these names.

    Args:
      outputs: the names.
      known: that of the pushed model of the same name, where there is one.

    Returns:
      the pushed model's, where the outputs are its; else the one task that has just these; None
      where there is none, or more than one.
    """
    given = set(outputs)
    if known and {each.name for each in known.outputs} <= given:
        return known
    every = [tasks.find(name) for name in tasks.names()]
    fitting = [task for task in every if {each.name for each in task.outputs} == given]
    return fitting[0] if len(fitting) == 1 else None


def first_line(text: str) -> str:
    """What TensorFlow says, without the places in a graph."""
    lines = _PLACES.sub("", text).strip().splitlines() or [""]
    return lines[0].strip()[:_LONGEST]
