"""Convolutions that Keras does not have."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from keras_models.layers.windows import convolved

# Table I of LeCun, Bottou, Bengio, Haffner 1998: the S2 maps that each C3 map is connected to.
LENET5_C3: tuple[tuple[int, ...], ...] = (
    (0, 1, 2),
    (1, 2, 3),
    (2, 3, 4),
    (3, 4, 5),
    (0, 4, 5),
    (0, 1, 5),
    (0, 1, 2, 3),
    (1, 2, 3, 4),
    (2, 3, 4, 5),
    (0, 3, 4, 5),
    (0, 1, 4, 5),
    (0, 1, 2, 5),
    (0, 1, 3, 4),
    (1, 2, 4, 5),
    (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)


@keras.saving.register_keras_serializable(package="keras_models")
class TableConv2D(keras.layers.Layer):
    """Convolution whose output maps see only the input maps that a connection table names.

    The trainable kernel holds one kernel_size window a connection, [kh, kw, connections], and
    nothing else. For the computation it is laid out in a dense [kh, kw, inputs, outputs] kernel
    with zeros where there is no connection, so that one ordinary convolution does the work.

    Args:
        table: for each output map the indices of its input maps, counted from 0.
        kernel_size: height and width of the window; one number for both.
        strides, padding, data_format, activation: as in `keras.layers.Conv2D`.
        kernel_initializer: called with the dense shape [kh, kw, inputs, outputs]; the windows of
            the connections are taken from it.
        bias_initializer: called with [outputs].

    Input [N, H, W, inputs] and output [N, H', W', outputs] (channels_last), or
    [N, inputs, H, W] and [N, outputs, H', W'] (channels_first). H and W may be None.

    Raises:
        ValueError: an empty table, an output map without an input map or with one named twice,
            or an input with fewer maps than the table names.

    Source: LeCun, Bottou, Bengio, Haffner 1998, section II.B, layer C3 and Table I.
    """

    def __init__(
        self,
        table: Sequence[Sequence[int]],
        kernel_size: int | tuple[int, int],
        strides: int | tuple[int, int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        activation=None,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.table = tuple(tuple(int(i) for i in inputs) for inputs in table)
        if not self.table or any(
            not inputs or len(set(inputs)) < len(inputs) or min(inputs) < 0 for inputs in self.table
        ):
            raise ValueError(
                "table must name, for each output map, at least one input map, each once, "
                f"counted from 0. Received: {table!r}"
            )
        # Keras' own convolution checks the arguments.
        dense = keras.layers.Conv2D(len(self.table), kernel_size, strides, padding, data_format)
        self.kernel_size = dense.kernel_size
        self.strides = dense.strides
        self.padding = dense.padding
        self.data_format = dense.data_format
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)

    def build(self, input_shape):
        axis = -1 if self.data_format == "channels_last" else 1
        self.inputs = input_shape[axis]
        if self.inputs is None or self.inputs <= max(map(max, self.table)):
            raise ValueError(
                f"The table names input map {max(map(max, self.table))}, so the input needs at "
                f"least {max(map(max, self.table)) + 1} maps (counted from 0). "
                f"Received input shape: {tuple(input_shape)}"
            )
        self.input_spec = keras.layers.InputSpec(ndim=4, axes={axis: self.inputs})
        outputs = len(self.table)
        # connections[k] = position of the k-th connection in a flattened [inputs, outputs].
        connections = [i * outputs + o for o, inputs in enumerate(self.table) for i in inputs]
        self._placement = np.eye(self.inputs * outputs, dtype="float32")[connections]

        def connected(shape, dtype=None):
            dense = self.kernel_initializer((*self.kernel_size, self.inputs, outputs), dtype=dtype)
            flat = ops.reshape(dense, (*self.kernel_size, self.inputs * outputs))
            return ops.take(flat, connections, axis=-1)

        shape = (*self.kernel_size, len(connections))
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=connected)
        self.bias = self.add_weight(
            name="bias", shape=(outputs,), initializer=self.bias_initializer
        )

    def call(self, inputs):
        # A product with a 0-1 matrix: exact in every dtype, and its gradient is a product too,
        # where that of a scatter would be a slow gather on accelerators.
        placement = ops.cast(self._placement, self.compute_dtype)
        kernel = ops.reshape(
            ops.matmul(self.kernel, placement), (*self.kernel_size, self.inputs, len(self.table))
        )
        outputs = convolved(inputs, kernel, self.strides, self.padding, self.data_format)
        bias = self.bias
        if self.data_format == "channels_first":
            bias = ops.reshape(bias, (-1, 1, 1))
        return self.activation(outputs + bias)

    def compute_output_shape(self, input_shape):
        dense = keras.layers.Conv2D(
            len(self.table), self.kernel_size, self.strides, self.padding, self.data_format
        )
        return dense.compute_output_shape(input_shape)

    def get_config(self):
        return super().get_config() | {
            "table": self.table,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
            "activation": keras.activations.serialize(self.activation),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }
