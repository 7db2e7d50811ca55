"""One image file to the bytes and the size that the example contract asks for."""

from __future__ import annotations

import contextlib
import io
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from components.bounds import MAX_PIXELS
from components.ingest import structure

_PLAIN_MODES = ("L", "RGB")
_FORMATS = ("PNG", "JPEG")
TURNED = "turned upright"
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Pillow's own warning starts at a lower limit than ours.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class ImageError(ValueError):
    """An image that cannot be used; the text is the dead letter's reason."""


@dataclass(frozen=True)
class Decoded:
    """One image in memory.

    Attributes:
      image: upright, 8-bit grey (`L`) or colour (`RGB`).
      format: `"PNG"` or `"JPEG"`, as it was found.
      content: the bytes as found, where training can read them as they are; else None.
      converted: why they cannot: `TURNED` (by its EXIF data), `16-bit`, `transparent`, `palette`,
        `CMYK` or another of Pillow's modes; "" where they can, or where there was no file.
    """

    image: Image.Image
    format: str
    content: bytes | None
    converted: str = ""


def decoded(data: bytes) -> Decoded:
    """Decodes an image fully.

    8-bit grey and colour stay as they are. CMYK, palette, 16-bit and turned (EXIF) images become
    8-bit and upright; transparency is laid on white. The served model does the same to a file
    (`components.preprocess.originals`).

    Args:
      data: the file's bytes.

    Raises:
      ImageError: empty, truncated, damaged, no PNG or JPEG, or more than `MAX_PIXELS` pixels.
    """
    image, turn = _opened(data)
    kind = "PNG" if data.startswith(structure.PNG) else "JPEG"
    try:
        if turn != 1:
            return Decoded(_eight_bit(image, data).transpose(_TURNS[turn]), kind, None, TURNED)
        if image.mode in _PLAIN_MODES and not _is_transparent(image, data):
            return Decoded(image, kind, data)
        return Decoded(_eight_bit(image, data), kind, None, _mode(image, data))
    except ValueError as error:
        raise ImageError(f"cannot be decoded: {error}") from error


def opened(data: bytes) -> Image.Image:
    """A PNG or JPEG file, decoded fully, in the mode that it has and as its pixels lie.

    Raises:
      ImageError: as `decoded`.
    """
    return _opened(data)[0]


def size(data: bytes) -> tuple[int, int]:
    """Width and height of a PNG or JPEG file, as its header has them and its pixels lie.

    Raises:
      ImageError: empty, damaged, no PNG or JPEG, or more than `MAX_PIXELS` pixels.
    """
    with _as_image_error():
        return _unloaded(data).size


def _opened(data: bytes) -> tuple[Image.Image, int]:
    """The image, and its orientation as EXIF counts."""
    with _as_image_error():
        if data.startswith(structure.PNG):
            _check_pixels(*structure.png_size(data))
            found = structure.read(data)
            if found.rows is not None:
                return _of_rows(data, found.rows), found.turn
            image = _unloaded(data)
            image.load()
            return image, found.turn
        image = _unloaded(data)
        image.load()
        return image, structure.read(data).turn


def _of_rows(png_file: bytes, rows: bytes) -> Image.Image:
    """The image of a PNG whose pixels are inflated already: that is a third of all the work."""
    mode = "L" if png_file[25] == 0 else "RGB"
    stored = zlib.compress(rows, 0)
    image = Image.frombytes(mode, structure.png_size(png_file), stored, "zip", mode)
    image.format = "PNG"
    return image


def _unloaded(data: bytes) -> Image.Image:
    """The image with its header read."""
    if not data:
        raise ImageError("empty file")
    image = Image.open(io.BytesIO(data), formats=_FORMATS)
    _check_pixels(*image.size)
    return image


def _check_pixels(width: int, height: int) -> None:
    """A small file can claim any size; decoding it would take the memory that it claims."""
    if width * height > MAX_PIXELS:
        raise ImageError(f"{width} x {height} pixels, more than {MAX_PIXELS:,} in all")


@contextlib.contextmanager
def _as_image_error() -> Iterator[None]:
    try:
        yield
    except Image.DecompressionBombError as error:
        raise ImageError(f"more than {MAX_PIXELS:,} pixels: {error}") from error
    except Image.UnidentifiedImageError as error:
        raise ImageError("neither PNG nor JPEG") from error
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"cannot be decoded: {error}") from error


def _mode(image: Image.Image, data: bytes) -> str:
    if image.mode.startswith("I"):
        return "16-bit"
    if _is_transparent(image, data):
        return "transparent"
    return {"P": "palette", "1": "1-bit"}.get(image.mode, image.mode)


def _is_transparent(image: Image.Image, data: bytes) -> bool:
    if image.mode in ("LA", "RGBA"):
        return True
    # Pillow has 8 of the 16 bits of each colour, too few to find the transparent one.
    return "transparency" in image.info and _bits(data) <= 8


def _bits(png_file: bytes) -> int:
    """Of a sample, as the file's header has it."""
    return png_file[24]


def _eight_bit(image: Image.Image, data: bytes) -> Image.Image:
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    if image.mode == "CMYK":
        return without_ink(image)
    if _is_transparent(image, data):
        rgba = _with_alpha(image, data)
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("L" if image.mode == "1" else "RGB")


def without_ink(image: Image.Image) -> Image.Image:
    """CMYK as TensorFlow shows it, which Pillow rounds otherwise."""
    light = 255 - np.asarray(image).astype(np.uint16)
    # Pillow takes all files for Adobe's, which store light in the place of ink.
    light = light if "adobe_transform" in image.info else 255 - light
    return Image.fromarray((light[..., :3] * light[..., 3:] // 255).astype(np.uint8))


def _with_alpha(image: Image.Image, data: bytes) -> Image.Image:
    """RGBA. Of the colour that a PNG calls transparent as many bits count as it has."""
    clear = image.info.get("transparency")
    if image.mode not in ("1", "L", "RGB"):
        return image.convert("RGBA")
    most = 2 ** _bits(data) - 1
    pixels = np.asarray(image.convert("L") if image.mode == "1" else image)
    if image.mode == "RGB":
        hidden = (pixels == [colour & most for colour in clear]).all(axis=-1)
    else:
        clear = min(clear, 1) if image.mode == "1" else clear
        hidden = pixels == (clear & most) * 255 // most
    rgba = image.convert("RGB")
    rgba.putalpha(Image.fromarray(np.where(hidden, 0, 255).astype(np.uint8)))
    return rgba


def png(pixels: np.ndarray | Image.Image) -> bytes:
    """A uint8 array [H, W] or [H, W, 3], a uint16 array [H, W], or an image, as PNG.

    Of an image the pixels alone: what its file said of colours besides would be stored, too.
    """
    of_file = isinstance(pixels, Image.Image) and pixels.info
    bare = np.asarray(pixels) if of_file else pixels
    image = Image.fromarray(bare) if isinstance(bare, np.ndarray) else bare
    buffer = io.BytesIO()
    # Level 1: a fifth of the time of the default for a tenth more bytes.
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
