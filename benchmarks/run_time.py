"""What a run takes beside its training, and the same run once more.

    python -m benchmarks.run_time                      # 60 images, one epoch
    python -m benchmarks.run_time --rounds 1 --mnist   # lenet as it is, on all of MNIST

A round is a fresh run on a root of its own, then the same with nothing changed, each a process as a
user starts it, and `import tensorflow` for comparison. "start" is the time until the first stage
works, "end" that from the last stage's end until the prompt is there.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import numpy as np
import skimage.data
from PIL import Image
from rich.console import Console
from rich.table import Table

_PHOTOS = {"cat": skimage.data.chelsea, "coffee": skimage.data.coffee}
_TINY = ("lenet-relu", "--set", "epochs=1", "--set", "batch_size=8")
_TINY += ("--set", "thresholds.accuracy=0.1")
_DONE = re.compile(r"(\w+): (?:done, ([\d.]+) s|cached)")


@dataclass(frozen=True)
class Taken:
    """Seconds of one command: of the clock and of processors; see the module for `start`, `end`."""

    wall: float
    processor: float
    start: float = 0.0
    end: float = 0.0


def photos(folder: Path) -> None:
    """Thirty pieces of each of two photographs, a class each."""
    places = np.random.default_rng(0)
    for label, load in _PHOTOS.items():
        (folder / label).mkdir(parents=True)
        for number in range(30):
            y, x = places.integers(0, 200, 2)
            Image.fromarray(load()[y : y + 32, x : x + 32]).save(folder / label / f"{number}.png")


def taken(arguments: Sequence[str]) -> Taken:
    """Runs Python with these arguments. Raises RuntimeError where it fails."""
    began = monotonic()
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    start, last, said = None, began, []
    for line in process.stdout:
        said.append(line)
        if stage := _DONE.match(line):
            last = monotonic()
            if start is None:
                start = last - began - float(stage[2] or 0.0)
    _, status, usage = os.wait4(process.pid, 0)
    now = monotonic()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError("".join(said)[-2000:])
    return Taken(now - began, usage.ru_utime + usage.ru_stime, start or 0.0, now - last)


def stages(root: Path) -> dict[str, float]:
    """Seconds of each stage of the first run on a root."""
    first = min((root / "runs").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    return {each["stage"]: each["seconds"] for each in json.loads(first.read_text())["stages"]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mnist", action="store_true")
    arguments = parser.parse_args()
    found: dict[str, list[Taken]] = {}
    seconds: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch, "photos")
        photos(data)
        recipe = ("lenet",) if arguments.mnist else (*_TINY, "--data", str(data))
        for number in range(arguments.rounds):
            root = Path(scratch, str(number))
            run = ("-m", "pipelines", "run", *recipe, "--root", str(root))
            for name, command in (
                ("import tensorflow", ("-c", "import tensorflow")),
                ("fresh run", run),
                ("nothing changed", run),
            ):
                found.setdefault(name, []).append(taken(command))
            seconds.append(stages(root))
    screen = Console(width=100)
    screen.print(_commands_table(found))
    screen.print(_stages_table(seconds))
    return 0


def _commands_table(found: dict[str, list[Taken]]) -> Table:
    columns = ("", "wall", "processor", "to import", "start", "end")
    table = Table(*columns, title="medians, seconds")
    for name, rounds in found.items():
        base = found["import tensorflow"]
        ratio = statistics.median(
            mine.processor / its.processor for mine, its in zip(rounds, base, strict=True)
        )
        wall, processor, start, end = (
            f"{statistics.median(getattr(each, key) for each in rounds):.1f}"
            for key in ("wall", "processor", "start", "end")
        )
        table.add_row(name, wall, processor, f"{ratio:.2f}", start, end)
    return table


def _stages_table(rounds: Sequence[dict[str, float]]) -> Table:
    table = Table("", "seconds", title="stages of the fresh run, medians")
    for stage in rounds[0]:
        table.add_row(stage, f"{statistics.median(each[stage] for each in rounds):.1f}")
    return table


if __name__ == "__main__":
    sys.exit(main())
