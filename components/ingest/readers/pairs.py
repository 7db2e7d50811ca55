"""Images in pairs: an input and what a network is to make of it."""

from __future__ import annotations

import os
from collections.abc import Iterator

from components.ingest.contract import DeadLetter, Record
from components.ingest.images import ImageError
from components.ingest.readers import files
from components.ingest.sources import Source
from components.ingest.walk import is_folder, walk

_INPUT, _TARGET = "input", "target"


class PairReader:
    """Reads BASE/input/NAME and BASE/target/NAME, files of equal names.

    A piece is a NAME that either folder has.
    """

    piece_records = 1

    def __init__(self, source: Source) -> None:
        self._base = source.base
        self.labels: list[str] = []

    def roots(self, split: str) -> list[str]:
        return [""]

    def pieces(self, root: str) -> Iterator[str]:
        names = set()
        for folder in (_INPUT, _TARGET):
            found = walk(os.path.join(self._base, root, folder))
            names.update(path for path, entry in found if not is_folder(entry))
        yield from names

    def load(self, piece: str) -> Iterator[Record | DeadLetter]:
        for folder, other in ((_INPUT, _TARGET), (_TARGET, _INPUT)):
            if not os.path.exists(os.path.join(self._base, folder, piece)):
                yield DeadLetter(piece, f"no partner: it is in {other}/ and not in {folder}/")
                return
        try:
            features = {
                "image/encoded": files.content(self._base, os.path.join(_INPUT, piece)),
                "target/encoded": files.content(self._base, os.path.join(_TARGET, piece)),
            }
        except ImageError as error:
            yield DeadLetter(piece, str(error))
            return
        yield Record(piece, features)
