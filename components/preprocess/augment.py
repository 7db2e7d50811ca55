"""Random distortions of training images, seeded, as a table of named steps.

`augment` distorts batches of images; `augment_example` distorts all that one example holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from components.preprocess import colour, geometry, sampling
from components.preprocess.geometry import Motion
from components.preprocess.steps import STEPS, arguments

# How a raster is read between its pixels, and what comes in from outside: no class of a mask (255
# is void in PASCAL VOC), no depth, no normal.
_RASTERS = {
    "image": ("BILINEAR", 0.0),
    "segmentation": ("NEAREST", 255.0),
    "depth": ("NEAREST", 0.0),
    "normals": ("NEAREST", 0.0),
}
_POINTS, _BOXES, _NORMALS = "keypoints", "objects/bbox", "normals"
_OF_BOXES = "objects/"


def flip(pixels: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Mirrors each image left to right with probability 1/2."""
    mirrored = geometry.mirrored(tf.shape(pixels)[0], seed)[:, None, None, None]
    return tf.where(mirrored, tf.reverse(pixels, [2]), pixels)


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


def translate(values: tf.Tensor, seed: tf.Tensor, pixels: int) -> tf.Tensor:
    """Moves each image by whole pixels, at most so many in each direction; 0 comes in."""
    _, height, width = geometry.shape_of(values)
    return random_crop(pad(values, seed, pixels), seed, height, width)


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
    count, *sides = geometry.shape_of(pixels)
    room = sides[0] - height, sides[1] - width
    return _cut(pixels, geometry.places(count, seed, room), height, width)


def corner_crop(pixels: tf.Tensor, seed: tf.Tensor, side: int) -> tf.Tensor:
    """Cuts a square out of each image: at one of the corners, or in the centre.

    With `flip`, one of the ten crops of section 3 of Zeiler and Fergus 2014.
    """
    count, height, width = geometry.shape_of(pixels)
    place = geometry.corners(count, seed, (height - side, width - side))
    return _cut(pixels, place, side, side)


def _cut(pixels, place: tuple[tf.Tensor, tf.Tensor], height: int, width: int) -> tf.Tensor:
    for axis, first, side in ((1, place[0], height), (2, place[1], width)):
        pixels = tf.gather(pixels, first[:, None] + tf.range(side), axis=axis, batch_dims=1)
    return pixels


def _moved(draw: Callable[..., Motion]) -> Callable[..., tf.Tensor]:
    def move(pixels: tf.Tensor, seed: tf.Tensor, **values: Any) -> tf.Tensor:
        return geometry.resample(pixels, draw(geometry.shape_of(pixels), seed, **values))

    return move


def _padded(shape: geometry.Shape, seed: tf.Tensor, margin: int) -> Motion:
    del seed
    count, height, width = shape
    return geometry.shift(count, -margin, -margin, (height + 2 * margin, width + 2 * margin))


def _translated(shape: geometry.Shape, seed: tf.Tensor, pixels: int) -> Motion:
    count, height, width = shape
    down, right = geometry.places(count, seed, (2 * pixels, 2 * pixels))
    return geometry.shift(count, down - pixels, right - pixels, (height, width))


def _cropped(shape: geometry.Shape, seed: tf.Tensor, height: int, width: int) -> Motion:
    place = geometry.places(shape[0], seed, (shape[1] - height, shape[2] - width))
    return geometry.shift(shape[0], *place, (height, width))


def _corner_cropped(shape: geometry.Shape, seed: tf.Tensor, side: int) -> Motion:
    place = geometry.corners(shape[0], seed, (shape[1] - side, shape[2] - side))
    return geometry.shift(shape[0], *place, (side, side))


# What moves all that an example holds.
MOTIONS: dict[str, Callable[..., Motion]] = {
    "affine": geometry.affine,
    "corner_crop": _corner_cropped,
    "elastic": geometry.elastic,
    "flip": geometry.flip,
    "pad": _padded,
    "translate": _translated,
}
COLOURS = {
    "noise": colour.noise,
    "pca_colour": colour.pca_colour,
    "photometric": colour.photometric,
}
# Where a motion moves whole pixels, copying them is quicker than asking for each where it is from,
# and leaves bytes bytes.
_COPIES = {"corner_crop": corner_crop, "flip": flip, "pad": pad, "translate": translate}
BATCH_STEPS = {name: _moved(draw) for name, draw in MOTIONS.items()} | _COPIES | COLOURS


