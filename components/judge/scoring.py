"""Cuts the views of a protocol out of images and asks a SavedModel about them."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from components.judge.protocols import Part, Protocol, Sizes
from components.tasks import Task

# Values in one question: 32 MiB of float32, 55 views of 224 x 224 pixels.
_VALUES = 2**23
_ENCODED = {"image/encoded": tf.io.FixedLenFeature([], tf.string)}


class Scorer:
    """One model, asked by one protocol."""

    def __init__(
        self,
        model: Any,
        protocol: Protocol,
        task: Task,
        resize: int | Sequence[int] | None = None,
    ):
        """Checks that the protocol can be carried out.

        Args:
          model: a SavedModel as `tf.saved_model.load` returns it, with the signatures of
            components.train.signatures.
          protocol: how one image becomes one answer.
          task: what is asked for; of several views the means of the outputs.
          resize: the recipe's `preprocess.resize`.

        Raises:
          ValueError: a signature that the model does not have, an input that is not square, or a
            scale that is smaller than the input.
        """
        self._model = model
        self._outputs = task.measured
        self._whole = task.examples_signature
        self._parts = protocol.parts
        wanted = {part.signature for part in protocol.parts} or {self._whole}
        _check_signatures(model, protocol.name, wanted | ({"predict"} if protocol.parts else set()))
        if protocol.parts:
            _, height, width, self._channels = _input_shape(model.signatures["predict"])
            if height != width:
                raise ValueError(
                    f"protocol {protocol.name} needs a square input, the model has "
                    f"{height} x {width} pixels"
                )
            self._sizes = Sizes.of(height, resize)
            _check_scales(protocol, self._sizes)

    def answers(self, examples: tf.Tensor) -> dict[str, np.ndarray]:
        """The answers about each image, of several views the mean.

        Args:
          examples: serialised tf.Examples, string [N].

        Returns:
          By output float32 [N, ...].

        Raises:
          ValueError: an output that the model does not give.
        """
        if not self._parts:
            served = self._model.signatures[self._whole]
            return self._of(served(examples=examples))
        encoded = tf.io.parse_example(examples, _ENCODED)["image/encoded"].numpy()
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            images = list(threads.map(self._decoded, encoded))
            parts = [
                self._ask(part, list(threads.map(partial(self._views, part), images)))
                for part in self._parts
            ]
        return mean(parts)

    def _of(self, given: Mapping[str, tf.Tensor]) -> dict[str, np.ndarray]:
        if missing := [name for name in self._outputs if name not in given]:
            raise ValueError(
                f"the model gives {', '.join(sorted(given))} and no {', '.join(missing)}: it is "
                "of another task"
            )
        return {name: given[name].numpy() for name in self._outputs}

    def _decoded(self, encoded: bytes) -> tf.Tensor:
        return tf.io.decode_image(encoded, channels=self._channels, expand_animations=False)

    def _views(self, part: Part, image: tf.Tensor) -> list[np.ndarray]:
        """All views of one image: uint8 [height, width, channels] each."""
        side = self._sizes.side
        views = []
        for scale in part.scales(self._sizes):
            resized = shorter_side(image, scale)
            # A place is cut once, though views share it: squares of a square image, reflections.
            places: dict[tuple[int, ...], np.ndarray] = {}
            for top, left, height, width, mirrored in part.views(*resized.shape[:2], side):
                place = (top, left, height, width)
                if place not in places:
                    pixels = resized[top : top + height, left : left + width]
                    fits = part.signature == "dense"
                    places[place] = pixels if fits else _resized(pixels, side, side)
                views.append(places[place][:, ::-1] if mirrored else places[place])
        return views

    def _ask(self, part: Part, images: list[list[np.ndarray]]) -> dict[str, np.ndarray]:
        """The mean of the answers about each image's views; one shape is asked together."""
        signature = self._model.signatures[part.signature]
        name = next(iter(signature.structured_input_signature[1]))
        shapes: dict[tuple[int, ...], list[tuple[int, np.ndarray]]] = {}
        for index, views in enumerate(images):
            for view in views:
                shapes.setdefault(view.shape, []).append((index, view))
        totals: dict[str, np.ndarray] = {}
        for shape, views in shapes.items():
            together = max(1, _VALUES // int(np.prod(shape)))
            for start in range(0, len(views), together):
                places, pixels = zip(*views[start : start + together], strict=True)
                image = tf.constant(np.stack(pixels), tf.float32)
                for output, values in self._of(signature(**{name: image})).items():
                    if output not in totals:
                        totals[output] = np.zeros((len(images), *values.shape[1:]), np.float64)
                    np.add.at(totals[output], list(places), values)
        counts = np.array([len(views) for views in images])
        return {
            output: total / counts.reshape(-1, *[1] * (total.ndim - 1))
            for output, total in totals.items()
        }


def together(answers: Sequence[Mapping[str, np.ndarray]], task: Task) -> dict[str, np.ndarray]:
    """What several models answer together to the same questions, by output [N, ...].

    Raises:
      ValueError: answers of several shapes.
    """
    if task.averages:
        return mean(answers)
    return dict(answers[0]) if len(answers) == 1 else task.part("metrics").combined(answers)


def mean(answers: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The mean of several answers to the same questions, by output float32 [N, ...].

    Raises:
      ValueError: answers of several shapes.
    """
    for name in answers[0]:
        shapes = sorted({each[name].shape[1:] for each in answers})
        if len(shapes) > 1:
            raise ValueError(f"models whose {name} are of the shapes {shapes} are no ensemble")
    return {
        name: np.mean([each[name] for each in answers], axis=0, dtype=np.float32)
        for name in answers[0]
    }


def shorter_side(image: tf.Tensor, length: int) -> np.ndarray:
    """Resizes an image so that its shorter side has this length.

    Args:
      image: [H, W, C], 0..255.
      length: in pixels.

    Returns:
      uint8 [H', W', C].
    """
    height, width = image.shape[:2]
    shorter = min(height, width)
    return _resized(image, round(height * length / shorter), round(width * length / shorter))


def _resized(image: Any, height: int, width: int) -> np.ndarray:
    if tuple(image.shape[:2]) == (height, width):
        return np.asarray(image)
    resized = tf.image.resize(image, [height, width], antialias=True)
    # Whole numbers, as components.preprocess.transform gives them to training and serving.
    return tf.cast(tf.round(tf.clip_by_value(resized, 0.0, 255.0)), tf.uint8).numpy()


def _check_signatures(model: Any, protocol: str, wanted: set[str]) -> None:
    missing = sorted(wanted - set(model.signatures))
    if missing:
        found = ", ".join(sorted(model.signatures))
        raise ValueError(
            f"protocol {protocol} asks the signature {' and '.join(missing)}, which the model does "
            f"not have (it has {found}); choose another protocol or another network"
        )


def _input_shape(signature: Any) -> tuple[int | None, ...]:
    (spec,) = signature.structured_input_signature[1].values()
    return tuple(spec.shape)


def _check_scales(protocol: Protocol, sizes: Sizes) -> None:
    for part in protocol.parts:
        smallest = min(part.scales(sizes))
        if smallest < sizes.side:
            raise ValueError(
                f"protocol {protocol.name} would resize to {smallest} pixels, less than the "
                f"network's {sizes.side}: a larger preprocess.resize is needed"
            )
