"""Each distortion against NumPy, SciPy, scikit-image or Pillow, on real photographs."""

import inspect

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import skimage.data
import skimage.transform
import tensorflow as tf
from PIL import Image, ImageEnhance

from components.ingest import normals
from components.preprocess import augment as steps_of_batches
from components.preprocess import colour, geometry, sampling, steps
from components.preprocess.augment import augment, augment_example, flip, pad, random_crop
from components.settings import RecipeError

SEED = tf.constant([3, 5], tf.int64)
LIMITS = {"translate": 4.0, "scale": 0.2, "squeeze": 0.15, "shear": 0.3, "rotate": 20.0}
PREPROCESS = {"size": [32, 32], "channels": 3}


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return skimage.data.chelsea()


@pytest.fixture(scope="module")
def batch(photo) -> tf.Tensor:
    crops = np.stack([photo[start : start + 48, start : start + 64] for start in range(0, 80, 10)])
    return tf.constant(crops.astype(np.float32))


def affine(pixels, seed, **limits):
    return augment(pixels, [{"step": "affine", **limits}], seed)


def drawn_seed(number=0):
    """The seed that `augment` gives to the step of this number."""
    return tf.random.experimental.stateless_fold_in(SEED, number)


def numbered(count: int, height: int, width: int) -> np.ndarray:
    """Images of which each pixel is another."""
    pixels = np.arange(count * height * width, dtype=np.float32)
    return pixels.reshape(count, height, width, 1)


def test_no_distortion_is_the_identity(batch):
    np.testing.assert_allclose(affine(batch, SEED), batch, atol=1e-3)


def test_affine_against_scipy(batch):
    distorted = affine(batch, SEED, **LIMITS).numpy()
    drawn = tf.random.stateless_uniform([len(batch), 6], drawn_seed(), -1.0, 1.0)
    centre = (np.array(batch.shape[1:3]) - 1) / 2
    for image, result, values in zip(batch.numpy(), distorted, drawn.numpy(), strict=True):
        x, y, grow, squeeze, shear, angle = values.astype(float) * [4.0, *LIMITS.values()]
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


def test_a_rotation_against_scikit_image(photo):
    image = photo[:64, :80].astype(np.float32)
    angle = float(tf.random.stateless_uniform([1, 6], drawn_seed(), -1.0, 1.0)[0, 5]) * 30.0
    turned = affine(image[None], SEED, rotate=30.0)[0].numpy()
    expected = skimage.transform.rotate(image, -angle, order=1, preserve_range=True)
    # The outermost pixels mix with what lies outside: each library does so in its own way.
    inside = skimage.transform.rotate(np.ones(image.shape[:2]), -angle, order=1) > 0.999
    assert abs(angle) > 2
    assert np.abs(turned - expected)[inside].mean() < 0.1


def test_elastic_against_scipy(batch):
    """The field is a smoothed one, and the pixels are those at its places."""
    sigma, alpha = 4.0, 34.0
    count, height, width, _ = batch.shape
    result = augment(batch, [{"step": "elastic", "sigma": sigma, "alpha": alpha}], SEED).numpy()
    noise = tf.random.stateless_uniform([count, height, width, 2], drawn_seed(), -1.0, 1.0)
    smooth = [0, sigma, sigma, 0]
    flow = alpha * scipy.ndimage.gaussian_filter(noise.numpy(), smooth, mode="constant")
    assert 0.5 < flow.std() < 3
    grid = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"))
    for image, moved, one in zip(batch.numpy(), result, flow, strict=True):
        places = grid + np.moveaxis(one, -1, 0)
        for channel in range(3):
            expected = scipy.ndimage.map_coordinates(
                image[..., channel], places, order=1, mode="grid-constant"
            )
            np.testing.assert_allclose(moved[..., channel], expected, atol=0.05)


