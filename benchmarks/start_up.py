"""What commands take until they answer, beside `import tensorflow`: processor time, wall, memory.

    python -m benchmarks.start_up --root runs          # lenet has been run there
    python -m benchmarks.start_up --rounds 5

Every command is a process of its own, as a user starts it; rounds take turns over all of them, and
ratios are of the same round. `serve` counts until it says that the models answer. The first `show`
counts the network, the second finds it counted. What is wrong has to be refused.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from PIL import Image
from rich.console import Console
from rich.table import Table

GRPC_PORT = 8500
_IMPORT = "import tensorflow"
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Taken:
    """Of one process, to its end or until it was ready: seconds, and MiB at most."""

    wall: float
    processor: float
    memory: float


@dataclass(frozen=True)
class Case:
    """A command line; `ready` is said once it has started, `code` how it ends."""

    name: str
    arguments: Sequence[str]
    ready: str | None = None
    code: int = 0


def cases(root: Path, scratch: Path) -> list[Case]:
    image = scratch / "image.png"
    Image.new("L", (28, 28), 128).save(image)
    convnets = ("-m", "pipelines")
    at_root = ("--root", str(root))
    run = (*convnets, "run", "lenet", "--root", str(scratch / "runs"), "--set")
    ports = ("--port", "0", "--rest-port", "0")
    return [
        Case(_IMPORT, ("-c", _IMPORT)),
        Case("serve, until it answers", (*convnets, "serve", "lenet", *at_root, *ports), "Ctrl-C"),
        Case(
            "predict without a server",
            (*convnets, "predict", str(image), "--model", "lenet", *at_root),
        ),
        Case("show lenet, first", (*convnets, "show", "lenet")),
        Case("show lenet, again", (*convnets, "show", "lenet")),
        Case("list", (*convnets, "list")),
        Case("--help", (*convnets, "--help")),
        Case("run, model_args.foo=1", (*run, "model_args.foo=1"), code=1),
        Case("run, model=nomod:Net", (*run, "model=nomod:Net"), code=1),
    ]


def measured(case: Case, cache: Path) -> Taken:
    """Runs a command. Raises RuntimeError where it ends otherwise than it should."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONUNBUFFERED": "1"}
    started = monotonic()
    process = subprocess.Popen(
        [sys.executable, *case.arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
    taken = None
    said = []
    for line in process.stdout:
        said.append(line)
        if case.ready and taken is None and case.ready in line:
            taken = Taken(monotonic() - started, *_until_now(process.pid))
            process.send_signal(signal.SIGTERM)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != case.code or (case.ready and taken is None):
        raise RuntimeError(f"{case.name} ended with {process.returncode}: {''.join(said)[-2000:]}")
    whole = usage.ru_utime + usage.ru_stime
    return taken or Taken(monotonic() - started, whole, usage.ru_maxrss / 1024)


def _until_now(pid: int) -> tuple[float, float]:
    """Processor time and highest memory of a process that lives."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = Path(f"/proc/{pid}/status").read_text().split()
    memory = int(status[status.index("VmHWM:") + 1])
    return (int(fields[11]) + int(fields[12])) / _TICKS, memory / 1024


def _table(chosen: Sequence[Case], rounds: Sequence[Sequence[Taken]]) -> Table:
    columns = ("", "wall s", "processor s", "to import", "peak MiB", "to import")
    table = Table(*columns, title=f"start-up, medians of {len(rounds)}")
    for index, case in enumerate(chosen):
        taken = [(each[index], each[0]) for each in rounds]
        wall = statistics.median(mine.wall for mine, _ in taken)
        processor = statistics.median(mine.processor for mine, _ in taken)
        memory = statistics.median(mine.memory for mine, _ in taken)
        to_processor = statistics.median(mine.processor / base.processor for mine, base in taken)
        to_memory = statistics.median(mine.memory / base.memory for mine, base in taken)
        figures = (f"{wall:.1f}", f"{processor:.1f}", f"{to_processor:.2f}", f"{memory:.0f}")
        table.add_row(case.name, *figures, f"{to_memory:.2f}")
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--root", type=Path, default=Path("runs"))
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if not any((arguments.root / "serving" / "lenet").glob("*/")):
        parser.error(f"{arguments.root} serves no lenet; first: convnets run lenet")
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", GRPC_PORT)) == 0:
            parser.error(f"a server listens on port {GRPC_PORT}, which predict would ask")

    rounds: list[list[Taken]] = []
    with tempfile.TemporaryDirectory() as scratch:
        chosen = cases(arguments.root.absolute(), Path(scratch))
        for number in range(arguments.rounds):
            cache = Path(scratch, f"cache{number}")
            rounds.append([measured(case, cache) for case in chosen])
    Console(width=100).print(_table(chosen, rounds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
