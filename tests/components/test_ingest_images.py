import io
import struct
import zlib

import numpy as np
import pytest
import skimage.data
from PIL import Image

from components.bounds import MAX_PIXELS
from components.ingest.images import TURNED, ImageError, decoded


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.fromarray(skimage.data.astronaut()).resize((80, 60))


def pixels(data: bytes) -> np.ndarray:
    """Of an image that is not stored as it was found."""
    found = decoded(data)
    assert found.content is None
    return np.asarray(found.image)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_plain_images_pass_unchanged(photo, kind):
    data = encoded(photo, kind)
    assert (decoded(data).content, decoded(data).format) == (data, kind)
    assert decoded(data).image.size == (80, 60)


def test_grey_passes_unchanged(photo):
    data = encoded(photo.convert("L"), "PNG")
    assert (decoded(data).content, decoded(data).image.mode) == (data, "L")


def test_cmyk_becomes_rgb(photo):
    found = pixels(encoded(photo.convert("CMYK"), "JPEG", quality=95))
    assert np.abs(found.astype(int) - np.asarray(photo)).mean() < 4


def test_sixteen_bits_become_eight(photo):
    grey = np.asarray(photo.convert("L"))
    sixteen = Image.fromarray(grey.astype(np.uint16) * 257)
    np.testing.assert_array_equal(pixels(encoded(sixteen, "PNG")), grey)


def test_transparency_is_laid_on_white(photo):
    transparent = photo.copy()
    transparent.putalpha(0)
    np.testing.assert_array_equal(pixels(encoded(transparent, "PNG")), np.full((60, 80, 3), 255))


def test_palette_becomes_rgb(photo):
    assert pixels(encoded(photo.quantize(256), "PNG")).shape == (60, 80, 3)


@pytest.mark.parametrize(
    ("mode", "kind", "converted"),
    [
        ("RGB", "PNG", ""),
        ("L", "JPEG", ""),
        ("CMYK", "JPEG", "CMYK"),
        ("I;16", "PNG", "16-bit"),
        ("RGBA", "PNG", "transparent"),
        ("LA", "PNG", "transparent"),
        ("P", "PNG", "palette"),
        ("1", "PNG", "1-bit"),
    ],
)
def test_what_was_converted_is_told(photo, mode, kind, converted):
    # Pillow makes 16 bits of the numbers of a grey image alone.
    image = photo.convert("I").convert(mode) if mode == "I;16" else photo.convert(mode)
    assert decoded(encoded(image, kind)).converted == converted


def test_turned_photographs_are_set_upright(photo):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(photo, "JPEG", exif=exif, quality=95)
    assert decoded(data).converted == TURNED
    upright = np.asarray(photo.transpose(Image.Transpose.ROTATE_270)).astype(int)
    assert np.abs(pixels(data) - upright).mean() < 4


def test_truncated_jpeg(photo):
    data = encoded(photo, "JPEG")
    with pytest.raises(ImageError, match=r"cannot be decoded: .*truncated"):
        decoded(data[: len(data) // 2])


def test_truncated_png(photo):
    data = encoded(photo, "PNG")
    with pytest.raises(ImageError, match="cannot be decoded"):
        decoded(data[: len(data) // 2])


@pytest.mark.parametrize("cut", range(1, 31))
def test_a_png_that_lost_its_last_bytes(photo, cut):
    with pytest.raises(ImageError, match="cannot be decoded"):
        decoded(encoded(photo, "PNG")[:-cut])


def test_a_header_that_claims_a_huge_picture_is_refused_before_decoding():
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n"
    for name, content in chunks:
        checksum = struct.pack(">I", zlib.crc32(name + content))
        data += struct.pack(">I", len(content)) + name + content + checksum
    with pytest.raises(ImageError, match=f"more than {MAX_PIXELS:,}"):
        decoded(data)


@pytest.mark.parametrize(
    ("data", "reason"), [(b"", "empty file"), (b"no image at all", "neither PNG nor JPEG")]
)
def test_other_files(data, reason):
    with pytest.raises(ImageError, match=reason):
        decoded(data)


def test_a_format_that_serving_cannot_read_is_refused(photo):
    with pytest.raises(ImageError, match="neither PNG nor JPEG"):
        decoded(encoded(photo, "BMP"))
