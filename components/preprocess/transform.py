"""The tf.Transform part: decoding, sizing, and statistics of the whole training set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

PIXELS = "image"
MEAN = "image/mean"
LABEL = "label"


def preprocessing_fn(
    inputs: Mapping[str, tf.Tensor], custom_config: Mapping[str, Any]
) -> dict[str, tf.Tensor]:
    """tf.Transform's preprocessing function.

    Args:
      inputs: `image/encoded` string [N, 1] and `label` int64 [N, 1].
      custom_config: `{"preprocess": the recipe's preprocess}`.

    Returns:
      `image`, float32 [N, H, W, C] of pixels 0..255 before any normalisation, so that distortions
      act on an image; `image/mean`, float32 of the same shape, what `normalize` subtracts: the mean
      of each pixel over the training set (section 3.1 of Krizhevsky et al. 2012 subtracts it
      "at each pixel"), or zeros; `label`, int64 [N, 1].
    """
    settings = custom_config["preprocess"]
    pixels = decode(tf.squeeze(inputs["image/encoded"], axis=1), settings)
    if settings["mean"] == "per_pixel":
        mean = tft.mean(pixels, reduce_instance_dims=False)
        means = tf.zeros_like(pixels) + mean
    else:
        means = tf.zeros_like(pixels)
    return {PIXELS: pixels, MEAN: means, LABEL: inputs[LABEL]}


def decode(encoded: tf.Tensor, settings: Mapping[str, Any]) -> tf.Tensor:
    """Decodes PNG or JPEG images and brings them to one size.

    Args:
      encoded: string [N].
      settings: a recipe's `preprocess`: `size`, `channels`, `fit`.

    Returns:
      float32 [N, height, width, channels], whole numbers 0..255.
    """
    height, width = settings["size"]
    channels = settings["channels"]
    fit = _FITS[settings["fit"]]

    def decode_one(data: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_image(data, channels=channels, expand_animations=False)
        image.set_shape([None, None, channels])
        fitted = fit(tf.cast(image, tf.float32), height, width)
        # Whole numbers, because training keeps the pixels as bytes and serving must not differ.
        whole = tf.round(tf.clip_by_value(fitted, 0.0, 255.0))
        return tf.ensure_shape(whole, [height, width, channels])

    return tf.map_fn(decode_one, encoded, fn_output_signature=tf.float32)


def _pad(image: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Centres the image on black; shrinks it first where it is larger, and never enlarges it."""
    shape = tf.shape(image)
    too_large = tf.logical_or(shape[0] > height, shape[1] > width)
    image = tf.cond(too_large, lambda: _shrink(image, height, width), lambda: image)
    return tf.image.resize_with_crop_or_pad(image, height, width)


def _shrink(image: tf.Tensor, height: int, width: int) -> tf.Tensor:
    return tf.image.resize(image, [height, width], preserve_aspect_ratio=True, antialias=True)


def _stretch(image: tf.Tensor, height: int, width: int) -> tf.Tensor:
    return tf.image.resize(image, [height, width], antialias=True)


_FITS = {"pad": _pad, "stretch": _stretch}


def normalize(pixels: tf.Tensor, mean: tf.Tensor, settings: Mapping[str, Any]) -> tf.Tensor:
    """Maps pixels to the network's input.

    Args:
      pixels: [N, H, W, C], 0..255.
      mean: [H, W, C], what is subtracted, in the same unit.
      settings: a recipe's `preprocess`: `range` is where 0 and 255 go.

    Returns:
      float32 [N, H, W, C].
    """
    low, high = settings["range"]
    scale = (high - low) / 255.0
    return (tf.cast(pixels, tf.float32) - mean) * scale + low
