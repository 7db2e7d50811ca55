"""The one event loop in which every server of this process answers."""

from __future__ import annotations

import asyncio
import atexit
import functools
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

_Result = TypeVar("_Result")


@functools.cache
def event_loop() -> asyncio.AbstractEventLoop:
    """The running loop, in a thread of its own that lives as long as the process.

    One for all servers: gRPC's asyncio part hands its events to all loops of a process in turn, and
    each complains of those that another one has already taken.
    """
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(_handle)
    thread = threading.Thread(target=loop.run_forever, name="serving", daemon=True)
    thread.start()
    atexit.register(_end, loop, thread)
    return loop


def run(coroutine: Coroutine[Any, Any, _Result]) -> _Result:
    """What `coroutine` returns, waited for from another thread than the loop's."""
    return asyncio.run_coroutine_threadsafe(coroutine, event_loop()).result()


def _end(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    # What it still holds of gRPC could not be taken apart once the modules are gone.
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def _handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # A loop elsewhere in this process that uses gRPC, too, was quicker: nothing is lost.
    if not isinstance(context.get("exception"), BlockingIOError):
        loop.default_exception_handler(context)
