"""What ingestion takes, TensorFlow decodes: whole files, and thousands of ways to damage them."""

import io
import random
import struct
import zlib

import numpy as np
import pytest
import skimage.data
import tensorflow as tf
from PIL import Image

from components.ingest import images, structure
from components.preprocess import originals

PHOTO = Image.fromarray(skimage.data.astronaut()).resize((80, 60))


def file(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


EXIF = Image.Exif()
EXIF[0x0112] = 6
WHOLE = {
    "JPEG": file(PHOTO, "JPEG"),
    "JPEG without subsampling": file(PHOTO, "JPEG", subsampling=0),
    "progressive": file(PHOTO, "JPEG", progressive=True),
    "restarts": file(PHOTO, "JPEG", restart_marker_blocks=3),
    "grey JPEG": file(PHOTO.convert("L"), "JPEG"),
    "CMYK": file(PHOTO.convert("CMYK"), "JPEG"),
    "EXIF": file(PHOTO, "JPEG", exif=EXIF),
    "PNG": file(PHOTO, "PNG"),
    "PNG with EXIF": file(PHOTO, "PNG", exif=EXIF),
    "grey PNG": file(PHOTO.convert("L"), "PNG"),
    "palette": file(PHOTO.quantize(60), "PNG"),
    "RGBA": file(PHOTO.convert("RGBA"), "PNG"),
}


def tensorflow_decodes(data: bytes) -> bool:
    try:
        tf.io.decode_image(data, channels=3, expand_animations=False)
    except tf.errors.InvalidArgumentError:
        return False
    return True


def damaged(data: bytes, draws: random.Random) -> bytes:
    start = draws.randrange(2, len(data))
    end = min(len(data), start + draws.choice([1, 2, 4, 16, 64, 400]))
    ways = {
        "cut": lambda: data[:start],
        "cut and filled with zeros": lambda: data[:start] + bytes(len(data) - start),
        "cut and filled with 0xff": lambda: data[:start] + b"\xff" * (len(data) - start),
        "overwritten": lambda: data[:start] + draws.randbytes(end - start) + data[end:],
        "zeros": lambda: data[:start] + bytes(end - start) + data[end:],
        "a bit": lambda: data[:start] + bytes([data[start] ^ 1 << draws.randrange(8)])
        + data[start + 1 :],
        "lost": lambda: data[:start] + data[end:],
        "put in": lambda: data[:start] + draws.randbytes(end - start) + data[start:],
        "twice": lambda: data[:end] + data[start:],
        "its end": lambda: data[: -draws.randrange(1, 40)] + draws.randbytes(20),
    }  # fmt: skip
    return ways[draws.choice(list(ways))]()


@pytest.mark.parametrize(
    "count", [400, pytest.param(20_000, marks=pytest.mark.slow)], ids=["some", "many"]
)
@pytest.mark.parametrize("kind", WHOLE)
def test_what_is_taken_is_decoded_by_tensorflow_and_damage_is_named(kind, count):
    draws = random.Random(kind)
    taken = 0
    for _ in range(count // len(WHOLE)):
        data = damaged(WHOLE[kind], draws)
        try:
            found = images.decoded(data)
        except images.ImageError as error:
            assert str(error)
            continue
        # What is not kept is encoded anew; served, the file itself is decoded.
        assert tensorflow_decodes(data), found.converted
        taken += 1
    assert taken or "PNG" in kind or count < 1000


@pytest.fixture(scope="module")
def served():
    ingest = {"shorter_side": None, "format": "keep", "quality": 95}
    return tf.function(
        lambda files: originals.stored(files, ingest),
        input_signature=[tf.TensorSpec([None], tf.string)],
        autograph=False,
    )


@pytest.mark.parametrize("kind", ["EXIF", "PNG with EXIF", "RGBA", "CMYK"])
def test_what_is_taken_of_damaged_files_is_the_same_in_the_served_graph(kind, served):
    draws = random.Random(kind)
    for _ in range(60):
        data = damaged(WHOLE[kind], draws)
        try:
            found = images.decoded(data)
        except images.ImageError:
            continue
        (answer,) = served([data]).numpy()
        if found.content is None:
            rgb = tf.io.decode_png(answer, channels=3)
            np.testing.assert_array_equal(rgb, found.image.convert("RGB"))
        else:
            assert answer == data


@pytest.mark.parametrize("kind", WHOLE)
def test_whole_files_are_taken(kind):
    assert images.decoded(WHOLE[kind]).image.size in ((80, 60), (60, 80))


def _parts(data: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """The chunks before the pixels, and the compressed pixels."""
    chunks, position = [], len(structure.PNG)
    while position < len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        chunks.append(
            (data[position + 4 : position + 8], data[position + 8 : position + 8 + length])
        )
        position += 12 + length
    pixels = b"".join(content for name, content in chunks if name == b"IDAT")
    return [each for each in chunks if each[0] not in (b"IDAT", b"IEND")], pixels


def _png(chunks: list[tuple[bytes, bytes]]) -> bytes:
    return structure.PNG + b"".join(
        struct.pack(">I", len(content)) + name + content
        + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )  # fmt: skip


def _malformed() -> dict[str, bytes]:
    """PNG files of right checksums that no encoder should write, and that Pillow decodes."""
    head, pixels = _parts(WHOLE["PNG"])
    (header,) = head
    palette_head, palette_pixels = _parts(WHOLE["palette"])
    end = (b"IEND", b"")
    idat = (b"IDAT", pixels)
    cut = {f"stream without its last {n}": (b"IDAT", pixels[:-n]) for n in range(1, 6)}
    files = {name: _png([header, each, end]) for name, each in cut.items()}
    wrong = pixels[:-1] + bytes([pixels[-1] ^ 1])
    files["a wrong checksum behind the pixels"] = _png([header, (b"IDAT", wrong), end])
    files["two headers"] = _png([header, header, idat, end])
    files["a header behind the pixels"] = _png([header, idat, header, end])
    files["a text before the header"] = _png([(b"tEXt", b"a\0b"), header, idat, end])
    files["a long header"] = _png([(b"IHDR", header[1] + b"x"), idat, end])
    files["an unknown critical chunk"] = _png([header, (b"ABCD", b""), idat, end])
    files["a chunk's name with a digit"] = _png([header, (b"a1cd", b""), idat, end])
    files["two palettes"] = _png([header, *2 * [(b"PLTE", bytes(9))], idat, end])
    files["no palette"] = _png([palette_head[0], (b"IDAT", palette_pixels), end])
    files["a palette of 10 bytes"] = _png(
        [palette_head[0], (b"PLTE", bytes(10)), (b"IDAT", palette_pixels), end]
    )
    files["a small window"] = _png([header, (b"IDAT", b"\x08\x1d" + pixels[2:]), end])
    return files


MALFORMED = _malformed()


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_png_files(name):
    assert not tensorflow_decodes(MALFORMED[name])
    with pytest.raises(images.ImageError, match="cannot be decoded: "):
        images.decoded(MALFORMED[name])


def test_a_wrong_checksum_is_named():
    data = bytearray(WHOLE["PNG"])
    data[-13] ^= 1  # Of the checksum before the last chunk.
    with pytest.raises(images.ImageError, match="the chunk IDAT is damaged"):
        images.decoded(bytes(data))


def test_exif_data_that_are_none_stop_nothing():
    """Pillow raises SyntaxError for them."""
    head, pixels = _parts(WHOLE["PNG"])
    data = _png([*head, (b"eXIf", b"\xff\0\xff\1"), (b"IDAT", pixels), (b"IEND", b"")])
    assert images.decoded(data).content == data


def test_transparencies_of_more_colours_than_there_are():
    head, pixels = _parts(WHOLE["palette"])
    data = _png([*head, (b"tRNS", bytes(300)), (b"IDAT", pixels), (b"IEND", b"")])
    with pytest.raises(images.ImageError, match="cannot be decoded: "):
        images.decoded(data)


def test_a_lossless_jpeg_is_refused():
    """Pillow decodes them, and TensorFlow does not."""
    with pytest.raises(ValueError, match="a kind of JPEG that TensorFlow does not read"):
        structure.read(WHOLE["JPEG"].replace(b"\xff\xc0", b"\xff\xc3", 1))


def test_pixels_of_one_file_in_many_chunks_are_taken():
    head, pixels = _parts(WHOLE["PNG"])
    pieces = [(b"IDAT", pixels[start : start + 500]) for start in range(0, len(pixels), 500)]
    data = _png([*head, (b"IDAT", b""), *pieces, (b"IEND", b"")])
    assert images.decoded(data).content == data
    assert tensorflow_decodes(data)
    np.testing.assert_array_equal(images.decoded(data).image, PHOTO)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_pixels_of_an_inflated_file(mode):
    """Of a photograph larger than a piece of zlib's, whose encoder takes all filters."""
    photo = Image.fromarray(skimage.data.astronaut()).convert(mode)
    data = file(photo, "PNG")
    assert len(structure.read(data).rows) == 512 * (1 + 512 * len(photo.getbands()))
    np.testing.assert_array_equal(images.decoded(data).image, photo)
    assert images.size(data) == (512, 512)
