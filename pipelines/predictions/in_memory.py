"""Pictures that are no files yet: arrays and Pillow's images, as the files that hold the same."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from components.ingest import images

_WANTED = "a path, encoded bytes, pixels or Pillow's image is wanted"
_CHANNELS = (1, 2, 3, 4)  # Grey and colour, without and with transparency.
# Of Pillow's modes what a PNG holds as it is, and what says the same of others.
_OF_PNG = ("1", "L", "LA", "P", "RGB", "RGBA")
_LIKE = {"PA": "RGBA", "La": "LA", "RGBa": "RGBA"}


def file_of(image: Any) -> bytes:
    """A PNG file of a picture: the model does to it what it does to any file.

    Args:
      image: pixels, [H, W] or [H, W, C], C from 1 to 4 as PNG has them: uint8; uint16, of which
        the higher byte counts; other numbers that are whole, from 0 to 255; bool. Or Pillow's image
        of any mode but floats, which is turned as its EXIF data say.

    Raises:
      ValueError: it is neither, or has other values or another shape.
    """
    if isinstance(image, Image.Image):
        return _png(_of_pillow(image))
    if not hasattr(image, "__array__"):
        raise ValueError(f"{_WANTED}, not of type {type(image).__name__}")
    pixels = np.asarray(image)
    if not pixels.size or not (
        pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in _CHANNELS)
    ):
        raise ValueError(
            "pixels have to be [height, width] or [height, width, channels], the channels last; of "
            f"several pictures [number, height, width, channels]; not {list(pixels.shape)}"
        )
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    return _png(Image.fromarray(np.ascontiguousarray(_eight_bit(pixels))))


def is_stack(image: Any) -> bool:
    """Whether this is an array of several pictures, [N, H, W, C]."""
    return hasattr(image, "__array__") and getattr(image, "ndim", None) == 4


def _eight_bit(pixels: np.ndarray) -> np.ndarray:
    kind = pixels.dtype.kind
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.uint16:
        return (pixels >> 8).astype(np.uint8)
    if kind == "b":
        return pixels.astype(np.uint8) * 255
    if kind not in "iuf":
        raise ValueError(f"{_WANTED}, not an array of {pixels.dtype}")
    if not np.isfinite(pixels).all():
        raise ValueError("pixels have to be finite numbers from 0 to 255")
    least, most = pixels.min(), pixels.max()
    if kind == "f" and least >= 0 and 0 < most <= 1:
        raise ValueError(
            "pixels are numbers from 0 to 255, and these are floats from 0 to 1: "
            "(255 * pixels).round().astype('uint8')"
        )
    if least < 0 or most > 255 or (kind == "f" and (pixels != np.round(pixels)).any()):
        raise ValueError(
            "pixels are whole numbers from 0 to 255, as in the file of a picture; these are "
            f"{pixels.dtype} from {least:g} to {most:g}"
        )
    return pixels.astype(np.uint8)


def _of_pillow(image: Image.Image) -> Image.Image:
    """The image in a mode that a PNG has, upright."""
    is_jpeg = image.format == "JPEG"
    try:
        image = ImageOps.exif_transpose(image)
    except (OSError, SyntaxError) as error:  # Its file is read only now.
        raise ValueError(f"cannot be decoded: {error}") from error
    if image.mode.startswith("I"):
        return Image.fromarray(_eight_bit(_of_sixteen_bits(image)))
    if image.mode == "CMYK" and is_jpeg:
        return images.without_ink(image)
    if image.mode == "F":
        raise ValueError("Pillow's images of floats (mode F) have no range: convert them to L")
    return image if image.mode in _OF_PNG else image.convert(_LIKE.get(image.mode, "RGB"))


def _of_sixteen_bits(image: Image.Image) -> np.ndarray:
    pixels = np.asarray(image)
    if pixels.min() < 0 or pixels.max() >= 1 << 16:
        raise ValueError(f"Pillow's images of mode {image.mode} have to be from 0 to 65535")
    return pixels.astype(np.uint16)


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    # Level 1, as `images.png`.
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()
