"""Convolutions whose weights are not the same at every position."""

import math

import keras
from keras import ops

from keras_models.layers.windows import output_sides, padded, window_pixels


@keras.saving.register_keras_serializable(package="keras_models")
class TiledConv2D(keras.layers.Layer):
    """Convolution whose filters repeat every `tile` positions down and across.

    Position (i, j) of an output map has the weights and the bias of tile position
    (i mod tile, j mod tile). tile=1 is the ordinary convolution; a tile as large as the output
    is `LocallyConnected2D`.

    Args:
        filters, kernel_size, strides, padding, data_format, activation, use_bias: as in
            `keras.layers.Conv2D`.
        tile: positions until the filters repeat, down and across; None: they never do.
        kernel_initializer: called with [kh, kw, inputs, tile positions * filters], so that the
            fan-in is that of one unit.
        bias_initializer: called with [tile height, tile width, filters].

    Input [N, H, W, inputs] and output [N, H', W', filters] (channels_last), or maps on axis 1
    with channels_first. H and W may be None. The kernel is [tile height, tile width, kh, kw,
    inputs, filters]; a tile is not larger than the output, where that is known.

    Raises:
        ValueError: a tile smaller than 1, an input that holds no window.

    Source: Ngiam, Chen, Chia, Koh, Le, Ng 2010, Tiled convolutional neural networks.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        tile: int | None,
        strides: int | tuple[int, int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        activation=None,
        use_bias: bool = True,
        kernel_initializer="he_normal",
        bias_initializer="zeros",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if tile is not None and tile < 1:
            raise ValueError(f"tile must be at least 1, not {tile!r}.")
        # Keras' own convolution checks the arguments.
        like = keras.layers.Conv2D(filters, kernel_size, strides, padding, data_format)
        self.filters = filters
        self.kernel_size = like.kernel_size
        self.tile = tile
        self.strides = like.strides
        self.padding = like.padding
        self.data_format = like.data_format
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)

    def build(self, input_shape):
        axis = -1 if self.data_format == "channels_last" else 1
        inputs = input_shape[axis]
        sides = input_shape[1:3] if axis == -1 else input_shape[2:]
        self.input_spec = keras.layers.InputSpec(ndim=4, axes={axis: inputs})
        self._tile = self._tile_sides(sides)
        tile, kernel_size, filters = self._tile, self.kernel_size, self.filters

        def every_position(shape, dtype=None):
            drawn = (*kernel_size, inputs, tile[0] * tile[1] * filters)
            kernel = self.kernel_initializer(drawn, dtype=dtype)
            kernel = ops.reshape(kernel, (*kernel_size, inputs, *tile, filters))
            return ops.transpose(kernel, (3, 4, 0, 1, 2, 5))

        self.kernel = self.add_weight(
            name="kernel",
            shape=(*tile, *kernel_size, inputs, filters),
            initializer=every_position,
        )
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias", shape=(*tile, filters), initializer=self.bias_initializer
            )

    def _tile_sides(self, sides) -> tuple[int, int]:
        positions = output_sides(sides, self.kernel_size, self.strides, self.padding)
        for side, number in zip(sides, positions, strict=True):
            if number is not None and number < 1:
                raise ValueError(f"A side of {side} holds no window of {self.kernel_size}.")
            if number is None and self.tile is None:
                raise ValueError("Height and width must be known: every position has weights.")
        return tuple(min(self.tile or n, n or self.tile) for n in positions)

    def call(self, inputs):
        x = inputs
        if self.data_format == "channels_first":
            x = ops.transpose(x, (0, 2, 3, 1))
        if self.padding == "same":
            x = padded(x, self.kernel_size, self.strides)
        y = self._tiles(x)
        if self.data_format == "channels_first":
            y = ops.transpose(y, (0, 3, 1, 2))
        return self.activation(y)

    def _tiles(self, x):
        """The convolution of [N, H, W, inputs], without padding and activation."""
        sides = ops.shape(x)[1:3]
        height, width = output_sides(sides, self.kernel_size, self.strides, "valid")
        tall, wide = self._tile
        down, across = -(-height // tall), -(-width // wide)
        # Whole tiles: beyond the border the last window is seen again, and cut off in the end.
        pixels = window_pixels(
            sides[1],
            ops.minimum(ops.arange(down * tall, dtype="int32"), height - 1),
            ops.minimum(ops.arange(across * wide, dtype="int32"), width - 1),
            self.kernel_size,
            self.strides,
        )
        flat = ops.reshape(x, (-1, sides[0] * sides[1], x.shape[-1]))
        weights = math.prod(self.kernel_size) * x.shape[-1]
        windows = ops.reshape(
            ops.take(flat, ops.reshape(pixels, (-1,)), axis=1),
            (-1, down, tall, across, wide, weights),
        )
        kernel = ops.reshape(self.kernel, (tall, wide, weights, self.filters))
        y = ops.einsum("ndtawk,twkf->ndtawf", windows, kernel)
        if self.use_bias:
            y = y + ops.expand_dims(self.bias, 1)
        y = ops.reshape(y, (-1, down * tall, across * wide, self.filters))
        return y[:, :height, :width]

    def compute_output_shape(self, input_shape):
        like = keras.layers.Conv2D(
            self.filters, self.kernel_size, self.strides, self.padding, self.data_format
        )
        return like.compute_output_shape(input_shape)

    def get_config(self):
        return super().get_config() | {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "tile": self.tile,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }


@keras.saving.register_keras_serializable(package="keras_models")
class LocallyConnected2D(TiledConv2D):
    """Convolution whose every position has weights and biases of its own.

    Args: as `TiledConv2D`, without `tile`.

    Input [N, H, W, inputs] and output [N, H', W', filters] (channels_last), or maps on axis 1
    with channels_first. H and W must be known.

    Raises:
        ValueError: an unknown side, an input that holds no window.
    """

    def __init__(self, filters: int, kernel_size: int | tuple[int, int], strides=1, **kwargs):
        super().__init__(filters, kernel_size, tile=None, strides=strides, **kwargs)

    def get_config(self):
        config = super().get_config()
        del config["tile"]
        return config
