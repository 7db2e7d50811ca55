"""The TFRecord format, without TensorFlow.

https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
"""

from __future__ import annotations

import struct
from typing import BinaryIO

import google_crc32c

_MASK = 0xA282EAD8


def write(file: BinaryIO, record: bytes) -> None:
    """Appends a record: its length, the checksum of that, the record, and its checksum."""
    length = struct.pack("<Q", len(record))
    file.write(length + _checksum(length) + record + _checksum(record))


def _checksum(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF)
