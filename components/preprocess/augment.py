"""Random distortions of batches of training images, seeded, as a table of named steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf


def augment(pixels: tf.Tensor, steps: Sequence[Mapping[str, Any]], seed: tf.Tensor) -> tf.Tensor:
    """Applies a recipe's `augment` steps to a batch.

    Args:
      pixels: uint8 or float32 [N, H, W, C], 0..255.
      steps: `{"step": NAME, ...arguments}` in order; the names are the keys of `STEPS`.
      seed: int64 [2]; the same seed gives the same distortions.

    Returns:
      uint8 or float32 [N, H', W', C].

    Raises:
      ValueError: an unknown step.
    """
    for number, step in enumerate(steps):
        arguments = {key: value for key, value in step.items() if key != "step"}
        if step["step"] not in STEPS:
            raise ValueError(f"unknown augment step {step['step']!r}; known: {', '.join(STEPS)}")
        step_seed = tf.random.experimental.stateless_fold_in(seed, number)
        pixels = STEPS[step["step"]](pixels, step_seed, **arguments)
    return pixels


def affine(
    pixels: tf.Tensor,
    seed: tf.Tensor,
    translate: float = 0.0,
    scale: float = 0.0,
    squeeze: float = 0.0,
    shear: float = 0.0,
    rotate: float = 0.0,
) -> tf.Tensor:
    """Planar affine distortions, a new one for each image (LeCun et al. 1998, section III.B).

    Args:
      pixels: [N, H, W, C]; what comes in from outside the image is 0.
      seed: int64 [2].
      translate: at most so many pixels, in each direction.
      scale: both sides grow by a factor between 1 - scale and 1 + scale.
      squeeze: the width grows by a factor 1 + q and the height shrinks by it, |q| <= squeeze.
      shear: a row moves by at most this times its distance from the centre.
      rotate: at most so many degrees.

    Returns:
      float32 [N, H, W, C], bilinearly interpolated.
    """
    shape = tf.shape(pixels)
    limits = tf.constant([translate, translate, scale, squeeze, shear, math.radians(rotate)])
    drawn = tf.random.stateless_uniform([shape[0], 6], seed, -1.0, 1.0) * limits
    x, y, grow, squeezed, sheared, angle = tf.unstack(drawn, axis=1)
    matrix = _inverse_matrix(grow, squeezed, sheared, angle)
    centre = tf.cast(shape[1:3] - 1, tf.float32) / 2.0
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(pixels, tf.float32),
        transforms=_about_centre(matrix, x, y, centre[1], centre[0]),
        output_shape=shape[1:3],
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
        fill_value=0.0,
    )


def _inverse_matrix(grow, squeezed, sheared, angle):
    """Output to input coordinates (x, y), as rows (a, b), (c, d); all values float32 [N].

    Forward, the image is turned, then its rows are sheared, then its sides are stretched.
    """
    width = 1.0 / ((1.0 + grow) * (1.0 + squeezed))
    height = (1.0 + squeezed) / (1.0 + grow)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    return (
        cosine * width,
        (sine - cosine * sheared) * height,
        -sine * width,
        (cosine + sine * sheared) * height,
    )


def _about_centre(matrix, x, y, centre_x, centre_y):
    a, b, c, d = matrix
    x_from, y_from = centre_x + x, centre_y + y
    zeros = tf.zeros_like(a)
    return tf.stack(
        [
            a,
            b,
            centre_x - a * x_from - b * y_from,
            c,
            d,
            centre_y - c * x_from - d * y_from,
            zeros,
            zeros,
        ],
        axis=1,
    )


def flip(pixels: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Mirrors each image left to right with probability 1/2."""
    mirrored = tf.random.stateless_uniform([tf.shape(pixels)[0], 1, 1, 1], seed) < 0.5
    return tf.where(mirrored, pixels[:, :, ::-1], pixels)


def pad(pixels: tf.Tensor, seed: tf.Tensor, margin: int) -> tf.Tensor:
    """Adds a margin of 0, from which `random_crop` then cuts (section 4.2 of He et al. 2016).

    Args:
      pixels: [N, H, W, C].
      margin: pixels on each side.

    Returns:
      [N, H + 2 margin, W + 2 margin, C].
    """
    del seed
    return tf.pad(pixels, [[0, 0], [margin, margin], [margin, margin], [0, 0]])


STEPS = {"affine": affine, "flip": flip, "pad": pad}


def random_crop(pixels: tf.Tensor, seed: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Cuts a part of this size out of each image, at a place of its own.

    Args:
      pixels: [N, H, W, C], H >= height and W >= width.
      seed: int64 [2].

    Returns:
      [N, height, width, C].
    """
    if pixels.shape[1:3] == (height, width):
        return pixels
    for axis, side in ((1, height), (2, width)):
        room = tf.shape(pixels)[axis] - side + 1
        side_seed = tf.random.experimental.stateless_fold_in(seed, -axis)
        first = tf.random.stateless_uniform([tf.shape(pixels)[0], 1], side_seed, 0, room, tf.int32)
        pixels = tf.gather(pixels, first + tf.range(side), axis=axis, batch_dims=1)
    return pixels
