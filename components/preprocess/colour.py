"""Distortions of the colours of batches of images, [N, H, W, C] in 0..255."""

from __future__ import annotations

import tensorflow as tf

# What Pillow, ITU-R 601-2, takes as the grey of a colour.
_GREY = (0.299, 0.587, 0.114)
# Beyond 255 and below 0 there is no light.
_BLACK, _WHITE = 0.0, 255.0
_ENHANCEMENTS = 3


def pca_colour(pixels: tf.Tensor, seed: tf.Tensor, axes: tf.Tensor, std: float = 0.1) -> tf.Tensor:
    """Adds to every pixel of an image the same amount along the principal axes of the colours.

    Section 4.1 of Krizhevsky et al. 2012. The text multiplies an axis by its eigenvalue, which for
    pixels of 0..255 is some thousands; the authors' published code (cuda-convnet2) multiplies by
    its square root, the standard deviation along the axis, and so does this.

    Args:
      pixels: [N, H, W, C].
      seed: int64 [2].
      axes: float32 [C, C], principal axes as rows, as long as the standard deviation of the
        training set's pixels along them.
      std: standard deviation of the Gaussian that the axes are multiplied by.

    Returns:
      float32 [N, H, W, C]; not limited to 0..255, as in the published code.
    """
    drawn = tf.random.stateless_normal([tf.shape(pixels)[0], len(axes)], seed, stddev=std)
    return _shifted(tf.cast(pixels, tf.float32), drawn @ axes)


def _shifted(pixels: tf.Tensor, amounts: tf.Tensor) -> tf.Tensor:
    """float32 [N, H, W, C] with [N, C] added to each pixel."""
    count, height, width, channels = tf.unstack(tf.shape(pixels))
    # Row by row: to add a pixel of three numbers everywhere takes three times as long.
    rows = tf.reshape(pixels, [count, height, width * channels])
    return tf.reshape(rows + tf.tile(amounts, [1, width])[:, None], tf.shape(pixels))


def photometric(pixels: tf.Tensor, seed: tf.Tensor, strength: float = 0.5) -> tf.Tensor:
    """Changes contrast, brightness and colour in an order drawn for each image.

    Section 2.2 of Howard 2013, Some improvements on deep convolutional neural network based image
    classification, which GoogLeNet cites: Pillow's three enhancements, each by a factor of 0.5 to
    1.5.

    Args:
      pixels: [N, H, W, 3].
      seed: int64 [2].
      strength: the factors are drawn from 1 - strength to 1 + strength.

    Returns:
      float32 [N, H, W, 3], limited to 0..255 at the end, where Pillow does so three times.
    """
    count = tf.shape(pixels)[0]
    order_seed, factor_seed = tf.unstack(tf.random.split(seed))
    factors = tf.random.stateless_uniform(
        [count, _ENHANCEMENTS], factor_seed, 1.0 - strength, 1.0 + strength
    )
    order = tf.argsort(tf.random.stateless_uniform([count, _ENHANCEMENTS], order_seed), axis=1)
    pixels = tf.cast(pixels, tf.float32)
    matrix, shift = _enhancement(factors, order, tf.reduce_mean(pixels, axis=[1, 2]))
    flat = tf.reshape(pixels, [count, -1, 3])
    enhanced = tf.reshape(tf.matmul(flat, matrix), tf.shape(pixels))
    return tf.clip_by_value(_shifted(enhanced, shift), _BLACK, _WHITE)


def _enhancement(
    factors: tf.Tensor, order: tf.Tensor, mean: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The three enhancements of each image as one matrix [N, 3, 3] and one shift [N, 3].

    Each of them mixes an image with its mean grey (0), with black (1) or with its greys (2), which
    is an affine map of the colours.

    Args:
      factors: float32 [N, 3], the image's own part of each mixture.
      order: int32 [N, 3], which is first, second, third.
      mean: float32 [N, 3], the mean colours.
    """
    to_grey = tf.tile(tf.constant(_GREY)[:, None], [1, 3])
    matrix, shift = tf.eye(3, batch_shape=tf.shape(factors)[:1]), tf.zeros_like(mean)
    for turn in range(_ENHANCEMENTS):
        own = factors[:, turn, None]
        contrast, colour = (
            (1.0 - own) * tf.cast(order[:, turn, None] == number, tf.float32) for number in (0, 2)
        )
        mix = own[..., None] * tf.eye(3) + colour[..., None] * to_grey
        add = contrast * (mean @ to_grey)
        mean, shift = (tf.einsum("ni,nij->nj", value, mix) + add for value in (mean, shift))
        matrix = matrix @ mix
    return matrix, shift


def noise(pixels: tf.Tensor, seed: tf.Tensor, std: float) -> tf.Tensor:
    """Adds Gaussian noise, drawn for each value.

    Args:
      pixels: [N, H, W, C].
      seed: int64 [2].
      std: its standard deviation, in pixel values.

    Returns:
      float32 [N, H, W, C], 0..255.
    """
    drawn = tf.random.stateless_normal(tf.shape(pixels), seed, stddev=std)
    return tf.clip_by_value(tf.cast(pixels, tf.float32) + drawn, _BLACK, _WHITE)
