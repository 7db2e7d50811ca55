"""Random distortions of training images, seeded, as a table of named steps.

`augment` distorts batches of images; `augment_example` distorts all that one example holds.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
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
_POINTS, _BOXES, _NORMALS, _DEPTH = "keypoints", "objects/bbox", "normals", "depth"
_PROPOSALS = "proposals"
_TARGET, _FRAMES, _MASKS = "target", "frames", "objects/mask"
_OF_BOXES = "objects/"


def flip(pixels: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Mirrors each image left to right with probability 1/2."""
    count, height, width, channels = tf.unstack(tf.shape(pixels))
    mirrored = geometry.mirrored(count, seed)
    if pixels.shape[0] == 1:
        # Along no axis nothing is copied, and rows of pixels are what TensorFlow reverses quickest.
        rows = tf.reshape(pixels, [height, width, channels])
        return tf.reshape(tf.reverse(rows, tf.boolean_mask([1], mirrored)), tf.shape(pixels))
    columns = tf.range(width)
    return tf.gather(
        pixels, tf.where(mirrored[:, None], width - 1 - columns, columns), axis=2, batch_dims=1
    )


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
# Noise is what a network learns to take away: a target has none.
_OF_TARGET = ("pca_colour", "photometric")
# What interpolates. After one without a flow the next is part of the same interpolation.
_AFFINE, _SMOOTH = "affine", ("affine", "elastic")
# Where a motion moves whole pixels, copying them is quicker than asking for each where it is from,
# and leaves bytes bytes.
_COPIES = {"corner_crop": corner_crop, "flip": flip, "pad": pad, "translate": translate}
_BATCH_STEPS = _COPIES | COLOURS

