"""Rendered rooms: against geometry that is written down another way, and through ingestion."""

import hashlib
import io
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import tensorflow as tf
from PIL import Image
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import standard_artifacts

from components.ingest import generated, identity, textures
from components.ingest.component import ImageExampleGen
from components.ingest.executor import Executor, direct_arguments
from components.ingest.readers import reader
from components.ingest.rooms import rendering, scene, settings
from components.ingest.rooms.settings import FLOOR, FURNITURE, PROPS, STRUCTURE, Rooms
from components.ingest.sources import SourceError, prepare, resolve

SMALL = Rooms(train=8, test=4, width=40, height=30)
FEW = "rooms:train=8,test=4,width=40,height=30"
PLAIN = scene.Material(0, 1.0, (0.5, 0.5, 0.5), 1.0)
RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"


def box(centre, half, turn=0.0, kind=FURNITURE) -> scene.Box:
    return scene.Box(np.array(centre), np.array(half), turn, (PLAIN,), (kind,))


def ball(centre, radius: float) -> scene.Ball:
    return scene.Ball(np.array(centre), radius, (PLAIN,))


def room_with(*bodies: scene.Box | scene.Ball) -> scene.Scene:
    """A room of 4 x 3 x 6 m; the camera is level in its middle, 1 m from one end, looking along."""
    drawn = scene.drawn(np.random.default_rng(0))
    half = np.array([2.0, 1.5, 3.0])
    axes = np.array([[-1.0, 0, 0], [0, -1.0, 0], [0, 0, 1.0]])
    camera = scene.Camera(np.array([2.0, 1.5, 1.0]), axes)
    across, upwards = np.array([0.5, 0, 0]), np.array([0, 0.5, 0])
    window = scene.Window(np.array([2.0, 1.5, 0.0]), across, upwards, np.array([0, 0, 1.0]))
    room = replace(drawn.room, centre=half, half=half)
    return scene.Scene(room, bodies, window, camera, 0.05)


def rendered(*bodies: scene.Box | scene.Ball, rooms: Rooms = SMALL) -> rendering.Picture:
    return rendering.rendered(room_with(*bodies), rooms, np.random.default_rng(0))


def pinhole(rooms: Rooms) -> np.ndarray:
    """[H, W, 3]: in the camera's frame, the point of each pixel's ray at a depth of 1."""
    rows, columns = np.mgrid[: rooms.height, : rooms.width] + 0.5
    x = (columns - rooms.width / 2) / rooms.focal
    y = (rows - rooms.height / 2) / rooms.focal
    return np.stack([x, y, np.ones_like(x)], axis=-1)


def ray_plane(rays: np.ndarray, normal, offset: float) -> np.ndarray:
    """Depth at which rays from the origin meet the plane n x = offset; infinite behind it."""
    depth = offset / (rays @ np.array(normal, float))
    return np.where(depth > 0, depth, np.inf)


def ray_sphere(rays: np.ndarray, centre, radius: float) -> np.ndarray:
    """Depth of the nearer root of |t r - c|^2 = R^2, pixel by pixel; infinite without one."""
    depth = np.full(rays.shape[:2], np.inf)
    for place in np.ndindex(*depth.shape):
        ray = rays[place]
        roots = np.roots([ray @ ray, -2 * ray @ centre, centre @ centre - radius**2])
        if np.isreal(roots).all() and (roots.real > 0).all():
            depth[place] = roots.real.min()
    return depth


def test_an_empty_room_is_six_planes():
    found = rendered()
    rays = pinhole(SMALL)
    # The camera's frame: 2 m to each side wall, 1.5 m to floor and ceiling, 5 m ahead.
    sides = [(1, 0, 0, 2), (-1, 0, 0, 2), (0, 1, 0, 1.5), (0, -1, 0, 1.5), (0, 0, 1, 5)]
    depths = np.stack([ray_plane(rays, side[:3], side[3]) for side in sides])
    np.testing.assert_allclose(found.depth, depths.min(axis=0), rtol=1e-12)
    nearest = depths.argmin(axis=0)
    np.testing.assert_allclose(found.normals, -np.array(sides)[nearest][..., :3], atol=1e-12)
    np.testing.assert_array_equal(found.classes, np.where(nearest == 2, FLOOR, STRUCTURE))


