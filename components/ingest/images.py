"""One image file to the bytes and the size that the example contract asks for."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

# A small file can claim any size; decoding it would take the memory that it claims. 100 million
# pixels is more than any camera in use gives.
MAX_PIXELS = 100_000_000
_PLAIN_MODES = ("L", "RGB")
_FORMATS = ("PNG", "JPEG")
_ORIENTATION = 0x0112  # EXIF's tag.
TURNED = "turned upright"
_PNG_END = b"IEND\xaeB`\x82"  # The last chunk with its checksum.
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
    8-bit and upright; transparency is laid on white.

    Args:
      data: the file's bytes.

    Raises:
      ImageError: empty, truncated, no PNG or JPEG, or more than `MAX_PIXELS` pixels.
    """
    image = opened(data)
    # Where a file says nothing beside its pixels, asking costs as much as a tenth of decoding it.
    if image.info and image.getexif().get(_ORIENTATION, 1) != 1:
        return Decoded(_eight_bit(ImageOps.exif_transpose(image)), image.format, None, TURNED)
    if image.mode in _PLAIN_MODES:
        return Decoded(image, image.format, data)
    return Decoded(_eight_bit(image), image.format, None, _mode(image))


def opened(data: bytes) -> Image.Image:
    """A PNG or JPEG file, decoded fully, in the mode that it has.

    Raises:
      ImageError: as `decoded`.
    """
    if not data:
        raise ImageError("empty file")
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise ImageError(
                f"{image.width} x {image.height} pixels, more than {MAX_PIXELS:,} in all"
            )
        image.load()
        if image.format == "PNG" and _PNG_END not in data:
            # All pixels are there, but TensorFlow does not decode it.
            raise ImageError("cannot be decoded: the file ends before its last chunk, IEND")
    except Image.DecompressionBombError as error:
        raise ImageError(f"more than {MAX_PIXELS:,} pixels: {error}") from error
    except Image.UnidentifiedImageError as error:
        raise ImageError("neither PNG nor JPEG") from error
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"cannot be decoded: {error}") from error
    return image


def _mode(image: Image.Image) -> str:
    if image.mode.startswith("I"):
        return "16-bit"
    if _is_transparent(image):
        return "transparent"
    return {"P": "palette", "1": "1-bit"}.get(image.mode, image.mode)


def _is_transparent(image: Image.Image) -> bool:
    return image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info


def _eight_bit(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    if _is_transparent(image):
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("L" if image.mode == "1" else "RGB")


def png(pixels: np.ndarray) -> bytes:
    """A uint8 array [H, W] or [H, W, 3], or a uint16 array [H, W], as PNG."""
    buffer = io.BytesIO()
    # Level 1: a fifth of the time of the default for a tenth more bytes.
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
