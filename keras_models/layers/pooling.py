"""Pooling and subsampling layers that Keras does not have."""

import functools
import math

import keras
from keras import ops

from keras_models.layers.precision import widened
from keras_models.layers.windows import output_sides, padded, window_pixels


def averages(x, size, strides, **arguments):
    """`ops.average_pool`, with the sums of the windows in float32 at least: TensorFlow's kernel for
    processors adds up in the type of `x`, and four numbers of 30,000 are inf in float16."""
    return ops.cast(ops.average_pool(widened(x), size, strides, **arguments), x.dtype)


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
        average = averages(inputs, window, window, data_format=self.data_format)
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


@keras.saving.register_keras_serializable(package="keras_models")
class SumPooling2D(keras.layers.AveragePooling2D):
    """The sum of each window.

    Args: as `keras.layers.AveragePooling2D`.

    Input [N, H, W, maps], output [N, H', W', maps] (channels_last); maps on axis 1 with
    channels_first. H and W may be None.
    """

    def call(self, inputs):
        if self.padding == "same":
            # The average is one of the pixels inside the picture alone.
            inputs = padded(inputs, self.pool_size, self.strides, self.data_format)
        average = averages(inputs, self.pool_size, self.strides, data_format=self.data_format)
        return average * math.prod(self.pool_size)


