"""Pooling and subsampling layers that Keras does not have."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_models")
class Subsampling2D(keras.layers.Layer):
    """Trainable subsampling: f(coefficient * sum of the window + bias), one pair a map.

    The windows do not overlap; rows and columns that fill no whole window are left out.

    Args:
        pool_size: side of the square window.
        data_format, activation: as in `keras.layers.Conv2D`.
        coefficient_initializer, bias_initializer: called with [maps]. By default the layer
            starts as the plain average of its window.

    Input [N, H, W, maps], output [N, H // pool_size, W // pool_size, maps] (channels_last); maps
    on axis 1 with channels_first. H and W may be None. Two trainable numbers a map.

    Source: LeCun, Bottou, Bengio, Haffner 1998, section II.B, layers S2 and S4.
    """

    def __init__(
        self,
        pool_size: int = 2,
        data_format: str | None = None,
        activation=None,
        coefficient_initializer=None,
        bias_initializer="zeros",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if pool_size < 1:
            raise ValueError(f"pool_size must be at least 1, not {pool_size!r}.")
        self.pool_size = pool_size
        self.data_format = data_format or keras.config.image_data_format()
        self.activation = keras.activations.get(activation)
        self.coefficient_initializer = keras.initializers.get(
            coefficient_initializer or keras.initializers.Constant(1.0 / pool_size**2)
        )
        self.bias_initializer = keras.initializers.get(bias_initializer)

    def build(self, input_shape):
        axis = -1 if self.data_format == "channels_last" else 1
        maps = input_shape[axis]
        self.input_spec = keras.layers.InputSpec(ndim=4, axes={axis: maps})
        self.coefficient = self.add_weight(
            name="coefficient", shape=(maps,), initializer=self.coefficient_initializer
        )
        self.bias = self.add_weight(name="bias", shape=(maps,), initializer=self.bias_initializer)

    def call(self, inputs):
        # The window's average, which every backend has a fast kernel for, stands for its sum;
        # the number of inputs goes into the coefficient.
        window = (self.pool_size, self.pool_size)
        average = ops.average_pool(inputs, window, window, data_format=self.data_format)
        coefficient, bias = self.coefficient * self.pool_size**2, self.bias
        if self.data_format == "channels_first":
            coefficient = ops.reshape(coefficient, (-1, 1, 1))
            bias = ops.reshape(bias, (-1, 1, 1))
        return self.activation(average * coefficient + bias)

    def compute_output_shape(self, input_shape):
        spatial = (1, 2) if self.data_format == "channels_last" else (2, 3)
        return tuple(
            side if axis not in spatial or side is None else side // self.pool_size
            for axis, side in enumerate(input_shape)
        )

    def get_config(self):
        return super().get_config() | {
            "pool_size": self.pool_size,
            "data_format": self.data_format,
            "activation": keras.activations.serialize(self.activation),
            "coefficient_initializer": keras.initializers.serialize(self.coefficient_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }
