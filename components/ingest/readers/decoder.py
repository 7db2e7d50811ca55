"""The process that decodes videos, seen from the one that asks it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from fractions import Fraction

from components.ingest import video_decoder
from components.ingest.images import ImageError
from components.ingest.regular_files import MAX_BYTES

# Until the next frame: far more than a machine under load takes for what lies between two.
_PATIENCE_SECONDS = 120.0
_own = threading.local()


class DecoderDied(Exception):
    """The process is gone, or does not answer."""


class Decoder:
    """A process that decodes one video after the other, and a new one where it has died.

    Attributes:
      patience_seconds: how long it may take until the next frame.
    """

    def __init__(self) -> None:
        self.patience_seconds = _PATIENCE_SECONDS
        self._process: subprocess.Popen | None = None
        self._started_by = os.getpid()

    def frames(self, path: str, rate: Fraction, limit: int) -> list[bytes]:
        """JPEG frames of a video at a rate, from the first on.

        Raises:
          ImageError: it cannot be decoded, or the process died of it.
        """
        process = self._running()
        question = {"path": path, "rate": str(rate), "limit": limit}
        try:
            process.stdin.write(json.dumps(question).encode() + b"\n")
            return _answer(process, self.patience_seconds)
        except (DecoderDied, BrokenPipeError) as error:
            process.kill()
            code = process.wait()
            self._process = None
            how = str(error) if isinstance(error, DecoderDied) and str(error) else _how(code)
            raise ImageError(f"cannot be decoded: the decoder {how}") from error

    def _running(self) -> subprocess.Popen:
        # A process that was forked from this one must not take part in its conversation.
        is_own = self._started_by == os.getpid()
        if self._process is None or not is_own or self._process.poll() is not None:
            self._started_by = os.getpid()
            command = [sys.executable, video_decoder.__file__]
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, bufsize=0)
        return self._process


def own() -> Decoder:
    """The one of this thread."""
    if not hasattr(_own, "decoder"):
        _own.decoder = Decoder()
    return _own.decoder


def _answer(process: subprocess.Popen, patience: float) -> list[bytes]:
    frames: list[bytes] = []
    size = 0
    while True:
        header = _exactly(process, video_decoder.HEADER.size, patience)
        kind, length = video_decoder.HEADER.unpack(header)
        size += length
        if size > MAX_BYTES:
            raise DecoderDied(f"gave more than {MAX_BYTES:,} bytes of frames")
        content = _exactly(process, length, patience)
        if kind == video_decoder.FAILED:
            raise ImageError(content.decode())
        if kind == video_decoder.END:
            return frames
        frames.append(content)


def _exactly(process: subprocess.Popen, size: int, patience: float) -> bytes:
    waiting = select.poll()
    waiting.register(process.stdout, select.POLLIN)
    content = b""
    while len(content) < size:
        if not waiting.poll(patience * 1000):
            raise DecoderDied(f"gave nothing for {patience:g} s")
        part = process.stdout.read(size - len(content))
        if not part:
            raise DecoderDied
        content += part
    return content


def _how(code: int) -> str:
    """How a process has ended, in words."""
    return f"died of it ({signal.Signals(-code).name})" if code < 0 else f"ended with status {code}"
