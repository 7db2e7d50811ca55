"""Which part of an encoded image a training sees, and how large: decoded anew in each epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from components.preprocess.geometry import Motion
from components.preprocess.steps import STEPS, arguments, sampling
from components.preprocess.transform import covering, decode_one

_ATTEMPTS = 10


class Window(NamedTuple):
    """A part of an image: its first row and column and its sides, float32 [], in pixels."""

    top: tf.Tensor
    left: tf.Tensor
    height: tf.Tensor
    width: tf.Tensor


def scale_jitter(
    shape: tf.Tensor, seed: tf.Tensor, size: tuple[int, int], low: int, high: int
) -> Window:
    """A crop of `size` of the image, resized to a shorter side drawn from [low, high].

    Section 3.1 of Simonyan and Zisserman 2015, 3.4 of He et al. 2016. The image is never resized
    as a whole: the window is the part of it that the crop shows.

    Args:
      shape: int32 [2], height and width of the image.
      seed: int64 [2].
      size: height and width of the crop.
      low, high: of the shorter side, both included; low covers `size`.
    """
    scale_seed, place_seed = tf.unstack(tf.random.split(seed))
    shorter = tf.random.stateless_uniform([], scale_seed, low, high + 1, tf.int32)
    scale = tf.cast(shorter, tf.float32) / tf.cast(tf.reduce_min(shape), tf.float32)
    larger = tf.cast(tf.round(tf.cast(shape, tf.float32) * scale), tf.int32)
    return _of_resized(shape, larger, _anywhere(place_seed, larger - size), size)


def square_crop(shape: tf.Tensor, seed: tf.Tensor, size: tuple[int, int], side: int) -> Window:
    """A crop of `size` of the central square of the image, resized to `side`.

    Sections 2 and 4.1 of Krizhevsky et al. 2012; the pixels are those of `fit` "crop".
    """
    larger = covering(shape, side, side)
    return _of_resized(
        shape, larger, (larger - side) // 2 + _anywhere(seed, side - tf.constant(size)), size
    )


def _anywhere(seed: tf.Tensor, room: tf.Tensor) -> tf.Tensor:
    """A first row and column, int32 [2], of which `room` is the largest."""
    seeds = tf.random.split(seed)
    return tf.stack(
        [
            tf.random.stateless_uniform([], seeds[axis], 0, room[axis] + 1, tf.int32)
            for axis in range(2)
        ]
    )


def _of_resized(
    shape: tf.Tensor, larger: tf.Tensor, first: tf.Tensor, size: tuple[int, int]
) -> Window:
    """The part of an image that a crop at `first` of its copy resized to `larger` shows."""
    pixel = tf.cast(shape, tf.float32) / tf.cast(larger, tf.float32)
    place = tf.cast(first, tf.float32) * pixel
    sides = tf.cast(size, tf.float32) * pixel
    return Window(place[0], place[1], sides[0], sides[1])


def area_aspect(
    shape: tf.Tensor,
    seed: tf.Tensor,
    size: tuple[int, int],
    area: tuple[float, float] = (0.08, 1.0),
    aspect: tuple[float, float] = (3 / 4, 4 / 3),
) -> Window:
    """A part of any size and shape, of which the crop is a resized copy.

    Section 6 of Szegedy et al. 2015: "the size of the patch is distributed evenly between 8 % and
    100 % of the image area with aspect ratio constrained to the interval [3/4, 4/3]". Evenly in
    area is what `tf.image.sample_distorted_bounding_box` does not do: it draws the height evenly.

    Args:
      shape: int32 [2], height and width of the image.
      seed: int64 [2].
      size: of the crop; the window does not depend on it.
      area: lowest and highest share of the image's area.
      aspect: lowest and highest width / height; its logarithm is drawn evenly.

    Returns:
      Whole pixels. Of ten draws the first that fits into the image; where none does, the last,
      made small enough.
    """
    del size
    area_seed, aspect_seed, top_seed, left_seed = tf.unstack(tf.random.split(seed, 4))
    sides = tf.cast(shape, tf.float32)
    areas = tf.random.stateless_uniform([_ATTEMPTS], area_seed, *area) * tf.reduce_prod(sides)
    logarithms = tf.math.log(tf.constant(aspect, tf.float32))
    aspects = tf.exp(
        tf.random.stateless_uniform([_ATTEMPTS], aspect_seed, logarithms[0], logarithms[1])
    )
    drawn = tf.stack([tf.sqrt(areas / aspects), tf.sqrt(areas * aspects)], axis=1)
    fits = tf.reduce_all(tf.round(drawn) <= sides, axis=1)
    # argmax gives the first of several; the last draw shrunk stands behind all that do not fit.
    shrunk = drawn[-1] * tf.minimum(1.0, tf.reduce_min(sides / drawn[-1]))
    candidates = tf.concat([drawn, shrunk[None]], axis=0)
    chosen = tf.argmax(tf.concat([fits, [True]], axis=0))
    extent = tf.clip_by_value(tf.round(candidates[chosen]), 1.0, sides)
    room = tf.cast(sides - extent, tf.int32) + 1
    top, left = (
        tf.cast(tf.random.stateless_uniform([], side_seed, 0, room[axis], tf.int32), tf.float32)
        for axis, side_seed in enumerate((top_seed, left_seed))
    )
    return Window(top, left, extent[0], extent[1])


WINDOWS = {
    "scale_jitter": scale_jitter,
    "area_aspect": area_aspect,
    "square_crop": square_crop,
}


# What leaves the rest of an image alone, so that a crop may come before it.
_ON_ANY_PART = ("flip", *(name for name, step in STEPS.items() if step.colour))


def sampling_step(recipe: Mapping[str, Any]) -> dict[str, Any] | None:
    """How a recipe's training images are cut as they are decoded, if they are.

    Args:
      recipe: `augment`, `preprocess`. Without a sampling step the plain crop out of an image of
        `preprocess.resize` is one, where no other step needs what lies around it.
    """
    preprocess, steps = recipe["preprocess"], recipe["augment"]
    if chosen := sampling(steps):
        return dict(chosen)
    plain = preprocess["fit"] == "crop" and all(step["step"] in _ON_ANY_PART for step in steps)
    resize = preprocess.get("resize")
    return {"step": "square_crop", "side": resize} if resize and plain else None


def window(
    step: Mapping[str, Any], shape: tf.Tensor, seed: tf.Tensor, size: tuple[int, int]
) -> Window:
    """Draws what a recipe's sampling step shows of an image of this shape."""
    return WINDOWS[step["step"]](shape, seed, size, **arguments(step))


