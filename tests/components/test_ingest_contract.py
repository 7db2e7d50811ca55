"""What the example contract takes, what it refuses, and what resizing does to each feature."""

import hashlib
import io

import numpy as np
import pytest
import skimage.data
import tensorflow as tf
from PIL import Image

from components.ingest.contract import Encoding, Record, to_example
from components.ingest.images import ImageError

KEEP = Encoding()
HALF = Encoding(shorter_side=30)


def encoded(pixels: np.ndarray | Image.Image, kind: str = "PNG", **options) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def example(encoding: Encoding = KEEP, **features) -> dict:
    """The features of the example; keywords have `_` for the `/` of the contract's names."""
    named = {name.replace("__", "/"): value for name, value in features.items()}
    made = tf.train.Example.FromString(
        to_example(Record("some/id", named), encoding).SerializeToString()
    )
    return {
        name: list(feature.bytes_list.value or feature.int64_list.value or feature.float_list.value)
        for name, feature in made.features.feature.items()
    }


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """Sixty rows of eighty pixels."""
    return np.asarray(Image.fromarray(skimage.data.astronaut()).resize((80, 60)))


@pytest.fixture(scope="module")
def classes(photo) -> np.ndarray:
    return (photo[..., 0] > 128).astype(np.uint8) * 7


def test_a_labelled_image_passes_as_it_is(photo):
    content = encoded(photo, "JPEG")
    assert example(image__encoded=content, label=3, label__text="woman") == {
        "image/encoded": [content],
        "image/height": [60],
        "image/width": [80],
        "image/sha256": [hashlib.sha256(content).hexdigest().encode()],
        "image/id": [b"some/id"],
        "label": [3],
        "label/text": [b"woman"],
    }


def test_pixels_become_png(photo):
    for pixels in (photo, photo[..., 0], photo[..., :1]):
        made = example(image__encoded=pixels)
        np.testing.assert_array_equal(decoded(made["image/encoded"][0]), pixels.squeeze())


def test_resizing_the_shorter_side(photo):
    made = example(HALF, image__encoded=encoded(photo, "JPEG", quality=100))
    small = decoded(made["image/encoded"][0])
    assert small.shape == (30, 40, 3)
    assert (made["image/height"], made["image/width"]) == ([30], [40])
    assert made["image/encoded"][0].startswith(b"\xff\xd8")  # Still a JPEG.
    wide = example(HALF, image__encoded=encoded(np.tile(photo, (1, 2, 1))))
    assert decoded(wide["image/encoded"][0]).shape == (30, 80, 3)


def test_resizing_does_not_fold_fine_patterns_into_coarse_ones():
    """Stripes a pixel wide are grey from afar; taking every fourth pixel would make them black."""
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, 1::2] = 255
    small = decoded(example(Encoding(16), image__encoded=stripes)["image/encoded"][0])
    assert np.abs(small[:, 2:-2].astype(int) - 127).max() <= 2


def test_the_format(photo):
    as_png = example(Encoding(format="png"), image__encoded=encoded(photo, "JPEG"))
    assert as_png["image/encoded"][0].startswith(b"\x89PNG")
    sizes = {}
    for quality in (30, 95):
        wanted = Encoding(format="jpeg", quality=quality)
        (made,) = example(wanted, image__encoded=encoded(photo))["image/encoded"]
        assert made.startswith(b"\xff\xd8")
        sizes[quality] = len(made)
    assert sizes[30] < sizes[95]
    jpeg = encoded(photo, "JPEG", quality=80)
    # Compressed once by whoever took it; not a second time.
    assert example(Encoding(format="jpeg"), image__encoded=jpeg)["image/encoded"] == [jpeg]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"shorter_side": 0}, "shorter_side must be 1 or more"),
        ({"format": "webp"}, "format must be keep, png, jpeg, not 'webp'"),
        ({"quality": 100}, "quality must be 1 to 95"),
    ],
)
def test_an_encoding_that_there_is_not(values, message):
    with pytest.raises(ValueError, match=message):
        Encoding(**values)


def test_maps_go_with_the_image_to_the_nearest_pixel(photo, classes):
    depth = (np.arange(60 * 80).reshape(60, 80) % 7 + 1).astype(np.uint16) * 1000
    normals = photo[::-1]
    made = example(
        HALF,
        image__encoded=encoded(photo),
        segmentation__encoded=encoded(classes),
        depth__encoded=encoded(depth),
        normals__encoded=encoded(normals),
    )
    small = decoded(made["segmentation/encoded"][0])
    assert small.shape == (30, 40)
    assert set(np.unique(small)) == {0, 7}
    depths = decoded(made["depth/encoded"][0])
    assert depths.shape == (30, 40)
    assert set(np.unique(depths)) <= set(np.unique(depth))
    assert decoded(made["normals/encoded"][0]).shape == (30, 40, 3)