def test_distortions_follow_the_seed(batch):
    for name, values in (
        ("affine", {"translate": 3.0, "scale": 0.1}),
        ("elastic", {"sigma": 4.0, "alpha": 34.0}),
        ("translate", {"pixels": 5}),
        ("photometric", {}),
        ("noise", {"std": 8.0}),
    ):
        one_step = [{"step": name, **values}]
        first = augment(batch, one_step, SEED)
        np.testing.assert_array_equal(first, augment(batch, one_step, SEED))
        assert np.abs(first - augment(batch, one_step, SEED + 1)).max() > 10, name
        twice = augment(batch, one_step * 2, SEED)
        assert np.abs(twice - augment(first, one_step, SEED)).max() > 1, name


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


def test_corner_crops_are_five():
    images = numbered(100, 7, 9)
    crops = augment(tf.constant(images), [{"step": "corner_crop", "side": 4}], SEED).numpy()
    places = {
        tuple(np.argwhere(image[..., 0] == crop[0, 0])[0])
        for image, crop in zip(images, crops[..., 0], strict=True)
    }
    assert places == {(0, 0), (0, 5), (3, 0), (3, 5), (1, 2)}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("flip", {}),
        ("pad", {"margin": 2}),
        ("translate", {"pixels": 3}),
        ("corner_crop", {"side": 5}),
    ],
)
def test_copying_moves_as_resampling_does(name, values):
    """What is done to whole pixels is what `augment_example` does to all else."""
    images = tf.constant(numbered(20, 6, 8))
    motion = steps_of_batches.MOTIONS[name](images.shape[:3], drawn_seed(), **values)
    resampled = geometry.resample(images, motion)
    np.testing.assert_array_equal(resampled, augment(images, [{"step": name, **values}], SEED))


def test_affine_and_elastic_in_a_row_interpolate_once(batch):
    """Twice would blur: places are those of one after the other, pixels are read once."""
    first, second = {"rotate": 30.0, "shear": 0.2}, {"translate": 2.0, "scale": 0.1}
    elastic = {"sigma": 3.0, "alpha": 20.0}
    shape = tuple(batch.shape[:3])
    motions = [
        geometry.affine(shape, drawn_seed(0), **first),
        geometry.affine(shape, drawn_seed(1), **second),
        geometry.elastic(shape, drawn_seed(2), **elastic),
    ]
    points = tf.random.stateless_uniform([len(batch), 5, 2], SEED, 5.0, 15.0)
    apart = points
    for motion in motions:
        apart = geometry.move_points(apart, motion)
    once = geometry.chained(geometry.chained(*motions[:2]), motions[2])
    np.testing.assert_allclose(geometry.move_points(points, once), apart, atol=1e-3)
    given = [
        {"step": "affine", **first},
        {"step": "affine", **second},
        {"step": "elastic", **elastic},
    ]
    expected = geometry.resample(batch, once)
    np.testing.assert_allclose(augment(batch, given, SEED), expected, atol=1e-3)
    example = augment_example({"image": batch[0]}, given, SEED, tuple(batch.shape[1:3]))["image"]
    np.testing.assert_allclose(example, augment(batch[:1], given, SEED)[0], atol=1e-3)


def test_pca_colour_adds_along_the_axes(batch):
    axes = tf.constant([[1.0, 2.0, -1.0], [10.0, 0.0, 10.0], [30.0, 31.0, 29.0]])
    step = {"step": "pca_colour", "std": 0.1}
    added = (augment(batch, [step], SEED, axes) - batch).numpy()
    drawn = 0.1 * tf.random.stateless_normal([len(batch), 3], drawn_seed())
    expected = np.broadcast_to((drawn.numpy() @ axes.numpy())[:, None, None], added.shape)
    np.testing.assert_allclose(added, expected, atol=1e-4)
    many = colour.pca_colour(tf.zeros([4000, 1, 1, 3]), SEED, axes)[:, 0, 0].numpy()
    np.testing.assert_allclose(
        np.cov(many.T), 0.01 * axes.numpy().T @ axes.numpy(), rtol=0.1, atol=0.1
    )