def sample(
    encoded: tf.Tensor, settings: Mapping[str, Any], step: Mapping[str, Any] | None, seed: tf.Tensor
) -> tf.Tensor:
    """Decodes a training image.

    Args:
      encoded: string [].
      settings: a recipe's `preprocess`.
      step: the sampling step, or None: the image as Transform's graph gives it.
      seed: int64 [2].

    Returns:
      uint8 [height, width, channels], of the network's input where there is a step, else of
      `stored_size`.
    """
    if step is None:
        return tf.cast(decode_one(encoded, settings), tf.uint8)
    size, channels = tuple(settings["size"]), settings["channels"]

    def part_of_jpeg() -> tf.Tensor:
        shape = tf.image.extract_jpeg_shape(encoded)[:2]
        shown = window(step, shape, seed, size)
        part, inside = _needed(shape, shown, size)
        pixels = tf.image.decode_and_crop_jpeg(encoded, part, channels=channels)
        return resized(pixels, inside, size)

    def part_of_other() -> tf.Tensor:
        pixels = tf.io.decode_image(encoded, channels=channels, expand_animations=False)
        pixels.set_shape([None, None, channels])
        return resized(pixels, window(step, tf.shape(pixels)[:2], seed, size), size)

    part = tf.cond(tf.io.is_jpeg(encoded), part_of_jpeg, part_of_other)
    return tf.cast(tf.ensure_shape(part, [*size, channels]), tf.uint8)


def _needed(shape: tf.Tensor, shown: Window, size: tuple[int, int]) -> tuple[tf.Tensor, Window]:
    """The part of a JPEG, int32 [4], that a resized window depends on, and the window inside it."""
    corner, sides = tf.stack(shown[:2]), tf.stack(shown[2:])
    reach = tf.maximum(1.0, sides / tf.cast(size, tf.float32)) + 1.0
    first = tf.maximum(tf.cast(tf.floor(corner - reach), tf.int32), 0)
    last = tf.minimum(tf.cast(tf.math.ceil(corner + sides + reach), tf.int32), shape)
    inside = corner - tf.cast(first, tf.float32)
    return tf.concat([first, last - first], axis=0), Window(inside[0], inside[1], *shown[2:])


def resized(pixels: tf.Tensor, shown: Window, size: tuple[int, int]) -> tf.Tensor:
    """A window of an image at another size, as `tf.image.resize` with antialiasing would show it.

    Args:
      pixels: [H, W, C].
      shown: inside the image.
      size: height and width of the result.

    Returns:
      float32 [*size, C], whole numbers in 0..255.
    """
    scale = tf.cast(size, tf.float32) / tf.stack(shown[2:])
    part = tf.raw_ops.ScaleAndTranslate(
        images=pixels[None],
        size=size,
        scale=scale,
        translation=-tf.stack(shown[:2]) * scale,
        kernel_type="triangle",
        antialias=True,
    )
    # Means of pixels, which lie between 0 and 255 but for what rounding takes away.
    return tf.round(part[0])


def motion(shown: Window, size: tuple[int, int]) -> Motion:
    """The same for masks and points: the motion of a batch of one image."""
    places, zero = [], tf.constant(0.0)
    for first, side, count in zip(shown[:2], shown[2:], size, strict=True):
        step = side / float(count)
        places.append((step, first + step / 2.0 - 0.5))
    (down, top), (right, left) = places
    rows = tf.stack([tf.stack([down, zero, top]), tf.stack([zero, right, left])])
    return Motion(rows[None], size)
