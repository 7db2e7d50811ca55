"""Maps of answers: their sizes, their means, and the places where a network answers."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.maps import arrays, graph
from keras_models.depth.scales import answer_places


def test_channels_are_resized_one_by_one():
    values = np.random.default_rng(0).normal(size=(6, 8, 3)).astype("float32")
    found = arrays.resized(values, (12, 20, 3))
    assert found.shape == (12, 20, 3) and found.dtype == np.float64
    for channel in range(3):
        image = Image.fromarray(values[..., channel]).resize((20, 12), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(found[..., channel], np.asarray(image))
    np.testing.assert_array_equal(arrays.resized(values, (6, 8)), values)


@pytest.mark.parametrize("channels", [(), (3,)])
def test_a_mean_of_maps_is_that_of_what_is_known(channels):
    rng = np.random.default_rng(1)
    values, valid = rng.normal(size=(5, 6, 8, *channels)), rng.uniform(size=(5, 6, 8)) < 0.6
    valid[:, 0, 0] = False
    mean = arrays.MeanMap()
    for each, known in zip(values, valid, strict=True):
        mean.add(np.where(known.reshape(6, 8, *([1] * len(channels))), each, np.nan), known)
    weight = np.broadcast_to(valid.reshape(*valid.shape, *([1] * len(channels))), values.shape)
    expected = np.ma.average(values, axis=0, weights=weight).filled(0)
    np.testing.assert_allclose(mean.mean(), expected, atol=1e-12)
    assert not mean.mean()[0, 0].any()


@pytest.mark.parametrize("size", [(3, 4), (12, 16), (7, 9)])
def test_maps_of_other_sizes_are_brought_to_the_firsts(size):
    first, other = np.zeros((6, 8)), np.random.default_rng(2).normal(size=size).astype("float32")
    mean = arrays.MeanMap()
    mean.add(first, np.ones(first.shape, bool))
    mean.add(other, np.ones(size, bool))
    nearest = np.asarray(Image.fromarray(other).resize((8, 6), Image.Resampling.NEAREST))
    np.testing.assert_allclose(mean.mean(), nearest / 2, rtol=1e-6)


def test_no_map_has_no_mean():
    with pytest.raises(ValueError, match="no map was given"):
        arrays.MeanMap().mean()


@pytest.mark.parametrize("sides", [(25, 35), (13, 18), (60, 80), (7, 9)])
def test_answers_are_interpolated_between_their_places(sides):
    values = np.random.default_rng(3).normal(size=(2, *sides, 3)).astype("float32")
    found = graph.enlarged(tf.constant(values), (60, 80)).numpy()
    places = [answer_places(whole, side) for whole, side in zip((60, 80), sides, strict=True)]
    for channel in (0, 2):
        rows = np.stack(
            [np.interp(np.arange(80), places[1], row) for row in values[1, ..., channel]]
        )
        both = np.stack([np.interp(np.arange(60), places[0], line) for line in rows.T], axis=1)
        np.testing.assert_allclose(found[1, ..., channel], both, atol=1e-5)


def test_targets_are_taken_for_each_output_by_itself():
    targets = tf.random.stateless_uniform([2, 60, 80, 3], [1, 2])
    outputs = {
        "fine": keras.KerasTensor((None, 25, 35, 3)),
        "all": keras.KerasTensor((None, 60, 80)),
    }
    found = graph.at_answers(targets, outputs)
    np.testing.assert_array_equal(found["fine"], targets[:, 5:55:2, 5:75:2])
    np.testing.assert_array_equal(found["all"], targets)


@pytest.mark.parametrize(
    ("shape", "channels", "fits"),
    [
        ((None, 6, 8, 1), 1, True),
        ((None, 6, 8), 1, True),
        ((None, 6, 8, 3), 3, True),
        ((None, 6, 8), 3, False),
        ((None, 6, 8, 2), 3, False),
        ((None, None, 8, 3), 3, False),
        ((None, 8), 1, False),
    ],
)
def test_outputs_that_are_no_maps_are_refused(shape, channels, fits):
    output = keras.KerasTensor(shape)
    if fits:
        graph.check([output], channels, "heat")
        return
    with pytest.raises(ValueError, match="wanted is a map of heat"):
        graph.check([output], channels, "heat")


def test_maps_stand_beside_their_picture_at_its_size():
    colours = [np.full((3, 4, 3), shade, np.uint8) for shade in (80, 160)]
    for mode in ("RGB", "L"):
        drawn = np.asarray(arrays.beside(Image.new(mode, (8, 6)), *colours))
        assert drawn.shape == (6, 24, 3)
        assert [np.unique(drawn[:, start : start + 8]).tolist() for start in (0, 8, 16)] == [
            [0],
            [80],
            [160],
        ]