@keras.saving.register_keras_serializable(package="keras_models")
class StochasticPooling2D(keras.layers.AveragePooling2D):
    """Draws one activation of each window in training, and weighs them all at test.

    Activation a_i of a window has probability p_i = a_i / (sum of the window). In training one
    is drawn, anew for every window; at test the output is the sum of p_i a_i. A window of zeros
    gives 0. Negative activations count as 0: the layer follows a ReLU. A window whose sum is not
    finite gives NaN in training.

    Args:
        pool_size, strides, padding, data_format: as in `keras.layers.AveragePooling2D`.
        seed: of the draws; None for others every time.

    Input [N, H, W, maps], output [N, H', W', maps] (channels_last); maps on axis 1 with
    channels_first. H and W may be None.

    Source: Zeiler, Fergus 2013, Stochastic pooling for regularization of deep convolutional
    neural networks, Eqns 4 to 6.
    """

    def __init__(
        self,
        pool_size: int | tuple[int, int] = 2,
        strides: int | tuple[int, int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(pool_size, strides, padding, data_format, **kwargs)
        self.seed = seed

    def build(self, input_shape):
        # Here, for pooling layers without a build of their own take no state after __init__.
        self.seed_generator = keras.random.SeedGenerator(self.seed)

    def call(self, inputs, training=False):
        activations = ops.relu(inputs)
        return self._drawn(activations) if training else self._weighted(activations)

    def _weighted(self, activations):
        def average(x):
            return ops.average_pool(x, self.pool_size, self.strides, self.padding, self.data_format)

        # Squares overflow a float16 from 256 on.
        a = widened(activations)
        total = average(a)
        nothing = ops.cast(total == 0, a.dtype)
        return ops.cast(average(ops.square(a)) / (total + nothing), self.compute_dtype)

    def _drawn(self, activations):
        x = activations
        if self.padding == "same":
            x = padded(x, self.pool_size, self.strides, self.data_format)
        if self.data_format == "channels_first":
            x = ops.transpose(x, (0, 2, 3, 1))
        y = self._draw_windows(x)
        return y if self.data_format == "channels_last" else ops.transpose(y, (0, 3, 1, 2))

    def _draw_windows(self, x):
        """[N, H, W, maps] to one activation of every window."""
        sides, maps = ops.shape(x)[1:3], x.shape[-1]
        height, width = output_sides(sides, self.pool_size, self.strides, "valid")
        pixels = window_pixels(
            sides[1],
            ops.arange(height, dtype="int32"),
            ops.arange(width, dtype="int32"),
            self.pool_size,
            self.strides,
        )
        flat = ops.reshape(x, (-1, sides[0] * sides[1], maps))
        # The n-th pixel of all windows at once. Gathering costs a fraction of what slices with
        # strides do, whose gradients are whole pictures of zeros.
        places = [ops.take(flat, pixels[:, n], axis=1) for n in range(pixels.shape[1])]
        weights = [widened(ops.stop_gradient(place)) for place in places]
        total = sum(weights[1:], weights[0])
        # The activation is the one in which a point between 0 and the total falls, when they
        # lie end to end.
        point = total * keras.random.uniform(ops.shape(total), seed=self.seed_generator)
        drawn, end = places[0], weights[0]
        for place, weight in zip(places[1:], weights[1:], strict=True):
            drawn = ops.where(point < end, drawn, place)
            end = end + weight
        # No comparison with NaN is true, and one with infinity says nothing of where to draw.
        drawn = ops.where(ops.isfinite(total), drawn, float("nan"))
        return ops.reshape(drawn, (-1, height, width, maps))

    def get_config(self):
        return super().get_config() | {"seed": self.seed}


@keras.saving.register_keras_serializable(package="keras_models")
class OffsetMaxPooling2D(keras.layers.MaxPooling2D):
    """Max pooling without overlap, or with it at every offset.

    Pooling by p at the offsets 0 to p - 1 of height and width gives p x p maps. At every offset
    the layer gives them interlaced, as the maxima of windows one pixel apart: those of the offsets
    (a, b) are `outputs[:, a::p, b::p]`. A layer with windows of w x w pooled pixels then takes
    every p-th of them (`dilation_rate=p`), and its outputs are interlaced likewise.

    Args:
        pool_size: p.
        every_offset: whether it pools at every offset.
        data_format: as in `keras.layers.Conv2D`.

    Input [N, H, W, maps], output [N, H // p, W // p, maps], or [N, H - p + 1, W - p + 1, maps] at
    every offset (channels_last); maps on axis 1 with channels_first. H and W may be None.

    Source: Sermanet et al. 2014, OverFeat, section 3.3 and Figure 3.
    """

    def __init__(
        self,
        pool_size: int = 2,
        every_offset: bool = False,
        data_format: str | None = None,
        **kwargs,
    ):
        strides = 1 if every_offset else pool_size
        super().__init__(pool_size, strides, "valid", data_format, **kwargs)
        self.every_offset = every_offset

    def call(self, inputs):
        # Not by the backend's kernel: TensorFlow's loses what is no number.
        highest = _highest_everywhere if self.every_offset else _highest_of_each
        first = 1 if self.data_format == "channels_last" else 2
        across = highest(inputs, first + 1, self.pool_size[1])
        return highest(across, first, self.pool_size[0])

    def get_config(self):
        config = super().get_config()
        for bound in ("strides", "padding"):
            del config[bound]
        # Keras writes a pair.
        return config | {"pool_size": self.pool_size[0], "every_offset": self.every_offset}


@keras.saving.register_keras_serializable(package="keras_models")
class SpatialPyramidPooling2D(keras.layers.Layer):
    """The maximum of each bin of several grids: as many features whatever the picture's sides.

    Of a grid of b x b bins, bin (i, j) covers the rows from floor(i H / b) to ceil((i + 1) H / b)
    and the columns likewise; neighbours may share a row. On the paper's maps of
    13 x 13 these are its windows of ceil(13 / b) with strides of floor(13 / b). Output: the grids
    in the order given, each bin by bin, row by row, all maps of a bin together, in both data
    formats.

    Args:
        bins: the bins b a side of each grid.
        data_format: as in `keras.layers.Conv2D`.

    Input [N, H, W, maps] (channels_last) or [N, maps, H, W] (channels_first), H and W may be
    None; output [N, (sum of b^2) * maps].

    Raises:
        ValueError: no grid, or one of fewer than 1 bins.

    Source: He, Zhang, Ren, Sun 2014, Spatial pyramid pooling in deep convolutional networks for
    visual recognition, sections 2.2 and 2.3.
    """

    def __init__(self, bins: tuple[int, ...] = (1, 2, 3, 6), data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.bins = tuple(bins)
        if not self.bins or min(self.bins) < 1:
            raise ValueError(f"bins must be numbers from 1 on, not {bins!r}.")
        self.data_format = data_format or keras.config.image_data_format()

    def build(self, input_shape):
        axis = -1 if self.data_format == "channels_last" else 1
        self.input_spec = keras.layers.InputSpec(ndim=4, axes={axis: input_shape[axis]})

    def call(self, inputs):
        x = inputs
        if self.data_format == "channels_first":
            x = ops.transpose(x, (0, 2, 3, 1))
        height, width, maps = *ops.shape(x)[1:3], x.shape[-1]
        levels = []
        for bins in self.bins:
            rows = [_highest(x[:, part]) for part in _parts(height, bins)]
            for row in rows:
                levels += [_highest(row[:, part]) for part in _parts(width, bins)]
        return ops.reshape(ops.concatenate(levels, axis=-1), (-1, len(levels) * maps))

    def compute_output_shape(self, input_shape):
        maps = input_shape[-1 if self.data_format == "channels_last" else 1]
        return (input_shape[0], sum(b * b for b in self.bins) * maps)

    def get_config(self):
        return super().get_config() | {"bins": self.bins, "data_format": self.data_format}


def _highest(x):
    """The maximum along axis 1; without the initial value Keras refuses a batch of no pictures."""
    return ops.max(x, axis=1, initial=-float("inf"))


def _highest_of_each(x, axis: int, length: int):
    """The maxima of windows along an axis that lie side by side; a rest of `x` is left out."""
    windows = ops.shape(x)[axis] // length
    before, after = ops.shape(x)[:axis], ops.shape(x)[axis + 1 :]
    whole = x[(slice(None),) * axis + (slice(windows * length),)]
    return ops.max(ops.reshape(whole, (*before, windows, length, *after)), axis=axis + 1)


def _highest_everywhere(x, axis: int, length: int):
    """The maxima of windows along an axis, from one pixel to the next."""
    windows = ops.shape(x)[axis] - length + 1
    shifts = [x[(slice(None),) * axis + (slice(n, n + windows),)] for n in range(length)]
    return functools.reduce(ops.maximum, shifts)


def _parts(side, bins: int) -> list[slice]:
    """The bins of one direction."""
    return [slice(i * side // bins, -(-(i + 1) * side // bins)) for i in range(bins)]
