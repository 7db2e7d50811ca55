"""Normals of depths against planes that are known, a second implementation and rendered rooms."""

import io

import numpy as np
import pytest
from PIL import Image

from components.ingest import normals
from components.ingest.contract import Encoding, Record, checked
from components.ingest.images import ImageError
from components.ingest.rooms import rendering
from components.ingest.rooms.settings import Rooms

SIZE = (64, 48)
CAMERA = normals.Camera(SIZE, (50.0, 40.0), (30.0, 25.5))


def plane(direction, distance, camera=CAMERA, size=SIZE):
    """Depths of the points p with direction . p = distance, and the direction as a unit vector."""
    rays = camera.points(np.ones(size[::-1]))
    unit = np.array(direction) / np.linalg.norm(direction)
    return distance / np.tensordot(unit, rays, 1), unit


def degrees(found, expected):
    cross = np.linalg.norm(np.cross(np.float64(found), expected), axis=-1)
    return np.degrees(np.arctan2(cross, (found * expected).sum(axis=-1)))


@pytest.mark.parametrize("direction", [(0, 0, 1), (0.3, 0.2, 1), (-0.5, 0.4, 1), (0, 0.5, 0.6)])
def test_a_plane_has_its_normal_everywhere(direction):
    depth, unit = plane(direction, 2.0)
    found = normals.of_depths(depth, CAMERA)
    assert found.dtype == np.float32 and found.shape == (48, 64, 3)
    fitted = found.any(axis=-1)
    assert fitted.mean() > 0.95
    np.testing.assert_allclose(degrees(found, -unit)[fitted], 0, atol=1e-4)


def test_a_point_is_seen_where_the_camera_has_it():
    points = CAMERA.points(np.full((48, 64), 2.0))
    np.testing.assert_allclose(points[:, 25, 29], [2 * (29.5 - 30) / 50, 0.0, 2.0])
    # Of a picture half as large, four pixels are one.
    np.testing.assert_allclose(CAMERA.points(np.full((24, 32), 2.0))[:, 12, 15], [0.04, -0.025, 2])


def naive(depth, camera):
    """Each pixel by itself, by the singular values of its points."""
    points, found = camera.points(depth), np.zeros((*depth.shape, 3))
    steps = {-1, 0, 1}  # at a width of 64, NYU's 9 pixels are 1
    for row, column in np.argwhere(depth > 0):
        near = [
            points[:, row + down, column + right]
            for down in steps
            for right in steps
            if 0 <= row + down < depth.shape[0]
            and 0 <= column + right < depth.shape[1]
            and depth[row + down, column + right] > 0
            and abs(depth[row + down, column + right] - depth[row, column])
            < 0.05 * depth[row, column]
        ]
        if len(near) >= 3:
            _, spread, axes = np.linalg.svd(np.array(near) - np.mean(near, axis=0))
            towards = axes[2] @ points[:, row, column]
            if spread[1] > 1e-6 and abs(towards) > 1e-5:
                found[row, column] = -np.sign(towards) * axes[2]
    return found


def test_it_is_what_a_second_implementation_finds():
    rng = np.random.default_rng(0)
    depth, _ = plane((0.2, 0.3, 1), 3.0)
    depth *= rng.uniform(0.99, 1.01, depth.shape)
    depth[:, 30:] += 1.0  # an edge
    depth[rng.uniform(size=depth.shape) < 0.3] = 0.0
    found, expected = normals.of_depths(depth, CAMERA), naive(depth, CAMERA)
    np.testing.assert_array_equal(found.any(axis=-1), expected.any(axis=-1))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_an_edge_bends_nothing():
    near, unit = plane((0.1, 0.2, 1), 2.0)
    far, other = plane((-0.2, 0.1, 1), 4.0)
    left = np.arange(64) < 30
    found = normals.of_depths(np.where(left, near, far), CAMERA)
    np.testing.assert_allclose(degrees(found, np.where(left[:, None], -unit, -other)), 0, atol=1e-4)


@pytest.mark.parametrize("missing", [0.0, -1.0, np.nan, np.inf])
def test_what_was_not_measured_has_no_normal_and_no_part(missing):
    depth, unit = plane((0.1, 0.2, 1), 2.0)
    depth[10:20, 10:20] = missing
    found = normals.of_depths(depth, CAMERA)
    known = np.isfinite(depth) & (depth > 0)
    np.testing.assert_array_equal(found.any(axis=-1), known)
    np.testing.assert_allclose(degrees(found, -unit)[known], 0, atol=1e-4)


def test_points_on_one_line_have_no_plane():
    depth = np.zeros((48, 64))
    depth[20] = 2.0
    assert not normals.of_depths(depth, CAMERA).any()
    assert not normals.of_depths(np.zeros((1, 1)), CAMERA).any()


@pytest.mark.parametrize("index", [0, 1])
def test_those_of_a_rendered_room_are_its_own(index):
    rooms = Rooms(width=160, height=120)
    seen = rendering.picture(rooms, "train", index)
    camera = normals.Camera((160, 120), (rooms.focal, rooms.focal), (80, 60))
    angles = degrees(normals.of_depths(seen.depth, camera), seen.normals)
    # Where two walls meet, points of both are near.
    assert np.median(angles) < 1e-3 and (angles < 5).mean() > 0.9


def test_nyus_camera_is_that_of_its_toolbox():
    x, y, z = normals.NYU.points(np.full((480, 640), 2.0))[:, 99, 199]
    assert z == 2.0
    # The toolbox counts pixels from 1.
    assert x == pytest.approx((200 - 325.582449) * 2 / 518.857901)
    assert y == pytest.approx((100 - 253.736166) * 2 / 519.469611)


def test_a_record_of_depths_becomes_an_example_with_normals():
    depth, unit = plane((0.1, 0.2, 1), 2.0)
    depth[:5] = 0.0
    given = normals.OfDepths(depth.astype(np.float32)[..., None], CAMERA)
    image = np.zeros((48, 64, 3), np.uint8)
    features, _ = checked(
        Record("a", {"image/encoded": image, "normals/encoded": given}), Encoding()
    )
    with Image.open(io.BytesIO(features["normals/encoded"])) as opened:
        stored = np.asarray(opened)
    assert stored.dtype == np.uint8 and (stored[:4] == 128).all()
    # Millimetres and 8 bits a component are what is kept.
    assert degrees(stored[8:] / 127.5 - 1, -unit).max() < 2
    wrong = normals.OfDepths(np.full((48, 64), np.nan), CAMERA)
    with pytest.raises(ImageError, match="NaN or infinite"):
        checked(Record("a", {"image/encoded": image, "normals/encoded": wrong}), Encoding())
