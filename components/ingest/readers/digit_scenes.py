"""Digit scenes."""

from __future__ import annotations

from collections.abc import Iterator

from components.ingest.contract import DeadLetter, Record
from components.ingest.digit_scenes import drawing, settings
from components.ingest.sources import Source

_PIECE = 64


class DigitScenesReader:
    """Draws the pictures of a set of digit scenes, each with the boxes and masks of its digits.

    A piece is SPLIT:START:STOP.
    """

    piece_records = _PIECE

    def __init__(self, source: Source) -> None:
        self._scenes = settings.DigitScenes.parse(source.base)
        self.labels = list(settings.CLASSES)

    def roots(self, split: str) -> list[str]:
        return [split]

    def pieces(self, root: str) -> Iterator[str]:
        count = getattr(self._scenes, root)
        for start in range(0, count, _PIECE):
            yield f"{root}:{start}:{min(start + _PIECE, count)}"

    def load(self, piece: str) -> Iterator[Record | DeadLetter]:
        split, start, stop = piece.split(":")
        for index in range(int(start), int(stop)):
            found = drawing.scene(self._scenes, split, index)
            features = {
                "image/encoded": found.image,
                "objects/bbox": found.boxes.reshape(-1),
                "objects/label": found.digits,
                "objects/label/text": [self.labels[digit] for digit in found.digits],
                "objects/area": found.masks.sum(axis=(1, 2), dtype=float),
                "objects/mask": list(found.masks),
            }
            yield Record(f"{split}#{index}", features)