def test_a_ball_is_a_sphere_and_hides_the_wall():
    # In the camera's frame: 0.3 m to the right, 0.2 m down, 2 m ahead.
    found = rendered(ball([1.7, 1.3, 3.0], 0.5))
    rays, centre = pinhole(SMALL), np.array([0.3, 0.2, 2.0])
    depth = ray_sphere(rays, centre, 0.5)
    hit = np.isfinite(depth)
    assert 50 < hit.sum() < hit.size / 2
    np.testing.assert_array_equal(found.classes == PROPS, hit)
    np.testing.assert_allclose(found.depth[hit], depth[hit], rtol=1e-9)
    np.testing.assert_allclose(found.depth[~hit], rendered().depth[~hit], rtol=1e-12)
    outwards = (rays * depth[..., None])[hit] - centre
    np.testing.assert_allclose(found.normals[hit], outwards / 0.5, atol=1e-8)


def test_a_turned_box_is_its_planes():
    """By its corner edge to the camera: two faces at 45 degrees."""
    found = rendered(box([2.0, 1.5, 3.0], [0.5, 2.0, 0.5], np.pi / 4))
    rays, diagonal = pinhole(SMALL), np.sqrt(0.5)
    depths = np.stack(
        [ray_plane(rays, (s * diagonal, 0, diagonal), 2 * diagonal - 0.5) for s in (1, -1)]
    )
    depth = depths.max(axis=0)
    hit = np.abs(rays[..., 0] * depth) < diagonal
    np.testing.assert_array_equal(found.classes == FURNITURE, hit)
    np.testing.assert_allclose(found.depth[hit], depth[hit], rtol=1e-12)
    x = np.sign(rays[..., 0][hit]) * diagonal
    expected = np.stack([x, np.zeros_like(x), np.full_like(x, -diagonal)], axis=-1)
    np.testing.assert_allclose(found.normals[hit], expected, atol=1e-12)


