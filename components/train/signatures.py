"""The SavedModel that is evaluated, pushed and served."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from components.preprocess import originals
from components.preprocess.transform import PIXELS, centre, normalize
from components.train.graph import served_parts

LABELS_ASSET = "labels.txt"
_CLASSIFY, _REGRESS = "classify", "regress"
_ENCODED = "image/encoded"
# The first bytes of PNG and JPEG files. A serialised tf.Example begins with 0x0a.
_PNG, _JPEG = b"\x89PNG", b"\xff\xd8\xff"


class ServedModel(tf.Module):
    """Decoding, normalisation, the network and the class names in one graph.

    The network gives logits (see keras_models.classification); what is served are probabilities.
    """

    def __init__(
        self,
        model: keras.Model,
        transform: tft.TFTransformOutput,
        mean: tf.Tensor,
        labels: Sequence[str],
        recipe: Mapping[str, Any],
    ):
        """Puts the parts together.

        Args:
          model: the trained network; of several outputs the first is served.
          transform: the output of the Transform component.
          mean: float32 [H, W, C] of the stored images.
          labels: class names in the order of the network's outputs.
          recipe: `preprocess`; `ingest`, what was done to the files that it learnt from;
            `features`, names of the layers that the `features` signature serves; `dense`, whether
            there is a `dense` signature.

        Raises:
          ValueError: a layer in `features` that the network does not have, or a network that
            cannot be made fully convolutional.
        """
        super().__init__()
        parts = served_parts(model, recipe["features"], recipe["dense"])
        self._network, self._dense, self._taps = parts.network, parts.dense, parts.taps
        # The variables themselves, because a loader of graphs alone (TensorFlow Serving is one)
        # does not find those that a Keras 3 model keeps behind its own objects.
        self._variables = [variable.value for variable in model.variables]
        # A method, not the layer itself: tf.Module would save the layer with a trace of its own.
        self._transform = transform.transform_features_layer().call
        self._preprocess = recipe["preprocess"]
        self._ingest = recipe["ingest"]
        self._mean = centre(tf.constant(mean), self._preprocess)
        # Until the model is saved, or forgotten.
        self._files = tempfile.TemporaryDirectory()
        self._labels_file = tf.saved_model.Asset(_labels_file(labels, self._files.name))
        self._labels = tf.constant(list(labels))

    def save(self, folder: str) -> list[str]:
        """Writes the SavedModel and returns the names of its signatures."""
        encoded = tf.TensorSpec([None], tf.string, name="examples")
        height, width, channels = self._mean.shape
        image = tf.TensorSpec([None, height, width, channels], tf.float32, name="image")
        signatures = {
            "serving_default": self.serve.get_concrete_function(encoded),
            "predict": self.predict.get_concrete_function(image),
            _CLASSIFY: self.classify.get_concrete_function(
                tf.TensorSpec([None], tf.string, name="inputs")
            ),
        }
        if self._dense is not None:
            whole = tf.TensorSpec([None, None, None, channels], tf.float32, name="image")
            signatures["dense"] = self.evaluate_densely.get_concrete_function(whole)
        if self._taps is not None:
            signatures["features"] = self.tap.get_concrete_function(encoded)
        tf.saved_model.save(self, folder, signatures=signatures)
        _split_classify(folder)
        return [*signatures, _REGRESS]

    @tf.function(autograph=False)
    def serve(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Serialised tf.Examples or encoded images, string [N], to scores and classes."""
        return self.predict(self._pixels(examples))

    @tf.function(autograph=False)
    def classify(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Serialised tf.Examples or encoded images, string [N], for two signatures.

        `classes` and `scores`, [N, C], are every class with its probability, for Classify;
        `outputs`, [N], the probability of the likeliest class, for Regress.
        """
        scores = self.predict(self._pixels(inputs))["scores"]
        classes = tf.tile(self._labels[tf.newaxis], [tf.shape(scores)[0], 1])
        return {"classes": classes, "scores": scores, "outputs": tf.reduce_max(scores, axis=1)}

    @tf.function(autograph=False)
    def predict(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Pixels 0..255, float32 [N, H, W, C], to scores and classes."""
        return self._answer(self._network(self._normalized(image), training=False))

    @tf.function(autograph=False)
    def evaluate_densely(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Pixels 0..255 of images of any size, float32 [N, H, W, C], to scores and classes.

        The classifier is applied at every position (Simonyan and Zisserman 2015, section 3.2).
        """
        # There is no mean for each pixel of a picture of another size.
        mean = tf.reduce_mean(self._mean, axis=[0, 1])
        return self._answer(self._dense(normalize(image, mean, self._preprocess), training=False))

    @tf.function(autograph=False)
    def tap(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Serialised tf.Examples or encoded images, string [N], to the tapped layers' outputs."""
        outputs = self._taps(self._normalized(self._pixels(examples)), training=False)
        return {name: tf.cast(value, tf.float32) for name, value in outputs.items()}

    def _pixels(self, examples: tf.Tensor) -> tf.Tensor:
        encoded = originals.stored(_encoded_images(examples), self._ingest)
        pixels = self._transform({_ENCODED: tf.expand_dims(encoded, 1)})[PIXELS]
        return centre(pixels, self._preprocess)

    def _normalized(self, pixels: tf.Tensor) -> tf.Tensor:
        return normalize(pixels, self._mean, self._preprocess)

    def _answer(self, logits: tf.Tensor) -> dict[str, tf.Tensor]:
        scores = tf.nn.softmax(tf.cast(logits, tf.float32))
        return {"scores": scores, "classes": tf.gather(self._labels, tf.argmax(scores, axis=1))}


def _split_classify(folder: str) -> None:
    """Makes the signatures of Classify and Regress out of the one that has the outputs of both.

    MultiInference wants the two to have the same input tensor, and TensorFlow Serving a method name
    of its own for each; tf.saved_model.save gives every signature an input of its own and the
    method name of Predict.
    """
    path = os.path.join(folder, "saved_model.pb")
    with tf.io.gfile.GFile(path, "rb") as file:
        saved = saved_model_pb2.SavedModel.FromString(file.read())
    signatures = saved.meta_graphs[0].signature_def
    for name, outputs in ((_REGRESS, ("outputs",)), (_CLASSIFY, ("classes", "scores"))):
        signature = meta_graph_pb2.SignatureDef()
        signature.CopyFrom(signatures[_CLASSIFY])
        for other in set(signature.outputs) - set(outputs):
            del signature.outputs[other]
        signature.method_name = f"tensorflow/serving/{name}"
        signatures[name].CopyFrom(signature)
    with tf.io.gfile.GFile(path, "wb") as file:
        file.write(saved.SerializeToString(deterministic=True))


def _encoded_images(examples: tf.Tensor) -> tf.Tensor:
    """Takes the encoded image out of each element that is not one already."""
    bare = tf.strings.substr(examples, 0, 4) == _PNG
    bare |= tf.strings.substr(examples, 0, 3) == _JPEG
    spec = {_ENCODED: tf.io.FixedLenFeature([], tf.string, default_value="")}
    parsed = tf.io.parse_example(tf.where(bare, "", examples), spec)[_ENCODED]
    return tf.where(bare, examples, parsed)


def _labels_file(labels: Sequence[str], folder: str) -> str:
    path = os.path.join(folder, LABELS_ASSET)
    with open(path, "w", encoding="utf-8") as file:
        file.write("".join(f"{label}\n" for label in labels))
    return path
