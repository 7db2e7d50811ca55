"""Decodes videos in a process of its own, which may die of a damaged one: decoders do.

    python video_decoder.py

A line of JSON on standard input names a video: `path`, `rate` (frames a second, a fraction as a
text) and `limit` (the most frames). Standard output gets messages, each a kind and a length
(`HEADER`) and so many bytes: a frame as JPEG, the end, or why there is none. It is started by this
file's path, and imports nothing of the package, so that it starts in a quarter of a second.
"""

from __future__ import annotations

import io
import json
import os
import resource
import struct
import sys
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, BinaryIO

HEADER = struct.Struct(">BQ")
FRAME, END, FAILED = range(3)
# As of one image (components.ingest.images).
_MAX_PIXELS = 100_000_000
_QUALITY = 95
# A container says how long it is about as exactly as this many frames.
_SLACK_FRAMES = 2
# Other formats that FFmpeg knows are lists of further files and addresses, which it would open.
_FORMATS = "avi,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mpeg,mpegts,mpegvideo"


class VideoError(ValueError):
    """A video that cannot be used; the text is the dead letter's reason."""


def main() -> None:
    """Answers until standard input ends."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # What a library prints does not come between the messages.
    for line in sys.stdin:
        question = json.loads(line)
        try:
            with open(question["path"], "rb") as file:
                for frame in frames(file, Fraction(question["rate"]), question["limit"]):
                    _send(answers, FRAME, frame)
            _send(answers, END, b"")
        except BrokenPipeError:
            return  # Nobody waits any more.
        except (OSError, VideoError) as error:
            _send(answers, FAILED, str(error).encode("utf-8", "replace"))


def _send(answers: BinaryIO, kind: int, content: bytes) -> None:
    answers.write(HEADER.pack(kind, len(content)) + content)
    answers.flush()


def frames(file: BinaryIO, rate: Fraction, limit: int) -> Iterator[bytes]:
    """JPEG frames at a rate, from the first on.

    Raises:
      VideoError: it cannot be decoded, has no frame, or ends before its length.
    """
    # An extra of the package.
    import av

    count = 0
    seconds = 0.0
    try:
        with av.open(file, options={"format_whitelist": _FORMATS}) as container:
            if not container.streams.video:
                raise VideoError("no video stream")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise VideoError("no decoder for its frames")
            stream.codec_context.options = {"max_pixels": str(_MAX_PIXELS)}
            step = float(1 / (stream.average_rate or rate))
            length = float(stream.duration * stream.time_base) if stream.duration else 0.0
            for number, frame in enumerate(container.decode(stream)):
                seconds = number * step
                # The first frame at or after each time, and no frame twice.
                if seconds * rate < count - 1e-6:
                    continue
                yield _jpeg(frame)
                count += 1
                if count == limit:
                    return
    except (av.FFmpegError, OSError, ValueError) as error:
        if isinstance(error, VideoError):
            raise
        raise VideoError(f"cannot be decoded after {count} frames: {error}") from error
    if not count:
        raise VideoError("no frames")
    if seconds + (1 + _SLACK_FRAMES) * step < length:
        raise VideoError(f"ends early: {seconds + step:.2f} s are there of {length:.2f} s")


def _jpeg(frame: Any) -> bytes:
    buffer = io.BytesIO()
    frame.to_image().save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
