"""One picture of a room, with what is exactly known of each of its pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.ingest import textures
from components.ingest.rooms import casting, scene
from components.ingest.rooms.settings import Rooms

_SPLITS = ("train", "test")
# Colour is the mean of four rays a pixel, each to its own quarter of the window, so that edges and
# the borders of shadows are smooth; depth, normal and class are those of the pixel's centre.
_QUARTERS = np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]]) / 4
_OFF_SURFACE = 1e-3  # metres: a surface throws no shadow on itself
_TOWARDS_LIGHT = 0.35  # how much stronger ambient light is from the window's side
_EXPOSED = 0.8, 90  # of the lightest value, for this percentile of the pixels
_GAMMA = 2.2


@dataclass(frozen=True)
class Picture:
    """A rendered picture of H x W pixels.

    Attributes:
      image: uint8 [H, W, 3].
      depth: float64 [H, W], metres along the optical axis (z of the camera's frame).
      normals: float64 [H, W, 3], unit vectors to the camera's side of the surface, in the camera's
        frame: x to the right, y down, z into the scene. A wall straight ahead has (0, 0, -1).
      classes: uint8 [H, W], numbers of `settings.CLASSES`.
    """

    image: np.ndarray
    depth: np.ndarray
    normals: np.ndarray
    classes: np.ndarray


def picture(rooms: Rooms, split: str, index: int) -> Picture:
    """One picture of a set: a function of the set's seed and size, the split and the index."""
    # Streams of one seed with other keys are independent, so that no picture is in both splits.
    key = (_SPLITS.index(split), index)
    rng = np.random.default_rng(np.random.SeedSequence(rooms.seed, spawn_key=key))
    return rendered(scene.drawn(rng), rooms, rng)


def rendered(shown: scene.Scene, rooms: Rooms, rng: np.random.Generator) -> Picture:
    """The picture of a scene.

    Args:
      shown: the scene.
      rooms: gives the size and the focal length.
      rng: places the rays to the light.
    """
    place = shown.camera.place[:, None]
    hits = casting.nearest(shown, place, _rays(shown.camera, rooms, np.zeros((1, 2))))
    size = (rooms.height, rooms.width)
    bodies = (shown.room, *shown.bodies)
    classes = np.array([number for body in bodies for number in body.classes], np.uint8)
    right, down, forwards = shown.camera.axes[:, :, None]
    turned = [(axis * hits.normals).sum(axis=0) for axis in (right, down, forwards)]
    return Picture(
        _image(shown, rooms, rng),
        hits.distance.reshape(size),
        np.stack(turned, axis=-1).reshape(*size, 3),
        classes[hits.surface].reshape(size),
    )


def _rays(camera: scene.Camera, rooms: Rooms, offsets: np.ndarray) -> np.ndarray:
    """Directions [3, K H W] to places in the pixels, [K, 2] from their centres, with z of 1.

    So the distance along a ray is the depth.
    """
    x = np.arange(rooms.width) + 0.5 - rooms.width / 2
    y = np.arange(rooms.height) + 0.5 - rooms.height / 2
    x = (x + offsets[:, None, None, 0]) / rooms.focal
    y = (y[:, None] + offsets[:, None, None, 1]) / rooms.focal
    right, down, forwards = camera.axes[:, :, None, None, None]
    return (x * right + y * down + forwards).reshape(3, -1)


def _image(shown: scene.Scene, rooms: Rooms, rng: np.random.Generator) -> np.ndarray:
    directions = _rays(shown.camera, rooms, _QUARTERS).astype(np.float32)
    hits = casting.nearest(shown, shown.camera.place[:, None].astype(np.float32), directions)
    light = _reflectance(shown, rooms, hits, directions) * _irradiance(shown, hits, rng)[:, None]
    light[_on_window(shown.window, hits.points)] = 1.0
    light = light.reshape(len(_QUARTERS), rooms.height, rooms.width, 3).mean(axis=0)
    level, percentile = _EXPOSED
    exposed = light * np.float32(level) / np.percentile(light.mean(axis=-1), percentile)
    return np.rint(255 * exposed.clip(0, 1) ** np.float32(1 / _GAMMA)).astype(np.uint8)


def _reflectance(
    shown: scene.Scene, rooms: Rooms, hits: casting.Hits, directions: np.ndarray
) -> np.ndarray:
    """[N, 3], 0 to 1."""
    materials = [each for body in (shown.room, *shown.bodies) for each in body.materials]
    photograph = np.array([each.photograph for each in materials])[hits.surface]
    width, contrast = (
        np.array([getattr(each, name) for each in materials], np.float32)[hits.surface]
        for name in ("width", "contrast")
    )
    tint = np.array([each.tint for each in materials], np.float32)[hits.surface]
    # A pixel sees more of a surface that is far away or seen from the side.
    slant = np.abs((hits.normals * directions).sum(axis=0)) / np.sqrt((directions**2).sum(axis=0))
    seen = hits.distance / np.float32(2 * rooms.focal) / np.sqrt(slant.clip(1e-3))
    texture = textures.looked_up(photograph, hits.places / width, seen / width)
    return (tint * (1 + contrast[:, None] * (texture - 1))).clip(0.01, 0.98)


def _irradiance(shown: scene.Scene, hits: casting.Hits, rng: np.random.Generator) -> np.ndarray:
    """[N], over what makes a white surface as bright as the window.

    Of the window that is A cos cos / (pi r^2) for a small part of area A at a distance r, where no
    body lies between.
    """
    window = shown.window
    quarters = np.repeat(2 * _QUARTERS, hits.distance.size // len(_QUARTERS), axis=0).T
    across, upwards = (quarters + rng.uniform(-0.5, 0.5, quarters.shape)).astype(np.float32)
    centre, wide, high, facing = (
        vector.astype(np.float32)[:, None]
        for vector in (window.centre, window.across, window.upwards, window.normal)
    )
    start = hits.points + np.float32(_OFF_SURFACE) * hits.normals
    way = centre + across * wide + upwards * high - start
    square = (way * way).sum(axis=0)
    received = (way * hits.normals).sum(axis=0)
    direct = received.clip(0) * (-(way * facing).sum(axis=0)).clip(0) / (np.pi * square * square)
    lit = np.flatnonzero(direct > 0)
    direct[lit[casting.blocked(shown, start[:, lit], way[:, lit])]] = 0
    around = 1 + np.float32(_TOWARDS_LIGHT) * received / np.sqrt(square)
    return np.float32(window.area) * direct + np.float32(shown.ambient) * around


def _on_window(window: scene.Window, points: np.ndarray) -> np.ndarray:
    """Whether points lie on the window: bool [N]."""
    from_centre = points - window.centre.astype(np.float32)[:, None]
    found = np.abs((from_centre * window.normal.astype(np.float32)[:, None]).sum(axis=0)) < 1e-3
    for side in (window.across, window.upwards):
        along = (from_centre * side.astype(np.float32)[:, None]).sum(axis=0)
        found &= np.abs(along) < np.float32((side * side).sum())
    return found
