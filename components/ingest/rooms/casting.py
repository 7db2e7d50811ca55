"""Rays and what they meet.

Rays are given as [3, N]: their origins (or [3, 1], one for all) and directions, of any length;
distances count in lengths of the direction. All is computed in the directions' precision, element
by element: the same rays give the same bits, however many there are and whatever computes them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.ingest.rooms.scene import Ball, Box, Scene

# A direction's component is never 0, so that nothing is divided by it.
_PARALLEL = 1e-12
# The two axes of the face of a box that lies across each axis: along the floor, and up.
_ALONG = np.array([[2, 1], [0, 2], [0, 1]])


@dataclass(frozen=True)
class Hits:
    """What N rays meet first.

    Attributes:
      distance: [N].
      points: [3, N] in the room's frame.
      normals: [3, N], unit, to the side that the ray comes from.
      places: [2, N], metres along the surface.
      surface: int [N], which of the `surfaces` of the scene.
    """

    distance: np.ndarray
    points: np.ndarray
    normals: np.ndarray
    places: np.ndarray
    surface: np.ndarray


def nearest(scene: Scene, origins: np.ndarray, directions: np.ndarray) -> Hits:
    """What rays that start within the room meet first: a body, or the room itself."""
    bodies = (scene.room, *scene.bodies)
    _, leaving = _slabs(scene.room, *_into(scene.room, origins, directions))
    distance, which = leaving.min(axis=0), np.zeros(directions.shape[1], np.intp)
    for number, body in enumerate(scene.bodies, 1):
        entry = _entry(body, origins, directions)
        nearer = entry < distance
        distance = np.where(nearer, entry, distance)
        which[nearer] = number
    points = origins + distance * directions
    hits = Hits(distance, points, np.empty_like(points), np.empty_like(points[:2]), which.copy())
    first = 0
    for number, body in enumerate(bodies):
        own = np.flatnonzero(which == number)
        if len(own):
            start = origins if origins.shape[1] == 1 else origins[:, own]
            is_room = number == 0
            found = _surface(body, start, directions[:, own], points[:, own], is_room)
            hits.normals[:, own], hits.places[:, own], face = found
            hits.surface[own] = first + face
        first += len(body.materials)
    return hits


def blocked(scene: Scene, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Whether a body lies between the origins and the ends of the directions: bool [N]."""
    found = np.zeros(directions.shape[1], bool)
    for body in scene.bodies:
        found |= _entry(body, origins, directions) < 1
    return found


def _into(box: Box, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Origins and directions in the box's own frame."""
    centre = box.centre.astype(directions.dtype)[:, None]
    return _turned(origins - centre, -box.turn), _turned(directions, -box.turn)


def _turned(vectors: np.ndarray, angle: float) -> np.ndarray:
    """[3, N] turned about the vertical axis."""
    if not angle:
        return vectors
    x, y, z = vectors
    cos, sin = vectors.dtype.type(np.cos(angle)), vectors.dtype.type(np.sin(angle))
    return np.stack([cos * x + sin * z, y, cos * z - sin * x])


def _slabs(box: Box, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where rays enter and leave the three pairs of planes: two [3, N]; in the box's frame."""
    half = box.half.astype(directions.dtype)[:, None]
    # The floats' own sign, so that a ray along a plane still has a side that it comes from.
    safe = np.where(np.abs(directions) < _PARALLEL, directions.dtype.type(_PARALLEL), directions)
    middle, reach = -origins / safe, half / np.abs(safe)
    return middle - reach, middle + reach


def _entry(body: Box | Ball, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """How far rays from outside go to a body: [N], infinite where they miss it."""
    if isinstance(body, Ball):
        start, stop = _ball(body, origins, directions)
    else:
        entering, leaving = _slabs(body, *_into(body, origins, directions))
        start, stop = entering.max(axis=0), leaving.min(axis=0)
    return np.where((start <= stop) & (start > 0), start, np.inf)


def _ball(ball: Ball, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where rays enter and leave a ball; NaN where they miss it."""
    x, y, z = origins - ball.centre.astype(directions.dtype)[:, None]
    along, up, into = directions
    square = along * along + up * up + into * into
    half = (x * along + y * up + z * into) / square
    rest = (x * x + y * y + z * z - directions.dtype.type(ball.radius**2)) / square
    with np.errstate(invalid="ignore"):
        root = np.sqrt(half * half - rest)
    return -half - root, -half + root


def _surface(
    body: Box | Ball,
    origins: np.ndarray,
    directions: np.ndarray,
    points: np.ndarray,
    is_room: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normals [3, N], places [2, N] and the number of the material [N] where rays meet a body."""
    if isinstance(body, Ball):
        normals = (points - body.centre.astype(points.dtype)[:, None]) / points.dtype.type(
            body.radius
        )
        angles = np.stack([np.arctan2(normals[0], normals[2]), np.arcsin(normals[1].clip(-1, 1))])
        return normals, angles * points.dtype.type(body.radius), np.zeros(len(angles[0]), np.intp)
    local, ways = _into(body, origins, directions)
    entering, leaving = _slabs(body, local, ways)
    axis = leaving.argmin(axis=0) if is_room else entering.argmax(axis=0)
    rays = np.arange(len(axis))
    is_up = ways[axis, rays] < 0
    normals = np.zeros_like(points)
    normals[axis, rays] = np.where(is_up, 1, -1)
    own, _ = _into(body, points, points)
    places = own[_ALONG[axis].T, rays]
    # Of a room that is seen from within, the face that a ray meets looks the other way.
    face = 2 * axis + (is_up != is_room) if len(body.materials) > 1 else np.zeros_like(axis)
    return _turned(normals, body.turn), places, face
