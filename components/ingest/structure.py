"""What lies around the pixels of a PNG or JPEG file, read as TensorFlow's decoders read it.

Pillow decodes files that TensorFlow refuses: without a checksum that fits, without an end. What is
found here is a file that both decode, and which way up its pixels are. The same is read in the
served graph (`components.preprocess.originals`), so that a file gives it the same pixels.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

PNG = b"\x89PNG\r\n\x1a\n"
# Segments of a JPEG and chunks of a PNG that are looked through for EXIF data: thousands of them
# are no header but an attempt to keep a server busy.
MOST_PARTS = 4096
EXIF = b"Exif\0\0"
# An entry of a TIFF directory up to its value: the tag Orientation (0x0112), of type SHORT, once.
ORIENTATION = {
    "little": bytes.fromhex("1201030001000000"),
    "big": bytes.fromhex("0112000300000001"),
}
BYTE_ORDERS = {b"II*\0": "little", b"MM\0*": "big"}
ENTRY_BYTES = 12

_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_HEADER_BYTES = 13
# Of the kinds of PNG that nearly all are: bytes of a pixel by the header's number of colours.
_PLAIN_BYTES = {0: 1, 2: 3}
# Rows of more bytes are not kept: a large image would be in memory three times.
_MOST_KEPT = 1 << 24
_LONGEST_SIDE = 1_000_000  # libpng's limit
_PIECE = 1 << 16
_SMALLEST_WINDOW = 256
# A marker that begins a segment. 0xFF and 0 is a byte of the pixels, 0xFF may be repeated, and 1
# and the restart markers have nothing behind them.
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])", re.DOTALL)
_SOF = (0xC0, 0xC1, 0xC2)  # Baseline, extended and progressive frames, coded by Huffman.
_OTHER_SOF = (0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
_SOI, _EOI, _SOS, _DNL, _APP1, _COM = 0xD8, 0xD9, 0xDA, 0xDC, 0xE1, 0xFE
_TABLES = 0xC0  # Lower markers are reserved.


@dataclass(frozen=True)
class Contents:
    """What a file holds.

    Attributes:
      turn: which way up its pixels are, 1 to 8, as EXIF counts; 1 where it does not say.
      rows: of a PNG of 8 bits in grey or colour whose rows lie one after the other, with no colour
        that is transparent: its rows, each a byte that names its filter and its filtered pixels.
        None of others and of large ones.
    """

    turn: int
    rows: bytes | None = None


def read(data: bytes) -> Contents:
    """Goes through a file from its beginning to its end.

    Args:
      data: the bytes of a PNG or JPEG file. Of a JPEG, one that Pillow decodes.

    Raises:
      ValueError: TensorFlow does not decode it; the text says why.
    """
    return _png(data) if data.startswith(PNG) else Contents(_jpeg(data))


def png_size(data: bytes) -> tuple[int, int]:
    """Width and height in the header of a PNG file.

    Raises:
      ValueError: no header at its beginning.
    """
    if data[12:16] != b"IHDR":
        raise ValueError("the chunk IHDR is damaged or not at its place")
    width, height = (int.from_bytes(data[place : place + 4], "big") for place in (16, 20))
    return width, height


def turned(tiff: bytes) -> int:
    """The orientation in EXIF data, 1 to 8; 1 where they do not hold it in the usual form."""
    order = BYTE_ORDERS.get(tiff[:4])
    if order is None:
        return 1
    first = int.from_bytes(tiff[4:8], order)
    last = first + 2 + ENTRY_BYTES * int.from_bytes(tiff[first : first + 2], order)
    for place in range(first + 2, min(last, len(tiff) - ENTRY_BYTES + 1), ENTRY_BYTES):
        if tiff.startswith(ORIENTATION[order], place):
            value = int.from_bytes(tiff[place + 8 : place + 10], order)
            return value if 1 <= value <= 8 else 1
    return 1


def _png(data: bytes) -> Contents:
    view = memoryview(data)
    position, number, turn = len(PNG), 0, None
    before: list[bytes] = []  # Chunks other than of pixels, as far as their order counts.
    pixels: list[memoryview] = []
    while before[-1:] != [b"IEND"]:
        length = int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        content = view[position + 8 : position + 8 + length]
        after = position + 8 + length
        if after + 4 > len(data):
            raise ValueError("the file ends before its last chunk, IEND")
        if not kind[0] & 32:
            checksum = int.from_bytes(data[after : after + 4], "big")
            if kind not in _CRITICAL or zlib.crc32(view[position + 4 : after]) != checksum:
                raise ValueError(f"the chunk {kind.decode('latin-1')} is damaged")
        if kind == b"IDAT":
            pixels.append(content)
        elif kind in (*_CRITICAL, b"tRNS"):
            _check_chunk(kind, content, before, data, bool(pixels))
            before.append(kind)
        elif kind == b"eXIf" and turn is None and number < MOST_PARTS:
            turn = turned(bytes(content))
        if not (before and kind.isalpha()):
            raise ValueError(f"the chunk {kind.decode('latin-1')} is damaged or not at its place")
        position, number = after + 4, number + 1
    if data[25] == 3 and b"PLTE" not in before:
        raise ValueError("it has no palette")
    bits, colours, interlaced = data[24], data[25], data[28]
    plain = bits == 8 and colours in _PLAIN_BYTES and not interlaced and b"tRNS" not in before
    width, height = png_size(data)
    wanted = height * (1 + width * _PLAIN_BYTES[colours]) if plain else 0
    kept = 0 < wanted <= _MOST_KEPT
    rows = _inflated(pixels, wanted if kept else 0)
    return Contents(turn or 1, rows if kept else None)


def _check_chunk(
    kind: bytes, content: memoryview, before: list[bytes], data: bytes, late: bool
) -> None:
    """Whether a chunk is of the right length and at its place."""
    colours = data[25]
    if kind == b"IHDR":
        # Compression and filter method, of which there is one, and whether it is interlaced.
        known = len(content) == _HEADER_BYTES and not any(content[10:12]) and content[12] <= 1
        sides = png_size(data)
        right = known and not before and min(sides) > 0 and max(sides) <= _LONGEST_SIDE
    elif kind == b"PLTE":
        right = kind not in before and (colours != 3 or not (late or len(content) % 3))
    elif kind == b"tRNS":
        lengths = {0: (2,), 2: (6,), 3: range(1, 257)}.get(colours)
        fits = lengths is None or len(content) in lengths
        right = fits and kind not in before and not late and (colours != 3 or b"PLTE" in before)
    else:
        right = late
    if not right:
        raise ValueError(f"the chunk {kind.decode()} is damaged or not at its place")


def _inflated(pixels: list[memoryview], wanted: int) -> bytes:
    """So many of the first bytes of the compressed pixels, which must be whole.

    Pillow stops where it has all pixels. TensorFlow goes on to the end, and whether it minds a
    wrong checksum there depends on where it cuts the file into pieces.
    """
    stream = zlib.decompressobj(wbits=0)
    # How far back a stream may refer is checked at the ends of the pieces alone.
    piece = _PIECE if pixels[0][:1] == b"\x78" else _SMALLEST_WINDOW
    kept: list[bytes] = []
    count = 0
    try:
        for content in pixels:
            rest: bytes | memoryview = content
            while True:
                part = stream.decompress(rest, piece)
                if count < wanted:
                    kept.append(part)
                    count += len(part)
                rest = stream.unconsumed_tail
                if not rest:
                    break
    except zlib.error as error:
        raise ValueError(f"its pixels are damaged: {error}") from error
    if not stream.eof:
        raise ValueError("its pixels end early")
    return b"".join(kept)[:wanted]


def _jpeg(data: bytes) -> int:
    position, number, turn = 2, 0, None
    components = scans = 0
    only_scan = False
    while True:
        found = _MARKER.search(data, position)
        if found is None:
            raise ValueError("the file ends before its end marker, EOI")
        code, position = found[1][0], found.end()
        if code == _EOI and scans:
            return turn or 1
        end = position + int.from_bytes(data[position : position + 2], "big")
        if code < _TABLES or code in (_SOI, _EOI) or end < position + 2 or end > len(data):
            raise ValueError(f"the marker {code:#x} is damaged or not at its place")
        if only_scan and not (code >= _APP1 - 1 or code == _DNL):
            raise ValueError(f"the marker {code:#x} comes after the pixels")
        if code in _OTHER_SOF:
            raise ValueError("a kind of JPEG that TensorFlow does not read (arithmetic, lossless)")
        if code in _SOF:
            progressive, components = code == _SOF[2], data[position + 7]
        elif code == _SOS:
            scans += 1
            only_scan = not progressive and data[position + 2] == components
        elif code == _APP1 and turn is None and not scans and number < MOST_PARTS:
            exif = data.startswith(EXIF, position + 2)
            turn = turned(data[position + 2 + len(EXIF) : end]) if exif else None
        position, number = end, number + 1
