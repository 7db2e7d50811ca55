"""A room with furniture, props, a window and a camera, drawn at random.

Lengths are metres. The room's frame is right-handed with y up; a corner of the floor is its origin.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from components.ingest import textures
from components.ingest.rooms.settings import FLOOR, FURNITURE, PROPS, STRUCTURE

_UP = np.array([0.0, 1.0, 0.0])
# Least and largest width, height and depth of a room.
_ROOM = ((3.0, 2.3, 3.5), (6.5, 3.1, 8.0))
# The same of tables, of sofas and beds, and of cupboards.
_FURNITURE = (
    ((0.7, 0.4, 0.5), (1.6, 0.8, 1.0)),
    ((1.2, 0.35, 0.8), (2.1, 0.7, 1.4)),
    ((0.6, 0.9, 0.35), (1.5, 2.1, 0.7)),
)
_PIECES, _PROPS = (2, 6), (3, 8)  # How many; the second is one too many.
_TRIES = 20  # to find a free place for a piece, which is left out then
_CAMERA_HEIGHT = (1.0, 1.9)
_PITCH, _ROLL = (-8.0, 7.0), (0.0, 2.0)  # Mean and standard deviation, in degrees.
_FREE = 0.3  # around the camera, to walls and furniture


@dataclass(frozen=True)
class Material:
    """What a surface looks like.

    Attributes:
      photograph: its index in `textures.PHOTOGRAPHS`.
      width: of the surface that the photograph covers, before it is repeated.
      tint: mean reflectance of red, green and blue, 0 to 1.
      contrast: 1 for the photograph's own contrast around the tint, 0 for the bare tint.
    """

    photograph: int
    width: float
    tint: tuple[float, float, float]
    contrast: float


@dataclass(frozen=True)
class Box:
    """A box that stands upright.

    Attributes:
      centre: of the box [3].
      half: half of its three sides [3].
      turn: radians about the vertical axis.
      materials: one, or one for each of the faces -x, +x, -y, +y, -z, +z.
      classes: as many; numbers of `settings.CLASSES`.
    """

    centre: np.ndarray
    half: np.ndarray
    turn: float
    materials: tuple[Material, ...]
    classes: tuple[int, ...]


@dataclass(frozen=True)
class Ball:
    centre: np.ndarray
    radius: float
    materials: tuple[Material, ...]
    classes: tuple[int, ...] = (PROPS,)


@dataclass(frozen=True)
class Window:
    """A rectangle of a wall that gives light.

    Attributes:
      centre: [3].
      across, upwards: from the centre to the middle of two sides [3].
      normal: unit, into the room [3].
    """

    centre: np.ndarray
    across: np.ndarray
    upwards: np.ndarray
    normal: np.ndarray

    @property
    def area(self) -> float:
        return float(4 * np.linalg.norm(self.across) * np.linalg.norm(self.upwards))


@dataclass(frozen=True)
class Camera:
    """Where the picture is taken from.

    Attributes:
      place: [3].
      axes: [3, 3], rows: to the right, down and forwards in the picture, in the room's frame.
    """

    place: np.ndarray
    axes: np.ndarray


@dataclass(frozen=True)
class Scene:
    """All that a picture shows.

    Attributes:
      room: seen from within.
      bodies: what stands in it.
      ambient: light that comes from everywhere, as a part of the window's radiance.
    """

    room: Box
    bodies: tuple[Box | Ball, ...]
    window: Window
    camera: Camera
    ambient: float


def drawn(rng: np.random.Generator) -> Scene:
    """A scene: equal generators give equal ones."""
    size = rng.uniform(*_ROOM)
    camera = _camera(rng, size)
    furniture = tuple(_furniture(rng, size, camera))
    props = tuple(_prop(rng, size, furniture) for _ in range(rng.integers(*_PROPS)))
    return Scene(
        _room(rng, size),
        (*furniture, *props),
        _window(rng, size),
        camera,
        float(rng.uniform(0.01, 0.03)),
    )


def _material(
    rng: np.random.Generator,
    photographs: tuple[int, ...],
    width: tuple[float, float],
    tint: tuple[float, float],
    contrast: tuple[float, float],
) -> Material:
    grey, colour = rng.uniform(*tint), rng.uniform(-0.25, 0.25, 3)
    red, green, blue = np.clip(grey * (1 + colour), 0.02, 0.95).tolist()
    return Material(
        int(rng.choice(photographs)),
        float(rng.uniform(*width)),
        (red, green, blue),
        float(rng.uniform(*contrast)),
    )


def _room(rng: np.random.Generator, size: np.ndarray) -> Box:
    surfaces = textures.SURFACES
    wall = _material(rng, surfaces, (0.5, 2.0), (0.4, 0.85), (0.1, 0.6))
    other = _material(rng, surfaces, (0.5, 2.0), (0.4, 0.85), (0.1, 0.6))
    floor = _material(rng, surfaces, (0.4, 1.5), (0.15, 0.6), (0.4, 1.0))
    ceiling = _material(rng, surfaces, (0.5, 2.0), (0.7, 0.9), (0.0, 0.2))
    materials = (wall, wall, floor, ceiling, other, wall)
    classes = (STRUCTURE, STRUCTURE, FLOOR, STRUCTURE, STRUCTURE, STRUCTURE)
    return Box(size / 2, size / 2, 0.0, materials, classes)


def _camera(rng: np.random.Generator, size: np.ndarray) -> Camera:
    """Anywhere in the room, turned to where there is something to be seen: its middle half."""
    place = rng.uniform(2 * _FREE, size - 2 * _FREE)
    place[1] = rng.uniform(*_CAMERA_HEIGHT)
    aim = rng.uniform(0.25, 0.75, 3) * size - place
    yaw = np.arctan2(aim[0], aim[2])
    pitch, roll = np.radians([rng.normal(*_PITCH), rng.normal(*_ROLL)])
    forwards = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
    right = np.cross(forwards, _UP)
    right /= np.linalg.norm(right)
    down = np.cross(forwards, right)
    axes = [
        np.cos(roll) * right + np.sin(roll) * down,
        np.cos(roll) * down - np.sin(roll) * right,
        forwards,
    ]
    return Camera(place, np.array(axes))


def _furniture(rng: np.random.Generator, size: np.ndarray, camera: Camera) -> Iterator[Box]:
    """Pieces that overlap neither each other nor the camera's surroundings, seen from above."""
    taken = [(camera.place[[0, 2]], _FREE)]
    for _ in range(rng.integers(*_PIECES)):
        half = rng.uniform(*_FURNITURE[rng.integers(len(_FURNITURE))]) / 2
        material = _material(rng, textures.ALL, (0.3, 1.5), (0.15, 0.8), (0.3, 1.0))
        reach = float(np.hypot(half[0], half[2]))
        for _ in range(_TRIES):
            centre, turn = _place(rng, size, half, reach)
            flat = centre[[0, 2]]
            if all(np.hypot(*(flat - other)) > reach + free for other, free in taken):
                taken.append((flat, reach))
                yield Box(centre, half, turn, (material,), (FURNITURE,))
                break