def test_the_nearer_of_two_hides_the_other_whatever_their_order():
    near, far = ball([2.0, 1.5, 2.0], 0.15), box([2.0, 1.5, 4.0], [0.6, 0.6, 0.6])
    found, other = rendered(near, far), rendered(far, near)
    np.testing.assert_array_equal(found.depth, other.depth)
    np.testing.assert_array_equal(found.classes, other.classes)
    middle = found.classes[SMALL.height // 2]
    assert middle[[0, SMALL.width // 2 - 6, SMALL.width // 2]].tolist() == [
        *(STRUCTURE, FURNITURE, PROPS)
    ]
    alone = rendered(near)
    is_ball = found.classes == PROPS
    np.testing.assert_array_equal(is_ball, alone.classes == PROPS)
    np.testing.assert_array_equal(found.depth[is_ball], alone.depth[is_ball])


@pytest.mark.parametrize("index", range(4))
def test_normals_are_those_of_the_depths(index):
    """Finite differences of the points that the depths are projected back to."""
    rooms = replace(SMALL, width=160, height=120)
    found = rendering.picture(rooms, "train", index)
    np.testing.assert_allclose(np.linalg.norm(found.normals, axis=-1), 1, rtol=1e-12)
    points = pinhole(rooms) * found.depth[..., None]
    # They look towards the camera.
    assert ((found.normals * points).sum(axis=-1) < 0).all()
    across = points[1:-1, 2:] - points[1:-1, :-2]
    down = points[2:, 1:-1] - points[:-2, 1:-1]
    normals = np.cross(down, across)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    angles = np.degrees(np.arccos((normals * found.normals[1:-1, 1:-1]).sum(axis=-1).clip(-1, 1)))
    # Across an edge a difference is no tangent.
    assert np.median(angles) < 1e-4
    assert np.mean(angles < 3) > 0.9


def test_drawn_rooms_hold_their_bodies_and_free_cameras():
    for number in range(50):
        drawn = scene.drawn(np.random.default_rng(number))
        size = 2 * drawn.room.half
        np.testing.assert_allclose(drawn.camera.axes @ drawn.camera.axes.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(drawn.camera.axes) == pytest.approx(1)
        assert (drawn.camera.place > 0).all() and (drawn.camera.place < size).all()
        pieces = [body for body in drawn.bodies if FURNITURE in body.classes]
        for piece in pieces:
            assert piece.centre[1] - piece.half[1] == pytest.approx(0, abs=1e-12)
            away = np.hypot(*(piece.centre - drawn.camera.place)[[0, 2]])
            assert away > np.hypot(piece.half[0], piece.half[2])
        for body in drawn.bodies:
            assert (body.centre > 0).all() and (body.centre < size).all()


def test_shadow_and_window():
    """A screen before half of the window darkens one side; the window itself is white."""
    open_room, shaded = room_with(), room_with(box([3.0, 1.5, 0.5], [1.0, 1.5, 0.05]))
    looks_back = np.diag([1.0, -1.0, -1.0])
    towards = replace(open_room, camera=scene.Camera(np.array([2.0, 1.5, 5.0]), looks_back))
    rng = np.random.default_rng
    open_room, shaded = (replace(each, ambient=0.0) for each in (open_room, shaded))
    assert (rendering.rendered(towards, SMALL, rng(0)).image[15, 20] == 255).all()
    lit, dark = (rendering.rendered(each, SMALL, rng(0)).image for each in (open_room, shaded))
    left_of_right = [image[:, 2:8].mean() / image[:, -8:-2].mean() for image in (lit, dark)]
    assert left_of_right[1] < 0.8 * left_of_right[0]


def test_equal_names_give_equal_pictures_and_others_others():
    def digest(rooms: Rooms, split: str, index: int) -> str:
        found = rendering.picture(rooms, split, index)
        return hashlib.sha256(found.image.tobytes() + found.depth.tobytes()).hexdigest()

    places = [(split, index) for split in ("train", "test") for index in range(4)]
    found = [digest(SMALL, *place) for place in places]
    # In another order, and of a larger set.
    more = replace(SMALL, train=100)
    assert [digest(more, *place) for place in reversed(places)] == found[::-1]
    others = [digest(replace(SMALL, seed=1), *place) for place in places]
    assert len({*found, *others}) == len(found) + len(others)


def test_photographs_are_in_scikit_images_package():
    folder = Path(skimage.data.__file__).parent
    assert {"brick", "astronaut"} <= set(textures.PHOTOGRAPHS)
    names = {name: name for name in textures.PHOTOGRAPHS} | {"immunohistochemistry": "ihc"}
    for name in names.values():
        assert [*folder.glob(f"{name}.png"), *folder.glob(f"{name}.jpg")], name
    assert textures.pyramids().shape == (len(textures.PHOTOGRAPHS), sum(4**n for n in range(9)), 3)


def test_textures_repeat_mirrored_and_are_smoothed():
    first = np.zeros(3, np.intp)
    near = textures.looked_up(first, np.array([[0.3, 1.7, 2.3], [0.2] * 3]), np.zeros(3))
    np.testing.assert_array_equal(near[0], near[1])
    np.testing.assert_array_equal(near[0], near[2])
    far = textures.looked_up(first, np.array([[0.3, 0.9, 5.0], [0.1, 0.7, 3.0]]), np.full(3, 9.0))
    np.testing.assert_allclose(far, np.ones((3, 3)), atol=0.05)


def test_names():
    assert generated.parse("rooms") == Rooms()
    assert generated.parse("rooms:test=5,seed=3") == Rooms(seed=3, test=5)
    assert generated.parse(SMALL.name) == SMALL
    source = resolve(FEW, "depth")
    assert (source.kind, source.base, source.task) == ("rooms", SMALL.name, "depth")
    assert reader(source).labels == []
    assert reader(resolve(FEW, "segmentation")).labels == [*settings.CLASSES]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rooms:sead=1", "unknown key 'sead': did you mean seed"),
        ("rooms:seed=1,seed=2", "seed is given twice"),
        ("rooms:seed=x", "seed must be a whole number, not 'x'"),
        ("rooms:seed", "seed must be a whole number, not ''"),
        ("rooms:seed=-1", "whole number"),
        ("rooms:seed=٣", "whole number"),
        ("rooms:train=0", "train must be 1 to"),
        ("rooms:width=7", "width must be 8 to"),
        ("rooms:seed=4294967296", "seed must be 0 to"),
        ("rooms:", None),
        ("room", "did you mean rooms"),
    ],
)
def test_names_that_are_refused(name, message):
    if message is None:
        assert resolve(name).base == Rooms().name
        return
    with pytest.raises(SourceError, match=message):
        resolve(name)


def test_rooms_are_no_data_for_other_tasks():
    with pytest.raises(SourceError, match="is data for depth and normals and segmentation"):
        resolve("rooms", "classification")


def test_identity_is_that_of_the_pictures():
    known = identity.of_source(resolve(FEW))
    assert (known.files, known.size) == (12, 12 * 40 * 30)
    assert known == identity.of_source(resolve("rooms:height=30,width=40,test=4,train=8"))
    assert known.sha256 != identity.of_source(resolve(f"{FEW},seed=1")).sha256


def test_two_cores_render_where_that_pays():
    def workers(name: str) -> list[str]:
        known = identity.of_source(resolve(name))
        fingerprint = f"num_files:{known.files},total_bytes:{known.size},sha256:{known.sha256}"
        found = direct_arguments([f"--runner={RUNNER}"], fingerprint, "rooms")
        return [each for each in found if each.startswith("--direct_num_workers")]

    assert workers(FEW) == []
    assert bool(workers("rooms")) == (len(os.sched_getaffinity(0)) > 1)


def ingested(folder: Path, *arguments: str) -> dict[str, dict[str, dict]]:
    """The features of each example by its id, in each split; a dozen pictures in all."""
    component = ImageExampleGen(prepare(resolve(FEW, "segmentation")))
    artifact = standard_artifacts.Examples()
    artifact.uri = str(folder / "examples")
    context = BaseBeamExecutor.Context(
        beam_pipeline_args=[f"--runner={RUNNER}", *arguments], tmp_dir=str(folder / "tmp")
    )
    properties = dict(component.exec_properties)
    Executor(context).Do({}, {"examples": [artifact]}, properties)
    found = {}
    for split in ("train", "test"):
        paths = tf.io.gfile.glob(f"{artifact.uri}/Split-{split}/*")
        records = tf.data.TFRecordDataset(paths, compression_type="GZIP").as_numpy_iterator()
        examples = [tf.train.Example.FromString(each).features.feature for each in records]
        found[split] = {each["image/id"].bytes_list.value[0].decode(): each for each in examples}
    assert Path(artifact.uri, "labels.txt").read_text().split() == [*settings.CLASSES]
    assert not list(Path(artifact.uri).glob("dead_letters/*"))
    return found


def png(example, name: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(example[f"{name}/encoded"].bytes_list.value[0])))


def test_ingestion_of_a_dozen(tmp_path):
    found = ingested(tmp_path)
    assert {split: len(examples) for split, examples in found.items()} == {"train": 8, "test": 4}
    for split, examples in found.items():
        for index in range(len(examples)):
            example = examples[f"{split}#{index}"]
            expected = rendering.picture(SMALL, split, index)
            np.testing.assert_array_equal(png(example, "image"), expected.image)
            np.testing.assert_array_equal(png(example, "segmentation"), expected.classes)
            metres = png(example, "depth") / 1000
            np.testing.assert_allclose(metres, expected.depth, atol=0.5001e-3)
            normals = png(example, "normals") / 255 * 2 - 1
            np.testing.assert_allclose(normals, expected.normals, atol=1 / 255 + 1e-9)


def test_two_workers_render_what_one_does(tmp_path):
    ingested(tmp_path / "one")
    ingested(tmp_path / "two", "--direct_num_workers=2", "--direct_running_mode=multi_threading")
    one, two = (
        {
            str(path.relative_to(tmp_path / name)): path.read_bytes()
            for path in (tmp_path / name).glob("examples/Split-*/*")
        }
        for name in ("one", "two")
    )
    assert one and one == two
