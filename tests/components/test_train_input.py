"""The input of a training whose images are decoded anew in each epoch."""

import numpy as np
import pytest

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
    recipe |= {"epochs": 1, "batch_size": 60}
    ((pixels, _),) = data.training_batches(photographs.images, recipe).as_numpy_iterator()
    whole, _ = photographs.images.arrays
    assert pixels.shape == (60, 24, 24, 3)
    assert whole.shape == (60, 28, 28, 3)