def test_photometric_against_pillow(photo):
    """On an image of which nothing is cut off: there Pillow is the same, but that it drops
    fractions three times."""
    image = (100 + photo[:40, :50] * 0.2).astype(np.uint8)
    batch = np.stack([image] * 40)
    result = colour.photometric(tf.constant(batch), SEED, strength=0.3).numpy()
    order_seed, factor_seed = tf.unstack(tf.random.split(SEED))
    factors = tf.random.stateless_uniform([40, 3], factor_seed, 0.7, 1.3).numpy()
    orders = tf.argsort(tf.random.stateless_uniform([40, 3], order_seed), axis=1).numpy()
    assert len({tuple(order) for order in orders}) == 6
    enhancers = ImageEnhance.Contrast, ImageEnhance.Brightness, ImageEnhance.Color
    for one, order, row in zip(result, orders, factors, strict=True):
        enhanced = Image.fromarray(image)
        for which, factor in zip(order, row, strict=True):
            enhanced = enhancers[which](enhanced).enhance(factor)
        assert np.abs(one - np.asarray(enhanced)).max() < 4
        assert np.abs(one - np.asarray(enhanced)).mean() < 2


def test_translate_against_numpy():
    images = numbered(300, 6, 5) + 1
    shifted = augment(tf.constant(images), [{"step": "translate", "pixels": 2}], SEED).numpy()
    moves = set()
    for image, result in zip(images, shifted, strict=True):
        # The pixel in the middle is never moved out, nor is there another like it.
        ((y, x, _),) = np.argwhere(result == image[3, 2])
        moves.add((y - 3, x - 2))
        rolled = np.roll(np.pad(image, ((2, 2), (2, 2), (0, 0))), (y - 3, x - 2), axis=(0, 1))
        np.testing.assert_array_equal(result, rolled[2:-2, 2:-2])
    assert moves == {(down, right) for down in range(-2, 3) for right in range(-2, 3)}


def test_noise_against_numpy(batch):
    drawn = tf.random.stateless_normal(batch.shape, drawn_seed(), stddev=30.0).numpy()
    noisy = augment(batch, [{"step": "noise", "std": 30.0}], SEED).numpy()
    np.testing.assert_allclose(noisy, np.clip(batch.numpy() + drawn, 0, 255), atol=1e-4)
    added = augment(tf.fill([4, 50, 50, 3], 128.0), [{"step": "noise", "std": 10.0}], SEED) - 128.0
    normal = np.random.default_rng(0).normal(0, 10, 30_000)
    assert scipy.stats.ks_2samp(added.numpy().ravel(), normal).pvalue > 0.01
    for axis in range(4):
        lines = np.moveaxis(added.numpy(), axis, 0)
        assert abs(np.corrcoef(lines[1:].ravel(), lines[:-1].ravel())[0, 1]) < 0.03


def test_noise(batch):
    mid = tf.fill([4, 40, 40, 3], 128.0)
    added = augment(mid, [{"step": "noise", "std": 10.0}], SEED).numpy() - 128
    assert abs(added.mean()) < 0.3
    assert added.std() == pytest.approx(10, rel=0.02)
    bounded = augment(batch, [{"step": "noise", "std": 200.0}], SEED).numpy()
    assert (bounded.min(), bounded.max()) == (0, 255)


# All that is known of an image moves with it.


def scene():
    """A bright square on black, and its mask, depth, normals, box and corners."""
    image = np.zeros((40, 60, 3), np.float32)
    image[10:22, 30:46] = 255.0
    mask = (image[..., :1] > 0).astype(np.uint8)
    depth = np.where(mask > 0, 1500.0, 3000.0).astype(np.float32)
    normals = np.broadcast_to(np.float32([0.6, 0.0, 0.8]), image.shape).copy()
    corners = np.float32([[10.5, 30.5], [10.5, 45.5], [21.5, 45.5], [21.5, 30.5]])
    return {
        "image": tf.constant(image),
        "segmentation": tf.constant(mask),
        "depth": tf.constant(depth),
        "normals": tf.constant(normals),
        "target": tf.constant(image.repeat(2, axis=0).repeat(2, axis=1)),
        "frames": tf.constant(np.stack([image, image / 2, 255 - image])),
        "keypoints": tf.constant(corners / np.float32([40, 60])),
        "objects/bbox": tf.constant(np.float32([[10 / 40, 30 / 60, 22 / 40, 46 / 60]])),
        "objects/label": tf.constant([7], tf.int64),
        "label": tf.constant(3, tf.int64),
    }


