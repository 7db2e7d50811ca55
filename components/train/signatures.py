"""The SavedModel that is evaluated, pushed and served."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft

from components import inputs, tasks
from components.preprocess import originals, places
from components.preprocess.transform import PIXELS, centre, decode, normalize
from components.tasks import DEFAULT_SIGNATURE, NAMES_ASSET, TASK_ASSET
from components.train.graph import served_parts

_ENCODED = "image/encoded"
# The first bytes of PNG and JPEG files. A serialised tf.Example begins with 0x0a.
_PNG, _JPEG = b"\x89PNG", b"\xff\xd8\xff"


class ServingModule(tf.Module):
    """Decoding, normalisation, the network and the task's answers in one graph."""

    def __init__(
        self,
        model: keras.Model,
        transform: tft.TFTransformOutput | None,
        mean: tf.Tensor,
        names: Sequence[str],
        recipe: Mapping[str, Any],
    ):
        """Puts the parts together.

        Args:
          model: the trained network.
          transform: the output of the Transform component; without it, pictures are decoded as it
            does by the recipe's `preprocess`.
          mean: float32 [H, W, C] of the stored images.
          names: of the classes, in their order; none where the task has none.
          recipe: `task`; `preprocess`; `ingest`, what was done to the files that it learnt from;
            `features`, names of the layers that the `features` signature serves;
            `fully_convolutional`, whether there is a `dense` signature.

        Raises:
          ValueError: a layer in `features` that the network does not have, or a network that
            cannot be made fully convolutional.
        """
        super().__init__()
        parts = served_parts(model, recipe["features"], recipe["fully_convolutional"])
        self._network, self._taps = parts.network, parts.taps
        self._fully_convolutional = parts.fully_convolutional
        # The variables themselves, because a loader of graphs alone (TensorFlow Serving is one)
        # does not find those that a Keras 3 model keeps behind its own objects.
        self._variables = [variable.value for variable in model.variables]
        # A method, not the layer itself: tf.Module would save the layer with a trace of its own.
        self._transform = transform.transform_features_layer().call if transform else None
        self._preprocess = recipe["preprocess"]
        self._ingest = recipe["ingest"]
        self._mean = centre(tf.constant(mean), self._preprocess)
        # Until the model is saved, or forgotten.
        self._files = tempfile.TemporaryDirectory()
        task = tasks.of_recipe(recipe)
        self._task = task
        self._answers = task.part("answers")
        self._assets = [self._asset(TASK_ASSET, json.dumps(task.served_facts(), indent=1))]
        if task.has_classes:
            lines = "".join(f"{name}\n" for name in names)
            self._assets.append(self._asset(NAMES_ASSET, lines))
        self._names = tf.constant(list(names), tf.string)

    def save(self, folder: str) -> list[str]:
        """Writes the SavedModel and returns the names of its signatures."""
        encoded = tf.TensorSpec([None], tf.string, name="examples")
        shape = self._mean.shape
        signatures = {
            self._task.examples_signature: self.serve.get_concrete_function(encoded),
            **(self._of_one(shape) if self._task.one_picture else self._of_several(shape)),
            **self._answers.signatures(self.serve, self._names),
        }
        if self._fully_convolutional is not None:
            whole = tf.TensorSpec([None, None, None, shape[-1]], tf.float32, name="image")
            # Clients know it by the name of the protocol.
            signatures["dense"] = self.predict_anywhere.get_concrete_function(whole)
        if self._taps is not None:
            signatures["features"] = self.tap.get_concrete_function(encoded)
        tf.saved_model.save(self, folder, signatures=signatures)
        return [*signatures, *self._answers.finish(folder)]

    def _of_one(self, shape: Sequence[int]) -> dict[str, Any]:
        """What takes the pixels of one picture."""
        image = tf.TensorSpec([None, *shape], tf.float32, name="image")
        return {"predict": self.predict.get_concrete_function(image)}

    def _of_several(self, shape: Sequence[int]) -> dict[str, Any]:
        """What takes encoded pictures, or pixels, and boxes, by the names of the inputs."""
        stacks = {name: [frames] if frames else [] for name, frames in self._task.stacks.items()}
        encoded = {
            name: tf.TensorSpec([None, *stack], tf.string, name=name)
            for name, stack in stacks.items()
        }
        images = {
            name: tf.TensorSpec([None, *stack, *shape], tf.float32, name=name)
            for name, stack in stacks.items()
        }
        boxes = {
            name: tf.TensorSpec([None, count, 4], tf.float32, name=name)
            for name, count in self._task.box_counts.items()
        }
        ask = tf.function(lambda **given: self._answers_about(given), autograph=False)
        predict = tf.function(lambda **given: self.predict(given), autograph=False)
        return {
            DEFAULT_SIGNATURE: ask.get_concrete_function(**encoded, **boxes),
            "predict": predict.get_concrete_function(**images, **boxes),
        }

    @tf.function(autograph=False)
    def serve(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Serialised tf.Examples, string [N], to the task's answers; of one picture encoded images,
        too.
        """
        return self._answers_about(self._encoded(examples))

    @tf.function(autograph=False)
    def predict(self, image: Any) -> dict[str, tf.Tensor]:
        """Pixels 0..255, float32 [N, H, W, C], to the task's answers.

        Of several inputs a mapping by their names, of stacks [N, F, H, W, C], of boxes [N, B, 4].
        Places in the answers are in pixels of what is given here.
        """
        given = self._answer(self._network(self._normalized(image), training=False))
        return self._placed(given, image, None)

    def _answers_about(self, encoded: Any) -> dict[str, tf.Tensor]:
        """Encoded pictures to the task's answers, places in pixels of the pictures."""
        pixels = self._read(encoded)
        given = self._answer(self._network(self._normalized(pixels), training=False))
        return self._placed(given, pixels, encoded)

    def _placed(
        self, given: Mapping[str, tf.Tensor], pixels: Any, encoded: Any
    ) -> dict[str, tf.Tensor]:
        """Answers with places in pixels of the encoded pictures; without these, of the pixels."""
        outputs = self._task.outputs
        if not any(each.is_place for each in outputs):
            return dict(given)
        marked, files = (self._marked(each) for each in (pixels, encoded))
        if files is None:
            shape = tf.shape(marked)
            sides = tf.tile(shape[None, 1:3], [shape[0], 1])
            return places.in_pixels(given, outputs, places.whole(sides), sides)
        sides = originals.sides(files)
        return places.in_pixels(given, outputs, self._window(sides), sides)

    def _window(self, sides: tf.Tensor) -> tf.Tensor:
        """Where the network's input lies in pictures of these sides, see `places`."""
        stored = originals.stored_sides(sides, self._ingest)
        return places.input_window(stored, self._preprocess)

    def _marked(self, pictures: Any) -> Any:
        """Of several inputs the picture that places are marked in."""
        if not isinstance(pictures, Mapping):
            return pictures
        return next(pictures[each.name] for each in self._task.inputs if each.feature == _ENCODED)

    @tf.function(autograph=False)
    def predict_anywhere(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Pixels 0..255 of images of any size, float32 [N, H, W, C], to answers.

        The network is applied at every position (Simonyan and Zisserman 2015, section 3.2).
        """
        # There is no mean for each pixel of a picture of another size.
        mean = tf.reduce_mean(self._mean, axis=[0, 1])
        pixels = normalize(image, mean, self._preprocess)
        given = self._answer(self._fully_convolutional(pixels, training=False))
        return self._placed(given, image, None)

    @tf.function(autograph=False)
    def tap(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Serialised tf.Examples or encoded images, string [N], to the tapped layers' outputs."""
        outputs = self._taps(self._normalized(self._read(self._encoded(examples))), training=False)
        return {name: tf.cast(value, tf.float32) for name, value in outputs.items()}

    def _encoded(self, examples: tf.Tensor) -> Any:
        """The encoded picture of each example; of several inputs such by their names."""
        if self._task.one_picture:
            return _encoded_images(examples)
        return inputs.of_records(examples, self._task)

    # A function of its own: the graph that decodes is large, and all signatures share it.
    @tf.function(autograph=False)
    def _read(self, encoded: Any) -> Any:
        """Encoded pictures, string [N], or such by the names of the inputs, of stacks [N, F], to
        their pixels; boxes among them, in parts of the picture's sides, to parts of the input's.
        """
        if self._task.one_picture:
            return self._decoded(encoded)
        boxes = {name: encoded[name] for name in self._task.box_counts}
        if boxes:
            window = self._window(originals.sides(self._marked(encoded)))
            boxes = {
                name: tf.clip_by_value(places.to_input(each, window[:, None]), 0.0, 1.0)
                for name, each in boxes.items()
            }
        encoded = {name: encoded[name] for name in self._task.stacks}
        flat = [tf.reshape(each, [-1]) for each in encoded.values()]
        pixels = self._decoded(tf.concat(flat, axis=0))
        parts = tf.split(pixels, [tf.size(each) for each in flat])
        return {
            name: tf.reshape(part, [-1, *each.shape[1:], *self._mean.shape])
            for (name, each), part in zip(encoded.items(), parts, strict=True)
        } | boxes

    def _decoded(self, encoded: tf.Tensor) -> tf.Tensor:
        encoded = originals.stored(encoded, self._ingest)
        if self._transform is None:
            pixels = decode(encoded, self._preprocess)
        else:
            pixels = self._transform({_ENCODED: tf.expand_dims(encoded, 1)})[PIXELS]
        return centre(pixels, self._preprocess)

    def _normalized(self, pixels: Any) -> Any:
        if self._task.one_picture:
            return normalize(pixels, self._mean, self._preprocess)
        return {
            name: each
            if name in self._task.box_counts
            else normalize(each, self._mean, self._preprocess)
            for name, each in pixels.items()
        }

    def _answer(self, outputs: Any) -> dict[str, tf.Tensor]:
        return self._answers.served(outputs, self._names, self._preprocess["size"])

    def _asset(self, name: str, text: str) -> tf.saved_model.Asset:
        path = os.path.join(self._files.name, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return tf.saved_model.Asset(path)


def _encoded_images(examples: tf.Tensor) -> tf.Tensor:
    """Takes the encoded image out of each element that is not one already."""
    bare = tf.strings.substr(examples, 0, 4) == _PNG
    bare |= tf.strings.substr(examples, 0, 3) == _JPEG
    spec = {_ENCODED: tf.io.FixedLenFeature([], tf.string, default_value="")}
    parsed = tf.io.parse_example(tf.where(bare, "", examples), spec)[_ENCODED]
    return tf.where(bare, examples, parsed)
