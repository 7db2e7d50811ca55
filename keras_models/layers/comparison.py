"""Two vectors of features compared."""

import keras
from keras import ops

from keras_models.layers.precision import widened


@keras.saving.register_keras_serializable(package="keras_models")
class AbsoluteDifference(keras.layers.Layer):
    """|f - g| of each component.

    Input: two tensors [N, C]. Output [N, C].

    Source: Taigman, Yang, Ranzato, Wolf 2014, section 4.2.
    """

    def call(self, inputs):
        f, g = inputs
        return ops.abs(f - g)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape[0])


@keras.saving.register_keras_serializable(package="keras_models")
class ChiSquaredTerms(keras.layers.Layer):
    """The terms of a chi-squared distance, (f - g)^2 / (f + g) of each component; 0 of two zeros.

    Input: two tensors [N, C] without values below 0. Output [N, C].

    Source: Taigman, Yang, Ranzato, Wolf 2014, section 4.1.
    """

    def call(self, inputs):
        f, g = map(widened, inputs)
        sums = f + g
        terms = ops.square(f - g) / ops.where(sums > 0, sums, ops.ones_like(sums))
        return ops.cast(terms, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape[0])


@keras.saving.register_keras_serializable(package="keras_models")
class NegativeDistance(keras.layers.Layer):
    """The root mean square of f - g times -1: the higher, the more alike the two are.

    Input: two tensors [N, C]. Output [N, 1], 0 at the most.
    """

    def call(self, inputs):
        f, g = map(widened, inputs)
        # The root has no slope at 0, where two pictures are one.
        squares = ops.mean(ops.square(f - g), axis=-1, keepdims=True)
        distance = ops.sqrt(ops.maximum(squares, keras.config.epsilon() ** 2))
        return ops.cast(-distance, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (*input_shape[0][:-1], 1)
