"""The pictures of one example, moved with what is marked in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from components import inputs
from components.preprocess import originals, places
from components.preprocess.augment import augment_example, central_example
from components.preprocess.steps import sampling
from components.preprocess.transform import centre, decode_one, decode_whole, normalize
from components.tasks import Task

if TYPE_CHECKING:
    from components.train.data import Images

# Features of one example, see `components.preprocess.augment.augment_example`, and a seed.
Move = Callable[[Mapping[str, tf.Tensor], tf.Tensor], dict[str, tf.Tensor]]
# What makes a record, string [], and a seed, int64 [2], a network's input and what it learns.
Load = Callable[[tf.Tensor, tf.Tensor], tuple[Any, Any]]
_ENCODED = "image/encoded"
_IMAGE, _FRAMES, _PROPOSALS = "image", "frames", "proposals"


def distorted(images: Images, recipe: Mapping[str, Any]) -> Load:
    """Images, and targets that move with them, distorted by the recipe's `augment` steps."""
    preprocess = recipe["preprocess"]
    # A sampling step cuts its window out of the image as it is.
    fit = None if sampling(recipe["augment"]) else preprocess

    def distort(found: Mapping[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        size = tuple(preprocess["size"])
        return augment_example(found, recipe["augment"], seed, size, images.axes)

    return _load(images, preprocess, fit, distort)


def central(images: Images, preprocess: Mapping[str, Any]) -> Load:
    """The centre of images, and of targets that are cropped with them; the seed has no effect."""

    def crop(found: Mapping[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        del seed
        return central_example(found, tuple(preprocess["size"]))

    return _load(images, preprocess, preprocess, crop)


def _load(
    images: Images, preprocess: Mapping[str, Any], fit: Mapping[str, Any] | None, move: Move
) -> Load:
    mean = centre(images.mean, preprocess)

    def read(encoded: tf.Tensor) -> tf.Tensor:
        if fit is None:
            return decode_whole(encoded, preprocess["channels"])
        return decode_one(encoded, fit)

    def load(record: tf.Tensor, seed: tf.Tensor) -> tuple[Any, Any]:
        encoded, parsed = images.parse(record)
        marked = images.targets.placed(parsed, fit)
        for boxes in inputs.boxes(parsed, images.task).values():
            # Under the name that `augment_example` moves.
            marked = {**marked, _PROPOSALS: _at_input(boxes, encoded, images.task, fit)}
        shown, marked = moved(images.task, encoded, marked, read, move, seed)
        pixels = tf.nest.map_structure(lambda each: normalize(each, mean, preprocess), shown)
        for name, count in images.task.box_counts.items():
            pixels[name] = inputs.padded(marked.pop(_PROPOSALS), count)
        return pixels, images.targets.trained(parsed, marked)

    return load


def _at_input(
    boxes: tf.Tensor, encoded: Mapping[str, tf.Tensor], task: Task, fit: Mapping[str, Any] | None
) -> tf.Tensor:
    """Boxes [B, 4] in parts of the stored picture's sides, in parts of those of the decoded one."""
    if fit is None:
        return boxes
    picture = next(encoded[each.name] for each in task.inputs if each.feature == _ENCODED)
    sides = originals.sides(picture[None])
    return places.to_input(boxes, places.stored_window(sides, fit))


def moved(
    task: Task,
    encoded: Any,
    marked: Mapping[str, tf.Tensor],
    read: Callable[[tf.Tensor], tf.Tensor],
    move: Move,
    seed: tf.Tensor,
) -> tuple[Any, dict[str, tf.Tensor]]:
    """The pictures of an example and what is marked in the first of them, all moved.

    Pictures of one stack move alike, and so do those of several inputs where the task says so.

    Args:
      task: which inputs there are.
      encoded: string [] of one picture; else by input string [], of stacks [F].
      marked: as of `augment_example`.
      read: an encoded picture, string [], to float32 [H, W, C].
      move: what moves a picture, further ones that move alike, and what is marked.
      seed: int64 [2]. Inputs that do not move alike have seeds of their own.

    Returns:
      The pictures, float32 [H, W, C], or such by input, of stacks [F, H, W, C]; and what is marked.
    """
    if task.one_picture:
        found = move({_IMAGE: read(encoded), **marked}, seed)
        return found.pop(_IMAGE), found
    names = [each.name for each in task.inputs]
    groups = [names] if task.alike else [[name] for name in names]
    shown: dict[str, tf.Tensor] = {}
    rest: dict[str, tf.Tensor] = {}
    for number, group in enumerate(groups):
        own = tf.random.experimental.stateless_fold_in(seed, number) if number else seed
        pictures = [_read(encoded[name], read) for name in group]
        together, found = _moved_alike(pictures, {} if number else marked, move, own)
        rest |= found
        for name, part in zip(group, together, strict=True):
            shown[name] = part if task.stacks[name] else part[0]
    return shown, rest


def _read(encoded: tf.Tensor, read: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """A stack, or one picture as a stack of one: float32 [F, H, W, C]."""
    stack = tf.reshape(encoded, [encoded.shape.num_elements()])
    return tf.map_fn(read, stack, fn_output_signature=tf.float32)


def _moved_alike(
    stacks: list[tf.Tensor], marked: Mapping[str, tf.Tensor], move: Move, seed: tf.Tensor
) -> tuple[list[tf.Tensor], dict[str, tf.Tensor]]:
    """Stacks of pictures of one size by one draw, and what is marked in the first picture."""
    pictures = tf.concat(stacks, axis=0)
    counts = [stack.shape[0] for stack in stacks]
    features = {_IMAGE: pictures[0], **marked}
    if sum(counts) > 1:
        features[_FRAMES] = pictures[1:]
    found = move(features, seed)
    first, others = found.pop(_IMAGE)[None], found.pop(_FRAMES, None)
    together = first if others is None else tf.concat([first, others], axis=0)
    return tf.split(together, counts), found
