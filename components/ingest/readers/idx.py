"""IDX files, as MNIST comes."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from components.ingest import idx
from components.ingest.contract import DeadLetter, Record, unknown_class
from components.ingest.labels import listed_labels
from components.ingest.sources import Source

# Small, so that what lies side by side in the file does not in the examples.
_PIECE = 16


class IdxReader:
    """Reads pairs of an images file and a labels file.

    A piece is PATTERN:START:STOP.
    """

    piece_records = _PIECE

    def __init__(self, source: Source) -> None:
        self._folder = source.base
        self._patterns = dict(source.patterns)
        self.labels = self._labels()

    def roots(self, split: str) -> list[str]:
        _split(self._folder, self._patterns[split])
        return [self._patterns[split]]

    def pieces(self, root: str) -> Iterator[str]:
        count = len(_split(self._folder, root)[0])
        for start in range(0, count, _PIECE):
            yield f"{root}:{start}:{min(start + _PIECE, count)}"

    def load(self, piece: str) -> Iterator[Record | DeadLetter]:
        pattern, start, stop = piece.rsplit(":", 2)
        pixels, labels = _split(self._folder, pattern)
        prefix = pattern.partition("-")[0]
        for index in range(int(start), int(stop)):
            label = int(labels[index])
            if label >= len(self.labels):
                yield DeadLetter(f"{prefix}#{index}", unknown_class(label, len(self.labels)))
                continue
            yield Record(
                f"{prefix}#{index}",
                {
                    "image/encoded": pixels[index],
                    "label": label,
                    "label/text": self.labels[label],
                },
            )

    def _labels(self) -> list[str]:
        if names := listed_labels(self._folder):
            return names
        _, labels = _split(self._folder, self._patterns["train"])
        return [str(number) for number in range(int(labels.max()) + 1)]


def _split(folder: str, pattern: str) -> tuple[np.ndarray, np.ndarray]:
    """The two arrays of a split, kept until one of its files is another."""
    paths = sorted(path for path in Path(folder).glob(pattern) if path.exists())
    found = ((path.name, path.stat()) for path in paths)
    looks = tuple((name, each.st_ino, each.st_size, each.st_mtime_ns) for name, each in found)
    return _kept(folder, pattern, looks)


@functools.lru_cache(maxsize=2)
def _kept(folder: str, pattern: str, looks: tuple) -> tuple[np.ndarray, np.ndarray]:
    return idx.read_split(folder, pattern)
