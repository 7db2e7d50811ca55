"""Where a network's input lies in the picture: against what becomes of the picture's pixels."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.preprocess import originals, places
from components.preprocess.transform import centre, decode
from components.tasks import Output

SIZE = (24, 32)
SHAPES = ((60, 80), (31, 117), (117, 31), (20, 24), (24, 32), (9, 300))
BOXES = Output("boxes", "float32", (None, 4), "pixels", is_place=True)
POINTS = Output("points", "float32", (None, 2), "pixels", is_place=True)


def settings(fit: str, resize: int | None) -> dict:
    return {"size": [*SIZE], "resize": resize, "channels": 1, "fit": fit}


def encoded(pixels: np.ndarray, kind: str = "PNG", **more) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **more)
    return file.getvalue()


@pytest.mark.parametrize("resize", [None, 40])
@pytest.mark.parametrize("fit", ["pad", "stretch", "crop"])
def test_a_window_is_where_the_pixels_are_from(fit, resize):
    """A ramp from 20 to 250 along a side says of each pixel where in the picture it was."""
    for shape in SHAPES:
        given = settings(fit, resize)
        window = places.input_window(tf.constant([shape]), given).numpy()[0]
        for axis in range(2):
            side, count = shape[axis], SIZE[axis]
            ramp = 20 + 230 * (np.arange(side) + 0.5) / side
            line = ramp[:, None] if axis == 0 else ramp[None]
            picture = np.broadcast_to(line.round().astype(np.uint8), shape)
            seen = centre(decode(tf.constant([encoded(picture)]), given), given).numpy()[0, ..., 0]
            found = (seen.max(axis=1 - axis) - 20) / 230
            first, last = window[axis], window[axis + 2]
            at = first + (np.arange(count) + 0.5) / count * (last - first)
            outside = (at < 0) | (at > 1)
            np.testing.assert_array_equal(found < 0, outside)
            # At the ends there is less to interpolate with.
            end = 0.5 / side + (last - first) / count
            within = (at > end) & (at < 1 - end)
            np.testing.assert_allclose(found[within], at[within], atol=0.012)


@pytest.mark.parametrize("fit", ["pad", "stretch", "crop"])
def test_places_come_back(fit):
    sides = tf.constant(SHAPES)
    window = places.input_window(sides, settings(fit, 40))
    boxes = tf.random.stateless_uniform([len(SHAPES), 4], [0, 0])
    there = places.to_input(boxes, window)
    np.testing.assert_allclose(places.to_picture(there, window), boxes, atol=1e-5)
    of_corner = places.to_input(boxes[:, :2], window)
    np.testing.assert_allclose(of_corner, there[:, :2], atol=1e-6)


def test_places_in_pixels_are_cut_at_the_sides_and_zeros_stay():
    sides = tf.constant([[100, 200], [50, 50]])
    window = tf.constant([[0.0, -0.5, 1.0, 1.5], [0.25, 0.25, 0.75, 0.75]])
    given = {
        "boxes": tf.constant([[[0.5, 0.5, 1, 1], [0, 0, 0, 0]], [[0, 0, 0.5, 1], [0, 0, 0, 0.0]]]),
        "points": tf.constant([[0.5, 0.75], [0.0, 1.0]]),
        "scores": tf.constant([0.5, 0.5]),
    }
    found = places.in_pixels(given, [BOXES, POINTS], window, sides)
    np.testing.assert_allclose(
        found["boxes"], [[[50, 100, 100, 200], [0] * 4], [[12.5, 12.5, 25, 37.5], [0] * 4]]
    )
    np.testing.assert_allclose(found["points"], [[50, 200], [12.5, 37.5]])
    assert found["scores"] is given["scores"]


def test_sides_of_files_are_those_of_what_is_seen():
    pixels = np.zeros((30, 70, 3), np.uint8)
    turned = Image.Exif()
    turned[0x0112] = 6
    files = [
        encoded(pixels),
        encoded(pixels, "JPEG"),
        encoded(pixels, "JPEG", exif=turned),
        encoded(pixels, "PNG", exif=turned),
        encoded(pixels[..., 0]),
        encoded(np.zeros((300, 500, 4), np.uint8)),
    ]
    expected = [[30, 70], [30, 70], [70, 30], [70, 30], [30, 70], [300, 500]]
    found = originals.sides(tf.constant(files))
    np.testing.assert_array_equal(found, expected)
    ingest = {"shorter_side": 15, "format": "keep", "quality": 95}
    stored = originals.stored(tf.constant(files), ingest)
    np.testing.assert_array_equal(originals.sides(stored), originals.stored_sides(found, ingest))
