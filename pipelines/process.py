"""A run as a child process: one at a time on a root, followed by its events, stopped cleanly.

The parent stays small (no TensorFlow, no TFX): the screen answers at once, the libraries' logs go
to a file, and a crash in native code ends the child and not the message about it.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from components.progress import EVENTS
from pipelines import run_events, temporary
from pipelines.history import allowed
from pipelines.paths import Paths

RUNNER = (sys.executable, "-m", "pipelines.run_local")
_POLL_SECONDS = 0.1
_ORPHAN_SECONDS = 10.0
# The stages end on SIGINT as after a failure; what a library blocks is ended harder.
_STOPS = ((signal.SIGINT, 15.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, None))
_PR_SET_PDEATHSIG = 1
_LAST_LINES, _LINE_WIDTH = 12, 200
# The exit code of a child that could write nothing, and what is said of it.
DISK_FULL = 28
_LEAST_FREE_BYTES = 1 << 16
FULL = "the disk is full; free some space and run again, the stages before are kept"


class RootBusy(RuntimeError):
    """Another run is using this root; the text names its process."""


class RunTimedOut(RuntimeError):
    """The run took longer than it may, and has been stopped."""


@dataclass(frozen=True)
class Run:
    """The files of one run below `root`."""

    run_id: str
    root: Path

    @property
    def _paths(self) -> Paths:
        return Paths(str(self.root))

    @property
    def log(self) -> Path:
        """What the libraries say."""
        return Path(self._paths.logs) / f"{self.run_id}.log"

    @property
    def events(self) -> Path:
        """One line of JSON per event, written by the child."""
        return Path(self._paths.logs) / f"{self.run_id}.events.jsonl"

    @property
    def request(self) -> Path:
        """What the child is asked to do."""
        return Path(self._paths.logs) / f"{self.run_id}.request.json"

    @property
    def summary(self) -> Path:
        """What came out, written by the child at its end."""
        return Path(self._paths.runs) / f"{self.run_id}.json"


def new_run(recipe: str, root: Path) -> Run:
    """A run with an id of its own: the recipe's name and the time."""
    base = f"{recipe}-{datetime.now():%Y%m%d-%H%M%S}"
    run, number = Run(base, root), 1
    while run.log.exists() or run.summary.exists():
        number += 1
        run = Run(f"{base}-{number}", root)
    return run


@contextlib.contextmanager
def locked(root: Path) -> Iterator[IO[str]]:
    """Holds `root` for one run; yields the lock's file, which the child inherits.

    The lock belongs to the open file, so it lasts until the last process that holds it has ended,
    however that happened.

    Raises:
      RootBusy: another run holds it.
    """
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("a+") as file:
        deadline = time.monotonic() + _ORPHAN_SECONDS
        while not _taken(file):
            file.seek(0)
            owner = file.read().strip()
            # The child of a killed run is about to end too, and has to let go first.
            if time.monotonic() > deadline or _lives(owner):
                raise RootBusy(
                    f"another run is using {root} (process {owner or 'unknown'}); "
                    "wait for it, or give this one another --root"
                )
            time.sleep(_POLL_SECONDS)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield file