def test_the_class_numbers_of_a_palette_png_are_its_indices(photo, classes):
    """VOC's segmentations are coloured by a palette."""
    coloured = Image.fromarray(classes, "P")
    coloured.putpalette([*range(256)] * 3)
    made = example(image__encoded=encoded(photo), segmentation__encoded=encoded(coloured))
    np.testing.assert_array_equal(decoded(made["segmentation/encoded"][0]), classes)


def test_depth_in_metres_becomes_millimetres(photo):
    metres = np.linspace(0, 9.9996, 60 * 80, dtype=np.float32).reshape(60, 80, 1)
    made = example(image__encoded=photo, depth__encoded=metres)
    stored = decoded(made["depth/encoded"][0])
    np.testing.assert_allclose(stored / 1000, metres[..., 0], atol=0.00051)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({(3, 4): np.nan, (3, 5): np.inf}, "depth: 2 pixels are NaN or infinite"),
        ({(3, 4): -1.0}, "depth: from -1 to 2 m"),
        ({(3, 4): 70.0}, "depth: from 2 to 70 m; 0 to 65.535 are allowed"),
    ],
)
def test_depths_that_are_none(photo, change, reason):
    metres = np.full((60, 80), 2.0)
    for place, value in change.items():
        metres[place] = value
    with pytest.raises(ImageError, match=reason):
        example(image__encoded=photo, depth__encoded=metres)


def test_maps_that_do_not_fit(photo, classes):
    with pytest.raises(ImageError, match="segmentation of 40 x 60 pixels, the image of 80 x 60"):
        example(image__encoded=photo, segmentation__encoded=encoded(classes[:, :40]))
    with pytest.raises(ImageError, match="8-bit class numbers is needed, and this is PNG of mode"):
        example(image__encoded=photo, segmentation__encoded=encoded(photo))
    with pytest.raises(ImageError, match="8-bit class numbers is needed, and this is JPEG"):
        example(image__encoded=photo, segmentation__encoded=encoded(classes, "JPEG"))
    with pytest.raises(ImageError, match="depth: a PNG of 16 bits is needed"):
        example(image__encoded=photo, depth__encoded=encoded(classes))
    with pytest.raises(ImageError, match="depth: cannot be decoded"):
        example(image__encoded=photo, depth__encoded=encoded(photo)[:500])


def objects(photo, *boxes, **more) -> dict:
    return example(
        image__encoded=photo,
        objects__bbox=np.ravel(boxes),
        **{"objects__label": [0] * len(boxes), **more},
    )


def test_boxes_do_not_move_and_are_cut_at_the_sides(photo):
    content = encoded(photo)
    boxes = [0.1, 0.2, 0.5, 0.75, -0.01, 0.0, 1.0, 1.01]
    features = {"objects__bbox": boxes, "objects__label": [1, 0], "objects__label__text": ["a", ""]}
    found = example(HALF, image__encoded=content, **features)
    expected = [0.1, 0.2, 0.5, 0.75, 0.0, 0.0, 1.0, 1.0]
    np.testing.assert_allclose(found["objects/bbox"], expected, rtol=1e-6)
    assert found["objects/label"] == [1, 0]
    assert found["objects/label/text"] == [b"a", b""]


def test_an_image_without_objects_is_one(photo):
    found = example(image__encoded=photo, objects__bbox=[], objects__label=[])
    assert found["objects/bbox"] == []


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((0.1, 0.1, 1.2, 0.5), r"box 1 \(0.1, 0.1, 1.2, 0.5\) lies outside the image"),
        ((0.1, -0.5, 0.2, 0.5), "box 1 .* lies outside the image"),
        ((0.1, 0.1, float("nan"), 0.5), "box 1 .* lies outside the image"),
        ((0.5, 0.1, 0.5, 0.5), r"box 1 \(0.5, 0.1, 0.5, 0.5\) is empty"),
        ((0.1, 0.6, 0.5, 0.5), "box 1 .* is empty"),
        ((0.1, 1.0, 0.5, 1.01), "box 1 .* is empty"),
    ],
)
def test_boxes_that_are_none(photo, box, reason):
    with pytest.raises(ImageError, match=reason):
        objects(photo, (0, 0, 1, 1), box)