def _place(
    rng: np.random.Generator, size: np.ndarray, half: np.ndarray, reach: float
) -> tuple[np.ndarray, float]:
    """Centre and turn of a piece of furniture: its back to a wall, or free in the room."""
    if rng.random() < 0.4:
        flat = rng.uniform(reach, size[[0, 2]] - reach)
        return np.array([flat[0], half[1], flat[1]]), float(rng.uniform(0, np.pi))
    wall, is_far = rng.integers(2), rng.integers(2)
    across, along = (0, 2) if wall == 0 else (2, 0)
    centre = np.array([0.0, half[1], 0.0])
    centre[across] = size[across] - half[2] if is_far else half[2]
    centre[along] = rng.uniform(half[0], size[along] - half[0])
    return centre, np.pi / 2 if wall == 0 else 0.0


def _prop(rng: np.random.Generator, size: np.ndarray, furniture: tuple[Box, ...]) -> Box | Ball:
    """A ball or a small box, on a piece of furniture or on the floor."""
    half = rng.uniform(0.06, 0.2, 3)
    radius = float(rng.uniform(0.08, 0.28))
    flat = rng.uniform(0.3, size[[0, 2]] - 0.3)
    floor = 0.0
    if furniture and rng.random() < 0.6:
        under = furniture[rng.integers(len(furniture))]
        x, z = rng.uniform(-0.7, 0.7, 2) * under.half[[0, 2]]
        cos, sin = np.cos(under.turn), np.sin(under.turn)
        flat = under.centre[[0, 2]] + [cos * x + sin * z, cos * z - sin * x]
        floor = float(under.centre[1] + under.half[1])
    material = _material(rng, textures.ALL, (0.2, 0.6), (0.1, 0.9), (0.3, 1.0))
    turn = float(rng.uniform(0, np.pi))
    if rng.random() < 0.5:
        return Ball(np.array([flat[0], floor + radius, flat[1]]), radius, (material,))
    return Box(np.array([flat[0], floor + half[1], flat[1]]), half, turn, (material,), (PROPS,))


def _window(rng: np.random.Generator, size: np.ndarray) -> Window:
    wall, is_far = rng.integers(2), rng.integers(2)
    across, along = (0, 2) if wall == 0 else (2, 0)
    half = rng.uniform((0.4, 0.4), (1.0, 0.7))
    centre = np.zeros(3)
    centre[across] = size[across] if is_far else 0.0
    centre[along] = rng.uniform(half[0], size[along] - half[0])
    centre[1] = rng.uniform(1.3, 1.5)
    axes = np.eye(3)
    normal = axes[across] * (-1 if is_far else 1)
    return Window(centre, axes[along] * half[0], axes[1] * half[1], normal)
