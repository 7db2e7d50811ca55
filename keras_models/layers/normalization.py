"""Normalisations that Keras does not have."""

import math
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from keras_models.layers.precision import widened


@keras.saving.register_keras_serializable(package="keras_models")
class LocalResponseNormalization(keras.layers.Layer):
    """Local response normalisation across neighbouring maps.

    b_i = a_i / (k + alpha * sum of a_j^2)^beta, where j runs over the `size` maps around map i
    that there are, at the same position. alpha is not divided by size.

    Args:
        size: number of adjacent maps n, odd.
        alpha, beta, k: the constants of the formula; k positive.
        data_format: as in `keras.layers.Conv2D`.

    Input and output [N, H, W, maps] (channels_last) or [N, maps, H, W] (channels_first). float16
    is computed in float32.

    Raises:
        ValueError: an even size, a k that is not positive.

    Source: Krizhevsky, Sutskever, Hinton 2012, section 3.3 (n = 5, alpha = 1e-4, beta = 0.75,
    k = 2).
    """

    def __init__(
        self,
        size: int = 5,
        alpha: float = 1e-4,
        beta: float = 0.75,
        k: float = 2.0,
        data_format: str | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if size < 1 or size % 2 == 0:
            raise ValueError(f"size must be an odd number of maps, not {size!r}.")
        if k <= 0:
            raise ValueError(f"k must be positive, not {k!r}.")
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k
        self.data_format = data_format or keras.config.image_data_format()

    def build(self, input_shape):
        axis = -1 if self.data_format == "channels_last" else 1
        maps = input_shape[axis]
        self.input_spec = keras.layers.InputSpec(ndim=4, axes={axis: maps})
        index = np.arange(maps)
        near = np.abs(index[:, None] - index) <= self.size // 2
        self._band = near.astype("float32")

    def call(self, inputs):
        # The sum over neighbours is a product with a banded 0-1 matrix: on processors several
        # times faster, with its gradient, than slices, pooling or TensorFlow's own kernel.
        # A float16 has no room for squares from 256 on; a bfloat16 has float32's.
        x = widened(inputs) if self.compute_dtype == "float16" else inputs
        band = ops.cast(self._band, x.dtype)
        squares = ops.square(x * math.sqrt(self.alpha))
        if self.data_format == "channels_last":
            sums = ops.matmul(squares, band)
        else:
            columns = ops.reshape(squares, (-1, len(self._band), math.prod(ops.shape(inputs)[2:])))
            sums = ops.reshape(ops.matmul(band, columns), ops.shape(inputs))
        # In float32 whatever the type, for the roots' roundings add up.
        scale = _power(self.k + widened(sums), -self.beta)
        return ops.cast(x * ops.cast(scale, x.dtype), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return super().get_config() | {
            "size": self.size,
            "alpha": self.alpha,
            "beta": self.beta,
            "k": self.k,
            "data_format": self.data_format,
        }


def _power(x, exponent: float):
    """x ** exponent of positive numbers; roots in place of a power where that is as exact."""
    if exponent == -0.75:
        root = ops.rsqrt(x)
        # Not the root of x * sqrt(x), which overflows long before x does.
        return root * ops.sqrt(root)
    return ops.power(x, exponent)


@keras.saving.register_keras_serializable(package="keras_models")
class LocalContrastNormalization(keras.layers.Layer):
    """Subtractive, then divisive normalisation by a Gaussian window over all maps.

    v = x - the weighted mean of x in the window, over all maps; then y = v / max(c, sigma), where
    sigma is the root of the weighted mean of v^2, and c the mean of sigma over the picture. At
    the border the weights of the pixels inside the picture are made to add up to 1.

    Args:
        kernel_size: side of the square window, odd.
        sigma: standard deviation of the Gaussian in pixels; None for a quarter of the window
            (the paper does not give it).
        divisive: False leaves the division out.
        data_format: as in `keras.layers.Conv2D`.

    Input and output [N, H, W, maps] (channels_last) or [N, maps, H, W] (channels_first). Where
    the whole picture is constant the output is 0.

    Raises:
        ValueError: an even window, a sigma that is not positive.

    Source: Jarrett, Kavukcuoglu, Ranzato, LeCun 2009, section 2.1.
    """

    def __init__(
        self,
        kernel_size: int = 7,
        sigma: float | None = None,
        divisive: bool = True,
        data_format: str | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, not {kernel_size!r}.")
        if sigma is not None and sigma <= 0:
            raise ValueError(f"sigma must be positive, not {sigma!r}.")
        self.kernel_size = kernel_size
        self.sigma = sigma
        self.divisive = divisive
        self.data_format = data_format or keras.config.image_data_format()
        distance = np.arange(kernel_size) - kernel_size // 2
        window = np.exp(-0.5 * (distance / (sigma or kernel_size / 4)) ** 2)
        self._window = window / window.sum()
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def call(self, inputs):
        channels = -1 if self.data_format == "channels_last" else 1
        # Means of squares and their differences: too much for the short types.
        x = self._centred(widened(inputs))
        inside = self._blurred(ops.ones_like(ops.mean(x[:1], axis=channels, keepdims=True)))

        def local_mean(maps):
            return self._blurred(ops.mean(maps, axis=channels, keepdims=True)) / inside

        v = x - local_mean(x)
        if self.divisive:
            # Squares of numbers of at most 1 are never too large.
            largest = ops.max(ops.abs(v), axis=(1, 2, 3), keepdims=True, initial=1.0)
            v = v / ops.stop_gradient(largest)
            variance = local_mean(ops.square(v))
            # The root's slope at 0 is infinite, and the gradient there would be no number.
            sigma = ops.sqrt(ops.maximum(variance, 1e-20))
            contrast = ops.mean(sigma, axis=(1, 2, 3), keepdims=True)
            # A picture without contrast is left as it is: divided, its gradient would be huge.
            divisor = ops.maximum(sigma, contrast)
            v = v / ops.where(contrast > keras.config.epsilon(), divisor, ops.ones_like(divisor))
        return ops.cast(v, self.compute_dtype)

    def _centred(self, x):
        """The pictures less their means, which changes nothing but the rounding: what is left of
        a constant one is 0, and not the error of a mean that is as large as the picture."""
        axes = {"axis": (1, 2, 3), "keepdims": True}
        lowest = ops.min(x, initial=float("inf"), **axes)
        highest = ops.max(x, initial=-float("inf"), **axes)
        # A rounded mean may lie outside.
        mean = ops.clip(ops.mean(x, **axes), lowest, highest)
        return x - ops.stop_gradient(mean)

    def _blurred(self, plane):
        """The Gaussian window over a single map: along the columns, then along the rows."""
        arguments = {"padding": "same", "data_format": self.data_format}
        window = ops.cast(self._window, plane.dtype)
        plane = ops.conv(plane, window[:, None, None, None], **arguments)
        return ops.conv(plane, window[None, :, None, None], **arguments)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return super().get_config() | {
            "kernel_size": self.kernel_size,
            "sigma": self.sigma,
            "divisive": self.divisive,
            "data_format": self.data_format,
        }


@keras.saving.register_keras_serializable(package="keras_models")
class ActivationBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalisation with mean, variance, scale and shift of each activation its own.

    In convolutional layers `keras.layers.BatchNormalization` has one set a map (section 3.2);
    this one has one a map and position, as section 3 has it for fully connected layers, where
    the two are the same.

    Args: as `keras.layers.BatchNormalization`, without `axis`.

    Input and output [N, ...] of known sides; 2 trainable numbers an activation.

    Source: Ioffe, Szegedy 2015, section 3, Algorithm 1.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs | {"axis": -1})

    def build(self, input_shape):
        if None in input_shape[1:]:
            raise ValueError(f"All sides must be known, not {tuple(input_shape)}.")
        super().build((None, math.prod(input_shape[1:])))
        self.input_spec = keras.layers.InputSpec(shape=(None, *input_shape[1:]))

    def call(self, inputs, training=None):
        flat = ops.reshape(inputs, (-1, math.prod(inputs.shape[1:])))
        return ops.reshape(super().call(flat, training=training), (-1, *inputs.shape[1:]))


@keras.saving.register_keras_serializable(package="keras_models")
class ChannelScaling(keras.layers.Layer):
    """Channels multiplied by constants and shifted: y = scale * x + offset.

    Args:
        scale, offset: one number a channel of the output.
        flipped: whether the channels are turned round first, as from RGB to BGR.

    Input and output [..., channels].
    """

    def __init__(
        self, scale: Sequence[float], offset: Sequence[float], flipped: bool = False, **kwargs
    ):
        super().__init__(**kwargs)
        self.scale = [float(each) for each in scale]
        self.offset = [float(each) for each in offset]
        self.flipped = flipped

    def call(self, inputs):
        x = ops.flip(inputs, axis=-1) if self.flipped else inputs
        return x * ops.cast(self.scale, x.dtype) + ops.cast(self.offset, x.dtype)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return super().get_config() | {
            "scale": self.scale,
            "offset": self.offset,
            "flipped": self.flipped,
        }


def unit_vectors(x):
    """Vectors along the last axis, divided by their lengths.

    The gradient goes through the division. At 0, where there is no direction, the answer is 0 and
    the gradient that of no division at all: finite, so that a network can leave it. Vectors with a
    number that is infinite or NaN become NaN. float16 and bfloat16 are computed in float32.

    Args:
        x: floats [..., C].

    Returns:
        float32 [..., C], or float64 of float64.
    """
    x = widened(ops.convert_to_tensor(x))
    # Squares of numbers of at most 1 are never too large; the answer does not depend on the scale.
    largest = ops.stop_gradient(ops.max(ops.abs(x), axis=-1, keepdims=True, initial=0.0))
    x = x / ops.where(largest == 0, ops.ones_like(largest), largest)
    square = ops.sum(ops.square(x), axis=-1, keepdims=True)
    # The root's slope at 0 is infinite, and the gradient there would be no number.
    return x / ops.sqrt(ops.where(square == 0, ops.ones_like(square), square))


@keras.saving.register_keras_serializable(package="keras_models")
class UnitVectors(keras.layers.Layer):
    """Vectors along the channels, divided by their lengths; see `unit_vectors`.

    In the place of `keras.layers.UnitNormalization`, whose gradient at 0 is NaN.

    Input and output [..., channels].

    Source: Eigen, Fergus 2015, section 4.2.
    """

    def call(self, inputs):
        return ops.cast(unit_vectors(inputs), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)
