"""Rates of `convnets predict FOLDER --csv FILE`, as a user starts it, on one core and on all.

    python -m benchmarks.predict_rate runs/serving/lenet photos/
    python -m benchmarks.predict_rate runs/serving/lenet photos/ --rounds 3

Rates are of the whole command, with its start, and beyond the start: that of one image alone is
taken off. Rounds take turns over the numbers of cores; medians are shown.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic

from rich.console import Console
from rich.table import Table

from pipelines.predictions import pictures


def seconds(model: Path, images: Path, cores: set[int], folder: Path) -> float:
    """The time of one command that may use these cores."""
    table = folder / "answers.csv"
    command = [sys.executable, "-m", "pipelines", "predict", images, "--model", model]
    began = monotonic()
    subprocess.run(
        [*map(str, command), "--csv", str(table), "--overwrite"],
        check=True,
        capture_output=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    return monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    found = [each.source for each in pictures.found([given.images])]
    every = os.sched_getaffinity(0)
    sets = {1: {min(every)}, len(every): every}
    taken: dict[int, list[tuple[float, float]]] = {number: [] for number in sets}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(given.rounds):
            for number, cores in sets.items():
                places = (found[0], given.images)
                one, whole = (seconds(given.model, each, cores, Path(folder)) for each in places)
                taken[number].append((one, whole))
    table = Table("cores", "start, s", f"{len(found):,} images, s", "images/s", "beyond the start")
    for number, rows in taken.items():
        start, whole = map(statistics.median, zip(*rows, strict=True))
        rates = (len(found) / whole, (len(found) - 1) / (whole - start))
        table.add_row(str(number), f"{start:.1f}", f"{whole:.1f}", *(f"{r:,.0f}" for r in rates))
    Console().print(table)


if __name__ == "__main__":
    main()
