"""Files in a folder per class."""

from __future__ import annotations

import os
from collections.abc import Iterator

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from components.globs import matching
from components.ingest import regular_files
from components.ingest.class_folders import IMAGE_SUFFIXES, class_names, folder_names
from components.ingest.contract import DeadLetter, Record
from components.ingest.labels import in_order
from components.ingest.sources import Source
from components.ingest.walk import is_folder, is_system, walk

LOOSE = ""  # The root of what lies beside the class folders.


class FolderReader:
    """Reads BASE/CLASS/NAME, on this machine's disks or in a bucket that Beam has a way to.

    A piece is CLASS/NAME, where a NAME may lead through folders. Images beside the class folders
    are dead letters, as are those in folders that a `labels.txt` beside them does not list.
    """

    piece_records = 1

    def __init__(self, source: Source) -> None:
        self._base = source.base
        self._remote = "://" in source.base
        self._folders = _remote_folders(self._base) if self._remote else folder_names(self._base)
        self.labels = in_order(self._folders) if self._remote else class_names(self._base)
        self._numbers = {name: number for number, name in enumerate(self.labels)}

    def roots(self, split: str) -> list[str]:
        return [*self._folders, LOOSE]

    def pieces(self, root: str) -> Iterator[str]:
        if root == LOOSE:
            yield from self._loose()
        elif self._remote:
            start = f"{self._base}/"
            for path in matching(f"{start}{root}", "**"):
                if not any(map(is_system, path.removeprefix(start).split("/"))):
                    yield path.removeprefix(start)
        else:
            # Listed, not matched by a pattern: a pattern passes over links that lead nowhere.
            for path, entry in walk(os.path.join(self._base, root)):
                if not is_folder(entry):
                    yield f"{root}/{path}"

    def load(self, piece: str) -> Iterator[Record | DeadLetter]:
        label, below, _ = piece.partition("/")
        if not below:
            yield DeadLetter(piece, "no class: it lies beside the class folders")
            return
        if label not in self._numbers:
            yield DeadLetter(piece, f"unknown label: labels.txt has no {label!r}")
            return
        try:
            content = self._read(piece)
        except OSError as error:
            yield DeadLetter(piece, f"cannot be read: {error.strerror or error}")
            return
        features = {"image/encoded": content, "label": self._numbers[label], "label/text": label}
        yield Record(piece, features)

    def _loose(self) -> Iterator[str]:
        if self._remote:
            paths = matching(self._base, "*")
            names = [path.rpartition("/")[2] for path in paths]
        else:
            with os.scandir(self._base) as entries:
                names = [entry.name for entry in entries if not is_folder(entry)]
        for name in names:
            if name.lower().endswith(IMAGE_SUFFIXES) and not is_system(name):
                yield name

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
        name for name in names if name and not is_system(name) and fileio.isdir(f"{base}/{name}")
    )
