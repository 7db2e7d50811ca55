"""Geometric distortions: where each pixel of an output comes from, and what follows from that.

A step draws a `Motion` for each image of a batch. One resampler applies it to whatever is a raster
(images, masks, depth, normals), another to whatever is a point (keypoints, the corners of boxes),
so that all that is known of an image moves with it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import tensorflow as tf

_INVERSION_STEPS = 20
# Beyond four standard deviations a Gaussian has no weight that single precision would notice.
_GAUSSIAN_RADIUS = 4.0


class Motion(NamedTuple):
    """Output coordinates to input coordinates, for each image of a batch.

    Attributes:
      matrix: float32 [N, 2, 3]; (y, x, 1) in pixels of the output to (y, x) in those of the input,
        pixel centres at whole numbers.
      size: height and width of the output.
      flow: float32 [N, height, width, 2] that is added to the output coordinates first, or None.
    """

    matrix: tf.Tensor
    size: tuple[int | tf.Tensor, int | tf.Tensor]
    flow: tf.Tensor | None = None


Shape = tuple[int | tf.Tensor, int | tf.Tensor, int | tf.Tensor]


def shape_of(pixels: tf.Tensor) -> Shape:
    """Number, height and width of a batch; as numbers where they are known."""
    dynamic = tf.shape(pixels)
    return tuple(dynamic[i] if pixels.shape[i] is None else pixels.shape[i] for i in range(3))


def mirrored(count: int | tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Which of so many images are mirrored: bool [N], each with probability 1/2."""
    return tf.random.stateless_uniform([count, 1, 1, 1], seed)[:, 0, 0, 0] < 0.5


def flip(shape: Shape, seed: tf.Tensor) -> Motion:
    """Mirrors an image left to right with probability 1/2."""
    count, height, width = shape
    sign = tf.where(mirrored(count, seed), -1.0, 1.0)
    right = (1.0 - sign) / 2.0 * tf.cast(width - 1, tf.float32)
    zeros, ones = tf.zeros_like(sign), tf.ones_like(sign)
    return Motion(_rows((ones, zeros, zeros), (zeros, sign, right)), (height, width))


def shift(
    count: int | tf.Tensor, down: tf.Tensor, right: tf.Tensor, size: tuple[int, int]
) -> Motion:
    """An output of `size` whose first pixel is the input's pixel (down, right), each [N]."""
    down, right = (tf.cast(value, tf.float32) + tf.zeros([count]) for value in (down, right))
    zeros, ones = tf.zeros_like(down), tf.ones_like(down)
    return Motion(_rows((ones, zeros, down), (zeros, ones, right)), size)