def moved(step, seed=SEED, size=(40, 60)):
    return {
        name: value.numpy() for name, value in augment_example(scene(), [step], seed, size).items()
    }


@pytest.mark.parametrize(("low", "depth"), [(40, 3000.0), (80, 1500.0), (60, 2000.0)])
def test_what_is_enlarged_is_nearer(low, depth):
    """Eigen, Puhrsch, Fergus 2014, section 3.4: depths are divided by the scale."""
    after = moved({"step": "scale_jitter", "low": low, "high": low}, size=(30, 30))
    assert after["depth"].max() == pytest.approx(depth)


MOVES = [
    {"step": "flip"},
    {"step": "affine", "translate": 4.0, "rotate": 25.0, "scale": 0.15, "shear": 0.1},
    {"step": "translate", "pixels": 6},
    {"step": "elastic", "sigma": 5.0, "alpha": 40.0},
    {"step": "pad", "margin": 5},
    {"step": "corner_crop", "side": 34},
    {"step": "scale_jitter", "low": 60, "high": 70},
    {"step": "area_aspect", "area": [0.3, 1.0]},
]


@pytest.mark.parametrize("step", MOVES, ids=lambda step: step["step"])
@pytest.mark.parametrize("number", range(4))
def test_everything_moves_with_the_image(step, number):
    height, width = size = (34, 34) if step["step"] == "corner_crop" else (40, 60)
    after = moved(step, SEED + number, size)
    bright = after["image"][..., 0] > 128
    mask = after["segmentation"][..., 0] == 1
    known = after["segmentation"][..., 0] != 255
    # The border of the square, where a half decides, is all in which they may differ.
    border = 2 * (bright.sum() ** 0.5) * 4
    assert (bright != mask).sum() <= border * 0.5
    # By as much as things are enlarged they are nearer.
    far = after["depth"].max()
    np.testing.assert_allclose(after["depth"][..., 0][mask], far / 2, rtol=1e-5)
    np.testing.assert_allclose(after["depth"][..., 0][known & ~mask], far, rtol=1e-5)
    np.testing.assert_array_equal(after["depth"][..., 0] == 0, ~known)
    rows, columns = np.nonzero(mask)
    inside = (after["keypoints"] > 0.02).all() and (after["keypoints"] < 0.98).all()
    if inside:
        (box,) = after["objects/bbox"] * [*size, *size]
        tight = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
        # An elastic motion can bend the sides of the square beyond its corners.
        np.testing.assert_allclose(box, tight, atol=3.0 if step["step"] == "elastic" else 1.6)
        corners = after["keypoints"] * size
        np.testing.assert_allclose(corners.min(axis=0), box[:2], atol=2.5)
    assert after["label"] == 3
    lengths = np.linalg.norm(after["normals"][known], axis=-1)
    np.testing.assert_allclose(lengths, 1.0, atol=1e-5)
    # The target is twice as high and as wide: each pixel of the image covers four of it.
    assert after["target"].shape == (2 * height, 2 * width, 3)
    covered = after["target"].reshape(height, 2, width, 2, 3).mean(axis=(1, 3))
    assert (np.abs(covered - after["image"]) > 80).sum() <= border
    assert np.abs(covered - after["image"]).mean() < 4
    first, half, inverse = after["frames"]
    np.testing.assert_allclose(first, after["image"], atol=1e-3)
    np.testing.assert_allclose(half, after["image"] / 2, atol=0.51)
    # But where the image ends, and black comes in by parts.
    assert (np.abs((first + inverse)[known] - 255) > 1.01).mean() < 0.05


