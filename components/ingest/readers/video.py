"""Video files in a folder per class."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from fractions import Fraction

from components.ingest.contract import DeadLetter, Record
from components.ingest.images import ImageError
from components.ingest.layouts import VIDEO_SUFFIXES, description
from components.ingest.readers import files
from components.ingest.sources import Source, class_names

_QUALITY = 95
# A container says how long it is about as exactly as this many frames.
_SLACK_FRAMES = 2


class VideoReader:
    """Reads BASE/CLASS/NAME and writes some frames of it as JPEG.

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
        return self.labels

    def pieces(self, root: str) -> Iterator[str]:
        for name in os.listdir(os.path.join(self._base, root)):
            if not name.startswith("."):
                yield f"{root}/{name}"

    def load(self, piece: str) -> Iterator[Record | DeadLetter]:
        label = piece.partition("/")[0]
        try:
            if not piece.lower().endswith(VIDEO_SUFFIXES):
                raise ImageError(f"no video: {', '.join(VIDEO_SUFFIXES)} are read")
            content = files.content(self._base, piece)
            frames = _frames(content, self._rate, self._limit)
        except ImageError as error:
            yield DeadLetter(piece, str(error))
            return
        features = {
            "frames/encoded": frames,
            "image/sha256": hashlib.sha256(content).hexdigest(),
            "label": self._numbers[label],
            "label/text": label,
        }
        yield Record(piece, features)


def _frames(content: bytes, rate: Fraction, limit: int) -> list[bytes]:
    """JPEG frames at a rate, from the first on."""
    # Here, and not above: an extra of the package, and only videos need it.
    import av

    encoded: list[bytes] = []
    seconds = length = 0.0
    try:
        with av.open(io.BytesIO(content)) as container:
            if not container.streams.video:
                raise ImageError("no video stream")
            stream = container.streams.video[0]
            step = float(1 / (stream.average_rate or rate))
            length = float(stream.duration * stream.time_base) if stream.duration else 0.0
            for number, frame in enumerate(container.decode(stream)):
                seconds = number * step
                # The first frame at or after each time, and no frame twice.
                if seconds * rate < len(encoded) - 1e-6:
                    continue
                encoded.append(_jpeg(frame))
                if len(encoded) == limit:
                    return encoded
    except (av.FFmpegError, ValueError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"cannot be decoded after {len(encoded)} frames: {error}") from error
    if not encoded:
        raise ImageError("no frames")
    if seconds + (1 + _SLACK_FRAMES) * step < length:
        raise ImageError(f"ends early: {seconds + step:.2f} s are there of {length:.2f} s")
    return encoded


def _jpeg(frame) -> bytes:
    buffer = io.BytesIO()
    frame.to_image().save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()
