"""Logits to probabilities and the name of the likeliest class."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

import keras
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from components.activations import of_probabilities

_CLASSIFY, _REGRESS = "classify", "regress"


def check(model: keras.Model, classes: int | None) -> None:
    """Whether each output of a network is a logit for each class.

    Raises:
      ValueError: it is not.
    """
    if isinstance(model.output, dict):
        raise ValueError(
            f"the network names its outputs, {', '.join(model.output)}; wanted is one without a "
            "name (or a list, of which the first is the answer and the others help in training)"
        )
    for output in model.outputs:
        if tuple(output.shape) != (None, classes):
            raise ValueError(
                f"the network gives {tuple(output.shape)}; wanted is a score for each class, "
                f"{(None, classes)}"
            )
        if (name := of_probabilities(output)) is not None:
            raise ValueError(
                f"the network ends in {name}, and gives probabilities; wanted are the logits "
                "before it: the served model makes probabilities of them, and the loss takes logits"
            )


def served(logits: tf.Tensor, names: tf.Tensor, size: Sequence[int]) -> dict[str, tf.Tensor]:
    """Logits [N, C] to `scores`, float32 [N, C], and `classes`, string [N].

    Args:
      logits: of the network's first output.
      names: of the classes, string [C].
      size: of the network's input; a class has none.
    """
    del size
    scores = tf.nn.softmax(tf.cast(logits, tf.float32))
    return {"scores": scores, "classes": tf.gather(names, tf.argmax(scores, axis=1))}


def signatures(
    serve: Callable[[tf.Tensor], Mapping[str, tf.Tensor]], names: tf.Tensor
) -> dict[str, tf.types.experimental.ConcreteFunction]:
    """The signature for Classify and Regress, which `finish` makes two of.

    Args:
      serve: serialised tf.Examples or encoded images, string [N], to what `served` gives.
      names: of the classes, string [C].
    """

    @tf.function(autograph=False)
    def classify(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """`classes` and `scores`, [N, C], are every class with its probability, for Classify;
        `outputs`, [N], the probability of the likeliest class, for Regress.
        """
        scores = serve(inputs)["scores"]
        classes = tf.tile(names[tf.newaxis], [tf.shape(scores)[0], 1])
        return {"classes": classes, "scores": scores, "outputs": tf.reduce_max(scores, axis=1)}

    spec = tf.TensorSpec([None], tf.string, name="inputs")
    return {_CLASSIFY: classify.get_concrete_function(spec)}


def finish(folder: str) -> tuple[str, ...]:
    """Makes the signatures of Classify and Regress out of the one that has the outputs of both.

    MultiInference wants the two to have the same input tensor, and TensorFlow Serving a method name
    of its own for each; tf.saved_model.save gives every signature an input of its own and the
    method name of Predict.

    Returns:
      The names of the signatures that were added.
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
    return (_REGRESS,)