def corners(
    count: int | tf.Tensor, seed: tf.Tensor, room: tuple[int | tf.Tensor, int | tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor]:
    """First row and column, int32 [N] each, of a part at one of the corners or the centre."""
    down, right = room
    rows = tf.stack([0, 0, down, down, down // 2])
    columns = tf.stack([0, right, 0, right, right // 2])
    place = tf.random.stateless_uniform([count], seed, 0, 5, tf.int32)
    return tf.gather(rows, place), tf.gather(columns, place)


def places(
    count: int | tf.Tensor, seed: tf.Tensor, room: tuple[int | tf.Tensor, int | tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor]:
    """First row and column, int32 [N] each, of a part anywhere; `room` is the largest of each."""

    def draw(axis: int) -> tf.Tensor:
        axis_seed = tf.random.experimental.stateless_fold_in(seed, -axis)
        first = tf.random.stateless_uniform([count, 1], axis_seed, 0, room[axis - 1] + 1, tf.int32)
        return first[:, 0]

    return draw(1), draw(2)


def affine(
    shape: Shape,
    seed: tf.Tensor,
    translate: float = 0.0,
    scale: float = 0.0,
    squeeze: float = 0.0,
    shear: float = 0.0,
    rotate: float = 0.0,
) -> Motion:
    """Planar affine distortions, a new one for each image (LeCun et al. 1998, section III.B).

    Args:
      shape: number, height and width of the images.
      seed: int64 [2].
      translate: at most so many pixels, in each direction.
      scale: both sides grow by a factor between 1 - scale and 1 + scale.
      squeeze: the width grows by a factor 1 + q and the height shrinks by it, |q| <= squeeze.
      shear: a row moves by at most this times its distance from the centre.
      rotate: at most so many degrees.

    Forward, an image is turned, then its rows are sheared, then its sides are stretched.
    """
    count, height, width = shape
    limits = tf.constant([translate, translate, scale, squeeze, shear, math.radians(rotate)])
    drawn = tf.random.stateless_uniform([count, 6], seed, -1.0, 1.0) * limits
    x, y, grow, squeezed, sheared, angle = tf.unstack(drawn, axis=1)
    narrower = 1.0 / ((1.0 + grow) * (1.0 + squeezed))
    lower = (1.0 + squeezed) / (1.0 + grow)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    across, along = cosine * narrower, (sine - cosine * sheared) * lower
    below, beside = (cosine + sine * sheared) * lower, -sine * narrower
    middle_y, middle_x = (tf.cast(side - 1, tf.float32) / 2.0 for side in (height, width))
    y_from, x_from = middle_y + y, middle_x + x
    return Motion(
        _rows(
            (below, beside, middle_y - beside * x_from - below * y_from),
            (along, across, middle_x - across * x_from - along * y_from),
        ),
        (height, width),
    )


def elastic(shape: Shape, seed: tf.Tensor, sigma: float, alpha: float) -> Motion:
    """Elastic distortions (Simard, Steinkraus, Platt 2003, section 2).

    Each pixel's displacement is drawn evenly from (-1, 1) in both directions; the field is smoothed
    by a Gaussian and multiplied.

    Args:
      shape: number, height and width of the images.
      seed: int64 [2].
      sigma: standard deviation of the Gaussian in pixels; beyond the image the field is 0.
      alpha: the factor.
    """
    count, height, width = shape
    noise = tf.random.stateless_uniform([count, height, width, 2], seed, -1.0, 1.0)
    down, across = (_gaussian(side, sigma) for side in (height, width))
    flow = alpha * tf.einsum("yi,nijc,xj->nyxc", down, noise, across)
    return shift(count, 0, 0, (height, width))._replace(flow=flow)


def _gaussian(side: int | tf.Tensor, sigma: float) -> tf.Tensor:
    """Smoothing along one axis as a matrix [side, side]."""
    place = tf.range(tf.cast(side, tf.float32))
    distance = place[:, None] - place
    radius = math.floor(_GAUSSIAN_RADIUS * sigma + 0.5)
    total = sum(math.exp(-0.5 * (k / sigma) ** 2) for k in range(-radius, radius + 1))
    weights = tf.exp(-0.5 * tf.square(distance / sigma)) / total
    return tf.where(tf.abs(distance) <= radius, weights, 0.0)


def _rows(first, second) -> tf.Tensor:
    return tf.stack([tf.stack(first, axis=-1), tf.stack(second, axis=-1)], axis=-2)


def chained(first: Motion, second: Motion) -> Motion:
    """Two motions in one, so that a raster is interpolated once: each time more blurs it.

    Args:
      first: without a flow, which could not be followed by another motion in this form.
      second: of what `first` gives.
    """
    turn, offset = first.matrix[..., :2], first.matrix[..., 2:]
    matrix = tf.concat([turn @ second.matrix[..., :2], turn @ second.matrix[..., 2:] + offset], 2)
    return second._replace(matrix=matrix)


def scaled(motion: Motion, factor: int | tf.Tensor) -> Motion:
    """The same motion of rasters that are so many times as high and as wide."""
    times = tf.cast(factor, tf.float32)
    # Pixel p is covered by those of the larger raster around times * p + middle.
    middle = (times - 1.0) / 2.0
    turn, offset = motion.matrix[..., :2], motion.matrix[..., 2:]
    offset = times * offset + middle * (1.0 - tf.reduce_sum(turn, axis=2, keepdims=True))
    height, width = (side * factor for side in motion.size)
    flow = None
    if motion.flow is not None:
        grid = tf.stack(tf.meshgrid(tf.range(height), tf.range(width), indexing="ij"), axis=-1)
        place = (tf.cast(grid, tf.float32) - middle) / times
        flow = times * _bilinear(motion.flow, place[None])
    return Motion(tf.concat([turn, offset], axis=2), (height, width), flow)


def resample(
    pixels: tf.Tensor, motion: Motion, interpolation: str = "BILINEAR", fill: float = 0.0
) -> tf.Tensor:
    """Moves rasters.

    Args:
      pixels: [N, H, W, C].
      motion: of as many images.
      interpolation: `"BILINEAR"`, or `"NEAREST"` for values that must not be mixed.
      fill: what comes in from outside.

    Returns:
      [N, *motion.size, C], float32 if bilinear, else of the type of `pixels`.
    """
    if motion.flow is not None:
        return _gathered(pixels, motion, interpolation, fill)
    if interpolation == "BILINEAR":
        pixels = tf.cast(pixels, tf.float32)
    (yy, yx, y), (xy, xx, x) = (
        tf.unstack(row, axis=1) for row in tf.unstack(motion.matrix, axis=1)
    )
    zeros = tf.zeros_like(y)
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=pixels,
        transforms=tf.stack([xx, xy, x, yx, yy, y, zeros, zeros], axis=1),
        output_shape=tf.stack(motion.size),
        interpolation=interpolation,
        fill_mode="CONSTANT",
        fill_value=fill,
    )
    known = [side if isinstance(side, int) else None for side in motion.size]
    return tf.ensure_shape(moved, [pixels.shape[0], *known, pixels.shape[-1]])


def _gathered(pixels, motion: Motion, interpolation: str, fill: float) -> tf.Tensor:
    # A margin of one pixel of `fill` stands for all that is outside.
    fill = tf.cast(fill, pixels.dtype)
    pixels = tf.pad(pixels, [[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=fill)
    source = _source(motion) + 1.0
    if interpolation == "NEAREST":
        return _at(pixels, tf.cast(tf.round(source), tf.int32))
    return _bilinear(tf.cast(pixels, tf.float32), source)


def _bilinear(pixels: tf.Tensor, source: tf.Tensor) -> tf.Tensor:
    """float32 [N, H, W, C] at the places float32 [N, ..., 2]; beyond the border as at it."""
    _, height, width = shape_of(pixels)
    source = tf.clip_by_value(source, 0.0, tf.cast([height - 1, width - 1], tf.float32))
    first = tf.clip_by_value(tf.floor(source), 0.0, tf.cast([height - 2, width - 2], tf.float32))
    part = source - first
    upper = tf.cast(first, tf.int32)
    lower = upper + tf.constant([1, 0])
    right = tf.constant([0, 1])
    y, x = part[..., :1], part[..., 1:]
    top = _at(pixels, upper) * (1 - x) + _at(pixels, upper + right) * x
    bottom = _at(pixels, lower) * (1 - x) + _at(pixels, lower + right) * x
    return top * (1 - y) + bottom * y


def _at(pixels: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """[N, H, W, C] at int32 [N, ..., 2], brought inside."""
    count, height, width = shape_of(pixels)
    index = tf.clip_by_value(index, 0, [height - 1, width - 1])
    image = tf.reshape(tf.range(count), [-1] + [1] * (len(index.shape) - 2))
    flat = (image * height + index[..., 0]) * width + index[..., 1]
    rows = tf.reshape(pixels, tf.stack([count * height * width, tf.shape(pixels)[-1]]))
    return tf.gather(tf.ensure_shape(rows, [None, pixels.shape[-1]]), flat)


def _source(motion: Motion) -> tf.Tensor:
    """Input coordinates float32 [N, height, width, 2] of every output pixel of a flow."""
    height, width = motion.size
    grid = tf.stack(tf.meshgrid(tf.range(height), tf.range(width), indexing="ij"), axis=-1)
    linear, offset = motion.matrix[..., :2], motion.matrix[:, None, None, :, 2]
    return tf.einsum("nij,nrcj->nrci", linear, tf.cast(grid, tf.float32) + motion.flow) + offset


def move_points(points: tf.Tensor, motion: Motion) -> tf.Tensor:
    """Where points of an input are in the output.

    Args:
      points: float32 [N, P, 2], (y, x) in pixels, pixel centres at whole numbers.
      motion: of as many images. A flow is inverted by iteration, which finds the place where the
        flow does not fold the image over itself.

    Returns:
      float32 [N, P, 2]; not limited to the image.
    """
    inverse = tf.linalg.inv(motion.matrix[..., :2])
    affine_place = tf.einsum("nij,npj->npi", inverse, points - motion.matrix[:, None, :, 2])
    if motion.flow is None:
        return affine_place
    place = affine_place
    for _ in range(_INVERSION_STEPS):
        place = affine_place - _bilinear(motion.flow, place)
    return place


def move_boxes(boxes: tf.Tensor, motion: Motion) -> tf.Tensor:
    """The boxes around moved boxes, as far as they are in the output.

    Args:
      boxes: float32 [N, B, 4], (ymin, xmin, ymax, xmax) in pixels from the image's upper left
        corner (not from the centre of its first pixel).
      motion: of as many images.

    Returns:
      float32 [N, B, 4]; a box of which nothing is left has no area.
    """
    top, left, bottom, right = tf.unstack(boxes, axis=-1)
    around = tf.stack([top, left, top, right, bottom, left, bottom, right], axis=-1)
    count, number = tf.shape(boxes)[0], tf.shape(boxes)[1]
    moved = move_points(tf.reshape(around, [count, number * 4, 2]) - 0.5, motion) + 0.5
    moved = tf.reshape(moved, [count, number, 4, 2])
    limits = tf.cast(tf.stack(motion.size), tf.float32)
    low = tf.clip_by_value(tf.reduce_min(moved, axis=2), 0.0, limits)
    high = tf.clip_by_value(tf.reduce_max(moved, axis=2), 0.0, limits)
    return tf.concat([low, high], axis=-1)


def nearness(motion: Motion) -> tf.Tensor:
    """By how much smaller a moved image shows things, float32 [N]: 1 / s where it enlarges by s."""
    return tf.sqrt(tf.abs(tf.linalg.det(motion.matrix[..., :2])))


def turn_normals(normals: tf.Tensor, motion: Motion) -> tf.Tensor:
    """Turns the vectors of a moved raster of surface normals as the scene behind it is moved.

    Where an image is moved by a matrix and depths are multiplied by `nearness`, points of the scene
    are moved by a matrix too, and normals by the transpose of its inverse (Eigen, Fergus 2015,
    section 5). So they are those of the moved depths: turned, mirrored and, where the image is
    enlarged by s, of a z that is s times as large before the length is made 1 again.

    Args:
      normals: float32 [N, H, W, 3], (x, y, z) with x to the right and y down, as `resample` left
        them; 0 where there is none.
      motion: what they were moved by; a flow leaves directions as they are.

    Returns:
      float32 [N, H, W, 3], of length 1, or 0.
    """
    x, y, z = tf.split(tf.cast(normals, tf.float32), 3, axis=-1)
    # The motion goes from the output to the input: it is the inverse already.
    along = tf.einsum("nij,nhwi->nhwj", motion.matrix[..., :2], tf.concat([y, x], axis=-1))
    y, x = tf.split(along, 2, axis=-1)
    return tf.math.l2_normalize(tf.concat([x, y, z], axis=-1), axis=-1)
