"""The same file gives the network the same input in training and in serving, whatever its kind."""

import functools
import io
import json
import struct
import zlib

import numpy as np
import pytest
import skimage.data
import tensorflow as tf
from PIL import Image, ImageOps

from components.ingest import structure
from components.ingest.contract import Encoding, Record, checked
from components.ingest.images import ImageError
from components.preprocess import originals
from components.preprocess.transform import decode

KEEP = {"shorter_side": None, "format": "keep", "quality": 95}
WIDTH, HEIGHT = 80, 60
PHOTO = Image.fromarray(skimage.data.astronaut()).resize((WIDTH, HEIGHT))
RANDOM = np.random.default_rng(0)


def file(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "a camera", orientation
    return exif


def big_endian(orientation: int) -> bytes:
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    return b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4)


def png(chunks) -> bytes:
    """A PNG of chunks: pairs of a name and its content."""
    parts = (
        struct.pack(">I", len(content)) + name + content
        + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )  # fmt: skip
    return structure.PNG + b"".join(parts)


def of_noise(bits: int, colours: int, samples: int, *more) -> bytes:
    """A PNG of random samples, in kinds that Pillow does not write."""
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, colours, 0, 0, 0)
    row = WIDTH * samples * bits // 8
    pixels = zlib.compress(b"".join(b"\0" + RANDOM.bytes(row) for _ in range(HEIGHT)))
    return png([(b"IHDR", header), *more, (b"IDAT", pixels), (b"IEND", b"")])


def with_exif_behind(data: bytes) -> bytes:
    tiff = big_endian(8)[6:]
    chunk = struct.pack(">I", len(tiff)) + b"eXIf" + tiff
    return data[:-12] + chunk + struct.pack(">I", zlib.crc32(chunk[4:])) + data[-12:]


def without_adobe(data: bytes) -> bytes:
    place = data.index(b"\xff\xee")
    return data[:place] + data[place + 2 + int.from_bytes(data[place + 2 : place + 4], "big") :]


