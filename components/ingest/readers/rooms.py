"""Rendered rooms."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from components.ingest.contract import DeadLetter, Record
from components.ingest.features import needed
from components.ingest.rooms import rendering, settings
from components.ingest.sources import Source

# Small, so that shards are about as large as they can be.
_PIECE = 16


class RoomsReader:
    """Renders the pictures of a set of rooms, each with its depths, normals and classes.

    A piece is SPLIT:START:STOP.
    """

    piece_records = _PIECE

    def __init__(self, source: Source) -> None:
        self._rooms = settings.Rooms.parse(source.base)
        has_classes = "segmentation/encoded" in needed(source.task)
        self.labels = list(settings.CLASSES) if has_classes else []

    def roots(self, split: str) -> list[str]:
        return [split]

    def pieces(self, root: str) -> Iterator[str]:
        count = getattr(self._rooms, root)
        for start in range(0, count, _PIECE):
            yield f"{root}:{start}:{min(start + _PIECE, count)}"

    def load(self, piece: str) -> Iterator[Record | DeadLetter]:
        split, start, stop = piece.split(":")
        for index in range(int(start), int(stop)):
            found = rendering.picture(self._rooms, split, index)
            features = {
                "image/encoded": found.image,
                "depth/encoded": found.depth,
                "normals/encoded": np.rint(255 * (found.normals + 1) / 2).astype(np.uint8),
                "segmentation/encoded": found.classes,
            }
            yield Record(f"{split}#{index}", features)
