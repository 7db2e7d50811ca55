"""Reads the TFRecord format, without TensorFlow.

https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

from components.ingest import tfrecord

# A record's length and the checksum of that.
_HEADER = 8 + 4


class DamagedError(ValueError):
    """A file whose next record cannot be read."""


def read(file: BinaryIO) -> Iterator[bytes]:
    """The records from where the file stands to its end.

    Raises:
      DamagedError: the file ends inside a record, or a checksum is wrong.
    """
    while (length := _length(file)) is not None:
        record = file.read(length)
        checksum = file.read(4)
        if len(record) < length or len(checksum) < 4:
            raise DamagedError("ends inside a record")
        if checksum != tfrecord.checksum(record):
            raise DamagedError("a record's checksum is wrong")
        yield record


def begins(file: BinaryIO) -> bool:
    """Whether a record begins where the file stands; it stands there again afterwards."""
    start = file.tell()
    try:
        return _length(file) is not None
    except DamagedError:
        return False
    finally:
        file.seek(start)


def starts(file: BinaryIO) -> Iterator[int]:
    """Where each record begins, the data passed over; the last is where damage begins, if any.

    Args:
      file: one that can seek.
    """
    start = file.tell()
    end = file.seek(0, os.SEEK_END)
    while start < end:
        yield start
        file.seek(start)
        try:
            start += _HEADER + (_length(file) or 0) + 4
        except DamagedError:
            return


def _length(file: BinaryIO) -> int | None:
    """The next record's; None at the end of the file."""
    header = file.read(_HEADER)
    if not header:
        return None
    if len(header) < _HEADER or header[8:] != tfrecord.checksum(header[:8]):
        raise DamagedError("no record of a TFRecord file")
    return struct.unpack("<Q", header[:8])[0]
