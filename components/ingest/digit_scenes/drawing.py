"""One picture of digits, with the class, the box and the mask of each."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from PIL import Image

from components.ingest import idx, textures
from components.ingest.digit_scenes.settings import SIDE, DigitScenes, mnist
from components.ingest.layouts import IDX_PATTERNS

_SPLITS = ("train", "test")
_MOST_DIGITS = 6
_HEIGHTS = 14.0, 64.0  # pixels of a digit, drawn evenly in their logarithm
_SQUEEZE = 1.25  # of a digit's shape, at most
_INK = 64  # of 255: what of MNIST's strokes counts as the digit's extent
_TRIES = 20
# Of the smaller of two boxes: what the other may cover.
_COVERED = 0.2
# Widths of the photograph that the ground shows; light of it at its mean, and its contrast.
_GROUND_WIDTHS, _GROUND_LIGHT, _GROUND_CONTRAST = (0.3, 1.0), (0.05, 0.6), (0.3, 1.0)
_LEAST_CONTRAST = 0.3  # between a digit's luminance and the mean of the ground's, of 1
_LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_GAMMA = 2.2


@dataclass(frozen=True)
class Scene:
    """A picture of `SIDE` x `SIDE` pixels with N digits.

    Attributes:
      image: uint8 [SIDE, SIDE, 3].
      digits: int64 [N].
      masks: bool [N, SIDE, SIDE], what is seen of each.
      boxes: float64 [N, 4], ymin, xmin, ymax, xmax of what is seen of each, in 0..1.
    """

    image: np.ndarray
    digits: np.ndarray
    masks: np.ndarray
    boxes: np.ndarray


def scene(scenes: DigitScenes, split: str, index: int) -> Scene:
    """One picture of a set: a function of the set's seed, the split and the index.

    The digits are those of MNIST's split of the same name.
    """
    # Streams of one seed with other keys are independent, so that no picture is in both splits.
    key = (_SPLITS.index(split), index)
    rng = np.random.default_rng(np.random.SeedSequence(scenes.seed, spawn_key=key))
    pixels = _ground(rng)
    level = float((pixels @ _LUMINANCE).mean())
    strokes, labels = _digits(split)
    found: list[tuple[int, np.ndarray]] = []
    taken: list[tuple[int, int, int, int]] = []
    for _ in range(rng.integers(1, _MOST_DIGITS + 1)):
        which = int(rng.integers(len(strokes)))
        drawn = _drawn(strokes[which], rng)
        place = _place(drawn.shape, taken, rng)
        if place is None:
            continue
        taken.append(place)
        whole = np.zeros((SIDE, SIDE))
        whole[place[0] : place[2], place[1] : place[3]] = drawn
        pixels += whole[..., None] * (_colour(level, rng) - pixels)
        found.append((int(labels[which]), whole > 0.5 * drawn.max()))
    masks = np.stack([mask for _, mask in found])
    # Later digits lie over earlier ones.
    above = np.cumsum(masks[::-1], axis=0)[::-1] - masks
    masks &= above == 0
    return Scene(
        np.rint(255 * pixels.clip(0, 1)).astype(np.uint8),
        np.array([digit for digit, _ in found], np.int64),
        masks,
        np.stack([_box(mask) for mask in masks]) / SIDE,
    )


@functools.lru_cache(maxsize=2)
def _digits(split: str) -> tuple[np.ndarray, np.ndarray]:
    return idx.read_split(mnist(), IDX_PATTERNS[split])


def _ground(rng: np.random.Generator) -> np.ndarray:
    """A part of a photograph, turned and tinted: float64 [SIDE, SIDE, 3] in 0..1."""
    photograph = np.full(SIDE * SIDE, rng.choice(textures.SURFACES))
    width, angle = rng.uniform(*_GROUND_WIDTHS), rng.uniform(0, 2 * np.pi)
    y, x = (np.mgrid[:SIDE, :SIDE].reshape(2, -1) + 0.5) * (width / SIDE)
    cos, sin = np.cos(angle), np.sin(angle)
    places = np.stack([cos * x - sin * y, sin * x + cos * y]) + rng.uniform(0, 2, (2, 1))
    texture = textures.looked_up(photograph, places, np.full(SIDE * SIDE, width / SIDE))
    light = rng.uniform(*_GROUND_LIGHT) * rng.uniform(0.6, 1.4, 3)
    shown = light * (1 + rng.uniform(*_GROUND_CONTRAST) * (texture - 1))
    return (shown.clip(0, 1) ** (1 / _GAMMA)).reshape(SIDE, SIDE, 3)


def _drawn(stroke: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A digit without what is around it, at a size of its own: float64 [h, w], ink in 0..1."""
    rows, columns = (np.flatnonzero((stroke >= _INK).any(axis=axis)) for axis in (1, 0))
    cut = stroke[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height = np.exp(rng.uniform(*np.log(_HEIGHTS)))
    squeeze = _SQUEEZE ** rng.uniform(-1, 1)
    width = height * cut.shape[1] / cut.shape[0] * squeeze
    size = [int(np.clip(round(side), 3, SIDE)) for side in (width, height)]
    resized = Image.fromarray(np.ascontiguousarray(cut)).resize(size, Image.Resampling.BICUBIC)
    return np.asarray(resized) / 255.0


def _place(
    shape: tuple[int, ...], taken: list[tuple[int, int, int, int]], rng: np.random.Generator
) -> tuple[int, int, int, int] | None:
    """Where a digit of a height and a width covers little of others; None where that is nowhere."""
    for _ in range(_TRIES):
        top, left = (int(rng.integers(SIDE - side + 1)) for side in shape)
        place = (top, left, top + shape[0], left + shape[1])
        if all(_covered(place, other) <= _COVERED for other in taken):
            return place
    return None


def _covered(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> float:
    """What two boxes share, of the smaller one."""
    height = min(one[2], other[2]) - max(one[0], other[0])
    width = min(one[3], other[3]) - max(one[1], other[1])
    areas = ((each[2] - each[0]) * (each[3] - each[1]) for each in (one, other))
    return max(height, 0) * max(width, 0) / min(areas)


def _colour(level: float, rng: np.random.Generator) -> np.ndarray:
    """A colour that can be told from the ground's mean luminance: [3] in 0..1."""
    while True:
        colour = rng.uniform(0, 1, 3)
        if abs(colour @ _LUMINANCE - level) >= _LEAST_CONTRAST:
            return colour


def _box(mask: np.ndarray) -> np.ndarray:
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1], np.float64)
