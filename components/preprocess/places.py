"""Where a network's input lies in the picture that it was made of, and places in both.

A window is ymin, xmin, ymax, xmax of the input in parts of the picture's sides: below 0 and above 1
where `fit` pads. Places are parts of the sides, too: boxes as ymin, xmin, ymax, xmax, points as
y, x.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from components.preprocess.transform import covering, shrunk, stored_size, without_ends
from components.tasks.task import Output

_WHOLE = np.array([0.0, 0.0, 1.0, 1.0], np.float32)


def stored_window(sides: tf.Tensor, settings: Mapping[str, Any]) -> tf.Tensor:
    """The window of images as `transform.decode` gives them.

    Args:
      sides: height and width of the pictures, int32 [..., 2].
      settings: a recipe's `preprocess`: `size`, `resize`, `fit`.

    Returns:
      float32 [..., 4].
    """
    height, width = stored_size(settings)
    return _FITS[settings["fit"]](sides, height, width)


def input_window(sides: tf.Tensor, settings: Mapping[str, Any]) -> tf.Tensor:
    """The window of the central part of `size`, the network's input; as `stored_window`."""
    stored, size = stored_size(settings), settings["size"]
    first = [(whole - side) // 2 / whole for whole, side in zip(stored, size, strict=True)]
    parts = [side / whole for whole, side in zip(stored, size, strict=True)]
    last = [start + part for start, part in zip(first, parts, strict=True)]
    return to_picture(tf.constant([*first, *last], tf.float32), stored_window(sides, settings))


def whole(sides: tf.Tensor) -> tf.Tensor:
    """The window of an input that is the picture, of sides int32 [..., 2], as it is."""
    return tf.zeros_like(tf.tile(sides, _twice(sides)), tf.float32) + _WHOLE


def to_input(places: tf.Tensor, window: tf.Tensor) -> tf.Tensor:
    """Boxes or points, float32 [..., 4] or [..., 2], from the picture to a window."""
    first, sides = _corner_and_sides(window, places.shape[-1])
    return (places - first) / sides


def to_picture(places: tf.Tensor, window: tf.Tensor) -> tf.Tensor:
    """Boxes or points, float32 [..., 4] or [..., 2], from a window to the picture."""
    first, sides = _corner_and_sides(window, places.shape[-1])
    return first + places * sides


def in_pixels(
    given: Mapping[str, tf.Tensor],
    outputs: Sequence[Output],
    window: tf.Tensor,
    sides: tf.Tensor,
) -> dict[str, tf.Tensor]:
    """Answers with places in pixels of the pictures, cut at their sides.

    Args:
      given: by output; places in parts of the network's input, [N, ..., 4] or [N, ..., 2].
      outputs: of the task.
      window: of the network's input in each picture, float32 [N, 4].
      sides: height and width of each picture, int32 [N, 2].
    """
    found = dict(given)
    for each in outputs:
        if each.is_place and each.name in given:
            places = given[each.name]
            between = [1] * (len(places.shape) - 2)
            own = tf.reshape(window, [-1, *between, 4])
            most = tf.tile(tf.cast(sides, tf.float32), [1, places.shape[-1] // 2])
            most = tf.reshape(most, [-1, *between, places.shape[-1]])
            pixels = tf.clip_by_value(to_picture(places, own) * most, 0.0, most)
            # Zeros fill places that nothing is said about.
            filler = tf.reduce_all(places == 0, axis=-1, keepdims=True)
            found[each.name] = tf.where(filler, 0.0, pixels)
    return found


def _corner_and_sides(window: tf.Tensor, numbers: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The window's first corner and its sides, as often as places have corners."""
    repeated = [1] * (len(window.shape) - 1) + [numbers // 2]
    first, last = window[..., :2], window[..., 2:]
    return tf.tile(first, repeated), tf.tile(last - first, repeated)


def _stretched(sides: tf.Tensor, height: int, width: int) -> tf.Tensor:
    del height, width
    return whole(sides)


def _padded(sides: tf.Tensor, height: int, width: int) -> tf.Tensor:
    size = shrunk(sides, height, width)
    return _of_pixels(size, -(([height, width] - size) // 2), height, width)


def _cropped(sides: tf.Tensor, height: int, width: int) -> tf.Tensor:
    first, kept = without_ends(sides, height, width)
    size = covering(kept, height, width)
    window = _of_pixels(size, (size - [height, width]) // 2, height, width)
    middle = tf.concat([first, first + kept], axis=-1) / tf.tile(sides, _twice(sides))
    return to_picture(window, tf.cast(middle, tf.float32))


def _of_pixels(size: tf.Tensor, first: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """The window height x width whose first pixel is `first` of an image of `size`, [..., 2]."""
    pixels = tf.concat([first, first + tf.constant([height, width])], axis=-1)
    return tf.cast(pixels / tf.tile(size, _twice(size)), tf.float32)


def _twice(sides: tf.Tensor) -> list[int]:
    return [1] * (len(sides.shape) - 1) + [2]


_FITS = {"pad": _padded, "stretch": _stretched, "crop": _cropped}
