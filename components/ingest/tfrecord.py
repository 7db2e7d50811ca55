"""Gzipped TFRecord files, without TensorFlow.

https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
"""

from __future__ import annotations

import struct
import zlib
from typing import BinaryIO

import google_crc32c

_MASK = 0xA282EAD8
# Images are compressed already: packing them again takes a sixth of all time and saves little.
_LEVEL = 0
# A gzip header and trailer around the largest window. The header has no name and no time, so that
# equal records make equal files.
_GZIP = 16 + zlib.MAX_WBITS


class Writer:
    """Writes records to a file that is open already, and stays open when all are written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)

    def write(self, record: bytes) -> None:
        """Appends a record: its length, the checksum of that, the record, and its checksum."""
        length = struct.pack("<Q", len(record))
        framed = length + checksum(length) + record + checksum(record)
        self._file.write(self._packer.compress(framed))

    def finish(self) -> None:
        """Writes what is held back; no record may follow."""
        self._file.write(self._packer.flush())


def checksum(data: bytes) -> bytes:
    """The masked CRC-32C that stands behind what it is of."""
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF)