def test_as_many_labels_as_boxes(photo):
    with pytest.raises(ImageError, match="1 boxes and 2 of objects/label"):
        objects(photo, (0, 0, 1, 1), objects__label=[0, 1])
    with pytest.raises(ImageError, match="5 numbers are no boxes of four"):
        example(image__encoded=photo, objects__bbox=[0, 0, 1, 1, 0], objects__label=[0])


def test_unknown_labels(photo):
    with pytest.raises(ImageError, match="unknown label"):
        example(image__encoded=photo, label=-1)
    with pytest.raises(ImageError, match="unknown label"):
        objects(photo, (0, 0, 1, 1), objects__label=[-1])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("label", 3.7),
        ("label", float("nan")),
        ("label", "cat"),
        ("label", [1, 2]),
        ("label", 2**63),
        ("label/text", 3),
        ("label/text", b"\xff"),
        ("label/text", "\ud800"),
        ("image/sha256", b"\xff" * 32),
        ("image/encoded", "text"),
        ("image/encoded", [b"one"]),
        ("objects/label", 1),
        ("objects/label", [[1]]),
        ("keypoints", [1, [2, 3]]),
        ("objects/bbox", [b"0", b"0", b"1", b"1"]),
        ("image/encoded", 3),
        ("target/encoded", [1, 2]),
    ],
)
def test_values_of_another_kind(photo, name, value):
    kinds = "(bytes|integers|floats|text in UTF-8)"
    with pytest.raises(ImageError, match=f"{name} should be {kinds}, not"):
        example(**{"image__encoded": photo, name.replace("/", "__"): value})


def test_a_turned_image_keeps_no_boxes(photo):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(photo, "JPEG", exif=exif)
    assert example(image__encoded=turned)["image/height"] == [80]
    with pytest.raises(ImageError, match="turned by its EXIF data"):
        objects(turned, (0, 0, 1, 1))


def test_frames(photo):
    contents = [encoded(np.roll(photo, step, 1), "JPEG") for step in range(3)]
    made = example(frames__encoded=contents, label=0)
    assert made["frames/encoded"] == contents
    assert made["image/encoded"] == contents[:1]
    small = example(HALF, frames__encoded=contents, image__sha256="abc")
    assert [decoded(frame).shape for frame in small["frames/encoded"]] == [(30, 40, 3)] * 3
    assert small["image/sha256"] == [b"abc"]
    with pytest.raises(ImageError, match="no frames"):
        example(frames__encoded=[])
    with pytest.raises(ImageError, match="frames of several sizes"):
        example(frames__encoded=[photo, photo[:50]])
    with pytest.raises(ImageError, match="frame: cannot be decoded"):
        example(frames__encoded=[contents[0], contents[1][:300]])


def test_a_larger_target_stays_larger_by_as_much(photo):
    large = encoded(np.repeat(np.repeat(photo, 2, 0), 2, 1))
    made = example(HALF, image__encoded=photo, target__encoded=large)
    assert decoded(made["image/encoded"][0]).shape == (30, 40, 3)
    assert decoded(made["target/encoded"][0]).shape == (60, 80, 3)
    with pytest.raises(ImageError, match="target: neither PNG nor JPEG"):
        example(image__encoded=photo, target__encoded=b"text")


def test_a_pair(photo):
    made = example(HALF, image__encoded=photo, pair__encoded=photo[:, :60], same=1)
    assert decoded(made["pair/encoded"][0]).shape == (30, 30, 3)
    assert made["same"] == [1]
    with pytest.raises(ImageError, match="same must be 0 or 1, not 2"):
        example(image__encoded=photo, pair__encoded=photo, same=2)


@pytest.mark.parametrize("size", [(33, 90), (160, 119), (40, 30)])
def test_a_target_has_one_whole_factor(size):
    image = np.zeros((60, 80, 3), np.uint8)
    target = np.zeros((size[1], size[0], 3), np.uint8)
    record = Record("a", {"image/encoded": image, "target/encoded": target})
    with pytest.raises(ImageError, match="no whole multiple"):
        to_example(record, Encoding())


def test_pairs_that_share_a_photograph_differ_in_their_hash():
    grey = [np.full((4, 4), level, np.uint8) for level in (0, 1, 2)]
    hashes = {
        to_example(
            Record("a", {"image/encoded": grey[0], "pair/encoded": other, "same": 1}), Encoding()
        )
        .features.feature["image/sha256"]
        .bytes_list.value[0]
        for other in grey[1:]
    }
    assert len(hashes) == 2


