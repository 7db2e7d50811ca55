"""Video files in a folder per class."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from fractions import Fraction

from components.ingest import regular_files
from components.ingest.class_folders import class_names, folder_names
from components.ingest.contract import DeadLetter, Record
from components.ingest.images import ImageError
from components.ingest.layouts import VIDEO_SUFFIXES, description
from components.ingest.readers import decoder
from components.ingest.sources import Source
from components.ingest.walk import is_folder, walk

_AT_ONCE = 1 << 20


class VideoReader:
    """Reads BASE/CLASS/NAME and takes some frames of it as JPEG.

    A piece is CLASS/NAME. How many frames: `frames_per_second` (fewer where the video has fewer)
    and `max_frames` of BASE/dataset.json.
    """

    # A video is as much as some tens of images.
    piece_records = 50

    def __init__(self, source: Source) -> None:
        self._base = source.base
        self.labels = class_names(source.base)
        self._numbers = {name: number for number, name in enumerate(self.labels)}
        settings = description(source.base, "video")
        self._rate = Fraction(settings.frames_per_second)
        self._limit = settings.max_frames

    def roots(self, split: str) -> list[str]:
        return folder_names(self._base)

    def pieces(self, root: str) -> Iterator[str]:
        for path, entry in walk(os.path.join(self._base, root)):
            if not is_folder(entry):
                yield f"{root}/{path}"

    def load(self, piece: str) -> Iterator[Record | DeadLetter]:
        label = piece.partition("/")[0]
        try:
            if label not in self._numbers:
                raise ImageError(f"unknown label: labels.txt has no {label!r}")
            if not piece.lower().endswith(VIDEO_SUFFIXES):
                raise ImageError(f"no video: {', '.join(VIDEO_SUFFIXES)} are read")
            path = os.path.join(self._base, piece)
            sha256 = _sha256(path)
            frames = decoder.own().frames(path, self._rate, self._limit)
        except OSError as error:
            yield DeadLetter(piece, f"{piece} cannot be read: {error.strerror or error}")
            return
        except ImageError as error:
            yield DeadLetter(piece, str(error))
            return
        features = {
            "frames/encoded": frames,
            "image/sha256": sha256,
            "label": self._numbers[label],
            "label/text": label,
        }
        yield Record(piece, features)


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with regular_files.opened(path) as file:
        while part := file.read(_AT_ONCE):
            digest.update(part)
    return digest.hexdigest()