def test_the_target_of_a_mirrored_and_cropped_image_is_that_part_of_it():
    """As a pair for super-resolution is made: the input is the target at half the size."""
    target = skimage.data.chelsea()[:80, :120].astype(np.float32)
    image = target.reshape(40, 2, 60, 2, 3).mean(axis=(1, 3))
    pair = {"image": tf.constant(image), "target": tf.constant(target)}
    given = [{"step": "flip"}, {"step": "translate", "pixels": 3}]
    places = set()
    for number in range(8):
        after = augment_example(pair, given, SEED + number, (24, 32))
        halved = after["target"].numpy().reshape(24, 2, 32, 2, 3).mean(axis=(1, 3))
        np.testing.assert_allclose(halved, after["image"], atol=1e-2)
        places.add(float(after["image"][0, 0, 0]))
    assert len(places) > 4


@pytest.mark.parametrize("step", MOVES, ids=lambda step: step["step"])
def test_sizes_that_a_graph_does_not_know(step):
    names = ("image", "target", "frames")
    size = (34, 34) if step["step"] == "corner_crop" else (40, 60)

    @tf.function
    def unknown(*rasters):
        return augment_example(dict(zip(names, rasters, strict=True)), [step], SEED, size)

    shapes = ([None, None, 3], [None, None, 3], [None, None, None, 3])
    graph = unknown.get_concrete_function(*(tf.TensorSpec(shape) for shape in shapes))
    after = graph(*(scene()[name] for name in names))
    for name, expected in moved(step, size=size).items():
        if name in names:
            np.testing.assert_allclose(after[name], expected, atol=0.02)


def test_colours_change_in_target_and_frames_too_and_noise_in_the_frames_alone(batch):
    image = batch[0] / 2 + 60
    pair = {"image": image, "target": image, "frames": tf.stack([image, image])}
    size = tuple(image.shape[:2])
    after = augment_example(pair, [{"step": "photometric", "strength": 0.3}], SEED, size)
    assert np.abs(after["image"] - image).mean() > 2
    for one in (after["target"], *after["frames"]):
        np.testing.assert_allclose(one, after["image"], atol=1e-3)
    noisy = augment_example(pair, [{"step": "noise", "std": 9.0}], SEED, size)
    np.testing.assert_allclose(noisy["target"], image, atol=1e-3)
    assert np.std(noisy["frames"][0] - image) == pytest.approx(9.0, rel=0.1)


@pytest.mark.parametrize("shape", [(60, 90, 3), (80, 119, 3), (20, 30, 3)])
def test_a_target_that_is_no_whole_times_as_large_is_refused(shape):
    pair = {"image": tf.zeros([40, 60, 3]), "target": tf.zeros(shape)}
    with pytest.raises(tf.errors.InvalidArgumentError, match="larger by a whole factor"):
        augment_example(pair, [{"step": "flip"}], SEED, (40, 60))


def test_a_mirror_negates_x_and_a_turn_turns():
    after = next(
        one
        for one in (moved({"step": "flip"}, SEED + number) for number in range(9))
        if one["normals"][0, 0, 0] < 0
    )
    np.testing.assert_allclose(after["normals"][5, 5], [-0.6, 0.0, 0.8], atol=1e-6)
    np.testing.assert_allclose(after["keypoints"][0], [10.5 / 40, 1 - 30.5 / 60], atol=1e-6)
    step = {"step": "affine", "rotate": 40.0}
    drawn = tf.random.stateless_uniform([1, 6], drawn_seed(), -1.0, 1.0)[0, 5]
    angle = np.deg2rad(float(drawn) * 40.0)
    x, y, z = moved(step)["normals"][20, 30]
    np.testing.assert_allclose([x, z], [0.6 * np.cos(angle), 0.8], atol=1e-5)
    assert abs(y) == pytest.approx(0.6 * abs(np.sin(angle)), abs=1e-5)
    # The normal turns as a line along x on the image does.
    start, end = moved(step)["keypoints"][:2] * [40, 60]
    np.testing.assert_allclose(np.arctan2(*(end - start)), np.arctan2(y, x), atol=1e-4)


