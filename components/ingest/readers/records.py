"""Reads the TFRecord format, without TensorFlow, and passes over what is damaged.

https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details

A record's length has a checksum of its own. So where only the data are wrong, the next record is
known; where the length is wrong, the next one is looked for by that checksum.
"""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from components.ingest import tfrecord
from components.ingest.regular_files import MAX_BYTES

# A record's length and the checksum of that; the checksum of the data.
_HEADER, _FOOTER = 8 + 4, 4
FRAME = _HEADER + _FOOTER
_AT_ONCE = 1 << 20


class DamagedError(ValueError):
    """A file whose next record cannot be read."""


@dataclass(frozen=True)
class Damage:
    """What stands in the place of a record.

    Attributes:
      reason: what is wrong, in words.
      gap: bytes in which nobody knows how many records were; 0 where it is one record.
    """

    reason: str
    gap: int = 0


def read(file: BinaryIO) -> Iterator[bytes | Damage]:
    """The records from where the file stands to its end, and what is damaged between them.

    Args:
      file: one that can seek.
    """
    for start, length in _places(file):
        if isinstance(length, Damage):
            yield length
            continue
        file.seek(start + _HEADER)
        yield _checked(file.read(length), file.read(_FOOTER))


def read_packed(file: BinaryIO) -> Iterator[bytes | Damage]:
    """The same of a file that is unpacked as it is read, and has no end that is known.

    Raises:
      DamagedError: no record begins where the last one ended, or the file ends inside one.
    """
    while (length := _length(file)) is not None:
        if length > MAX_BYTES:
            raise DamagedError(f"a record of {length:,} bytes, more than {MAX_BYTES:,}")
        record = b"".join(_parts(file, length))
        checksum = file.read(_FOOTER)
        if len(record) < length or len(checksum) < _FOOTER:
            raise DamagedError("ends inside a record")
        yield _checked(record, checksum)


def starts(file: BinaryIO) -> Iterator[int]:
    """Where each of what `read` gives begins, the data passed over.

    Args:
      file: one that can seek.
    """
    for start, _ in _places(file):
        yield start


def has_records(file: BinaryIO) -> bool:
    """Whether there is a record, or nothing at all, from where the file stands to its end."""
    found = [length for _, length in itertools.islice(_places(file), 2)]
    # Between two that are damaged there is one that is not.
    return len(found) != 1 or not isinstance(found[0], Damage)


def begins(file: BinaryIO) -> bool:
    """Whether a record begins where the file stands; it stands there again afterwards."""
    start = file.tell()
    try:
        return _length(file) is not None
    except DamagedError:
        return False
    finally:
        file.seek(start)


def _places(file: BinaryIO) -> Iterator[tuple[int, int | Damage]]:
    """Where each record begins and its length, or what is damaged there."""
    start = file.tell()
    end = file.seek(0, os.SEEK_END)
    while start < end:
        file.seek(start)
        try:
            length = _length(file) or 0
            reason = "ends inside a record"
        except DamagedError as error:
            length, reason = end, str(error)
        following = start + _HEADER + length + _FOOTER
        if following > end:
            # A length that leads past the end may be damaged itself, for all its checksum says.
            following = _next(file, start + 1, end)
            yield start, Damage(reason, following - start)
        elif length > MAX_BYTES:
            yield start, Damage(f"a record of {length:,} bytes, more than {MAX_BYTES:,}")
        else:
            yield start, length
        start = following


def _next(file: BinaryIO, start: int, end: int) -> int:
    """Where the first record at or after `start` begins; `end`, if none does."""
    for place in range(start, end, _AT_ONCE):
        file.seek(place)
        content = file.read(_AT_ONCE + _HEADER - 1)
        for offset in _candidates(content, end - place):
            header = content[offset : offset + _HEADER]
            if header[8:] == tfrecord.checksum(header[:8]):
                return place + offset
    return end


def _candidates(content: bytes, left: int) -> list[int]:
    """Where in a file's content a length may stand that is above 0 and leads not past its end."""
    if len(content) < _HEADER:
        return []
    values = np.frombuffer(content, np.uint8).astype(np.uint32)
    words = values[:-3] | values[1:-2] << 8 | values[2:-1] << 16 | values[3:] << 24
    low, high = words[: -_HEADER + 4], words[4 : -_HEADER + 8]
    # Lengths above 4 GiB are refused in any case.
    most = np.minimum(left - _HEADER - _FOOTER - np.arange(len(low)), MAX_BYTES)
    return np.flatnonzero((high == 0) & (low > 0) & (low <= most)).tolist()


def _checked(record: bytes, checksum: bytes) -> bytes | Damage:
    fits = checksum == tfrecord.checksum(record)
    return record if fits else Damage("a record's checksum is wrong")


def _parts(file: BinaryIO, length: int) -> Iterator[bytes]:
    """So much of a file, as far as it goes: what is not there takes no memory."""
    while length and (part := file.read(min(length, _AT_ONCE))):
        yield part
        length -= len(part)


def _length(file: BinaryIO) -> int | None:
    """The next record's; None at the end of the file."""
    header = file.read(_HEADER)
    if not header:
        return None
    if len(header) < _HEADER or header[8:] != tfrecord.checksum(header[:8]):
        raise DamagedError("no record of a TFRecord file")
    return struct.unpack("<Q", header[:8])[0]
