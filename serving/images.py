"""Images that claim to be enormous are refused before a graph makes room for them."""

from __future__ import annotations

import io

import numpy as np
from google.protobuf.message import DecodeError
from PIL import Image

from serving import field_count
from serving.errors import invalid
from serving.protos import example_pb2

# A photograph of the largest common cameras.
MAX_IMAGE_PIXELS = 64_000_000
# Of all images of a request: a batch of photographs.
MAX_PIXELS_IN_SUM = 1_000_000_000
# Deflate makes a thousand bytes of one. Photographs have up to ten pixels a byte, scanned pages
# fifty; what has more costs much to decode and nothing to send. Small images may be of one colour.
MAX_PIXELS_A_BYTE = 100
_FREE_PIXELS = 4_000_000
# What tf.io.decode_image reads.
_FORMATS = ("PNG", "JPEG", "GIF", "BMP")
_SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM")


def check_pixels(name: str, array: np.ndarray, limit: int) -> None:
    """Looks at the headers of encoded images, bare or in serialised tf.Examples.

    Args:
      name: of the input, for the message.
      array: any; only bytes are looked at.
      limit: pixels of an image, width times height.

    Raises:
      ServingError: INVALID_ARGUMENT, an image has more than `limit` pixels, or far more than a
        photograph of its bytes has; or all together have more than `MAX_PIXELS_IN_SUM`; or a
        tf.Example has more fields than are parsed.
    """
    if not array.dtype.hasobject:
        return
    total = 0
    for number, value in enumerate(array.flat):
        for encoded in _encoded(value):
            width, height = _size(encoded)
            pixels = width * height
            total += pixels
            if pixels > limit:
                raise invalid(
                    f"{name}: image {number} has {width} x {height} pixels, more than the limit "
                    f"of {limit}"
                )
            if pixels > max(_FREE_PIXELS, MAX_PIXELS_A_BYTE * len(encoded)):
                raise invalid(
                    f"{name}: image {number} has {width} x {height} pixels in {len(encoded)} "
                    f"bytes, more than {MAX_PIXELS_A_BYTE} a byte"
                )
    if total > MAX_PIXELS_IN_SUM:
        raise invalid(f"{name}: {total} pixels in all images, more than {MAX_PIXELS_IN_SUM}")


def _encoded(value: bytes) -> list[bytes]:
    if value.startswith(_SIGNATURES):
        return [value]
    example = example_pb2.Example()
    if len(value) > field_count.UNCOUNTED_BYTES and not field_count.has_at_most(
        value, example.DESCRIPTOR, field_count.MOST
    ):
        raise invalid(f"a tf.Example has more than {field_count.MOST} fields")
    try:
        example.ParseFromString(value)
    except DecodeError:
        return []
    values = [each for f in example.features.feature.values() for each in f.bytes_list.value]
    return [each for each in values if each.startswith(_SIGNATURES)]


def _size(encoded: bytes) -> tuple[int, int]:
    if encoded.startswith(b"\x89PNG"):  # the most common, and 20 times faster than by the library
        return int.from_bytes(encoded[16:20], "big"), int.from_bytes(encoded[20:24], "big")
    try:
        return Image.open(io.BytesIO(encoded), formats=_FORMATS).size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return 1 << 31, 1 << 31
    except Exception:  # no image after all: the graph says so
        return 0, 0