@pytest.mark.parametrize(
    "step",
    [
        {"step": "affine", "rotate": 30.0},
        {"step": "affine", "scale": 0.3},
        {"step": "affine", "shear": 0.3, "squeeze": 0.2},
        {"step": "affine", "rotate": 20.0, "scale": 0.2, "shear": 0.2},
        {"step": "flip"},
    ],
    ids=str,
)
def test_moved_normals_are_those_of_the_moved_depths(step):
    camera = normals.Camera((160, 120), (130.0, 130.0), (80.0, 60.0))
    unit = np.array([0.4, -0.3, 0.87]) / np.linalg.norm([0.4, -0.3, 0.87])
    depth = 2 / np.tensordot(unit, camera.points(np.ones((120, 160))), 1)
    plane = {
        "image": tf.zeros([120, 160, 3]),
        "depth": tf.constant(depth[..., None], tf.float32),
        "normals": tf.constant(np.broadcast_to(-unit, (120, 160, 3)), tf.float32),
    }
    turned = set()
    for number in range(4):
        moved = augment_example(plane, [step], SEED + number, (120, 160))
        found = moved["normals"].numpy()[40:80, 60:100].reshape(-1, 3)
        seen = normals.of_depths(moved["depth"].numpy()[..., 0], camera)[40:80, 60:100]
        # Depths of the nearest pixels are a little off; their mean is not.
        mean = seen.reshape(-1, 3).mean(axis=0)
        np.testing.assert_allclose(found, np.tile(found[0], (len(found), 1)), atol=1e-6)
        np.testing.assert_allclose(mean / np.linalg.norm(mean), found[0], atol=0.02)
        turned.add(float(found[0, 0]))
    assert len(turned) > 1


def test_masks_of_objects_move_with_the_picture_and_leave_with_their_boxes():
    sides = np.float32([40, 60, 40, 60])
    boxes = np.float32([[4, 6, 12, 18], [20, 30, 40, 60], [0, 50, 10, 60]])
    masks = np.zeros((3, 40, 60, 1), np.uint8)
    for mask, (top, left, bottom, right) in zip(masks, boxes.astype(int), strict=True):
        mask[top:bottom, left:right] = 255
    features = {
        "image": tf.zeros([40, 60, 3]),
        "objects/bbox": tf.constant(boxes / sides),
        "objects/mask": tf.constant(masks),
    }
    left_out = 0
    for number in range(8):
        seed = tf.constant([5, number], tf.int64)
        after = augment_example(features, [{"step": "flip"}], seed, (24, 32))
        found = after["objects/mask"].numpy()
        assert found.shape[1:] == (24, 32, 1) and found.dtype == np.uint8
        left_out += 3 - len(found)
        for mask, box in zip(found, after["objects/bbox"].numpy(), strict=True):
            top, left, bottom, right = np.rint(box * [24, 32, 24, 32]).astype(int)
            wanted = np.zeros((24, 32, 1), np.uint8)
            wanted[top:bottom, left:right] = 255
            np.testing.assert_array_equal(mask, wanted)
    assert left_out


def test_boxes_that_leave_the_image_are_left_out():
    """Crops of 12 x 12 of the upper left: the square begins at (10, 30)."""
    features = scene() | {"image": scene()["image"][:, :30]}
    features = {name: features[name] for name in ("image", "objects/bbox", "objects/label")}
    features["objects/bbox"] = tf.constant([[0.0, 0.0, 0.1, 0.1], [0.25, 0.5, 1.0, 1.0]])
    features["objects/label"] = tf.constant([1, 2], tf.int64)
    seen = set()
    for number in range(20):
        after = augment_example(features, [], SEED + number, (12, 12))
        boxes = after["objects/bbox"].numpy()
        assert len(boxes) == len(after["objects/label"])
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        assert boxes.min(initial=0) >= 0 and boxes.max(initial=1) <= 1
        seen.add(tuple(after["objects/label"].numpy()))
    assert {(2,), ()} <= seen


def test_a_step_without_a_name():
    with pytest.raises(ValueError, match="'afine'; known: scale_jitter"):
        augment(tf.zeros([1, 4, 4, 3]), [{"step": "afine"}], SEED)


