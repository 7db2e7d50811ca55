"""The input of a training whose images are decoded anew in each epoch."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft

from components import tasks
from components.ingest.contract import Encoding, Record, to_example
from components.train import data

RECIPE = {"seed": 3, "distorted_copies": 0}

IMAGENET_STEPS = [
    [{"step": "scale_jitter", "low": 26, "high": 36}, {"step": "flip"}, {"step": "pca_colour"}],
    [{"step": "area_aspect"}, {"step": "flip"}, {"step": "photometric"}],
    [{"step": "flip"}, {"step": "pca_colour"}],
    [{"step": "corner_crop", "side": 24}, {"step": "noise", "std": 5.0}],
]


@pytest.mark.parametrize("steps", IMAGENET_STEPS, ids=lambda steps: steps[0]["step"])
def test_images_decoded_in_each_epoch(photographs, steps, monkeypatch):
    """Each epoch cuts every image anew, and a resumed training sees what the first one did."""
    monkeypatch.setattr(data, "_MEMORY_BYTES", 0)
    images = photographs.images
    recipe = {**RECIPE, "preprocess": photographs.preprocess, "augment": steps}
    recipe |= {"epochs": 3, "batch_size": 16}
    batches = list(data.training_batches(images, recipe).as_numpy_iterator())
    assert (data.steps_per_epoch(images, recipe), len(batches)) == (3, 9)
    assert {pixels.shape for pixels, _ in batches} == {(16, 24, 24, 3)}
    assert {label for _, labels in batches for label in labels} == {0, 1, 2}
    every = np.concatenate([pixels for pixels, _ in batches]).reshape(9 * 16, -1)
    assert len(np.unique(every, axis=0)) > 130
    mean = images.mean[0, 0].numpy()
    assert (every.reshape(-1, 3) + mean).min() > -60
    assert (every.reshape(-1, 3) + mean).max() < 255 + 60
    resumed = list(data.training_batches(images, recipe, 1).as_numpy_iterator())
    assert len(resumed) == 6
    for (x, y), (same_x, same_y) in zip(batches[3:], resumed, strict=True):
        np.testing.assert_array_equal(x, same_x)
        np.testing.assert_array_equal(y, same_y)


def test_a_sampling_step_decodes_even_what_fits_into_memory(photographs):
    recipe = {**RECIPE, "preprocess": photographs.preprocess, "augment": IMAGENET_STEPS[1]}
    recipe |= {"epochs": 1, "batch_size": 30}
    first, _ = data.training_batches(photographs.images, recipe).as_numpy_iterator()
    whole, _ = photographs.images.arrays
    assert first[0].shape == (30, 24, 24, 3)
    assert whole.shape == (60, 28, 28, 3)


@pytest.fixture(scope="module")
def deep(analyse, tmp_path_factory) -> data.Images:
    """Pictures in which the level of red, halved, is the depth in tenths of a metre."""
    folder = tmp_path_factory.mktemp("deep")
    (folder / "examples" / "Split-train").mkdir(parents=True)
    path = str(folder / "examples" / "Split-train" / "data_tfrecord-00000-of-00001.gz")
    random = np.random.default_rng(0)
    with tf.io.TFRecordWriter(path, tf.io.TFRecordOptions(compression_type="GZIP")) as file:
        for number in range(20):
            pixels = random.integers(10, 256, (24, 30, 3)).astype(np.uint8)
            given = {"image/encoded": pixels, "depth/encoded": pixels[..., 0] / 20.0}
            example = to_example(Record(str(number), given), Encoding())
            file.write(example.SerializeToString())
    graph = analyse(str(folder / "examples"), {"preprocess": _DEEP}, folder)
    output = tft.TFTransformOutput(graph)
    return data.Images([f"{folder}/examples/Split-train/*"], output, tasks.find("depth"))


_DEEP = {"size": [24, 30], "channels": 3, "fit": "stretch", "range": [0.0, 255.0], "mean": "none"}


@pytest.mark.parametrize("steps", [[], [{"step": "flip"}, {"step": "translate", "pixels": 4}]])
def test_depths_move_with_their_picture(steps, deep):
    recipe = {**RECIPE, "preprocess": _DEEP, "augment": steps, "epochs": 2, "batch_size": 5}
    batches = list(data.training_batches(deep, recipe).as_numpy_iterator())
    assert len(batches) == 8
    for pixels, depths in [*batches, *data.validation_batches(deep, recipe).as_numpy_iterator()]:
        np.testing.assert_allclose(depths[..., 0], pixels[..., 0] / 20.0, atol=1e-3)
    # From outside of a moved picture comes black, of no depth.
    assert any((pixels == 0).any() for pixels, _ in batches) == bool(steps)
