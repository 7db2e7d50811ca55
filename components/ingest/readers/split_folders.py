"""Files in a folder per class, below a folder per split."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from components.ingest.class_folders import folders_of
from components.ingest.contract import DeadLetter, Record
from components.ingest.labels import in_order, listed_labels
from components.ingest.readers.folder import FolderReader
from components.ingest.sources import Source


class SplitFolderReader:
    """Reads BASE/SPLIT/CLASS/NAME, the splits as they were published.

    A piece is SPLIT/CLASS/NAME. The classes are those of all splits: a number means the same in
    each, whichever of them a split lacks.
    """

    piece_records = 1

    def __init__(self, source: Source) -> None:
        self._folders = {split: folders_of(pattern) for split, pattern in source.patterns}
        self._readers = {
            folder: FolderReader(replace(source, base=f"{source.base}/{folder}"))
            for folders in self._folders.values()
            for folder in folders
        }
        listed = [] if "://" in source.base else listed_labels(source.base)
        found = {name for each in self._readers.values() for name in each.labels}
        self.labels = listed or in_order(found)
        self._numbers = {name: number for number, name in enumerate(self.labels)}

    def roots(self, split: str) -> list[str]:
        return [
            f"{folder}/{root}"
            for folder in self._folders[split]
            for root in self._readers[folder].roots(split)
        ]

    def pieces(self, root: str) -> Iterator[str]:
        folder, _, inner = root.partition("/")
        for piece in self._readers[folder].pieces(inner):
            yield f"{folder}/{piece}"

    def load(self, piece: str) -> Iterator[Record | DeadLetter]:
        folder, _, inner = piece.partition("/")
        for found in self._readers[folder].load(inner):
            found = replace(found, identifier=f"{folder}/{found.identifier}")
            yield self._numbered(found) if isinstance(found, Record) else found

    def _numbered(self, found: Record) -> Record | DeadLetter:
        label = found.features["label/text"]
        if label not in self._numbers:
            return DeadLetter(found.identifier, f"unknown label: labels.txt has no {label!r}")
        return replace(found, features={**found.features, "label": self._numbers[label]})