def augment(
    pixels: tf.Tensor,
    steps: Sequence[Mapping[str, Any]],
    seed: tf.Tensor,
    axes: tf.Tensor | None = None,
) -> tf.Tensor:
    """Applies a recipe's `augment` steps to a batch.

    Args:
      pixels: uint8 or float32 [N, H, W, C], 0..255.
      steps: `{"step": NAME, ...arguments}` in order; the names are those of
        `components.preprocess.steps`. A sampling step lies behind: it has made the pixels.
      seed: int64 [2]; the same seed gives the same distortions.
      axes: of `pca_colour`.

    Returns:
      uint8 or float32 [N, H', W', C].

    Raises:
      ValueError: an unknown step.
    """
    for number, step in enumerate(steps):
        if _known(step).sampling:
            continue
        step_seed = tf.random.experimental.stateless_fold_in(seed, number)
        pixels = BATCH_STEPS[step["step"]](pixels, step_seed, **_arguments(step, axes))
    return pixels


def augment_example(
    features: Mapping[str, tf.Tensor],
    steps: Sequence[Mapping[str, Any]],
    seed: tf.Tensor,
    size: tuple[int, int],
    axes: tf.Tensor | None = None,
) -> dict[str, tf.Tensor]:
    """Applies a recipe's `augment` steps to one example: all that is in the image moves with it.

    Args:
      features: `image` [H, W, C] in 0..255, and of the same size, where they are there,
        `segmentation` [H, W, 1], `depth` [H, W, 1] and `normals` [H, W, 3] as (x, y, z) with x to
        the right and y down; `keypoints` [K, 2] as (y, x) and `objects/bbox` [B, 4] as (ymin,
        xmin, ymax, xmax), all in 0..1 of the image's sides; `objects/...` [B] of the boxes.
        Anything else stays as it is.
      steps: as of `augment`, sampling steps too.
      seed: int64 [2].
      size: height and width of the result; cut at random out of what the steps leave.
      axes: of `pca_colour`.

    Returns:
      The same features. Masks are moved by nearest neighbours, and hold 255 where nothing is known;
      depth and normals hold 0 there. Keypoints outside of the image have places outside of 0..1;
      boxes end at its borders, and are left out where nothing of them is inside.

    Raises:
      ValueError: an unknown step.
    """
    features = dict(features)
    for number, step in enumerate(steps):
        step_seed = tf.random.experimental.stateless_fold_in(seed, number)
        shape = geometry.shape_of(features["image"][None])
        if _known(step).sampling:
            shown = sampling.window(step, tf.stack(shape[1:]), step_seed, size)
            image = sampling.resized(features["image"], shown, size)
            features = _move(features, sampling.motion(shown, size)) | {"image": image}
        elif step["step"] in MOTIONS:
            features = _move(features, MOTIONS[step["step"]](shape, step_seed, **arguments(step)))
        else:
            change = COLOURS[step["step"]]
            image = change(features["image"][None], step_seed, **_arguments(step, axes))
            features["image"] = image[0]
    shape = geometry.shape_of(features["image"][None])
    return _move(features, _cropped(shape, seed, *size))


def _known(step: Mapping[str, Any]):
    if step["step"] not in STEPS:
        raise ValueError(f"unknown augment step {step['step']!r}; known: {', '.join(STEPS)}")
    return STEPS[step["step"]]


def _arguments(step: Mapping[str, Any], axes: tf.Tensor | None) -> dict[str, Any]:
    values = arguments(step)
    return values | {"axes": axes} if step["step"] == "pca_colour" else values


def _move(features: Mapping[str, tf.Tensor], motion: Motion) -> dict[str, tf.Tensor]:
    """The features of one example after a motion of a batch of one."""
    moved = dict(features)
    before = tf.cast(tf.shape(features["image"])[:2], tf.float32)
    after = tf.cast(tf.stack(motion.size), tf.float32)
    for name, (interpolation, fill) in _RASTERS.items():
        if name in features:
            raster = features[name][None]
            moved[name] = geometry.resample(raster, motion, interpolation, fill)[0]
    if _NORMALS in features:
        moved[_NORMALS] = geometry.turn_normals(moved[_NORMALS][None], motion)[0]
    if _POINTS in features:
        points = features[_POINTS][None] * before - 0.5
        moved[_POINTS] = (geometry.move_points(points, motion)[0] + 0.5) / after
    if _BOXES in features:
        boxes = features[_BOXES][None] * tf.tile(before, [2])
        moved[_BOXES] = geometry.move_boxes(boxes, motion)[0] / tf.tile(after, [2])
        left = tf.reduce_all(moved[_BOXES][:, 2:] > moved[_BOXES][:, :2], axis=1)
        of_boxes = [name for name in features if name.startswith(_OF_BOXES)]
        moved |= {name: tf.boolean_mask(moved[name], left) for name in of_boxes}
    return moved