def interlaced() -> bytes:
    """Adam7: of the seven passes, each a picture of its own."""
    pixels = np.asarray(PHOTO)
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)]
    passes += [(2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    parts = [pixels[top::down, left::right] for top, left, down, right in passes]
    raw = b"".join(b"\0" + row.tobytes() for part in parts for row in part)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 1)
    return png([(b"IHDR", header), (b"IDAT", zlib.compress(raw)), (b"IEND", b"")])


def _kinds() -> dict[str, bytes]:
    alpha = Image.fromarray(RANDOM.integers(0, 256, (HEIGHT, WIDTH), np.uint8))
    rgba, la = PHOTO.copy(), PHOTO.convert("L")
    rgba.putalpha(alpha)
    la.putalpha(alpha)
    few = PHOTO.quantize(10)
    sixteen = Image.fromarray(RANDOM.integers(0, 2**16, (HEIGHT, WIDTH), np.uint16))
    cmyk = file(PHOTO.convert("CMYK"), "JPEG")
    animation = {"save_all": True, "append_images": [rgba.transpose(0)]}
    kinds = {
        "1": file(PHOTO.convert("1")),
        "1 with a transparent colour": file(PHOTO.convert("1"), transparency=255),
        "L": file(PHOTO.convert("L")),
        "L JPEG": file(PHOTO.convert("L"), "JPEG"),
        "L with a transparent colour": file(PHOTO.convert("L"), transparency=120),
        "LA": file(la),
        "P": file(PHOTO.quantize(60)),
        "P of 4 bits": file(few),
        "P with a transparent colour": file(PHOTO.quantize(60), transparency=3),
        "P of 4 bits with a transparent colour": file(few, transparency=3),
        "P with transparencies": file(PHOTO.quantize(60), transparency=bytes(range(0, 240, 4))),
        "RGB": file(PHOTO),
        "RGB JPEG": file(PHOTO, "JPEG"),
        "RGB with a transparent colour": file(
            few.convert("RGB"), transparency=few.convert("RGB").getpixel((5, 5))
        ),
        "RGBA": file(rgba),
        "RGBA turned": file(rgba, exif=turned(6)),
        "CMYK": cmyk,
        "CMYK without Adobe's marker": without_adobe(cmyk),
        "CMYK turned": file(PHOTO.convert("CMYK"), "JPEG", exif=turned(5)),
        "YCCK": ycck(cmyk),
        "16 bits": file(sixteen),
        "16 bits turned": file(sixteen, exif=turned(8)),
        "16 bits a colour": of_noise(16, 2, 3),
        "16 bits a colour, one transparent": of_noise(16, 2, 3, (b"tRNS", bytes(6))),
        "16 bits with alpha": of_noise(16, 6, 4),
        "16 bits grey with alpha": of_noise(16, 4, 2),
        "2 bits": of_noise(2, 0, 1),
        "2 bits with a transparent colour": of_noise(2, 0, 1, (b"tRNS", b"\0\2")),
        "4 bits with a transparent colour": of_noise(4, 0, 1, (b"tRNS", b"\0\2")),
        "progressive": file(PHOTO, "JPEG", progressive=True),
        "progressive turned": file(PHOTO, "JPEG", progressive=True, exif=turned(3)),
        "interlaced": interlaced(),
        "APNG": file(rgba, **animation),
        "APNG with another first picture": file(rgba, default_image=True, **animation),
        "MPO": file(PHOTO, "MPO", **animation | {"append_images": [PHOTO.transpose(0)]}),
        "ICC profile": file(PHOTO, "JPEG", icc_profile=RANDOM.bytes(3000)),
        "ICC profile turned": file(PHOTO, icc_profile=RANDOM.bytes(3000), exif=turned(7)),
        "EXIF behind the pixels": with_exif_behind(file(PHOTO)),
    }
    for orientation in range(1, 9):
        kinds[f"EXIF {orientation} JPEG"] = file(PHOTO, "JPEG", exif=turned(orientation))
        kinds[f"EXIF {orientation} PNG"] = file(PHOTO, exif=turned(orientation))
        kinds[f"EXIF {orientation} big endian"] = file(PHOTO, "JPEG", exif=big_endian(orientation))
    return kinds


def ycck(cmyk: bytes) -> bytes:
    """The same numbers, called YCCK by the last byte of Adobe's marker."""
    place = cmyk.index(b"Adobe") + 11
    return cmyk[:place] + b"\2" + cmyk[place + 1 :]


KINDS = _kinds()


def ingested(data: bytes, ingest=KEEP) -> bytes:
    features, _ = checked(Record("file", {"image/encoded": data}), Encoding(**ingest))
    return features["image/encoded"]


@functools.cache
def graph(ingest: str):
    return tf.function(
        lambda batch: originals.stored(batch, json.loads(ingest)),
        input_signature=[tf.TensorSpec([None], tf.string)],
        autograph=False,
    )


def served(files: list[bytes], ingest=KEEP) -> list[bytes]:
    return graph(json.dumps(ingest))(tf.constant(files)).numpy().tolist()


def inputs(files: list[bytes], channels: int) -> np.ndarray:
    settings = {"size": [48, 48], "channels": channels, "fit": "crop"}
    return decode(tf.constant(files), settings).numpy()


@pytest.fixture(scope="module", autouse=True)
def forget_graphs():
    yield
    graph.cache_clear()


@pytest.fixture(scope="module")
def both_ends() -> tuple[list[bytes], list[bytes]]:
    """Files of all kinds as they are stored and as they are served, in one batch."""
    return [ingested(data) for data in KINDS.values()], served(list(KINDS.values()))


@pytest.mark.parametrize("channels", [1, 3])
def test_both_ends_have_the_same_pixels(both_ends, channels):
    trained_on, asked_about = (inputs(files, channels) for files in both_ends)
    differences = np.abs(trained_on - asked_about).max(axis=(1, 2, 3))
    assert dict(zip(KINDS, differences, strict=True)) == dict.fromkeys(KINDS, 0.0)


@pytest.mark.parametrize("ingest", [KEEP, {**KEEP, "format": "jpeg", "quality": 80}])
def test_what_is_stored_stays_as_it_is(ingest):
    files = [ingested(KINDS[kind], ingest) for kind in ("RGB", "L", "RGBA", "EXIF 6 JPEG", "MPO")]
    assert served(files, ingest) == files


def test_upright_is_as_pillow_has_it():
    files = [KINDS[f"EXIF {orientation} PNG"] for orientation in range(1, 9)]
    for data, found in zip(files, served(files), strict=True):
        upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        np.testing.assert_array_equal(tf.io.decode_png(found), upright)


def test_on_white_is_as_pillow_has_it():
    value, alpha = np.meshgrid(np.arange(256), np.arange(256))
    pixels = np.stack([value, value, value, alpha], axis=-1).astype(np.uint8)
    rgba = Image.fromarray(pixels)
    white = Image.new("RGBA", rgba.size, "white")
    expected = np.asarray(Image.alpha_composite(white, rgba).convert("RGB"))
    np.testing.assert_array_equal(tf.io.decode_png(served([file(rgba)])[0]), expected)


@pytest.mark.parametrize("form", ["png", "jpeg"])
def test_images_that_ingestion_encodes_anew(form):
    ingest = {**KEEP, "format": form, "quality": 80}
    files = [KINDS[kind] for kind in ("RGB", "RGB JPEG", "EXIF 6 JPEG", "RGBA", "CMYK", "MPO")]
    stored = [ingested(data, ingest) for data in files]
    np.testing.assert_array_equal(inputs(stored, 3), inputs(served(files, ingest), 3))


@pytest.mark.parametrize("side", [40, 90])
def test_images_that_ingestion_resizes_are_two_levels_off_at_most(side):
    ingest = {**KEEP, "shorter_side": side, "format": "png"}
    files = [KINDS[kind] for kind in ("RGB", "RGB JPEG", "EXIF 6 JPEG", "RGBA", "L")]
    for data, found in zip(files, served(files, ingest), strict=True):
        stored, asked = (
            tf.io.decode_png(png, channels=3).numpy().astype(int)
            for png in (ingested(data, ingest), found)
        )
        assert min(stored.shape[:2]) == side
        apart = np.abs(stored - asked)
        assert apart.max() <= 2 and (apart > 0).mean() < 0.01


def test_exif_data_of_any_form_are_read_alike_at_both_ends():
    """Damaged at random: other bytes, other lengths, an end too early."""
    draws = np.random.default_rng(5)
    files = []
    for number in range(120):
        data = bytearray(KINDS[f"EXIF 6 {('JPEG', 'PNG', 'big endian')[number % 3]}"])
        start = data.find(b"eXIf") if number % 3 == 1 else 2
        for place in draws.integers(start, start + 70, draws.integers(1, 4)):
            data[place] = draws.integers(256)
        files.append(bytes(data))
    orientation = tf.function(
        lambda one: originals._around(one, tf.io.is_jpeg(one)).turn,
        input_signature=[tf.TensorSpec([], tf.string)],
        autograph=False,
    )
    compared = 0
    for data in files:
        try:
            expected = structure.read(data).turn
        except ValueError:
            continue
        assert max(int(orientation(data)), 1) == expected
        compared += 1
    assert compared > 30


def test_a_line_that_would_be_enlarged_without_bounds_is_refused_at_both_ends():
    line = file(Image.new("L", (20000, 1)))
    ingest = {**KEEP, "shorter_side": 100}
    with pytest.raises(ImageError, match="2000000 x 100 pixels with a shorter side of 100"):
        checked(Record("line", {"image/encoded": line}), Encoding(shorter_side=100))
    with pytest.raises(tf.errors.InvalidArgumentError, match="with a shorter side of 100"):
        served([line], ingest)
