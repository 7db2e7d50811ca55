"""Normalisation of features by what they are on the training set."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_models")
class ComponentNormalization(keras.layers.Layer):
    """Each component divided by its largest value over the training set.

    In training the layer keeps the largest values that it has seen; a pass over the training set
    with the layers below fixed finds those of the set. They are no less than `epsilon`, so that a
    component which is hardly ever there is not blown up.

    Args:
        epsilon: the least that is divided by, above 0.

    Input and output [..., C], without values below 0.

    Raises:
        ValueError: an epsilon that is not positive.

    Source: Taigman, Yang, Ranzato, Wolf 2014, section 3.1, with epsilon = 0.05.
    """

    def __init__(self, epsilon: float = 0.05, **kwargs):
        super().__init__(**kwargs)
        if epsilon <= 0:
            raise ValueError(f"epsilon must be positive, not {epsilon!r}.")
        self.epsilon = epsilon

    def build(self, input_shape):
        self.largest = self.add_weight(
            name="largest", shape=(input_shape[-1],), initializer="zeros", trainable=False
        )

    def call(self, inputs, training=False):
        if training:
            flat = ops.reshape(inputs, (-1, inputs.shape[-1]))
            seen = ops.cast(ops.max(flat, axis=0, initial=0.0), self.largest.dtype)
            self.largest.assign(ops.maximum(self.largest, seen))
        return inputs / ops.cast(ops.maximum(self.largest, self.epsilon), inputs.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {"epsilon": self.epsilon}
