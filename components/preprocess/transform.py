"""The tf.Transform part: decoding, sizing, and statistics of the whole training set."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from keras_models.classification.published import RGB_MEAN

PIXELS = "image"
MEAN = "image/mean"
AXES = "image/axes"
# Subtracted before pixels are squared: sums of small numbers keep more of their digits.
_MIDDLE = 127.5
# As many times as long as it is wanted an image may be when all of it is resized.
_LONGEST = 16.0


def preprocessing_fn(
    inputs: Mapping[str, tf.Tensor], custom_config: Mapping[str, Any]
) -> dict[str, tf.Tensor]:
    """tf.Transform's preprocessing function.

    Args:
      inputs: `image/encoded` string [N, 1].
      custom_config: `{"preprocess": the recipe's preprocess}`; with `"base"`, the folder of another
        data set's Transform graph of the same preprocess, its mean is subtracted; with `"axes"`
        true, the principal axes of the colours are found.

    Returns:
      `image`, float32 [N, H, W, C] of pixels 0..255 before any normalisation, so that distortions
      act on an image; `image/mean`, float32 of the same shape, what `normalize` subtracts: the mean
      of each pixel over the training set (section 3.1 of Krizhevsky et al. 2012 subtracts it
      "at each pixel"), the mean of each channel (section 2.1 of Simonyan and Zisserman 2015), that
      of ImageNet's channels, which is known, or zeros; `image/axes`, float32 [N, C, C] (see
      `principal_axes`), where asked for. H and W are those of `stored_size`.
    """
    settings = custom_config["preprocess"]
    pixels = decode(tf.squeeze(inputs["image/encoded"], axis=1), settings)
    base = custom_config.get("base")
    mean = stored_mean(base) if base else _MEANS[settings["mean"]](pixels)
    features = {PIXELS: pixels, MEAN: tf.zeros_like(pixels) + mean}
    if custom_config.get("axes"):
        axes = principal_axes(pixels)
        features[AXES] = tf.zeros([tf.shape(pixels)[0], 1, 1]) + axes
    return features


def principal_axes(pixels: tf.Tensor) -> tf.Tensor:
    """The principal axes of the colours of all pixels of the training set, by a full pass over it.

    Args:
      pixels: float32 [N, H, W, C].

    Returns:
      float32 [C, C]: the axes as rows, the longest last, each as long as the standard deviation
      of the pixels along it.
    """
    # All images have as many pixels, so that means of images are means of pixels: it is these
    # small matrices that Beam adds up.
    each = tf.reshape(pixels, [tf.shape(pixels)[0], -1, pixels.shape[-1]]) - _MIDDLE
    count = tf.cast(tf.shape(each)[1], tf.float32)
    squares = tft.mean(tf.matmul(each, each, transpose_a=True) / count, reduce_instance_dims=False)
    mean = tft.mean(tf.reduce_mean(each, axis=1), reduce_instance_dims=False)
    values, vectors = tf.linalg.eigh(squares - mean[:, None] * mean)
    return tf.transpose(vectors) * tf.sqrt(tf.maximum(values, 0.0))[:, None]


def stored_mean(transform_graph: str) -> np.ndarray:
    """What a Transform graph of ours gives as `image/mean`, float32 [H, W, C]."""
    # Outside of the graph that may be in the making: the mean is a constant.
    with tf.init_scope():
        graph = tft.TFTransformOutput(transform_graph).transform_features_layer()
        any_image = tf.io.encode_png(tf.zeros([1, 1, 1], tf.uint8))
        return graph({"image/encoded": [[any_image]]})[MEAN][0].numpy()


_MEANS = {
    "imagenet": lambda pixels: tf.constant(RGB_MEAN),
    "none": lambda pixels: 0.0,
    "per_pixel": lambda pixels: tft.mean(pixels, reduce_instance_dims=False),
    "per_channel": lambda pixels: tft.mean(
        tf.reduce_mean(pixels, axis=[1, 2]), reduce_instance_dims=False
    ),
}


def stored_size(settings: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width to which images are brought before the network's input is cut from them."""
    resize = settings.get("resize")
    return (resize, resize) if resize else tuple(settings["size"])


def decode(encoded: tf.Tensor, settings: Mapping[str, Any]) -> tf.Tensor:
    """Decodes PNG or JPEG images and brings them to one size.

    Args:
      encoded: string [N].
      settings: a recipe's `preprocess`: `size`, `resize`, `channels`, `fit`.

    Returns:
      float32 [N, height, width, channels] of `stored_size`, whole numbers 0..255.
    """
    return tf.map_fn(
        lambda data: decode_one(data, settings), encoded, fn_output_signature=tf.float32
    )


def decode_one(encoded: tf.Tensor, settings: Mapping[str, Any]) -> tf.Tensor:
    """One image of `decode`: string [] to float32 [height, width, channels]."""
    height, width = stored_size(settings)
    channels = settings["channels"]
    fitted = _FITS[settings["fit"]](decode_whole(encoded, channels), height, width, _smoothly)
    # Whole numbers, because training keeps the pixels as bytes and serving must not differ.
    whole = tf.round(tf.clip_by_value(fitted, 0.0, 255.0))
    return tf.ensure_shape(whole, [height, width, channels])