_Step = Mapping[str, Any]


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
    for group in _grouped(steps, seed):
        step, step_seed = group[0]
        name = step["step"]
        if name in _SMOOTH:
            pixels = geometry.resample(pixels, _motion(group, geometry.shape_of(pixels)))
        elif not STEPS[name].sampling:
            pixels = _BATCH_STEPS[name](pixels, step_seed, **_arguments(step, axes))
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
        the right and y down, `frames` [F, H, W, C] of a video, and `target` [k H, k W, C], k a
        whole number, in 0..255; `keypoints` [K, 2] as (y, x) and `objects/bbox` [B, 4] as (ymin,
        xmin, ymax, xmax), all in 0..1 of the image's sides; `objects/mask` [B, H, W, 1] and
        others `objects/...` [B] of the boxes; `proposals` [R, 4], as boxes are. Anything else stays
        as it is.
      steps: as of `augment`, sampling steps too.
      seed: int64 [2].
      size: height and width of the result; cut at random out of what the steps leave.
      axes: of `pca_colour`.

    Returns:
      The same features. Maps are moved by nearest neighbours. A segmentation holds 255 where
      nothing is known; masks of objects, depth and normals hold 0 there. An image that is enlarged
      by s shows what is s times as near: depths are divided by s (Eigen, Puhrsch, Fergus 2014,
      section 3.4), and normals are those of the moved scene (`geometry.turn_normals`). Keypoints
      outside of the image have places outside of 0..1; boxes end at its borders, and are left out
      where nothing of them is inside. Colours change in all frames alike, and in the target, to
      which no noise is added.

    Raises:
      ValueError: an unknown step.
      tf.errors.InvalidArgumentError: a target that is not k times as high and as wide as the image.
    """
    features = dict(features)
    if _TARGET in features:
        _check_target(features)
    for group in _grouped(steps, seed):
        step, step_seed = group[0]
        shape = geometry.shape_of(features["image"][None])
        if STEPS[step["step"]].sampling:
            shown = sampling.window(step, tf.stack(shape[1:]), step_seed, size)
            seen = _sampled(features, shown, size)
            features = _move(features, sampling.motion(shown, size)) | seen
        elif step["step"] in MOTIONS:
            features = _move(features, _motion(group, shape))
        else:
            features |= _coloured(features, step, step_seed, axes)
    shape = geometry.shape_of(features["image"][None])
    return _move(features, _cropped(shape, seed, *size))


def central_example(
    features: Mapping[str, tf.Tensor], size: tuple[int, int]
) -> dict[str, tf.Tensor]:
    """The central part, of `size`, of all that one example holds; see `augment_example`."""
    _, height, width = geometry.shape_of(features["image"][None])
    place = (height - size[0]) // 2, (width - size[1]) // 2
    return _move(dict(features), geometry.shift(1, *place, size))


def _grouped(steps: Sequence[_Step], seed: tf.Tensor) -> Iterator[list[tuple[_Step, tf.Tensor]]]:
    """The steps with the seed of each; together those that are one interpolation."""
    group: list[tuple[_Step, tf.Tensor]] = []
    for number, step in enumerate(steps):
        name = step["step"]
        if name not in STEPS:
            raise ValueError(f"unknown augment step {name!r}; known: {', '.join(STEPS)}")
        if group and not (group[-1][0]["step"] == _AFFINE and name in _SMOOTH):
            yield group
            group = []
        group.append((step, tf.random.experimental.stateless_fold_in(seed, number)))
    if group:
        yield group


def _motion(group: Sequence[tuple[_Step, tf.Tensor]], shape: geometry.Shape) -> Motion:
    """Of a group of steps that move."""
    motions = (MOTIONS[step["step"]](shape, seed, **arguments(step)) for step, seed in group)
    return functools.reduce(geometry.chained, motions)


def _arguments(step: Mapping[str, Any], axes: tf.Tensor | None) -> dict[str, Any]:
    values = arguments(step)
    return values | {"axes": axes} if step["step"] == "pca_colour" else values


def _check_target(features: Mapping[str, tf.Tensor]) -> None:
    sides = tf.shape(features["image"])[:2]
    tf.debugging.assert_equal(
        tf.shape(features[_TARGET])[:2],
        sides * _target_factor(features),
        "the target must be as large as the image, or larger by a whole factor",
    )


def _target_factor(features: Mapping[str, tf.Tensor]) -> int | tf.Tensor:
    """How many times as high as the image the target is."""
    target, image = (geometry.shape_of(features[name][None])[1] for name in (_TARGET, "image"))
    return target // image


def _stacked(frames: tf.Tensor) -> tf.Tensor:
    """[F, H, W, C] to [H, W, F C]: what moves one image moves all frames alike."""
    count, height, width, channels = tf.unstack(tf.shape(frames))
    return tf.reshape(tf.transpose(frames, [1, 2, 0, 3]), [height, width, count * channels])


def _unstacked(pixels: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """[H, W, F C] to [F, H, W, C], with as many frames and channels as `like`."""
    height, width, _ = tf.unstack(tf.shape(pixels))
    count, channels = tf.shape(like)[0], tf.shape(like)[3]
    frames = tf.transpose(tf.reshape(pixels, [height, width, count, channels]), [2, 0, 1, 3])
    return tf.ensure_shape(frames, [like.shape[0], *pixels.shape[:2], like.shape[3]])


def _sampled(
    features: Mapping[str, tf.Tensor], shown: sampling.Window, size: tuple[int, int]
) -> dict[str, tf.Tensor]:
    """A window of the image at another size, and the same of target and frames."""
    seen = {"image": sampling.resized(features["image"], shown, size)}
    if _FRAMES in features:
        frames = features[_FRAMES]
        seen[_FRAMES] = _unstacked(sampling.resized(_stacked(frames), shown, size), frames)
    if _TARGET in features:
        factor = _target_factor(features)
        larger = sampling.Window(*(value * tf.cast(factor, tf.float32) for value in shown))
        target_size = tuple(side * factor for side in size)
        seen[_TARGET] = sampling.resized(features[_TARGET], larger, target_size)
    return seen


def _coloured(
    features: Mapping[str, tf.Tensor], step: _Step, seed: tf.Tensor, axes: tf.Tensor | None
) -> dict[str, tf.Tensor]:
    """Image, target and frames after a step that changes colours."""

    def change(pixels: tf.Tensor) -> tf.Tensor:
        return COLOURS[step["step"]](pixels[None], seed, **_arguments(step, axes))[0]

    changed = {"image": change(features["image"])}
    if _FRAMES in features:
        # One after the other: in a batch each would have a draw of its own.
        changed[_FRAMES] = tf.map_fn(change, features[_FRAMES], fn_output_signature=tf.float32)
    if _TARGET in features and step["step"] in _OF_TARGET:
        changed[_TARGET] = change(features[_TARGET])
    return changed


def _move(features: Mapping[str, tf.Tensor], motion: Motion) -> dict[str, tf.Tensor]:
    """The features of one example after a motion of a batch of one."""
    moved = dict(features)
    before = tf.cast(tf.shape(features["image"])[:2], tf.float32)
    after = tf.cast(tf.stack(motion.size), tf.float32)
    for name, (interpolation, fill) in _RASTERS.items():
        if name in features:
            raster = features[name][None]
            moved[name] = geometry.resample(raster, motion, interpolation, fill)[0]
    if _FRAMES in features:
        frames = features[_FRAMES]
        together = geometry.resample(_stacked(frames)[None], motion)[0]
        moved[_FRAMES] = _unstacked(together, frames)
    if _MASKS in features:
        masks = features[_MASKS]
        together = geometry.resample(_stacked(masks)[None], motion, "NEAREST")[0]
        moved[_MASKS] = _unstacked(together, masks)
    if _TARGET in features:
        larger = geometry.scaled(motion, _target_factor(features))
        moved[_TARGET] = geometry.resample(features[_TARGET][None], larger)[0]
    if _DEPTH in features:
        moved[_DEPTH] = moved[_DEPTH] * geometry.nearness(motion)[0]
    if _NORMALS in features:
        moved[_NORMALS] = geometry.turn_normals(moved[_NORMALS][None], motion)[0]
    if _POINTS in features:
        points = features[_POINTS][None] * before - 0.5
        moved[_POINTS] = (geometry.move_points(points, motion)[0] + 0.5) / after
    for boxes_name, prefix in ((_BOXES, _OF_BOXES), (_PROPOSALS, _PROPOSALS)):
        if boxes_name not in features:
            continue
        boxes = features[boxes_name][None] * tf.tile(before, [2])
        moved[boxes_name] = geometry.move_boxes(boxes, motion)[0] / tf.tile(after, [2])
        left = tf.reduce_all(moved[boxes_name][:, 2:] > moved[boxes_name][:, :2], axis=1)
        of_boxes = [name for name in features if name.startswith(prefix)]
        moved |= {name: tf.boolean_mask(moved[name], left) for name in of_boxes}
    return moved
