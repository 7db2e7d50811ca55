"""A contact sheet: some images of each class, with what is known of them drawn in."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw

from components import drawing, examples

_A_CLASS = 8
_CLASSES = 40
_TILES = 24
_COLUMNS = 6
# Pixels: a side of a tile of a class's row, and of one with things drawn in; between tiles; text.
_SMALL, _LARGE, _GAP, _TEXT = 96, 224, 6, 14
_NAME_WIDTH = 150
_PAPER, _INK = "white", "black"
_COLOURS = matplotlib.colormaps["tab10"]
_DOT = 3
_MASK_SHARE = 0.5
# Shown to the right of the image.
_BESIDE = ("depth/encoded", "normals/encoded", "target/encoded", "pair/encoded")
_FRAMES = 3

Features = Mapping[str, Sequence[Any]]


def contact_sheet(uri: str, to: Path) -> None:
    """Draws a sheet of the images of an Examples artifact as a PNG file.

    Args:
      uri: the artifact.
      to: the file; its folder is there.
    """
    names = examples.label_names(uri)
    if rows := _of_each_class(uri, len(names)):
        sheet = _rows([(name, rows[label]) for label, name in enumerate(names[:_CLASSES])])
    elif pairs := _pairs(uri):
        sheet = _rows(list(pairs.items()))
    else:
        tiles = [_tile(features, _LARGE) for features in islice(_features(uri), _TILES)]
        sheet = _grid(tiles)
    sheet.save(to)


def _features(uri: str) -> Iterator[Features]:
    for split in ("train", "test"):
        for record in examples.records(uri, split).as_numpy_iterator():
            found = tf.train.Example.FromString(record).features.feature
            yield {
                name: getattr(value, value.WhichOneof("kind")).value
                for name, value in found.items()
                if value.WhichOneof("kind")
            }


def _of_each_class(uri: str, classes: int) -> dict[int, list[Image.Image]]:
    """Tiles by label, of images with a label or with labelled objects; of others, none."""
    rows: dict[int, list[Image.Image]] = defaultdict(list)
    for features in _features(uri):
        labels = features.get("label") or features.get("objects/label")
        if labels is None:
            return {}
        side = _SMALL if "label" in features else _LARGE
        for label in set(labels):
            if label < _CLASSES and len(rows[label]) < _A_CLASS:
                rows[label].append(_tile(features, side))
        if sum(len(row) == _A_CLASS for row in rows.values()) == min(classes, _CLASSES):
            break
    return rows


def _pairs(uri: str) -> dict[str, list[Image.Image]]:
    """Pairs that show the same, and others; of data without pairs, none."""
    rows: dict[str, list[Image.Image]] = {"same": [], "different": []}
    for features in _features(uri):
        if "same" not in features:
            return {}
        row = rows["same" if features["same"][0] else "different"]
        if len(row) < _A_CLASS:
            row.append(_framed(_tile(features, _SMALL)))
        if all(len(row) == _A_CLASS for row in rows.values()):
            break
    return {name: row for name, row in rows.items() if row}


def _framed(tile: Image.Image) -> Image.Image:
    """With room around it, so that it is seen which two belong together."""
    framed = Image.new("RGB", (tile.width + 2 * _GAP, tile.height + 2 * _GAP), _PAPER)
    framed.paste(tile, (_GAP, _GAP))
    return framed


def _tile(features: Features, side: int) -> Image.Image:
    """An example as a picture `side` pixels high at most, and as wide as it needs."""
    if frames := features.get("frames/encoded"):
        places = np.linspace(0, len(frames) - 1, min(_FRAMES, len(frames))).round().astype(int)
        return _side_by_side([_scaled(_rgb(frames[place]), side) for place in places])
    image = _scaled(_rgb(features["image/encoded"][0]), side)
    if mask := features.get("segmentation/encoded"):
        image = _under_mask(image, _opened(mask[0]))
    if masks := features.get("objects/mask"):
        image = _under_mask(image, _numbered(masks))
    image = _with_objects(image, features)
    _draw_points(image, features.get("keypoints", ()))
    beside = [_map(name, features[name][0]) for name in _BESIDE if features.get(name)]
    return _side_by_side([image, *(_scaled(each, side) for each in beside)])


def _opened(encoded: bytes) -> Image.Image:
    return Image.open(io.BytesIO(encoded))


def _rgb(encoded: bytes) -> Image.Image:
    return _opened(encoded).convert("RGB")


def _map(name: str, encoded: bytes) -> Image.Image:
    if name != "depth/encoded":
        return _rgb(encoded)
    depth = np.asarray(_opened(encoded), np.float32)
    colours = matplotlib.colormaps["viridis"](depth / max(depth.max(), 1.0))
    return Image.fromarray((255 * colours[..., :3]).astype(np.uint8))


def _scaled(image: Image.Image, side: int) -> Image.Image:
    """Into a square of `side` pixels; what is smaller is enlarged by whole pixels."""
    factor = side / max(image.size)
    if factor >= 2:
        return image.resize([edge * int(factor) for edge in image.size], Image.Resampling.NEAREST)
    size = [max(round(edge * factor), 1) for edge in image.size]
    return image.resize(size, Image.Resampling.LANCZOS)


def _under_mask(image: Image.Image, mask: Image.Image) -> Image.Image:
    """Each class of a mask in a colour over the image; class 0 is the background."""
    classes = np.asarray(mask.resize(image.size, Image.Resampling.NEAREST))
    colours = (255 * np.array(_COLOURS(classes % _COLOURS.N))[..., :3]).astype(np.uint8)
    mixed = Image.blend(image, Image.fromarray(colours), _MASK_SHARE)
    return Image.composite(mixed, image, Image.fromarray(255 * (classes > 0).astype(np.uint8)))


def _numbered(masks: Sequence[bytes]) -> Image.Image:
    """Masks of objects as one: the number of the last object that a pixel is in, from 1 on."""
    inside = [np.asarray(_opened(mask)) > 0 for mask in masks]
    numbers = np.zeros(inside[0].shape, np.uint8)
    for number, mask in enumerate(inside):
        # 0 is the background.
        numbers[mask] = number % 255 + 1
    return Image.fromarray(numbers)


def _with_objects(image: Image.Image, features: Features) -> Image.Image:
    sides = np.tile(image.size[::-1], 2)
    boxes = np.reshape(features.get("objects/bbox", ()), (-1, 4)) * sides
    labels = features.get("objects/label", ()) or range(len(boxes))
    texts = features.get("objects/label/text", ()) or [b""] * len(boxes)
    return drawing.boxes(
        image,
        [
            (box, label, text.decode("utf-8", "replace"))
            for box, label, text in zip(boxes, labels, texts, strict=True)
        ],
    )


def _draw_points(image: Image.Image, points: Sequence[float]) -> None:
    canvas = ImageDraw.Draw(image)
    for number, (y, x) in enumerate(np.reshape(points, (-1, 2))):
        place = (x * image.width, y * image.height)
        canvas.ellipse(
            [*(p - _DOT for p in place), *(p + _DOT for p in place)], drawing.colour(number)
        )


def _side_by_side(images: Sequence[Image.Image]) -> Image.Image:
    if len(images) == 1:
        return images[0]
    width = sum(image.width + _GAP for image in images) - _GAP
    joined = Image.new("RGB", (width, max(image.height for image in images)), _PAPER)
    left = 0
    for image in images:
        joined.paste(image, (left, 0))
        left += image.width + _GAP
    return joined


def _rows(rows: Sequence[tuple[str, Sequence[Image.Image]]]) -> Image.Image:
    """A row a class, its name before it."""
    strips = [(name, _side_by_side(tiles)) for name, tiles in rows if tiles]
    width = _NAME_WIDTH + max(strip.width for _, strip in strips) + _GAP
    height = sum(strip.height + _GAP for _, strip in strips) + _GAP
    sheet = Image.new("RGB", (width, height), _PAPER)
    canvas = ImageDraw.Draw(sheet)
    top = _GAP
    for name, strip in strips:
        place = (_GAP, top + strip.height // 2 - _TEXT // 2)
        canvas.text(place, _fitting(name), _INK, drawing.font(_TEXT))
        sheet.paste(strip, (_NAME_WIDTH, top))
        top += strip.height + _GAP
    return sheet


def _fitting(name: str) -> str:
    while drawing.font(_TEXT).getlength(name) > _NAME_WIDTH - 2 * _GAP:
        name = name.rstrip("…")[:-1] + "…"
    return name


def _grid(tiles: Sequence[Image.Image]) -> Image.Image:
    lines = [tiles[start : start + _COLUMNS] for start in range(0, len(tiles), _COLUMNS)]
    strips = [_side_by_side(line) for line in lines]
    sheet = Image.new(
        "RGB",
        (max(strip.width for strip in strips), sum(strip.height + _GAP for strip in strips)),
        _PAPER,
    )
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height + _GAP
    return sheet
