"""Networks whose graphs look right, and that fail, or cannot be served, once they compute."""

import keras
import pytest
import tensorflow as tf
from keras import layers, ops

from components import tasks
from components.train import first_call
from components.train.graph import functional

SHAPE = (8, 8, 1)
TABLE = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(["a"], [1.0]), 0.0)


def check(model, task="classification", classes=3):
    found = tasks.find(task)
    first_call.check(functional(model, SHAPE, found), found, classes, SHAPE[:2])


def with_layer(layer):
    return keras.Sequential([keras.Input(SHAPE), layer, layers.Flatten(), layers.Dense(3)])


class OfPython(layers.Layer):
    def call(self, image):
        return tf.ensure_shape(tf.py_function(lambda x: x, [image], tf.float32), image.shape)


class OfTable(layers.Layer):
    def call(self, image):
        return image * TABLE.lookup(tf.constant("a"))


class OfNothing(layers.Layer):
    def call(self, image):
        return ops.log(image - 2.0)


class OfNothingInTraining(layers.Layer):
    def call(self, image, training=False):
        return ops.log(image - 2.0) if training else image


class OfOtherSizes(layers.Layer):
    def call(self, image):
        return ops.reshape(ops.reshape(image, (-1, 64))[:, :7], (-1, 3, 1, 1))


class OfTheBatch(layers.Layer):
    def call(self, image):
        return ops.sum(image, axis=0, keepdims=True)

    def compute_output_shape(self, shape):
        return shape


class Own(keras.Model):
    def __init__(self):
        super().__init__()
        self.flat, self.dense = layers.Flatten(), layers.Dense(3)

    def call(self, image, training=False):
        return self.dense(self.flat(image))


def test_networks_of_every_kind_pass():
    check(with_layer(layers.Dropout(0.5)))
    check(keras.Sequential([layers.Flatten(), layers.Dense(3)]))
    check(Own())
    check(keras.Sequential([keras.Input(SHAPE), layers.Conv2D(1, 3)]), "depth", None)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (OfPython, "cannot be exported: it calls Python"),
        (OfTable, "cannot be exported: it uses a table or a variable that none of its layers"),
        (OfNothing, "training=False, the network gives numbers that are not finite"),
        (OfNothingInTraining, "training=True, the network gives numbers that are not finite"),
        (OfOtherSizes, r"training=False, the network fails: OfOtherSizes.call\(\): Input to resh"),
        (OfTheBatch, r"gives \(1, 3\): wanted is an answer for each picture, \(2, ...\)"),
    ],
)
def test_what_only_a_call_shows(layer, words):
    with pytest.raises(ValueError, match=words):
        check(with_layer(layer()))