def test_points(photo):
    made = example(image__encoded=photo, keypoints=[0.5, 0.25, 1.01, 0])
    np.testing.assert_allclose(made["keypoints"], [0.5, 0.25, 1, 0])
    with pytest.raises(ImageError, match="keypoint 0 is NaN"):
        example(image__encoded=photo, keypoints=[0.5, float("nan")])
    with pytest.raises(ImageError, match=r"keypoint 1 \(0.5, 1.5\) lies outside"):
        example(image__encoded=photo, keypoints=[0.5, 0.5, 0.5, 1.5])
    with pytest.raises(ImageError, match="3 numbers are no points"):
        example(image__encoded=photo, keypoints=[0.5, 0.5, 0.5])


def test_points_that_are_not_marked_may_lie_anywhere(photo):
    places = [0.5, 0.25, np.nan, 7.0]
    made = example(image__encoded=photo, keypoints=places, keypoints__visible=[1, 0])
    np.testing.assert_allclose(made["keypoints"], [0.5, 0.25, 0.0, 0.0])
    assert made["keypoints/visible"] == [1, 0]
    places[2] = -3.0
    with pytest.raises(ImageError, match=r"keypoint 1 .* outside"):
        example(image__encoded=photo, keypoints=places, keypoints__visible=[1, 2])


BOX = [0.25, 0.25, 0.75, 0.75]


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        ({"keypoints": [0.5, 0.5], "keypoints__visible": [1, 2]}, "1 points and 2 of"),
        ({"keypoints": [0.5, 0.5], "keypoints__visible": [3]}, "point 0 must be 0, 1, 2, not 3"),
        ({"keypoints__visible": [2]}, "keypoints/visible without keypoints"),
        ({"objects__crowd": [1]}, "objects/crowd without objects/bbox"),
        ({"objects__bbox": BOX, "objects__crowd": [2]}, "objects/crowd of object 0 .* not 2"),
        ({"objects__bbox": BOX, "objects__area": [1.0, 2.0]}, "1 boxes and 2 of objects/area"),
        ({"objects__bbox": BOX, "objects__area": [-1.0]}, "object 0 must not be -1"),
        ({"objects__bbox": BOX, "objects__area": [np.nan]}, "object 0 must not be nan"),
        ({"objects__bbox": BOX, "objects__mask": []}, "1 boxes and 0 of objects/mask"),
        ({"torso": BOX * 2}, "torso: 2 boxes, one is needed"),
        ({"torso": [0.5, 0.5, 0.5, 0.75]}, "torso 0 .* is empty"),
        ({"text": ""}, "text is empty"),
        ({"text": b"\xff"}, "text in UTF-8"),
    ],
)
def test_values_that_contradict(features, reason, photo):
    with pytest.raises(ImageError, match=reason):
        example(image__encoded=photo, **features)


def test_text(photo):
    assert example(image__encoded=photo, text="größer")["text"] == ["größer".encode()]


def test_masks_of_objects(photo, classes):
    mask = classes > 0
    both = [mask, encoded(~mask)]  # Pixels, and a PNG of one bit.
    made = example(HALF, image__encoded=photo, objects__bbox=BOX * 2, objects__mask=both)
    first, second = made["objects/mask"]
    small = np.asarray(Image.fromarray(mask).resize((40, 30), Image.Resampling.NEAREST))
    # TensorFlow reads the same as Pillow.
    read = tf.io.decode_png(first).numpy()[..., 0]
    np.testing.assert_array_equal(read, 255 * small.astype(np.uint8))
    np.testing.assert_array_equal(decoded(second), 255 - read)


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (np.zeros((30, 80), bool), "objects/mask of 80 x 30 pixels"),
        (encoded(np.full((60, 80), 7, np.uint8)), "0 and 255, is needed"),
        (np.zeros((60, 80, 3), bool), "are no mask"),
    ],
)
def test_masks_that_are_none(mask, reason, photo):
    with pytest.raises(ImageError, match=reason):
        example(image__encoded=photo, objects__bbox=BOX, objects__mask=[mask])


def test_what_is_no_image(photo):
    with pytest.raises(ImageError, match="no image"):
        example(label=1)
    with pytest.raises(ImageError, match=r"image: float32 \[60, 80, 3\] are no pixels"):
        example(image__encoded=photo.astype(np.float32))


def test_a_feature_that_the_contract_does_not_have(photo):
    with pytest.raises(ValueError, match="has no image/name"):
        example(image__encoded=photo, image__name="x")


def test_tensorflow_reads_what_is_stored(photo, classes):
    made = example(
        HALF, image__encoded=photo, depth__encoded=np.full((60, 80), 2.5), label=1, label__text="x"
    )
    assert tf.io.decode_image(made["image/encoded"][0]).shape == (30, 40, 3)
    depth = tf.io.decode_png(made["depth/encoded"][0], dtype=tf.uint16)
    assert set(np.unique(depth)) == {2500}
