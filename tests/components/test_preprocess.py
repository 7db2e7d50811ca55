import io
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
import skimage.data
import tensorflow as tf
from PIL import Image

from components.preprocess.augment import affine, augment, flip, pad, random_crop
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


SEED = tf.constant([3, 5], tf.int64)


@pytest.fixture(scope="module")
def batch(photo) -> tf.Tensor:
    crops = np.stack([photo[start : start + 48, start : start + 64] for start in range(0, 80, 10)])
    return tf.constant(crops.astype(np.float32))


def test_no_distortion_is_the_identity(batch):
    np.testing.assert_allclose(affine(batch, SEED), batch, atol=1e-3)


def test_affine_against_scipy(batch):
    limits = {"translate": 4.0, "scale": 0.2, "squeeze": 0.15, "shear": 0.3, "rotate": 20.0}
    distorted = affine(batch, SEED, **limits).numpy()
    drawn = tf.random.stateless_uniform([len(batch), 6], SEED, -1.0, 1.0).numpy().astype(float)
    centre = (np.array(batch.shape[1:3]) - 1) / 2
    for image, result, values in zip(batch.numpy(), distorted, drawn, strict=True):
        x, y, grow, squeeze, shear, angle = values * [4.0, *limits.values()]
        angle = np.deg2rad(angle)
        # Forward, in (y, x): turn, shear rows, then stretch; scipy wants the inverse.
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        sheared = np.array([[1, 0], [shear, 1]])
        stretch = np.diag([(1 + grow) / (1 + squeeze), (1 + grow) * (1 + squeeze)])
        inverse = np.linalg.inv(stretch @ sheared @ turn)
        offset = centre - inverse @ (centre + np.array([y, x]))
        expected = np.stack(
            [
                scipy.ndimage.affine_transform(
                    image[..., channel], inverse, offset, order=1, mode="grid-constant"
                )
                for channel in range(3)
            ],
            axis=-1,
        )
        assert np.abs(result - expected).mean() < 0.5


def test_distortions_follow_the_seed(batch):
    steps = [{"step": "affine", "translate": 3.0, "scale": 0.1}]
    first = augment(batch, steps, SEED)
    np.testing.assert_array_equal(first, augment(batch, steps, SEED))
    assert np.abs(first - augment(batch, steps, SEED + 1)).max() > 10
    twice = augment(batch, steps * 2, SEED)
    assert np.abs(twice - augment(first, steps, SEED)).max() > 1


def test_unknown_step(batch):
    with pytest.raises(ValueError, match="'afine'; known: affine"):
        augment(batch, [{"step": "afine"}], SEED)


def numbered(count: int, height: int, width: int) -> np.ndarray:
    """Images of which each pixel is another."""
    pixels = np.arange(count * height * width, dtype=np.float32)
    return pixels.reshape(count, height, width, 1)


def test_flip_mirrors_about_half_of_the_images():
    images = numbered(200, 3, 4)
    flipped = flip(tf.constant(images), SEED).numpy()
    mirrored = [np.array_equal(a, b[:, ::-1]) for a, b in zip(flipped, images, strict=True)]
    kept = [np.array_equal(a, b) for a, b in zip(flipped, images, strict=True)]
    assert sum(mirrored) + sum(kept) == 200
    assert 70 <= sum(mirrored) <= 130


def test_a_margin_and_a_crop_move_the_image():
    """Section 4.2 of He et al. 2016: 4 pixels on each side, then a crop of the old size."""
    images = numbered(500, 6, 5) + 1
    padded = pad(tf.constant(images), SEED, margin=2)
    assert padded.shape == (500, 10, 9, 1)
    crops = random_crop(padded, SEED, 6, 5).numpy()
    places = set()
    for crop, whole in zip(crops, padded.numpy(), strict=True):
        (place,) = [
            (y, x) for y, x in np.ndindex(5, 5) if np.array_equal(crop, whole[y : y + 6, x : x + 5])
        ]
        places.add(place)
    assert len(places) == 25
    assert random_crop(padded, SEED, 10, 9) is padded


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