# The table that recipes are checked with.


def test_the_table_names_the_functions_arguments():
    functions = steps_of_batches.MOTIONS | steps_of_batches.COLOURS | sampling.WINDOWS
    # What is not a recipe's: the images, the draw, the crop, statistics, and a plain crop.
    given = {"shape", "pixels", "seed", "size", "axes"}
    assert functions.keys() - {"square_crop"} == steps.STEPS.keys()
    for name, step in steps.STEPS.items():
        parameters = list(inspect.signature(functions[name]).parameters.values())
        given_here = given - ({"pixels"} if name == "translate" else set())
        own = [one for one in parameters if one.name not in given_here]
        required = tuple(one.name for one in own if one.default is inspect.Parameter.empty)
        assert required == tuple(step.required), name
        assert {one.name for one in own} - {*required} == step.optional.keys(), name
        assert step.colour == (name in steps_of_batches.COLOURS)
        assert step.sampling == (name in sampling.WINDOWS)


@pytest.mark.parametrize(
    ("augmentation", "copies", "message"),
    [
        ([{"step": "flp"}], 0, "unknown augment step 'flp': did you mean flip"),
        ([{"step": "affine", "rotat": 1}], 0, "argument of augment step affine 'rotat'.*rotate"),
        ([{"step": "flip", "chance": 0.5}], 0, "flip takes no arguments, not chance"),
        ([{"step": "elastic", "sigma": 4}], 0, "elastic needs alpha"),
        ([{"step": "pad", "margin": "4"}], 0, "pad.margin must be a whole number of 0 or more"),
        ([{"step": "pad", "margin": 1.5}], 0, "pad.margin must be a whole number of 0 or more"),
        ([{"step": "pad", "margin": 20_000}], 0, "pad by 20000 makes pictures of 40032 x 40032"),
        ([{"step": "corner_crop", "side": 31}], 0, r"cover preprocess.size \[32, 32\]"),
        ([{"step": "corner_crop", "side": 33}], 0, "within the 32 x 32 pixels before it, not 33"),
        ([{"step": "pad", "margin": 1}, {"step": "corner_crop", "side": 33}], 0, None),
        ([{"step": "affine", "scale": 1}], 0, "scale must be 0 or more, and below 1, not 1"),
        ([{"step": "elastic", "sigma": 0, "alpha": 1}], 0, "sigma must be a number from 0.001"),
        ([{"step": "elastic", "sigma": 1e9, "alpha": 1}], 0, "sigma must be .* to 1000"),
        ([{"step": "photometric", "strength": 2}], 0, "strength must be a number from 0 to 1"),
        ([{"step": "area_aspect", "area": [0.5, 2]}], 0, r"area must be \[lowest, highest\]"),
        ([{"step": "noise", "std": None}], 0, "std must be a number of 0 or more, not null"),
        ([{"step": "area_aspect", "area": 0.5}], 0, r"area must be \[lowest, highest\].*not 0.5"),
        ([{"step": "area_aspect", "area": [1, 0.5]}], 0, r"area must be \[lowest, highest\]"),
        ([{"step": "scale_jitter", "low": 16, "high": 40}], 0, r"cover preprocess.size \[32, 32\]"),
        ([{"step": "flip"}, {"step": "area_aspect"}], 0, "area_aspect .* must be the first step"),
        ([{"step": "area_aspect"}], 3, "cannot be kept as distorted copies"),
        (["flip"], 0, "steps such as"),
    ],
)
def test_what_a_recipe_may_not_say(augmentation, copies, message):
    if message is None:
        steps.check(augmentation, PREPROCESS, copies)
        return
    with pytest.raises(RecipeError, match=message):
        steps.check(augmentation, PREPROCESS, copies)


def test_grey_images_have_no_colours():
    with pytest.raises(RecipeError, match=r"photometric needs preprocess\.channels 3"):
        steps.check([{"step": "photometric"}], {**PREPROCESS, "channels": 1}, 0)
