"""Parts of encoded photographs, decoded anew in each epoch."""

import io

import numpy as np
import pytest
import skimage.data
import tensorflow as tf
from PIL import Image

from components.preprocess import sampling
from components.preprocess.transform import decode_one

SETTINGS = {
    "size": [96, 96],
    "resize": 112,
    "channels": 3,
    "fit": "crop",
    "range": [0.0, 255.0],
    "mean": "none",
}
SEEDS = [tf.constant([3, number], tf.int64) for number in range(6)]
JITTER = {"step": "scale_jitter", "low": 100, "high": 180}


def encoded(kind: str) -> tf.Tensor:
    buffer = io.BytesIO()
    Image.fromarray(skimage.data.chelsea()).save(buffer, kind)
    return tf.constant(buffer.getvalue())


@pytest.fixture(scope="module")
def images() -> dict[str, tf.Tensor]:
    return {kind: encoded(kind) for kind in ("JPEG", "PNG")}


def whole(image: tf.Tensor) -> tf.Tensor:
    return tf.io.decode_image(image, channels=3, expand_animations=False)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("seed", SEEDS)
def test_scale_jitter_is_a_crop_of_the_resized_image(images, kind, seed):
    part = sampling.sample(images[kind], SETTINGS, JITTER, seed).numpy().astype(int)
    shape = whole(images[kind]).numpy().shape[:2]
    shown = sampling.window(JITTER, shape, seed, (96, 96))
    scales = 96 / np.array([shown.height, shown.width])
    sides = np.round(np.array(shape) * scales).astype(int)
    assert 100 <= min(sides) <= 180
    resized = tf.image.resize(whole(images[kind]), sides, antialias=True).numpy()
    top, left = np.round([shown.top * scales[0], shown.left * scales[1]]).astype(int)
    crop = np.round(resized[top : top + 96, left : left + 96])
    assert crop.shape == part.shape
    # A half may be rounded up in one and down in the other.
    assert np.abs(part - crop).max() <= 1
    assert (part != crop).mean() < 0.01


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("seed", SEEDS)
def test_scale_jitter_against_pillow(images, kind, seed):
    part = sampling.sample(images[kind], SETTINGS, JITTER, seed).numpy().astype(int)
    pixels = whole(images[kind]).numpy()
    top, left, height, width = map(float, sampling.window(JITTER, pixels.shape[:2], seed, (96, 96)))
    expected = Image.fromarray(pixels).resize(
        (96, 96), Image.Resampling.BILINEAR, box=(left, top, left + width, top + height)
    )
    difference = np.abs(part - np.asarray(expected).astype(int))[2:-2, 2:-2]
    assert difference.mean() < 1
    assert difference.max() <= 6


def test_shorter_sides_are_drawn_evenly():
    shape = tf.constant([375, 500])

    @tf.function
    def shorter(number):
        shown = sampling.scale_jitter(shape, tf.stack([7, number]), (224, 224), 256, 480)
        return tf.round(375.0 * 224.0 / shown.height)

    sides = tf.map_fn(shorter, tf.range(3000, dtype=tf.int64), tf.float32).numpy()
    assert (sides.min(), sides.max()) == (256, 480)
    counts, _ = np.histogram(sides, bins=5, range=(256, 481))
    assert np.abs(counts - 600).max() < 120


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("seed", SEEDS)
def test_area_and_aspect_against_pillow(images, kind, seed):
    step = {"step": "area_aspect"}
    part = sampling.sample(images[kind], SETTINGS, step, seed).numpy().astype(int)
    pixels = whole(images[kind]).numpy()
    top, left, height, width = (
        int(value) for value in sampling.window(step, pixels.shape[:2], seed, (96, 96))
    )
    crop = Image.fromarray(pixels[top : top + height, left : left + width])
    # The window has no border: beyond its last pixel is the next one of the image.
    expected = Image.fromarray(pixels).resize(
        (96, 96), Image.Resampling.BILINEAR, box=(left, top, left + width, top + height)
    )
    assert crop.size == (width, height)
    difference = np.abs(part - np.asarray(expected).astype(int))[2:-2, 2:-2]
    assert difference.mean() < 1
    assert difference.max() <= 6


def test_areas_and_aspects_are_drawn_evenly():
    """Square images: every draw up to three quarters of the area fits."""
    side = 1000

    @tf.function
    def drawn(number):
        shown = sampling.area_aspect(tf.constant([side, side]), tf.stack([1, number]), (8, 8))
        return tf.stack(shown)

    windows = tf.map_fn(drawn, tf.range(3000, dtype=tf.int64), tf.float32).numpy()
    assert (windows[:, :2] >= 0).all()
    assert (windows[:, :2] + windows[:, 2:] <= side).all()
    areas = windows[:, 2] * windows[:, 3] / side**2
    assert areas.min() == pytest.approx(0.08, abs=0.005)
    assert areas.max() > 0.95
    counts, _ = np.histogram(areas, bins=4, range=(0.08, 0.72))
    assert counts.std() < 0.1 * counts.mean()
    logarithms = np.log(windows[:, 3] / windows[:, 2]) / np.log(4 / 3)
    assert np.abs(logarithms).max() <= 1.05
    assert abs(logarithms.mean()) < 0.05


def test_a_shape_that_no_draw_fits():
    """30 x 1000 pixels: 8 % of the area at 3/4 would be 57 pixels high."""
    for seed in SEEDS:
        top, left, height, width = sampling.area_aspect(tf.constant([30, 1000]), seed, (8, 8))
        assert (float(top), float(height)) == (0, 30)
        assert 0.7 < float(width) / 30 < 1.4
        assert 0 <= float(left) <= 1000 - float(width)


def test_a_plain_crop_is_one_of_the_stored_image(images):
    """Section 4.1 of Krizhevsky et al. 2012, without decoding what is not seen."""
    for kind, image in images.items():
        step = sampling.sampling_step({"preprocess": SETTINGS, "augment": [{"step": "flip"}]})
        stored = decode_one(image, SETTINGS).numpy()
        found = set()
        for seed in SEEDS:
            part = sampling.sample(image, SETTINGS, step, seed).numpy()
            differences = {
                (y, x): np.abs(stored[y : y + 96, x : x + 96] - part).mean()
                for y, x in np.ndindex(17, 17)
            }
            place = min(differences, key=differences.get)
            assert differences[place] < 0.01, kind
            found.add(place)
        assert len(found) > 3


def test_steps_that_need_the_whole_image_get_it(images):
    for steps in ([{"step": "corner_crop", "side": 96}], [{"step": "affine", "rotate": 9.0}]):
        recipe = {"preprocess": SETTINGS, "augment": steps}
        assert sampling.sampling_step(recipe) is None
    (image,) = [images["JPEG"]]
    pixels = sampling.sample(image, SETTINGS, None, SEEDS[0])
    np.testing.assert_array_equal(pixels, decode_one(image, SETTINGS))


def test_the_part_and_the_motion_of_a_window_agree():
    """A ramp, whose values say where a pixel is from."""
    ramp = np.tile(np.arange(200, dtype=np.uint8), (100, 1))[..., None]
    shown = sampling.Window(*map(tf.constant, (10.0, 20.0, 60.0, 90.0)))
    part = sampling.resized(tf.constant(ramp), shown, (30, 30)).numpy()[..., 0]
    matrix = sampling.motion(shown, (30, 30)).matrix.numpy()[0]
    columns = matrix[1] @ np.stack([np.zeros(30), np.arange(30), np.ones(30)])
    np.testing.assert_allclose(part[15], columns, atol=0.51)
