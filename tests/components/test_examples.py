"""An error about an image names it, in every stage that reads what is stored."""

import numpy as np
import pytest
import tensorflow as tf
from tfx.types import standard_artifacts

from components import examples
from components.preprocess.transform import decode
from pipelines import run_local
from pipelines.beam import Beam

SETTINGS = {"size": [8, 8], "channels": 1, "fit": "pad"}


@pytest.fixture
def stored(write_images, digits, tmp_path):
    """Examples of which two, in each split one, do not decode."""
    for split in ("train", "test"):
        write_images(tmp_path, split, digits[0][:6], digits[1][:6])
    cut = tf.io.encode_jpeg(np.zeros((16, 16, 3), np.uint8)).numpy()[:-40]
    for split, number in (("train", 2), ("test", 5)):
        (path,) = tmp_path.glob(f"Split-{split}/*-0000{number % 2}-*")
        records = [
            tf.train.Example.FromString(record)
            for record in tf.data.TFRecordDataset(str(path), "GZIP").as_numpy_iterator()
        ]
        image = records[number // 2].features.feature["image/encoded"].bytes_list
        image.value[0] = cut
        with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
            for record in records:
                writer.write(record.SerializeToString())
    return str(tmp_path)


def error_of(uri: str) -> Exception:
    """What TensorFlow says of the images of a split."""
    spec = {"image/encoded": tf.io.FixedLenFeature([], tf.string)}
    records = examples.records(uri, "train").batch(6)
    batches = records.map(lambda batch: tf.io.parse_example(batch, spec)["image/encoded"])
    with pytest.raises(tf.errors.InvalidArgumentError) as raised:
        decode(next(iter(batches)), SETTINGS)
    return raised.value


def test_the_images_are_named(stored):
    text = examples.with_names(str(error_of(stored)), [stored])
    assert text.endswith("TensorFlow does not decode these images: test#5 (test), train#2 (train)")


def test_an_error_about_anything_else_stays_as_it_is(stored):
    assert examples.with_names("no space left on the device", [stored]) == (
        "no space left on the device"
    )


def test_a_run_names_them(stored):
    artifact = standard_artifacts.Examples()
    artifact.uri = stored
    run = run_local._Run(None, "run", Beam())
    run.artifacts["ImageExampleGen"] = {"Examples": artifact}
    run.artifacts["Transform"] = {}
    assert "train#2 (train)" in run_local._message(error_of(stored), run)
