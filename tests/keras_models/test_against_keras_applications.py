"""Our VGG-16 and ResNet-50 compute nothing that keras.applications' do not.

What a clock says wanders by a twentieth on a shared machine; the operations of a step do not.
"""

from collections import Counter

import keras
import pytest
import tensorflow as tf

from benchmarks.against_keras_applications import NETS

SIZE = {"input_shape": (64, 64, 3), "classes": 100}
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def operations(model: keras.Model, training: bool) -> Counter[str]:
    """How many of each kind TensorFlow's graph of a step has."""

    @tf.function
    def step(images, labels):
        if not training:
            return model(images)
        with tf.GradientTape() as tape:
            loss = LOSS(labels, model(images, training=True))
        return tape.gradient(loss, model.trainable_weights)

    images, labels = tf.TensorSpec((8, *SIZE["input_shape"])), tf.TensorSpec((8,), tf.int32)
    graph = step.get_concrete_function(images, labels).graph
    return Counter(operation.type for operation in graph.get_operations())


# VGG-16 itself drops units in training, which keras.applications' does not.
@pytest.mark.parametrize("name", ["VGG-16, no dropout", "ResNet-50"])
def test_no_operation_more_than_keras_applications(name):
    ours, theirs = NETS[name]
    models = ours(**SIZE), theirs(weights=None, classifier_activation=None, **SIZE)
    for training in (True, False):
        of_ours, of_theirs = (operations(model, training) for model in models)
        assert not of_ours - of_theirs
