"""The model that is exported, as it is served, and the pictures that it was made from."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from components import examples, inputs, model_run, served
from components.answers import Answers
from components.preprocess import originals, places
from components.preprocess.transform import centre, decode, normalize, stored_mean
from components.train.graph import served_parts
from pipelines.exports.runs import Trained

_ENCODED = {"image/encoded": tf.io.FixedLenFeature([], tf.string)}
# Answers serialised tf.Examples, string [N], by output.
Answering = Callable[[tf.Tensor], Answers]


class Original:
    """A run's model, and what its exports are made of and compared with."""

    def __init__(self, trained: Trained):
        """
        Args:
          trained: what the run has left.

        Raises:
          ValueError: the model answers a task that is not known here.
        """
        self.trained = trained
        self.recipe: Mapping[str, Any] = model_run.recipe(str(trained.model_run))
        self.task = served.task(str(trained.model))
        self.preprocess: Mapping[str, Any] = self.recipe["preprocess"]
        self.ingest: Mapping[str, Any] = self.recipe["ingest"]

    @property
    def names(self) -> list[str]:
        """Of the classes; none where the task has none."""
        return served.classes(str(self.trained.model)) or []

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the network's input."""
        return (*self.preprocess["size"], self.preprocess["channels"])

    @functools.cached_property
    def saved_model(self) -> Any:
        """As `tf.saved_model.load` gives it."""
        return tf.saved_model.load(str(self.trained.model))

    @functools.cached_property
    def mean(self) -> np.ndarray:
        """What is subtracted from pixels, float32 [H, W, C] of the network's input."""
        return centre(stored_mean(str(self.trained.transform_graph)), self.preprocess)

    def whole_network(self) -> keras.Model:
        """The network with all its outputs, not compiled.

        Raises:
          RecipeError: it is of a package that is not allowed.
        """
        return model_run.network(str(self.trained.model_run))

    def network(self) -> keras.Model:
        """The network with the outputs that are served."""
        return served_parts(self.whole_network(), (), False).network

    def records(self, split: str, number: int) -> tf.data.Dataset:
        """The first serialised tf.Examples of a split."""
        return examples.records(str(self.trained.examples), split).take(number)

    def served(self, records: tf.Tensor) -> Answers:
        """What the served model answers to tf.Examples, string [N]."""
        return self.of_numbers(
            self.saved_model.signatures[self.task.examples_signature](examples=records)
        )

    def of_numbers(self, outputs: Mapping[str, Any]) -> Answers:
        """The outputs that are compared."""
        return {name: np.asarray(outputs[name]) for name in self.task.measured}

    def of_pixels(self, outputs: Mapping[str, Any], records: tf.Tensor) -> Answers:
        """What is answered about `pixels` of tf.Examples, string [N], as `served` answers.

        Places are in pixels of the pictures, and not of the network's input.
        """
        sides = np.array(self.preprocess["size"] * 2, np.float32)
        parts = {
            each.name: outputs[each.name] / sides[: outputs[each.name].shape[-1]]
            for each in self.task.outputs
            if each.is_place
        }
        return self._placed({**outputs, **parts}, records)

    def _placed(self, outputs: Mapping[str, Any], records: tf.Tensor) -> Answers:
        """Answers with places in parts of the network's input, in pixels of the pictures."""
        if not any(each.is_place for each in self.task.outputs):
            return self.of_numbers(outputs)
        sides, window = self._window(records)
        return self.of_numbers(places.in_pixels(outputs, self.task.outputs, window, sides))

    def _window(self, records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The sides of the pictures, and what the network is shown of each."""
        sides = originals.sides(tf.io.parse_example(records, _ENCODED)["image/encoded"])
        stored = originals.stored_sides(sides, self.ingest)
        return sides, places.input_window(stored, self.preprocess)

    def pixels(self, records: tf.Tensor) -> Any:
        """What `preprocessing.json` says to be done to a file: float32 [N, H, W, C], 0..255.

        Of several inputs such by their names, of stacks [N, F, H, W, C]; and boxes, [N, count, 4],
        in parts of the sides of the network's input.
        """
        prepared = self._prepared(records)
        return prepared["image"] if self.task.one_picture else prepared

    def named(self, given: Any) -> dict[str, Any]:
        """What `pixels` and `normalized` give by the names of the inputs, of one picture too."""
        return {"image": given} if self.task.one_picture else given

    @property
    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """Of one question's pixels and boxes, by the name of the input."""
        stacks = self.task.stacks.items()
        pictures = {name: (*([frames] if frames else []), *self.shape) for name, frames in stacks}
        return pictures | {name: (count, 4) for name, count in self.task.box_counts.items()}

    @functools.cached_property
    def _prepared(self) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
        """`pixels` as a graph: picture by picture, Python would take as long as the network."""

        @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string)])
        def prepared(records: tf.Tensor) -> dict[str, tf.Tensor]:
            if self.task.one_picture:
                encoded = {"image": tf.io.parse_example(records, _ENCODED)["image/encoded"]}
            else:
                encoded = inputs.of_records(records, self.task)
            boxes = {name: seen(records, encoded.pop(name)) for name in self.task.box_counts}
            return boxes | {
                name: tf.reshape(decoded(files), [-1, *self.input_shapes[name]])
                for name, files in encoded.items()
            }

        def seen(records: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
            _, window = self._window(records)
            return tf.clip_by_value(places.to_input(boxes, window[:, None]), 0.0, 1.0)

        def decoded(files: tf.Tensor) -> tf.Tensor:
            stored = originals.stored(tf.reshape(files, [-1]), self.ingest)
            return centre(decode(stored, self.preprocess), self.preprocess)

        return prepared

    def normalized(self, records: tf.Tensor) -> Any:
        """What the network itself takes: float32 [N, H, W, C], or such by input, see `pixels`."""
        given = {
            name: (
                each
                if name in self.task.box_counts
                else normalize(each, self.mean, self.preprocess)
            ).numpy()
            for name, each in self.named(self.pixels(records)).items()
        }
        return given["image"] if self.task.one_picture else given

    def answers_of(self, outputs: Any, records: tf.Tensor) -> Answers:
        """What the network's own outputs about tf.Examples, string [N], mean, as it is served."""
        answers = self.task.part("answers")
        names = tf.constant(self.names, tf.string)
        return self._placed(answers.served(outputs, names, self.preprocess["size"]), records)

    @functools.cached_property
    def predict(self) -> Any:
        """The signature from pixels, float32 [N, H, W, C], to answers.

        Raises:
          ValueError: the model has none.
        """
        signatures = self.saved_model.signatures
        if "predict" not in signatures:
            raise ValueError(f"{self.trained.model} has no signature that takes pixels")
        return signatures["predict"]


def pixel_function(original: Original, batch: int | None) -> Any:
    """A concrete function from `image`, float32 [batch, H, W, C], to the answers of floats by name.

    Of several inputs each is an argument of its name. Texts stay behind: the runtimes of other
    formats have none, or each its own kind.
    """
    specs = {
        name: tf.TensorSpec([batch, *shape], tf.float32, name=name)
        for name, shape in original.input_shapes.items()
    }

    @tf.function(autograph=False)
    def answer(**given: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = original.predict(**given)
        return {name: outputs[name] for name in original.task.measured}

    return answer.get_concrete_function(**specs)


def joined(answers: Sequence[Answers]) -> Answers:
    """The answers to several batches as those to one."""
    return {name: np.concatenate([each[name] for each in answers]) for name in answers[0]}
