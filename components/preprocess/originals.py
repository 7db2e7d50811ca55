"""What ingestion does to a file, as a graph: a served file gives the pixels that training saw.

Ingestion turns pictures upright, lays transparency on white, shows CMYK as RGB and, where a recipe
says so, resizes and encodes anew (`components.ingest.images`, `components.ingest.contract`). The
same is done here by TensorFlow's own operations, so that whoever sends the bytes of a file to the
served model, in whichever server, is answered for these pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from components.bounds import MAX_PIXELS
from components.ingest import structure

# What files of the odd kinds hold, and hardly another does: a PNG's colour type with transparency
# or a transparent colour (tRNS), an EXIF orientation from 2 to 8, and the frame of a JPEG of four
# colours. \C is any byte. To look twice at a file that is not odd costs time and nothing else.
_ODD = (
    r"\CPNG\C{21}[\x04\x06]\C*"
    r"|\C*(?:tRNS"
    r"|\x12\x01\x03\x00\x01\x00\x00\x00[\x02-\x08]\x00"
    r"|\x01\x12\x00\x03\x00\x00\x00\x01\x00[\x02-\x08]"
    r"|\x00\x14\x08\C\C\C\C\x04)\C*"
)
_WHITE = 255
_FAR = 1 << 62  # Behind any byte of any file.


class _Found(NamedTuple):
    """What stands around the pixels of a file.

    Attributes:
      turn: int64 [], the orientation as EXIF counts; 0 where it is not said.
      transparent, four_colours: bool [].
    """

    turn: tf.Tensor
    transparent: tf.Tensor
    four_colours: tf.Tensor


def stored(encoded: tf.Tensor, ingest: Mapping[str, Any]) -> tf.Tensor:
    """Files as ingestion stores them; what it has stored already stays as it is.

    Args:
      encoded: string [N], the bytes of PNG or JPEG files.
      ingest: a recipe's `ingest`: `shorter_side`, `format`, `quality`.

    Returns:
      string [N], PNG or JPEG files, upright and opaque, that decode to the pixels of ingestion's.
      Where images are resized, a level or two off here and there: Pillow computes in whole numbers.
    """
    odd = tf.strings.regex_full_match(encoded, _ODD)

    def one_by_one() -> tf.Tensor:
        return tf.map_fn(
            lambda one: _stored(*one, ingest), (encoded, odd), fn_output_signature=tf.string
        )

    if ingest["shorter_side"] is not None or ingest["format"] != "keep":
        return one_by_one()
    return tf.cond(tf.reduce_any(odd), one_by_one, lambda: encoded)


def sides(encoded: tf.Tensor) -> tf.Tensor:
    """Height and width of files as they are looked at, upright: int32 [N, 2].

    Args:
      encoded: string [N], the bytes of PNG or JPEG files, whose pixels are not decoded.
    """

    def one(content: tf.Tensor, odd: tf.Tensor) -> tf.Tensor:
        is_jpeg = tf.io.is_jpeg(content)
        lying = tf.cond(
            is_jpeg,
            lambda: tf.image.extract_jpeg_shape(content)[:2],
            lambda: _png_sides(content),
        )
        nothing = tf.constant(0, tf.int64)
        turn = tf.cond(odd, lambda: _around(content, is_jpeg).turn, lambda: nothing)
        return tf.where(turn >= 5, lying[::-1], lying)

    odd = tf.strings.regex_full_match(encoded, _ODD)
    found = tf.map_fn(lambda each: one(*each), (encoded, odd), fn_output_signature=tf.int32)
    return tf.ensure_shape(found, [None, 2])


def stored_sides(sides: tf.Tensor, ingest: Mapping[str, Any]) -> tf.Tensor:
    """The sides, int32 [N, 2], at which `stored` gives files of these sides."""
    if ingest["shorter_side"] is None:
        return sides
    return tf.map_fn(lambda each: _resized_shape(each, ingest["shorter_side"]), sides)


def _png_sides(encoded: tf.Tensor) -> tf.Tensor:
    """Height and width in the header of a PNG, int32 [2]."""
    raw = tf.io.decode_raw(tf.strings.substr(encoded, 0, 24), tf.uint8)
    return tf.cast(tf.stack([_number(raw, 20, 4), _number(raw, 16, 4)]), tf.int32)


def _stored(encoded: tf.Tensor, odd: tf.Tensor, ingest: Mapping[str, Any]) -> tf.Tensor:
    """One file, string [], as ingestion stores it."""
    is_jpeg = tf.io.is_jpeg(encoded)
    plain = _Found(tf.constant(0, tf.int64), tf.constant(False), tf.constant(False))
    found = tf.cond(odd, lambda: _around(encoded, is_jpeg), lambda: plain)
    converted = (found.turn > 1) | found.transparent | found.four_colours
    as_jpeg = is_jpeg & ~converted
    if ingest["format"] != "keep":
        as_jpeg = tf.constant(ingest["format"] == "jpeg")
    stays = ~converted & tf.equal(as_jpeg, is_jpeg)

    def resized() -> tf.Tensor:
        pixels = _pixels(encoded, is_jpeg, found)
        shape = tf.shape(pixels)[:2]
        size = _resized_shape(shape, ingest["shorter_side"])
        same = tf.reduce_all(size == shape)
        fitted = tf.cond(same, lambda: pixels, lambda: _resized(pixels, size))
        return tf.cond(stays & same, lambda: encoded, lambda: anew(fitted))

    def anew(pixels: tf.Tensor) -> tf.Tensor:
        return _encoded(pixels, as_jpeg, ingest["quality"])

    if ingest["shorter_side"] is not None:
        return resized()
    return tf.cond(stays, lambda: encoded, lambda: anew(_pixels(encoded, is_jpeg, found)))


def _pixels(encoded: tf.Tensor, is_jpeg: tf.Tensor, found: _Found) -> tf.Tensor:
    """Decoded as ingestion decodes, uint8 [H, W, 3]."""
    pixels = _upright(_opaque(encoded, is_jpeg, found.transparent), found.turn)
    return tf.ensure_shape(pixels, [None, None, 3])


def _opaque(encoded: tf.Tensor, is_jpeg: tf.Tensor, transparent: tf.Tensor) -> tf.Tensor:
    """Decoded, uint8 [H, W, 3], transparency laid on white."""

    def png() -> tf.Tensor:
        return tf.cond(
            transparent,
            lambda: _on_white(tf.io.decode_png(encoded, channels=4)),
            lambda: tf.io.decode_png(encoded, channels=3),
        )

    # Pillow's way to decode; TensorFlow's own default is faster and less exact.
    exact = "INTEGER_ACCURATE"
    return tf.cond(is_jpeg, lambda: tf.io.decode_jpeg(encoded, channels=3, dct_method=exact), png)


def _on_white(pixels: tf.Tensor) -> tf.Tensor:
    """RGBA to RGB, uint8, rounded as Pillow's alpha_composite."""
    colours, alpha = tf.split(tf.cast(pixels, tf.int32), [3, 1], axis=-1)
    mixed = colours * alpha + _WHITE * (_WHITE - alpha)
    return tf.cast((2 * mixed + _WHITE) // (2 * _WHITE), tf.uint8)


def _upright(pixels: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
    """Pixels [H, W, C] of an orientation as they are looked at."""
    pixels = tf.cond(turn >= 5, lambda: tf.transpose(pixels, [1, 0, 2]), lambda: pixels)

    def step(*turns: int) -> tf.Tensor:
        return tf.where(tf.reduce_any(turn == turns), -1, 1)

    return pixels[:: step(3, 4, 7, 8), :: step(2, 3, 6, 7)]


def _resized_shape(shape: tf.Tensor, shorter_side: int) -> tf.Tensor:
    """Height and width, int32 [2], at which the shorter of them has its length.

    Raises:
      tf.errors.InvalidArgumentError: more than `MAX_PIXELS` pixels, which ingestion refuses, too.
    """
    sides = tf.cast(shape, tf.float64)
    scaled = tf.round(sides * shorter_side / tf.reduce_min(sides))
    most = tf.constant(MAX_PIXELS, tf.float64)
    text = f"an image of more than {MAX_PIXELS:,} pixels with a shorter side of {shorter_side}"
    tf.debugging.assert_less_equal(tf.reduce_prod(scaled), most, text)
    return tf.maximum(tf.cast(scaled, tf.int32), 1)


def _resized(pixels: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Pixels uint8 [H, W, C] by Pillow's bicubic kernel, first along the rows as Pillow does it."""
    for shape in ([tf.shape(pixels)[0], size[1]], size):
        exact = tf.image.resize(pixels, shape, tf.image.ResizeMethod.BICUBIC, antialias=True)
        pixels = tf.saturate_cast(tf.floor(exact + 0.5), tf.uint8)
    return pixels


def _encoded(pixels: tf.Tensor, as_jpeg: tf.Tensor, quality: int) -> tf.Tensor:
    return tf.cond(
        as_jpeg,
        lambda: tf.io.encode_jpeg(pixels, format="rgb", quality=quality),
        lambda: tf.io.encode_png(pixels, compression=0),
    )


def _around(encoded: tf.Tensor, is_jpeg: tf.Tensor) -> _Found:
    """Reads a file as `structure.orientation` does; of what is no PNG and no JPEG, anything."""
    raw = tf.io.decode_raw(encoded, tf.uint8)
    return tf.cond(is_jpeg, lambda: _around_jpeg(raw), lambda: _around_png(raw))


def _around_jpeg(raw: tf.Tensor) -> _Found:
    second = raw[1:]
    restarts = (second >= 0xD0) & (second <= 0xD7)
    bare = (second <= 1) | (second == 0xFF) | restarts
    markers = tf.concat([tf.where((raw[:-1] == 0xFF) & ~bare)[:, 0], [_FAR, _FAR]], axis=0)

    def goes_on(position: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
        return position < _FAR

    def step(position: tf.Tensor, turn: tf.Tensor, four: tf.Tensor) -> tuple[tf.Tensor, ...]:
        place = markers[tf.searchsorted(markers, [position])[0]]
        code, content = _number(raw, place + 1, 1), place + 4
        end = place + 2 + _number(raw, place + 2, 2)
        exif = (code == 0xE1) & (turn == 0) & _is(raw, content, structure.EXIF)
        first = content + len(structure.EXIF)
        turn = tf.cond(exif, lambda: _turned(raw[first:end]), lambda: turn)
        frame = (code >= 0xC0) & (code <= 0xC2)
        four |= frame & (_number(raw, place + 9, 1) == 4)
        pixels_begin = (code == 0xDA) | (code == 0xD9)
        return tf.where(pixels_begin, _FAR, end), turn, four

    begin = (tf.constant(2, tf.int64), tf.constant(0, tf.int64), tf.constant(False))
    _, turn, four = tf.while_loop(
        goes_on, step, begin, maximum_iterations=structure.MOST_PARTS, parallel_iterations=1
    )
    return _Found(turn, tf.constant(False), four)


def _around_png(raw: tf.Tensor) -> _Found:
    length = tf.size(raw, tf.int64)

    def goes_on(position: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
        return position + 8 < length

    def step(position: tf.Tensor, turn: tf.Tensor, clear: tf.Tensor) -> tuple[tf.Tensor, ...]:
        kind, content = position + 4, position + 8
        end = content + _number(raw, position, 4)
        exif = (turn == 0) & _is(raw, kind, b"eXIf")
        turn = tf.cond(exif, lambda: _turned(raw[content:end]), lambda: turn)
        return end + 4, turn, clear | _is(raw, kind, b"tRNS")

    begin = (tf.constant(8, tf.int64), tf.constant(0, tf.int64), tf.constant(False))
    _, turn, clear = tf.while_loop(
        goes_on, step, begin, maximum_iterations=structure.MOST_PARTS, parallel_iterations=1
    )
    bits, colours = _number(raw, 24, 1), _number(raw, 25, 1)
    has_alpha = (colours == 4) | (colours == 6)
    return _Found(turn, has_alpha | clear & (bits <= 8), tf.constant(False))


def _turned(tiff: tf.Tensor) -> tf.Tensor:
    """`structure.turned` of bytes, uint8 [n]; int64 []."""
    little, big = (_is(tiff, 0, mark) for mark in structure.BYTE_ORDERS)
    first = _number(tiff, 4, 4, big)
    count = _number(tiff, first, 2, big)
    entries = tiff[first + 2 : first + 2 + structure.ENTRY_BYTES * count]
    whole = tf.size(entries) // structure.ENTRY_BYTES * structure.ENTRY_BYTES
    entries = tf.reshape(entries[:whole], [-1, structure.ENTRY_BYTES])
    orders = {name: list(entry) for name, entry in structure.ORIENTATION.items()}
    wanted = tf.where(big, *(tf.constant(orders[name], tf.uint8) for name in ("big", "little")))
    fits = tf.reduce_all(entries[:, : wanted.shape[0]] == wanted, axis=1)
    first_fit = tf.boolean_mask(entries, fits)[:1]
    value = _number(tf.reshape(first_fit, [-1]), wanted.shape[0], 2, big)
    return tf.where((little | big) & (value >= 1) & (value <= 8), value, 1)


def _is(raw: tf.Tensor, start: tf.Tensor | int, wanted: bytes) -> tf.Tensor:
    """Whether these bytes stand there; bool []."""
    part = raw[start : start + len(wanted)]
    return tf.cond(
        tf.size(part) == len(wanted),
        lambda: tf.reduce_all(part == tf.constant(list(wanted), tf.uint8)),
        lambda: False,
    )


def _number(
    raw: tf.Tensor, start: tf.Tensor | int, count: int, big: tf.Tensor | bool = True
) -> tf.Tensor:
    """`count` bytes as a number, int64 []; those that are missing behind the end are zeros."""
    part = tf.cast(raw[start : start + count], tf.int64)
    part = tf.pad(part, [[0, count - tf.shape(part)[0]]])
    part = tf.where(big, part[::-1], part)
    return tf.reduce_sum(part * [256**place for place in range(count)])
