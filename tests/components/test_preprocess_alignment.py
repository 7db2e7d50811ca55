"""Alignment against scikit-image's transforms, and a face that a camera has turned."""

import numpy as np
import pytest
import skimage.data
from skimage import transform

from components.preprocess import alignment

# (row, column) of eyes, nose and mouth in the photograph, and where they are wanted.
MARKED = np.array([[92, 208], [92, 246], [116, 228], [134, 208], [134, 244], [134, 226]]) / 512
ANCHORS = [[0.38, 0.32], [0.38, 0.68], [0.55, 0.5], [0.76, 0.35], [0.76, 0.65], [0.76, 0.5]]
SIZE = [60, 52]


def photograph(channels: int = 3) -> np.ndarray:
    colour = skimage.data.astronaut()
    return colour if channels == 3 else colour[..., 0]


def xy(points: np.ndarray) -> np.ndarray:
    """As scikit-image has them: column, row."""
    return np.asarray(points)[:, ::-1]


def random_points(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(20, 90, (count, 2))


@pytest.mark.parametrize("count", [2, 3, 6, 67])
def test_similarity_is_scikit_images(count):
    source, target = random_points(count), random_points(count, 1)
    theirs = transform.SimilarityTransform()
    assert theirs.estimate(xy(source), xy(target))
    ours = alignment.transformed(source, alignment.similarity(source, target))
    np.testing.assert_allclose(ours, xy(theirs(xy(source))), atol=1e-9)


def test_similarity_does_not_mirror():
    source = random_points(5)
    matrix = alignment.similarity(source, source * [1, -1])
    assert np.linalg.det(matrix[:, :2]) > 0


@pytest.mark.parametrize("channels", [1, 3])
def test_an_aligned_face_is_scikit_images(channels):
    pixels = photograph(channels)
    found, points = alignment.aligned(pixels, MARKED, {"size": SIZE, "anchors": ANCHORS})
    source = MARKED * pixels.shape[:2] - 0.5
    target = np.array(ANCHORS) * SIZE - 0.5
    theirs = transform.SimilarityTransform()
    theirs.estimate(xy(source), xy(target))
    wanted = transform.warp(pixels, theirs.inverse, output_shape=SIZE, order=1, preserve_range=True)
    assert np.abs(found - wanted).max() <= 0.5 + 1e-6, "but for rounding"
    np.testing.assert_allclose(points * SIZE - 0.5, xy(theirs(xy(source))), atol=1e-9)
    np.testing.assert_allclose(points, ANCHORS, atol=0.05)


def test_triangles_are_moved_as_by_scikit_image():
    pixels = photograph()[60:160, 180:280]
    corners = [[0, 0], [0, 99], [99, 0], [99, 99]]
    source = np.concatenate([random_points(20), corners])
    target = np.concatenate([source[:20] + np.random.default_rng(2).normal(0, 2, (20, 2)), corners])
    theirs = transform.PiecewiseAffineTransform()
    theirs.estimate(xy(target), xy(source))
    wanted = transform.warp(pixels, theirs, order=1, preserve_range=True)
    grid = np.stack(np.indices((100, 100)), axis=-1).reshape(-1, 2).astype(float)
    places = alignment.piecewise(grid, target, source)
    found = alignment.sampled(pixels, places).reshape(100, 100, 3)
    # On an edge a pixel is in either triangle, and it may be in none at the outermost.
    apart = np.abs(found - wanted).max(axis=-1)[1:-1, 1:-1]
    assert (apart < 1e-6).mean() > 0.999
    assert np.isnan(alignment.piecewise(np.array([[-9.0, 0.0]]), target, source)).all()


def face_model(count: int = 67) -> np.ndarray:
    """Points on half an ellipsoid in front of the crop: row and column in 0..1, and a depth."""
    random = np.random.default_rng(3)
    angle, radius = random.uniform(0, 2 * np.pi, count), np.sqrt(random.uniform(0, 1, count))
    y, x = radius * np.sin(angle), radius * np.cos(angle)
    depth = np.sqrt(np.maximum(1 - y**2 - x**2, 0))
    return np.stack([0.5 + 0.45 * y, 0.5 + 0.4 * x, depth], axis=1)


def test_a_camera_is_found_and_weighed_by_the_errors():
    model = face_model() * [60, 52, 1]
    truth = np.array([[0.9, 0.1, 7.0, 3.0], [-0.2, 1.1, -4.0, 9.0]])
    points = alignment.transformed(model, truth)
    np.testing.assert_allclose(alignment.camera(points, model), truth, atol=1e-8)
    # One point is far off, and known to be so.
    points[5] += 30
    covariance = np.diag(np.where(np.arange(134) // 2 == 5, 1e12, 1.0))
    assert np.abs(alignment.camera(points, model) - truth).max() > 0.1
    np.testing.assert_allclose(alignment.camera(points, model, covariance), truth, atol=1e-4)


def test_a_face_that_is_turned_looks_ahead():
    """Of a face with the model's shape the points come to the model's places."""
    model = face_model()
    in_crop = model * [60, 52, 20]
    for turn in (0.0, 0.3, -0.5):
        matrix = np.array([[1.0, 0.0, 0.0], [0.0, np.cos(turn), np.sin(turn)]])
        seen = in_crop @ matrix.T
        placed = alignment.frontal(seen, in_crop)
        np.testing.assert_allclose(placed, in_crop[:, :2], atol=1e-8)
    # What no camera explains is the person's own, and stays.
    seen[7] += [3.0, 0.0]
    moved = alignment.frontal(seen, in_crop)[7] - in_crop[7, :2]
    assert 2.0 < moved[0] <= 3.0


def test_a_frontal_crop_undoes_the_turn():
    model = face_model()
    height, width = 96, 84
    in_picture = model * [height, width, 30]
    y, x = np.indices((height, width))
    texture = np.uint8(127 + 60 * np.sin(x / 6) + 60 * np.cos(y / 7))
    turned = in_picture @ np.array([[1.0, 0, 0], [0, np.cos(0.4), np.sin(0.4)]]).T
    grid = np.stack(np.indices((height, 140)), axis=-1).reshape(-1, 2).astype(float)
    places = alignment.piecewise(grid, turned, in_picture[:, :2])
    picture = np.uint8(alignment.sampled(texture, places).reshape(height, 140).round())
    points = (turned + 0.5) / [height, 140]
    goal = ((in_picture[:, :2] + 0.5) / [height, width]).tolist()
    settings = {
        "size": [height, width],
        "model": [[*p, d] for p, d in zip(goal, model[:, 2], strict=True)],
    }
    crop, placed = alignment.aligned(picture, points, settings)
    np.testing.assert_allclose(placed, goal, atol=1e-6)
    known = crop > 0
    assert known.mean() > 0.3
    inner = np.zeros_like(known)
    inner[30:66, 28:56] = True
    apart = np.abs(crop.astype(float) - texture)[inner & known]
    assert np.median(apart) < 6, "two interpolations blur a little"
    flat, _ = alignment.aligned(picture, points, {"size": [height, width], "anchors": goal})
    assert np.abs(flat.astype(float) - texture)[inner].mean() > 2 * apart.mean()


@pytest.mark.parametrize(
    ("points", "words"),
    [(MARKED[:4], "4 points, and align is about 6"), (MARKED[:1].repeat(6, 0), "in one place")],
)
def test_points_of_which_nothing_can_be_told(points, words):
    with pytest.raises(ValueError, match=words):
        alignment.aligned(photograph(), points, {"size": SIZE, "anchors": ANCHORS})
