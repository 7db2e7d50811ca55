"""How fast are rooms rendered, beside the PNG encoding of what is rendered?

Pictures of 80 x 60 are rendered in turns with encoding their image, depth, normals and classes as
ingestion stores them, in one process; then as many are ingested by one process and by two, from
`--data rooms` to TFRecords.

    python -m benchmarks.rooms
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import apache_beam as beam
import numpy as np
from rich.console import Console
from rich.table import Table

from components.ingest import engine, forking_runner, images, readers, textures
from components.ingest.contract import Encoding
from components.ingest.rooms import rendering, settings
from components.ingest.sources import resolve
from pipelines.beam import Beam


def rendered(rooms: settings.Rooms) -> list[rendering.Picture]:
    return [rendering.picture(rooms, "train", index) for index in range(rooms.train)]


def encoded(pictures: list[rendering.Picture]) -> None:
    for each in pictures:
        images.png(each.image)
        images.png(np.rint(1000 * each.depth).astype(np.uint16))
        images.png(np.rint(255 * (each.normals + 1) / 2).astype(np.uint8))
        images.png(each.classes)


def ingested(rooms: settings.Rooms, processes: int) -> float:
    """Seconds that ingestion takes, with the start of its workers."""
    mode = "multi_processing" if processes > 1 else "in_memory"
    arguments = (f"--direct_running_mode={mode}", f"--direct_num_workers={processes}")
    runner = "--runner=components.ingest.forking_runner.ForkingRunner"
    reader = readers.reader(resolve(rooms.name))
    with tempfile.TemporaryDirectory() as folder, forking_runner.forked():
        start = time.perf_counter()
        with beam.Pipeline(argv=[*Beam(arguments=arguments).ingest(), runner]) as pipeline:
            _ = pipeline | engine.Ingest(
                reader,
                "train",
                Encoding(),
                str(Path(folder) / "examples"),
                readers.SHARD_RECORDS["rooms"],
            )
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    # Workers are forked before anything else has started threads.
    seconds = {
        f"ingested, {n} process{'es' if n > 1 else ''}": ingested(
            settings.Rooms(train=arguments.pictures), n
        )
        for n in (2, 1)
    }
    rates = {way: arguments.pictures / taken for way, taken in seconds.items()}
    textures.pyramids()
    few, turns = settings.Rooms(train=100), {"rendered": [], "encoded as PNG": []}
    for _ in range(arguments.turns):
        start = time.perf_counter()
        pictures = rendered(few)
        middle = time.perf_counter()
        encoded(pictures)
        turns["rendered"].append(middle - start)
        turns["encoded as PNG"].append(time.perf_counter() - middle)
    rates |= {way: few.train / statistics.median(taken) for way, taken in turns.items()}
    table = Table("", "pictures/s", "of encoded as PNG")
    for way, rate in sorted(rates.items(), key=lambda item: -item[1]):
        table.add_row(way, f"{rate:,.0f}", f"{rate / rates['encoded as PNG']:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
