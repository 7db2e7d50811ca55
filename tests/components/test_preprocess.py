import io
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import tensorflow as tf
from PIL import Image

from components.preprocess.transform import (
    MEAN,
    PIXELS,
    centre,
    decode,
    normalize,
    preprocessing_fn,
)

GREY = {"size": [32, 32], "channels": 1, "fit": "pad", "range": [-0.1, 1.175], "mean": "none"}


def encoded(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return skimage.data.chelsea()


def test_small_images_are_centred_on_black():
    digit = np.arange(28 * 28, dtype=np.uint8).reshape(28, 28)
    (image,) = decode(tf.constant([encoded(digit)]), GREY).numpy()
    np.testing.assert_array_equal(image[2:30, 2:30, 0], digit)
    assert image[:2].max() == image[30:].max() == image[:, :2].max() == image[:, 30:].max() == 0


def test_large_images_keep_their_shape(photo):
    wide = photo[:150, :300]
    settings = {**GREY, "channels": 3}
    (image,) = decode(tf.constant([encoded(wide)]), settings).numpy()
    assert image[:8].max() == image[24:].max() == 0
    small = Image.fromarray(wide).resize((32, 16), Image.Resampling.BILINEAR)
    assert np.abs(image[8:24] - np.asarray(small)).mean() < 2


def test_stretch_fills_the_frame(photo):
    settings = {**GREY, "channels": 3, "fit": "stretch", "size": [20, 40]}
    (image,) = decode(tf.constant([encoded(photo, "JPEG")]), settings).numpy()
    small = Image.fromarray(photo).resize((40, 20), Image.Resampling.BILINEAR)
    assert np.abs(image - np.asarray(small)).mean() < 3


def test_crop_covers_the_frame_and_keeps_the_centre(photo):
    """300 x 451: the shorter side becomes 64, and the centre of the longer remains."""
    settings = {**GREY, "channels": 3, "fit": "crop", "size": [56, 56], "resize": 64}
    (image,) = decode(tf.constant([encoded(photo)]), settings).numpy()
    assert image.shape == (64, 64, 3)
    small = Image.fromarray(photo).resize((96, 64), Image.Resampling.BILINEAR)
    assert np.abs(image - np.asarray(small)[:, 16:80]).mean() < 4
    np.testing.assert_array_equal(centre(tf.constant(image), settings), image[4:60, 4:60])


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("fit", ["pad", "stretch", "crop"])
def test_a_line_is_a_picture_too(fit, turned):
    """Grey 100 in the middle third, 200 on both sides of it."""
    line = np.full((1, 3000), 200, np.uint8)
    line[:, 1000:2000] = 100
    data = tf.constant([encoded(line.T if turned else line)])
    pixels = decode(data, {**GREY, "fit": fit}).numpy()[0, :, :, 0]
    pixels = pixels.T if turned else pixels
    wanted = {"pad": [0, 200, 100, 0], "stretch": [200, 200, 100, 200], "crop": [100] * 4}[fit]
    places = [(0, 0), (15, 3), (15, 16), (28, 28)]
    assert [pixels[place] for place in places] == wanted


@pytest.mark.parametrize("shape", [(500, 333), (333, 500), (64, 1024), (1024, 64), (7, 100)])
def test_the_crop_of_other_pictures_is_that_of_the_whole_resized(shape):
    picture = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    sides = [round(side * 32 / min(shape)) for side in shape]
    resized = tf.image.resize(picture.astype("float32"), sides, antialias=True)
    wanted = tf.image.resize_with_crop_or_pad(resized, 32, 32)
    settings = {**GREY, "fit": "crop", "channels": 3}
    (found,) = decode(tf.constant([encoded(picture)]), settings).numpy()
    np.testing.assert_array_equal(found, np.round(np.clip(wanted, 0, 255)))


def test_colour_and_grey_meet(photo):
    batch = tf.constant([encoded(photo[:30, :30]), encoded(photo[:30, :30, 0])])
    assert decode(batch, GREY).shape == (2, 32, 32, 1)
    assert decode(batch, {**GREY, "channels": 3}).shape == (2, 32, 32, 3)


def test_pixels_are_whole_numbers(photo):
    """Training keeps bytes, serving floats: both must see the same."""
    image = decode(tf.constant([encoded(photo)]), {**GREY, "fit": "stretch"}).numpy()
    np.testing.assert_array_equal(image, image.astype(np.uint8))


def test_the_papers_range():
    """LeCun et al. 1998, section II.B: background -0.1, foreground 1.175."""
    pixels = tf.constant([0.0, 255.0])[None, :, None, None]
    values = normalize(pixels, tf.zeros([2, 1, 1]), GREY).numpy().ravel()
    np.testing.assert_allclose(values, [-0.1, 1.175], rtol=1e-6)


def test_per_pixel_mean_is_that_of_the_training_set(train_images, mnist_subset):
    images, _ = mnist_subset["train"]
    padded = np.pad(images.astype(np.float64), [(0, 0), (2, 2), (2, 2)])
    for settings, images_of in train_images.items():
        mean = images_of.mean.numpy()[..., 0]
        expected = padded.mean(axis=0) if settings == "per_pixel" else np.zeros((32, 32))
        np.testing.assert_allclose(mean, expected, atol=1e-3)


def test_the_mean_of_another_data_set_is_a_constant(transformed, train_images, photo):
    """What a retrained network's images are prepared with: the mean of its base's images."""
    folder = str(Path(transformed["per_pixel"].transform_savedmodel_dir).parent)
    settings = {**GREY, "mean": "per_pixel"}

    @tf.function(input_signature=[tf.TensorSpec([None, 1], tf.string)])
    def graph(images):
        inputs = {"image/encoded": images, "label": tf.zeros_like(images, tf.int64)}
        return preprocessing_fn(inputs, {"preprocess": settings, "base": folder})

    features = graph(tf.constant([[encoded(photo)], [encoded(photo[:28, :28])]]))
    expected = train_images["per_pixel"].mean.numpy()
    assert expected.max() > 50
    for mean in features[MEAN].numpy():
        np.testing.assert_array_equal(mean, expected)
    alone = decode(tf.constant([encoded(photo)]), settings)
    np.testing.assert_array_equal(features[PIXELS][:1], alone)


def test_principal_axes_are_those_of_all_pixels(photographs):
    """By a full pass of a real Beam job, against NumPy on every pixel."""
    pixels, _ = photographs.images.arrays
    values, vectors = np.linalg.eigh(np.cov(pixels.numpy().reshape(-1, 3).T.astype(float), ddof=0))
    axes = photographs.images.axes.numpy()
    np.testing.assert_allclose(np.linalg.norm(axes, axis=1), np.sqrt(values), rtol=1e-3)
    for axis, vector in zip(axes, vectors.T, strict=True):
        assert abs(axis @ vector) / np.linalg.norm(axis) == pytest.approx(1, abs=1e-4)


def test_no_axes_where_nobody_asked(train_images):
    assert train_images["none"].axes is None