def _taken(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lives(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        pass
    return True


def execute(
    run: Run,
    recipe: Mapping[str, Any],
    command: Sequence[str],
    on_event: Callable[[Mapping[str, Any]], None],
    on_log: Callable[[str], None] | None = None,
    beam: Mapping[str, Any] | None = None,
    timeout: float | None = None,
) -> int:
    """Runs a recipe in a child process and tells what happens in it.

    Args:
      run: the run's id and root.
      recipe: the recipe as plain data.
      command: the child's command line (`RUNNER`); the request's path is added to it.
      on_event: called with each event of the child; with `{"event": "stopping"}` when the user
        has interrupted the run.
      on_log: called with each line that the libraries log.
      beam: the fields of a `Beam` other than the default one.
      timeout: seconds after which the child is stopped; None for never.

    Returns:
      the child's exit code; negative where a signal ended it.

    Raises:
      RootBusy: another run is using the root.
      RunTimedOut: after the child has been stopped because of `timeout`.
      KeyboardInterrupt: after the child has been stopped.
    """
    with locked(run.root) as lock, temporary.folder(run.root) as scratch:
        allowed.note(run.root)
        for folder in (run.log.parent, run.summary.parent):
            folder.mkdir(parents=True, exist_ok=True)
        request = {"run_id": run.run_id, "recipe": recipe, "root": str(run.root)}
        if beam:
            request["beam"] = beam
        run.request.write_text(json.dumps(request, indent=2) + "\n")
        run.events.touch()
        with run.log.open("wb") as log:
            child = subprocess.Popen(
                [*command, str(run.request)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**environment(), EVENTS: str(run.events), "TMPDIR": str(scratch)},
                pass_fds=(lock.fileno(),),
                # Ctrl-C in the terminal reaches the parent alone, which then stops the child.
                start_new_session=True,
                preexec_fn=_before_start(),
            )
        try:
            return _follow(run, child, on_event, on_log, timeout)
        except KeyboardInterrupt:
            on_event({"event": "stopping"})
            raise
        finally:
            _stop(child)


def environment() -> dict[str, str]:
    """Of a child that runs this package."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    package = str(Path(__file__).resolve().parent.parent)
    if package == sysconfig.get_path("purelib"):
        return environment
    # From a checkout: the child finds the same code, whatever the current folder holds.
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**environment, "PYTHONPATH": os.pathsep.join(paths)}


def _before_start() -> Callable[[], None]:
    """What the child calls before it starts.

    It hears SIGINT, which a shell has what it starts with `&` ignore, and ends when the parent is
    killed (Linux).
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def prepare() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return prepare


def _follow(
    run: Run,
    child: subprocess.Popen[bytes],
    on_event: Callable[[Mapping[str, Any]], None],
    on_log: Callable[[str], None] | None,
    timeout: float | None,
) -> int:
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    with contextlib.ExitStack() as files:
        events = Tail(files.enter_context(run.events.open("rb")))
        log = Tail(files.enter_context(run.log.open("rb"))) if on_log else None
        while True:
            # Asked before reading: what an ended child has written is then read to its end.
            code = child.poll()
            for line in log.lines(last=code is not None) if log else ():
                on_log(line)
            for line in events.lines():
                event = run_events.parsed(line)
                if event is not None:
                    on_event(event)
            if code is not None:
                return code
            if time.monotonic() > deadline:
                raise RunTimedOut(f"the run was stopped: it took more than {timeout:g} seconds")
            time.sleep(_POLL_SECONDS)


class Tail:
    """The lines of a file that another process is writing."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._rest = b""

    def lines(self, last: bool = False) -> list[str]:
        """The lines completed since the last call; with `last`, an unfinished one too."""
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        if last and self._rest:
            lines.append(self._rest)
            self._rest = b""
        return [line.decode(errors="replace") for line in lines]


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Ends the child and what it has started; a second Ctrl-C is the next harder signal."""
    for number, seconds in _STOPS:
        if child.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            child.wait(seconds)


def outcome(run: Run, recipe: Mapping[str, Any], code: int) -> dict[str, Any]:
    """The summary that the child wrote or, where it ended before it could, one in its place.

    Args:
      run, recipe: as for `execute`.
      code: what `execute` returned.
    """
    try:
        summary = json.loads(run.summary.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        summary = {
            **{key: recipe[key] for key in ("size", "dataset")},
            "run_id": run.run_id,
            "recipe": recipe["name"],
            "stages": run_events.read(run.events).rows(),
        }
    if code and not summary.get("error"):
        summary["error"] = run_events.read(run.events).error or _sudden_end(run, code)
    return {"seconds": 0.0, "error": None, **summary}


def _sudden_end(run: Run, code: int) -> str:
    """Why a child ended that left no word: the signal, or the last lines of its log."""
    if code == DISK_FULL or shutil.disk_usage(run.root).free < _LEAST_FREE_BYTES:
        return FULL
    if code == -signal.SIGKILL:
        return "the run was killed; the system does that when the memory is used up"
    if code < 0:
        return f"the run was ended by {signal.Signals(-code).name}"
    last = run.log.read_text(errors="replace").strip().splitlines()[-_LAST_LINES:]
    shown = [textwrap.shorten(line, _LINE_WIDTH, placeholder=" ...") for line in last]
    return "\n".join(["the run ended early; the log's last lines:", *shown])
