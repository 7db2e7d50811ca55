"""`convnets predict`: what a model answers about pictures, few or tens of thousands."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines import models, served
from pipelines.commands.common import (
    GivenPath,
    console,
    packages_option,
    root_option,
    status,
    user_errors,
)
from pipelines.served import GRPC_PORT

if TYPE_CHECKING:
    from components.tasks import Task
    from pipelines.predictions.answerers import Answerer
    from pipelines.predictions.engine import Prediction
    from pipelines.predictions.tables import Form

# Answers of a table on the screen, and of those that have none.
_ROWS, _MISSED = 500, 20
# Between two words on how far it is, in a terminal and in a log.
_LIVE_SECONDS, _LOG_SECONDS = 0.2, 20.0


@click.command("predict")
@click.argument(
    "paths",
    nargs=-1,
    required=True,
    metavar="PATH...",
    type=GivenPath(path_type=Path),
)
@root_option
@click.option(
    "--model",
    metavar="NAME|PATH",
    help="A pushed model by its name, needed where there is more than one; or a run's id, or the "
    "path of a SavedModel or of a .keras file that was exported, which are asked in this process.",
)
@click.option(
    "--server",
    metavar="HOST:PORT",
    help="The server to ask (gRPC). Without it, the one on this machine's port "
    f"{GRPC_PORT} or, where there is none, the pushed model in this process.",
)
@click.option(
    "--csv",
    "table",
    type=GivenPath(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a row an image: the file, the answer in the task's columns, and the error.",
)
@click.option("--overwrite", is_flag=True, help="Let --csv replace a file, once the new is whole.")
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON object a line: the file, and each output."
)
@click.option(
    "--top-k",
    "top",
    type=click.IntRange(1),
    metavar="K",
    help="Of answers that are ranked, such as classes, the K best with their scores.",
)
@click.option(
    "--draw",
    "folder",
    type=GivenPath(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Write each image with its answer drawn in, as PNG, into this folder.",
)
@packages_option
def predict(
    paths: Sequence[Path],
    root: Path,
    model: str | None,
    server: str | None,
    table: Path | None,
    overwrite: bool,
    as_json: bool,
    top: int | None,
    folder: Path | None,
) -> None:
    """What a model answers about images (PNG or JPEG, of any size).

    Each PATH is an image, or a folder whose images are taken, however deep they lie. Images that
    cannot be read are listed at the end, and in the output; the status is then 1.

    A model of several inputs is asked about so many images at a time, in the order of its inputs:
    of pairs about the first and the second image, then the third and the fourth. --draw puts them
    side by side, in a file called as the first.
    """
    from pipelines.predictions import engine, pictures, tables
    from pipelines.predictions.tables import Form

    with user_errors(), ExitStack() as stack:
        # What cannot be written or asked is found out before anybody is asked.
        if table is not None:
            tables.check_free(table, overwrite)
        number = pictures.count(pictures.found(paths, folder))
        pictures.check_found(paths, number)
        asked = _asked(model, server, root)
        form = Form(asked.task, asked.names, top)
        form.check()
        engine.check_count(number, form.task)
        if folder is not None:
            listed = engine.questions(pictures.found(paths, folder), form.task)
            tables.check_places(listed, folder)
        answerer = stack.enter_context(_answerer(asked))
        missed = _Missed()
        stack.callback(missed.tell)
        takers: list[Callable[[Prediction], None]] = [missed.take]
        if as_json:
            takers.append(lambda prediction: click.echo(tables.as_json(prediction, form)))
        elif table is None:
            takers.append(stack.enter_context(_on_the_screen(form)))
        if table is not None:
            stack.enter_context(_telling_what_is_left(table))
            takers.append(stack.enter_context(tables.csv_file(table, form)))
        if folder is not None:
            takers.append(stack.enter_context(tables.drawing(folder, form)))
        quiet = sys.stdout.isatty() and (as_json or table is None)
        report = stack.enter_context(_progress(number // engine.pictures_each(form.task), quiet))
        found = engine.predict(answerer, pictures.found(paths, folder), report=report)
        # Ended, whatever happens, before the model is closed.
        stack.enter_context(contextlib.closing(found))
        for prediction in found:
            for take in takers:
                take(prediction)
    if table is not None and not as_json:
        console().print(f"{missed.total - missed.number:,} answers are in {table}")
    if missed.number:
        sys.exit(1)


@dataclass(frozen=True)
class _Asked:
    """Who is to be asked: a model on a server or, where `path` is set, one in this process."""

    model: str
    server: str | None
    path: Path | None
    task: Task | None
    names: Sequence[str]


def _asked(model: str | None, server: str | None, root: Path) -> _Asked:
    from pipelines.predictions import answerers

    if model is None:
        model = served.only_model(root)
    models.check_given(model)
    local = f"127.0.0.1:{GRPC_PORT}"
    task, names = served.task_and_names(root, model)
    if server is None and not _is_path_or_run(model, task, root) and served.listens(local):
        server = local
    if server is not None:
        return _Asked(model, server, None, task, names)
    path = models.find(model, root)
    return _Asked(model, None, path, *answerers.facts(path))


def _is_path_or_run(model: str, pushed: Task | None, root: Path) -> bool:
    if pushed is not None:
        return False
    with contextlib.suppress(ValueError):
        models.find(model, root)
        return True
    return False


@contextlib.contextmanager
def _answerer(asked: _Asked) -> Iterator[Answerer]:
    from pipelines.predictions import answerers

    if asked.server is not None:
        with answerers.of_server(asked.server, asked.model, asked.task, asked.names) as found:
            yield found
        return
    with ExitStack() as stack:
        with status(console(stderr=True), "loading TensorFlow and the model"):
            served.quiet_libraries()
            found = stack.enter_context(answerers.of_path(asked.path))
        yield found


class _Missed:
    """Counts the predictions, and keeps the first that are no answers."""

    def __init__(self) -> None:
        self.total = self.number = 0
        self._first: list[str] = []

    def take(self, prediction: Prediction) -> None:
        self.total += 1
        if prediction.error:
            self.number += 1
            if len(self._first) < _MISSED:
                self._first.append(prediction.message)

    def tell(self) -> None:
        """Lists those without an answer on the error stream."""
        if not self.number:
            return
        click.echo(f"Error: no answer about {self.number:,} of {self.total:,}:", err=True)
        for text in self._first:
            click.echo(f"  {_printable(text)}", err=True)
        if self.number > len(self._first):
            click.echo(f"  and {self.number - len(self._first):,} more", err=True)


@contextlib.contextmanager
def _on_the_screen(form: Form) -> Iterator[Callable[[Prediction], None]]:
    """Prints tables of so many answers as they come."""
    from pipelines.console import answers, screens

    screen, waiting = console(), []

    def show() -> None:
        if waiting:
            columns, rows = answers.in_words([each.answer for each in waiting], form)
            names = [_printable(", ".join(each.names)) for each in waiting]
            screen.print(screens.answers_table(names, columns, rows))
            waiting.clear()

    def take(prediction: Prediction) -> None:
        if prediction.answer is not None:
            waiting.append(prediction)
        if len(waiting) == _ROWS:
            show()

    try:
        yield take
    finally:
        show()


@contextlib.contextmanager
def _telling_what_is_left(table: Path) -> Iterator[None]:
    """Says where the rows are where a table does not come to its end."""
    from pipelines.predictions import tables

    try:
        yield
    except BaseException:
        if tables.partial(table).exists():
            click.echo(f"what was answered is in {tables.partial(table)}", err=True)
        raise


@contextlib.contextmanager
def _progress(total: int, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Says now and then how many are done, on the error stream; yields what is to be told."""
    screen = console(stderr=True)
    began = said = time.monotonic()
    if quiet:
        yield lambda done: None
        return
    with status(screen, f"asking about {total:,}") as say:

        def report(done: int) -> None:
            nonlocal said
            now = time.monotonic()
            if now - said < (_LIVE_SECONDS if screen.is_terminal else _LOG_SECONDS):
                return
            said = now
            text = f"{done:,} of {total:,}, {done / (now - began):,.0f} a second"
            say(text) if screen.is_terminal else screen.print(text)

        yield report


def _printable(name: str) -> str:
    """A text with the name of a file, which may hold bytes that are no UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
