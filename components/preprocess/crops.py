"""Crops that a paper fixes beforehand, as a step on Beam: one example becomes many."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator

import apache_beam as beam
import numpy as np
import tensorflow as tf
from PIL import Image

from components.ingest.contract import DeadLetter

CROPS, DEAD_LETTERS = "crops", "dead_letters"
# Of one size with the image, and cut like it.
_RASTERS = ("image", "target", "segmentation", "depth", "normals")
_POINTS, _BOXES, _OF_BOXES = "keypoints", "objects/bbox", "objects/"


class FixedCrops(beam.PTransform):
    """Cuts tf.Examples into squares at even distances, as super-resolution nets are trained on.

    Section 4.1 of Dong et al. 2014 cuts sub-images of 33 x 33 pixels with a stride of 14. What is
    known of an image is cut with it. A crop is stored as PNG, of which `image/sha256` is the hash;
    its `image/id` ends in `@top,left`. The output has `crops`, and as `dead_letters`
    (`components.ingest.contract.DeadLetter`) the images with no room for a crop; these are counted
    as `crops/too_small`, too.
    """

    def __init__(self, side: int, stride: int):
        """
        Args:
          side: of the squares, in pixels.
          stride: from one to the next, in both directions.

        Raises:
          ValueError: either of them is not 1 or more.
        """
        super().__init__()
        if side < 1 or stride < 1:
            raise ValueError(f"side and stride must be 1 or more, not {side} and {stride}")
        self._side, self._stride = side, stride

    def expand(self, examples: beam.PCollection) -> beam.pvalue.DoOutputsTuple:
        cut = beam.FlatMap(_crops_or_letter, self._side, self._stride)
        return examples | cut.with_outputs(DEAD_LETTERS, main=CROPS)


def _crops_or_letter(
    example: tf.train.Example, side: int, stride: int
) -> Iterator[tf.train.Example | beam.pvalue.TaggedOutput]:
    height, width = (
        example.features.feature[name].int64_list.value[0]
        for name in ("image/height", "image/width")
    )
    if min(height, width) >= side:
        yield from fixed_crops(example, side, stride)
        return
    beam.metrics.Metrics.counter("crops", "too_small").inc()
    reason = f"{width} x {height} pixels, and a crop is {side} x {side}"
    identifier = b"".join(example.features.feature["image/id"].bytes_list.value)
    letter = DeadLetter(identifier.decode("utf-8", "replace"), reason)
    yield beam.pvalue.TaggedOutput(DEAD_LETTERS, letter)


def fixed_crops(example: tf.train.Example, side: int, stride: int) -> Iterator[tf.train.Example]:
    """The crops of one example, row by row; none of an image that is too small.

    Raises:
      ValueError: a raster that is not as large as the image.
    """
    feature = example.features.feature
    rasters = {
        name: Image.open(io.BytesIO(feature[f"{name}/encoded"].bytes_list.value[0]))
        for name in _RASTERS
        if f"{name}/encoded" in feature
    }
    width, height = rasters["image"].size
    for name, raster in rasters.items():
        if raster.size != (width, height):
            raise ValueError(f"{name} is {raster.size}, the image {(width, height)} pixels")
    for top in range(0, height - side + 1, stride):
        for left in range(0, width - side + 1, stride):
            yield _crop(example, rasters, top, left, side)


def _crop(
    example: tf.train.Example, rasters: dict[str, Image.Image], top: int, left: int, side: int
) -> tf.train.Example:
    crop = tf.train.Example()
    crop.CopyFrom(example)
    feature = crop.features.feature
    for name, raster in rasters.items():
        content = io.BytesIO()
        raster.crop((left, top, left + side, top + side)).save(content, "PNG")
        feature[f"{name}/encoded"].bytes_list.value[:] = [content.getvalue()]
    image = feature["image/encoded"].bytes_list.value[0]
    feature["image/sha256"].bytes_list.value[:] = [hashlib.sha256(image).hexdigest().encode()]
    for name in ("image/height", "image/width"):
        feature[name].int64_list.value[:] = [side]
    if "image/id" in feature:
        feature["image/id"].bytes_list.value[0] += f"@{top},{left}".encode()
    width, height = rasters["image"].size
    corner, sides = np.array([top, left]), np.array([height, width])
    if _POINTS in feature:
        points = _numbers(feature[_POINTS]).reshape(-1, 2) * sides - corner
        feature[_POINTS].float_list.value[:] = (points / side).ravel()
    if _BOXES in feature:
        boxes = _numbers(feature[_BOXES]).reshape(-1, 2, 2) * sides - corner
        _set_boxes(crop, np.clip(boxes / side, 0.0, 1.0))
    return crop


def _numbers(feature: tf.train.Feature) -> np.ndarray:
    return np.array(feature.float_list.value, np.float64)


def _set_boxes(crop: tf.train.Example, boxes: np.ndarray) -> None:
    """Boxes [B, 2, 2]; those of which nothing is in the crop go, with all that belongs to them."""
    feature = crop.features.feature
    left = (boxes[:, 1] > boxes[:, 0]).all(axis=1)
    feature[_BOXES].float_list.value[:] = boxes[left].ravel()
    for name in [name for name in feature if name.startswith(_OF_BOXES) and name != _BOXES]:
        values = getattr(feature[name], feature[name].WhichOneof("kind")).value
        kept = [value for value, stays in zip(values, left, strict=True) if stays]
        values[:] = kept
