"""Files in a folder per class."""

from __future__ import annotations

import os
from collections.abc import Iterator

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from components.globs import matching
from components.ingest import regular_files
from components.ingest.contract import DeadLetter, Record
from components.ingest.sources import Source, class_names


class FolderReader:
    """Reads BASE/CLASS/NAME, on this machine's disks or in a bucket that Beam has a way to.

    A piece is CLASS/NAME.
    """

    piece_records = 1

    def __init__(self, source: Source) -> None:
        self._base = source.base
        self._remote = "://" in source.base
        self.labels = _remote_folders(self._base) if self._remote else class_names(self._base)
        self._numbers = {name: number for number, name in enumerate(self.labels)}

    def roots(self, split: str) -> list[str]:
        return self.labels

    def pieces(self, root: str) -> Iterator[str]:
        for name in self._names(root):
            if not name.startswith("."):
                yield f"{root}/{name}"

    def load(self, piece: str) -> Iterator[Record | DeadLetter]:
        label = piece.partition("/")[0]
        # A name that is no UTF-8 stands in no example as it is.
        identifier = piece.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        try:
            content = self._read(piece)
        except OSError as error:
            yield DeadLetter(identifier, f"cannot be read: {error.strerror or error}")
            return
        features = {"image/encoded": content, "label": self._numbers[label], "label/text": label}
        yield Record(identifier, features)

    def _names(self, label: str) -> Iterator[str]:
        if not self._remote:
            # Listed, not matched by a pattern: a pattern passes over links that lead nowhere.
            with os.scandir(os.path.join(self._base, label)) as entries:
                yield from (entry.name for entry in entries)
            return
        found = matching(f"{self._base}/{label}", "*")
        yield from (path.rpartition("/")[2] for path in found)

    def _read(self, piece: str) -> bytes:
        path = f"{self._base}/{piece}"
        if not self._remote:
            return regular_files.read(path)
        # As it lies there: by its name Beam would unpack it to any size.
        kind = CompressionTypes.UNCOMPRESSED
        with FileSystems.open(path, compression_type=kind) as file:
            return regular_files.content(file, path)


def _remote_folders(base: str) -> list[str]:
    # Here and not above: it takes seconds that a worker would wait, too.
    from tfx.dsl.io import fileio

    names = (name.rstrip("/") for name in fileio.listdir(base))
    return sorted(
        name for name in names if name[:1] not in ("", ".") and fileio.isdir(f"{base}/{name}")
    )
