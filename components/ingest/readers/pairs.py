"""Images in pairs: an input and what a network is to make of it; two photographs of faces."""

from __future__ import annotations

import os
from collections.abc import Iterator

from components.ingest import regular_files
from components.ingest.contract import DeadLetter, Record
from components.ingest.images import ImageError
from components.ingest.layouts import IMAGE_SUFFIXES, lfw_lists
from components.ingest.readers import files
from components.ingest.sources import Source
from components.ingest.walk import is_folder, walk

_INPUT, _TARGET = "input", "target"
_MOST_DIGITS = 9


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


class LfwReader:
    """Reads the pairs of Labeled Faces in the Wild: NAME I J, or NAME I OTHER J, a line.

    The images are BASE/NAME/NAME_0001.jpg. A piece is a line.
    """

    piece_records = 1

    def __init__(self, source: Source) -> None:
        self._base = source.base
        self.labels: list[str] = []

    def roots(self, split: str) -> list[str]:
        root = lfw_lists(self._base)[split]
        self._lines(root)
        return [root]

    def _lines(self, root: str) -> list[str]:
        return regular_files.text_lines(os.path.join(self._base, root))

    def pieces(self, root: str) -> Iterator[str]:
        for number, line in enumerate(self._lines(root)):
            # The first line may say how many sets of how many pairs follow.
            is_header = number == 0 and all(part.isdecimal() for part in line.split())
            if line.strip() and not is_header:
                yield "\t".join(line.split())

    def load(self, piece: str) -> Iterator[Record | DeadLetter]:
        parts = piece.split("\t")
        try:
            if len(parts) == 3:
                first, second = (parts[0], parts[1]), (parts[0], parts[2])
            elif len(parts) == 4:
                first, second = (parts[0], parts[1]), (parts[2], parts[3])
            else:
                raise ImageError("no pair: NAME I J or NAME I OTHER J is expected")
            features = {
                "image/encoded": self._face(*first),
                "pair/encoded": self._face(*second),
                "same": int(len(parts) == 3),
            }
        except ImageError as error:
            yield DeadLetter(" ".join(parts), str(error))
            return
        yield Record(" ".join(parts), features)

    def _face(self, name: str, number: str) -> bytes:
        if not number.isdecimal() or len(number) > _MOST_DIGITS:
            raise ImageError(f"no pair: {number!r} is no number of an image")
        paths = [
            os.path.join(name, f"{name}_{int(number):04d}{suffix}")
            for suffix in (".jpg", *IMAGE_SUFFIXES)
        ]
        found = (path for path in paths if os.path.exists(os.path.join(self._base, path)))
        return files.content(self._base, next(found, paths[0]))
