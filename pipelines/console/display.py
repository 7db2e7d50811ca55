"""What a run shows while it lasts: a line a stage in a terminal, plain lines anywhere else."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rich import box
from rich.columns import Columns
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from pipelines import run_events
from pipelines.run_events import Stage, Stages
from pipelines.stages import WORK

# Data in spans are read by a stage each.
_OF_A_SPAN = "-span-"
_WORK_WIDTH = max(map(len, WORK.values()))
_MARKS = {
    "waiting": Text("·", style="dim"),
    "done": Text("✓", style="green"),
    "cached": Text("✓", style="cyan"),
    "failed": Text("✗", style="bold red"),
}
# Where nobody sees a bar move, a long stage says now and then that it is alive.
_PLAIN_PROGRESS_SECONDS = 20.0
_LOOKING = "looking for what has changed"
_STARTING = "starting TFX, some ten seconds"
_FAILED = "the run failed"
_STOPPING = "stopping the run; press Ctrl-C again to end it at once"


def work(stage: str) -> str:
    """What a stage does, in a few words."""
    return WORK.get(stage.partition(_OF_A_SPAN)[0], "")


def table_of(*columns: str) -> Table:
    """A table with these headings, whose cells go on in further lines where they are long."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def duration(seconds: float) -> str:
    """Seconds as people say them: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 07 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


class Board:
    """The state of a run, kept up by its events."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._spinner = Spinner("dots", style="bold")
        self._before = _LOOKING
        self._run = Stages(clock)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return self._clock() - self._began

    def take(self, event: Mapping[str, Any]) -> Stage | None:
        """Notes an event; returns the stage that it is about. Unknown events are passed over."""
        if event["event"] == "starting":
            self._before = event.get("text", _STARTING)
        return self._run.take(event)

    def __rich__(self) -> Group | Table:
        table = Table.grid(padding=(0, 2, 0, 0), expand=True)
        for options in ({"width": 1}, {}, {"width": _WORK_WIDTH}, {"ratio": 1}):
            table.add_column(no_wrap=True, overflow="ellipsis", **options)
        stages = self._run.by_name.values()
        for stage in stages:
            table.add_row(*self._row(stage))
        if self._run.error and not any(stage.error for stage in stages):
            return Group(table, Text.assemble(_MARKS["failed"], " ", _FAILED))
        if any(stage.state != "waiting" for stage in stages):
            return table
        before = Text(f"{self._before} · {duration(self.seconds)}")
        return Group(Columns([self._spinner, before]), table)

    def _row(self, stage: Stage) -> list[Any]:
        name = Text(stage.name, style="dim" if stage.state == "waiting" else "bold")
        middle: Text | ProgressBar = Text(work(stage.name), style="dim")
        if stage.state != "running":
            status = {"waiting": "", "cached": "cached"}.get(stage.state, duration(stage.seconds))
            return [_MARKS.get(stage.state, ""), name, middle, Text(status)]
        if stage.total:
            middle = ProgressBar(total=stage.total, completed=stage.done)
        status = f"{duration(self._clock() - stage.began)}  {stage.text}"
        return [self._spinner, name, middle, Text(status)]


@contextlib.contextmanager
def watching(
    console: Console, board: Board, plain: bool = False
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Shows a run while the block lasts; yields what is to be called with each event.

    In a terminal the board is drawn in place and gone at the end, since the last screen repeats
    it; with `plain`, and where the console is no terminal, a line is printed as a stage ends.
    """
    if plain or not console.is_terminal:
        yield _PlainLines(console, board)
        return
    with Live(board, console=console, refresh_per_second=8, transient=True):

        def take(event: Mapping[str, Any]) -> None:
            board.take(event)
            if event["event"] == "stopping":
                console.print(_STOPPING)

        yield take


class _PlainLines:
    """Prints what has happened, for logs and pipes."""

    def __init__(self, console: Console, board: Board) -> None:
        self._console = console
        self._board = board
        self._printed = board.seconds

    def __call__(self, event: Mapping[str, Any]) -> None:
        stage = self._board.take(event)
        if event["event"] == "stopping":
            self._print(_STOPPING)
        elif event["event"] == "starting":
            self._print(event.get("text", _STARTING))
        elif event["event"] == run_events.FAILED:
            self._print(_FAILED)
        elif stage is None:
            return
        elif event["event"] == "progress":
            if self._board.seconds - self._printed > _PLAIN_PROGRESS_SECONDS:
                self._print(f"{stage.name}: {stage.text}")
        elif stage.state == "cached":
            self._print(f"{stage.name}: cached")
        elif stage.state != "running":
            self._print(f"{stage.name}: {stage.state}, {duration(stage.seconds)}")

    def _print(self, line: str) -> None:
        self._printed = self._board.seconds
        self._console.print(Text(line))
        self._console.file.flush()
