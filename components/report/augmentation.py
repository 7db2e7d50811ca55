"""The contact sheet: training images beside what the network saw of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from PIL import Image

from components import tasks
from components.preprocess.sampling import sample, sampling_step
from components.preprocess.transform import decode_one, stored_size
from components.report import pictures
from components.train import data

_IMAGES = 6
_VIEWS = 6
_SIDE = 96
_GAP = 6


def contact_sheet(
    examples_uri: str, transform_uri: str, recipe: Mapping[str, Any]
) -> pictures.Picture | None:
    """A few training images, one a row, and what the recipe's `augment` makes of them.

    Of several inputs the first picture is shown.

    Args:
      examples_uri, transform_uri: folders of the Examples and of Transform's graph.
      recipe: of the training: `augment`, `preprocess`, `seed`.

    Returns:
      None where every epoch sees the images as they are.
    """
    settings = recipe["preprocess"]
    if not recipe["augment"] and tuple(settings["size"]) == stored_size(settings):
        return None
    images = data.Images(
        [f"{examples_uri}/Split-train/*"],
        tft.TFTransformOutput(transform_uri),
        tasks.of_recipe(recipe),
        part=lambda records: records.take(_IMAGES),
    )
    encoded = [_first(images.parse(record)[0]) for record in images.records]
    before = [decode_one(image, settings).numpy() for image in encoded]
    after = [
        [_view(image, images, recipe, row * _VIEWS + view) for view in range(_VIEWS)]
        for row, image in enumerate(encoded)
    ]
    steps = ", ".join(step["step"].replace("_", " ") for step in recipe["augment"])
    alt = (
        f"{len(before)} training images and {_VIEWS} views of each as the training draws them"
        f"{': ' + steps if steps else ''}"
    )
    return pictures.image("Augmentation", alt, _sheet(before, after))


def _first(encoded: Any) -> tf.Tensor:
    """The encoded picture, string []; of several inputs the first, of a stack its first."""
    one = next(iter(encoded.values())) if isinstance(encoded, Mapping) else encoded
    return tf.reshape(one, [-1])[0]


def _view(
    encoded: tf.Tensor, images: data.Images, recipe: Mapping[str, Any], number: int
) -> np.ndarray:
    """float32 [H, W, C] of the network's input, before it is normalised."""
    # No number of an image in training is negative: these draws are the sheet's own.
    seed = tf.constant([recipe["seed"], -1 - number], tf.int64)
    pixels = sample(encoded, recipe["preprocess"], sampling_step(recipe), seed)
    return tf.cast(data.seen(pixels[None], recipe, seed, images)[0], tf.float32).numpy()


def _sheet(before: Sequence[np.ndarray], after: Sequence[Sequence[np.ndarray]]) -> Image.Image:
    """The images in the first column, a gap, and their views in the others."""
    largest = max(max(image.shape[:2]) for image in before)
    scale = max(1, _SIDE // largest) if largest <= _SIDE else _SIDE / largest
    cell = round(largest * scale)
    width = (1 + len(after[0])) * (cell + _GAP) + _GAP
    sheet = Image.new("RGBA", (width, len(before) * (cell + _GAP) - _GAP))
    for row, (image, views) in enumerate(zip(before, after, strict=True)):
        for column, shown in enumerate((image, *views)):
            part = _scaled(shown, scale)
            left = column * (cell + _GAP) + (2 * _GAP if column else 0)
            place = (left + (cell - part.width) // 2, row * (cell + _GAP))
            sheet.paste(part, (place[0], place[1] + (cell - part.height) // 2))
    return sheet


def _scaled(pixels: np.ndarray, scale: float) -> Image.Image:
    whole = np.clip(np.round(pixels), 0, 255).astype(np.uint8)
    image = Image.fromarray(whole[..., 0] if whole.shape[-1] == 1 else whole).convert("RGBA")
    sides = [max(1, round(side * scale)) for side in image.size]
    # Small images show their pixels.
    return image.resize(sides, Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX)
