"""How far a run has come, shown while it lasts: in a terminal, in a notebook, or not at all."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from convnets import arguments

_Event = Mapping[str, Any]
_SECONDS = 0.25


@contextlib.contextmanager
def shown(progress: bool | Callable[[_Event], None]) -> Iterator[Callable[[_Event], None]]:
    """Yields what is to be called with each event of a run.

    Args:
      progress: what is called with each event; or whether the progress is shown where it can be
        seen.
    """
    if callable(progress):
        yield progress
    elif not progress:
        yield lambda event: None
    elif in_a_notebook():
        yield _Notebook()
    else:
        from pipelines.console import display, terminal

        with display.watching(terminal.console(), display.Board()) as on_event:
            yield on_event


def check(progress: Any) -> None:
    """Checks what `shown` is to be given.

    Raises:
      TypeError: it is neither True or False nor a function.
    """
    if not isinstance(progress, bool) and not callable(progress):
        raise arguments.wrong("progress", progress, "True, False, or a function of an event")


def in_a_notebook() -> bool:
    """Whether this process is a notebook's kernel, whose output a browser shows."""
    if "ipykernel" not in sys.modules:
        return False
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")


class _Notebook:
    """Shows a run's board in the output of a cell, in place."""

    def __init__(self) -> None:
        from pipelines.console import display

        self._board = display.Board()
        self._handle: Any = None
        self._drawn = 0.0

    def __call__(self, event: _Event) -> None:
        stage = self._board.take(event)
        is_step = stage is not None and stage.state == "running"
        if is_step and time.monotonic() - self._drawn < _SECONDS:
            return
        self._drawn = time.monotonic()
        self._draw()

    def _draw(self) -> None:
        from IPython.display import HTML, display

        from pipelines.console import html

        page = HTML(html.of(self._board))
        if self._handle is None:
            self._handle = display(page, display_id=True)
        else:
            self._handle.update(page)