def decode_whole(encoded: tf.Tensor, channels: int) -> tf.Tensor:
    """One image in its own size: string [] to float32 [H, W, channels], whole numbers 0..255."""
    image = tf.io.decode_image(encoded, channels=channels, expand_animations=False)
    image.set_shape([None, None, channels])
    return tf.cast(image, tf.float32)


def fit_map(values: tf.Tensor, settings: Mapping[str, Any]) -> tf.Tensor:
    """Brings a map to the size to which its image is brought, pixel over pixel.

    Args:
      values: [H, W, C] of the image's size; not mixed with each other, so that between two pixels
        the nearest is taken. 0 comes in where `fit` pads.
      settings: a recipe's `preprocess`.

    Returns:
      [height, width, C] of `stored_size`, of the same type.
    """
    height, width = stored_size(settings)
    fitted = _FITS[settings["fit"]](values, height, width, _to_nearest)
    return tf.ensure_shape(fitted, [height, width, values.shape[-1]])


_smoothly = functools.partial(tf.image.resize, antialias=True)
_to_nearest = functools.partial(tf.image.resize, method="nearest")


def _pad(image: tf.Tensor, height: int, width: int, resize: Callable) -> tf.Tensor:
    """Centres the image on black; shrinks it first where it is larger, and never enlarges it."""
    shape = tf.shape(image)[:2]
    size = shrunk(shape, height, width)
    smaller = tf.reduce_any(size != shape)
    image = tf.cond(smaller, lambda: resize(image, size), lambda: image)
    return tf.image.resize_with_crop_or_pad(image, height, width)


def shrunk(shape: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """The size, int32 [..., 2], at which images of a shape, int32 [..., 2], lie in height x width.

    They keep their proportions, and one that fits keeps its size.
    """
    sides = tf.cast(shape, tf.float32)
    wanted = tf.constant([height, width], tf.float32)
    scale = tf.minimum(tf.reduce_min(wanted / sides, axis=-1, keepdims=True), 1.0)
    # TensorFlow's preserve_aspect_ratio, which leaves nothing of a side that is far the shorter.
    return tf.maximum(tf.cast(tf.round(sides * scale), tf.int32), 1)


def _stretch(image: tf.Tensor, height: int, width: int, resize: Callable) -> tf.Tensor:
    return resize(image, [height, width])


def _crop(image: tf.Tensor, height: int, width: int, resize: Callable) -> tf.Tensor:
    """The centre of the image, after it was resized so that it just covers the size."""
    image = _without_ends(image, height, width)
    image = resize(image, covering(tf.shape(image)[:2], height, width))
    return tf.image.resize_with_crop_or_pad(image, height, width)


def _without_ends(image: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """The middle of an image that is far longer than it is wanted: enlarged until its shorter side
    covers the size, a line of 5,000 pixels would take gigabytes. Any other image as it is."""
    first, kept = without_ends(tf.shape(image)[:2], height, width)
    last = first + kept
    return image[first[0] : last[0], first[1] : last[1]]


def without_ends(shape: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Of images of a shape, int32 [..., 2], where the part that is resized begins, and its size."""
    sides = tf.cast(shape, tf.float32)
    wanted = tf.constant([height, width], tf.float32)
    pixel = tf.reduce_min(sides / wanted, axis=-1, keepdims=True)
    kept = tf.minimum(tf.math.ceil(_LONGEST * wanted * pixel), sides)
    return tf.cast((sides - kept) / 2, tf.int32), tf.cast(kept, tf.int32)


def covering(shape: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """The size, int32 [..., 2], at which images of a shape, int32 [..., 2], just cover height x
    width."""
    sides = tf.cast(shape, tf.float32)
    scale = tf.reduce_max(tf.constant([height, width], tf.float32) / sides, axis=-1, keepdims=True)
    return tf.maximum(tf.cast(tf.round(sides * scale), tf.int32), [height, width])


_FITS = {"pad": _pad, "stretch": _stretch, "crop": _crop}


def centre(pixels: tf.Tensor, settings: Mapping[str, Any]) -> tf.Tensor:
    """The central part of stored images that has the size of the network's input.

    Args:
      pixels: [..., H, W, C].
      settings: a recipe's `preprocess`: `size`.

    Returns:
      [..., height, width, C].
    """
    height, width = settings["size"]
    top, left = (pixels.shape[-3] - height) // 2, (pixels.shape[-2] - width) // 2
    return pixels[..., top : top + height, left : left + width, :]


def normalize(pixels: tf.Tensor, mean: tf.Tensor, settings: Mapping[str, Any]) -> tf.Tensor:
    """Maps pixels to the network's input.

    Args:
      pixels: [N, H, W, C], 0..255.
      mean: [H, W, C] or [C], what is subtracted, in the same unit.
      settings: a recipe's `preprocess`: `range` is where 0 and 255 go.

    Returns:
      float32 [N, H, W, C].
    """
    low, high = settings["range"]
    scale = (high - low) / 255.0
    values = tf.cast(pixels, tf.float32) - mean
    values = values if scale == 1.0 else values * scale
    return values if low == 0.0 else values + low
