"""Files in a folder per class, below a folder per split."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from components.ingest.class_folders import folders_of, split_labels
from components.ingest.contract import DeadLetter, Record
from components.ingest.labels import in_order
from components.ingest.readers.folder import LOOSE, FolderReader
from components.ingest.sources import Source


class SplitFolderReader:
    """Reads BASE/SPLIT/CLASS/NAME, the splits as they were published.

    A piece is SPLIT/CLASS/NAME. The classes are those of all splits: a number means the same in
    each, whichever of them a split lacks. Images beside the folders of the splits are dead letters.
    """

    piece_records = 1

    def __init__(self, source: Source) -> None:
        self._folders = {split: folders_of(pattern) for split, pattern in source.patterns}
        self._readers = {
            folder: FolderReader(replace(source, base=f"{source.base}/{folder}"))
            for folders in self._folders.values()
            for folder in folders
        }
        self._beside = FolderReader(source)
        self._first_split = source.patterns[0][0]
        listed = [] if "://" in source.base else split_labels(source.base, self._readers)
        found = {name for each in self._readers.values() for name in each.labels}
        self.labels = listed or in_order(found)
        self._numbers = {name: number for number, name in enumerate(self.labels)}

    def roots(self, split: str) -> list[str]:
        roots = [
            f"{folder}/{root}"
            for folder in self._folders[split]
            for root in self._readers[folder].roots(split)
        ]
        return [*roots, LOOSE] if split == self._first_split else roots

    def pieces(self, root: str) -> Iterator[str]:
        if root == LOOSE:
            yield from self._beside.pieces(root)
            return
        folder, inner = self._parted(root)
        for piece in self._readers[folder].pieces(inner):
            yield f"{folder}/{piece}"

    def load(self, piece: str) -> Iterator[Record | DeadLetter]:
        if "/" not in piece:
            yield DeadLetter(piece, "no class: it lies beside the folders of the splits")
            return
        folder, inner = self._parted(piece)
        for found in self._readers[folder].load(inner):
            found = replace(found, identifier=f"{folder}/{found.identifier}")
            yield self._numbered(found) if isinstance(found, Record) else found

    def _parted(self, path: str) -> tuple[str, str]:
        """The folder of a split, and what comes after it."""
        folder = next(each for each in self._readers if path.startswith(f"{each}/"))
        return folder, path.removeprefix(f"{folder}/")

    def _numbered(self, found: Record) -> Record | DeadLetter:
        label = found.features["label/text"]
        if label not in self._numbers:
            return DeadLetter(found.identifier, f"unknown label: labels.txt has no {label!r}")
        return replace(found, features={**found.features, "label": self._numbers[label]})
