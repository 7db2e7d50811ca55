"""The one way in which ingestion opens files of this machine's disks: regular ones, within bounds.

A named pipe makes whoever opens it wait, and a device may have no end; either may lie in a folder
of images, by itself or behind a link. Imports nothing heavy.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from typing import BinaryIO

# One image, one record of a TFRecord file, one list or table. The largest image that is read, 100
# million pixels in three colours of 16 bits, has 600 million bytes.
MAX_BYTES = 1 << 30
_AT_ONCE = 1 << 24
_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class SourceError(ValueError):
    """Data that cannot be trained on; the text says what was looked for and where."""


def opened(path: str | os.PathLike, buffering: int = -1) -> BinaryIO:
    """Opens a regular file for reading; links are followed.

    Args:
      path: the file.
      buffering: as of Python's `open`.

    Raises:
      OSError: it cannot be opened, or is a folder, a named pipe, a socket or a device.
    """
    # Without waiting: else a named pipe is not open until somebody writes to it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check(os.fstat(descriptor).st_mode, path)
        return os.fdopen(descriptor, "rb", buffering)
    except BaseException:
        os.close(descriptor)
        raise


def read(path: str | os.PathLike, limit: int = MAX_BYTES) -> bytes:
    """The content of a regular file.

    Raises:
      OSError: as `opened`; or it has more than `limit` bytes.
    """
    # All of it is read at once: a buffer would be made for nothing.
    with opened(path, buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            text = f"{size:,} bytes, more than {limit:,}"
            raise OSError(errno.EFBIG, text, os.fspath(path))
        # As much as it says it has: a file of the system's own may never end. The system gives two
        # gigabytes at a time at most.
        content = file.read(size)
        while len(content) < size and (part := file.read(size - len(content))):
            content += part
        return content


def content(file: BinaryIO, path: str) -> bytes:
    """What is left in a file whose size is not known, as one in a bucket.

    Raises:
      OSError: more than `MAX_BYTES` bytes.
    """
    parts: list[bytes] = []
    size = 0
    while part := file.read(_AT_ONCE):
        parts.append(part)
        size += len(part)
        if size > MAX_BYTES:
            raise OSError(errno.EFBIG, f"more than {MAX_BYTES:,} bytes", path)
    return b"".join(parts)


def text_lines(path: str | os.PathLike) -> list[str]:
    """The lines of a list of names in UTF-8, without their ends.

    Raises:
      SourceError: it cannot be read, or is no such text; the file is named.
    """
    try:
        text = read(path).decode("utf-8-sig")
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: no UTF-8 text: {error}") from error
    lines = io.StringIO(text, newline=None).read().split("\n")
    if lines[-1] == "":
        lines.pop()
    for number, line in enumerate(lines, 1):
        if "\0" in line:
            raise SourceError(f"{path}: no text: line {number} holds a zero byte")
    return lines


def _check(mode: int, path: str | os.PathLike) -> None:
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "no regular file")
    raise OSError(errno.EINVAL, f"it is {kind}, and only regular files are read", os.fspath(path))
