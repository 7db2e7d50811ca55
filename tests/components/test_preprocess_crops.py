"""Crops fixed beforehand, by a Beam pipeline."""

import hashlib
import io
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
import skimage.data
import tensorflow as tf
from apache_beam.metrics import MetricsFilter
from PIL import Image

from components.preprocess.crops import FixedCrops, fixed_crops

RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
PHOTO = skimage.data.chelsea()[:64, :90]
DEPTH = (np.arange(64 * 90) % 60000).reshape(64, 90).astype(np.uint16)


def png(pixels: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def example(**values) -> tf.train.Example:
    made = tf.train.Example()
    for name, value in values.items():
        feature = made.features.feature[name.replace("__", "/")]
        value = value if isinstance(value, list) else [value]
        kind = {bytes: "bytes_list", int: "int64_list", float: "float_list"}[type(value[0])]
        getattr(feature, kind).value.extend(value)
    return made


PHOTOGRAPH = example(
    image__encoded=png(PHOTO),
    image__height=64,
    image__width=90,
    image__id=b"cat",
    image__sha256=hashlib.sha256(png(PHOTO)).hexdigest().encode(),
    label=3,
    depth__encoded=png(DEPTH),
    keypoints=[32 / 64, 45 / 90],
    objects__bbox=[0.0, 0.0, 10 / 64, 10 / 90, 20 / 64, 30 / 90, 60 / 64, 80 / 90],
    objects__label=[5, 6],
    objects__label__text=[b"ear", b"nose"],
)


@pytest.fixture(scope="module")
def crops(tmp_path_factory) -> tuple[dict, int, list[str]]:
    """Features by id, as a pipeline wrote them, how many images were too small, dead letters."""
    small = example(
        image__encoded=png(PHOTO[:20]), image__height=20, image__width=90, image__id=b"strip"
    )
    path = str(tmp_path_factory.mktemp("crops") / "crops")
    with beam.Pipeline(RUNNER) as pipeline:
        made = pipeline | beam.Create([PHOTOGRAPH, small], reshuffle=False) | FixedCrops(33, 14)
        _ = (
            made.crops
            | beam.Map(lambda crop: crop.SerializeToString(deterministic=True))
            | beam.io.WriteToTFRecord(path)
        )
        _ = (
            made.dead_letters
            | beam.Map(lambda letter: f"{letter.identifier}: {letter.reason}")
            | beam.io.WriteToText(f"{path}-dead")
        )
    counted = pipeline.result.metrics().query(MetricsFilter().with_name("too_small"))
    found = {}
    for record in tf.data.TFRecordDataset(tf.io.gfile.glob(f"{path}-0*")).as_numpy_iterator():
        feature = tf.train.Example.FromString(record).features.feature
        found[feature["image/id"].bytes_list.value[0].decode()] = feature
    dead = [
        line
        for name in tf.io.gfile.glob(f"{path}-dead*")
        for line in Path(name).read_text().splitlines()
    ]
    return found, counted["counters"][0].committed, dead


def test_sub_images(crops):
    """Section 4.1 of Dong et al. 2014: 33 x 33 pixels, stride 14."""
    found, too_small, dead = crops
    places = [(top, left) for top in (0, 14, 28) for left in (0, 14, 28, 42, 56)]
    assert found.keys() == {f"cat@{top},{left}" for top, left in places}
    assert too_small == 1
    assert dead == ["strip: 90 x 20 pixels, and a crop is 33 x 33"]
    for top, left in places:
        feature = found[f"cat@{top},{left}"]
        for name, whole in (("image", PHOTO), ("depth", DEPTH)):
            content = feature[f"{name}/encoded"].bytes_list.value[0]
            pixels = np.asarray(Image.open(io.BytesIO(content)))
            np.testing.assert_array_equal(pixels, whole[top : top + 33, left : left + 33])
        sha256 = hashlib.sha256(feature["image/encoded"].bytes_list.value[0]).hexdigest()
        assert feature["image/sha256"].bytes_list.value == [sha256.encode()]
        assert feature["image/height"].int64_list.value == [33]
        assert feature["label"].int64_list.value == [3]
        points = np.array(feature["keypoints"].float_list.value) * 33 + [top, left]
        np.testing.assert_allclose(points, [32, 45], atol=1e-4)


def test_boxes_are_cut_with_the_image(crops):
    found, *_ = crops
    first, last = found["cat@0,0"], found["cat@28,56"]
    assert first["objects/label"].int64_list.value == [5, 6]
    boxes = np.array(first["objects/bbox"].float_list.value).reshape(2, 4) * 33
    np.testing.assert_allclose(boxes, [[0, 0, 10, 10], [20, 30, 33, 33]], atol=1e-4)
    assert last["objects/label"].int64_list.value == [6]
    assert last["objects/label/text"].bytes_list.value == [b"nose"]
    box = np.array(last["objects/bbox"].float_list.value) * 33
    np.testing.assert_allclose(box, [0, 0, 32, 24], atol=1e-4)


def test_what_cannot_be_cut():
    with pytest.raises(ValueError, match="side and stride must be 1 or more, not 33 and 0"):
        FixedCrops(33, 0)
    other = example(image__encoded=png(PHOTO), target__encoded=png(PHOTO[:30]))
    with pytest.raises(ValueError, match=r"target is \(90, 30\), the image \(90, 64\) pixels"):
        next(fixed_crops(other, 8, 8))
