"""Layers that act otherwise in training than at test."""

from statistics import NormalDist

import keras
import numpy as np
from keras import ops

from keras_models.layers.precision import widened

_COINS = 16  # at most, that one random number is taken for
_LEAST_SQUARES = 1e-30


@keras.saving.register_keras_serializable(package="keras_models")
class DropConnect(keras.layers.Layer):
    """A fully connected layer whose weights and biases are dropped at random in training.

    In training r = a((M * W) v) with a mask M of its own for every example, each entry 1 with
    probability p = 1 - rate (Algorithm 1). There is no 1 / p anywhere. At test u = (M * W) v is
    taken as Gaussian, with mean p W v and variance p (1 - p) (W * W)(v * v), and the answer is
    the mean of a(u) (Algorithm 2). The paper draws u at random; here its `samples` values are
    the middles of equally probable slices of the Gaussian, so that a net gives the same answer
    every time.

    Args:
        units: number of outputs.
        rate: probability with which a connection is dropped, at least 0 and less than 1.
        activation: the function a.
        samples: values of u at test; with 100 the mean of a ReLU is exact to 0.003 sigma.
        kernel_initializer, bias_initializer: as in `keras.layers.Dense`.
        seed: of the masks; None for another every time.

    Input [N, D], output [N, units]. Training holds masks of N * D * units numbers. At test it is
    computed in float32 at least.

    Raises:
        ValueError: a rate outside [0, 1), fewer than 1 units or samples.

    Source: Wan, Zeiler, Zhang, LeCun, Fergus 2013, section 3, Algorithms 1 and 2.
    """

    def __init__(
        self,
        units: int,
        rate: float = 0.5,
        activation=None,
        samples: int = 100,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"rate must be at least 0 and less than 1, not {rate!r}.")
        if units < 1 or samples < 1:
            raise ValueError(f"units and samples must be positive, not {units!r}, {samples!r}.")
        self.units = units
        self.rate = rate
        self.activation = keras.activations.get(activation)
        self.samples = samples
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        slices = (np.arange(samples) + 0.5) / samples
        self._deviates = np.array([NormalDist().inv_cdf(p) for p in slices], "float32")

    def build(self, input_shape):
        features = input_shape[-1]
        self.input_spec = keras.layers.InputSpec(ndim=2, axes={-1: features})
        self.kernel = self.add_weight(
            name="kernel", shape=(features, self.units), initializer=self.kernel_initializer
        )
        self.bias = self.add_weight(
            name="bias", shape=(self.units,), initializer=self.bias_initializer
        )

    def call(self, inputs, training=False):
        if self.rate == 0:
            return self.activation(ops.matmul(inputs, self.kernel) + self.bias)
        return self._masked(inputs) if training else self._expected(inputs)

    def _masked(self, inputs):
        """Algorithm 1."""
        inputs = ops.pad(inputs, ((0, 0), (0, 1)), constant_values=1)
        weights = ops.concatenate([self.kernel, ops.expand_dims(self.bias, 0)])
        if self.rate == 0.5:
            return self.activation(self._by_coins(inputs, weights))
        shape = (ops.shape(inputs)[0], *weights.shape)
        draw = keras.random.uniform(shape, seed=self.seed_generator, dtype="float32")
        kept = ops.cast(draw >= self.rate, self.compute_dtype)
        return self.activation(ops.matmul(ops.expand_dims(inputs, 1), kept * weights)[:, 0])

    def _by_coins(self, inputs, weights):
        """Drops every other connection. [N, R], [R, units] -> [N, units].

        Most of a step's time goes into drawing: each number tosses a coin for `groups` of the
        units, whose axis comes first so that what is done to one number lies far apart.
        """
        groups = next(size for size in range(_COINS, 0, -1) if self.units % size == 0)
        shape = (ops.shape(inputs)[0], weights.shape[0], self.units // groups)
        draw = keras.random.randint(shape, 0, 2**groups, seed=self.seed_generator)
        coins = ops.reshape(ops.left_shift(1, ops.arange(groups, dtype="int32")), (-1, 1, 1, 1))
        kept = ops.cast(ops.bitwise_and(draw, coins) != 0, self.compute_dtype)
        weights = ops.transpose(ops.reshape(weights, (-1, groups, shape[-1])), (1, 0, 2))
        product = ops.matmul(inputs[:, None], kept * weights[:, None])[:, :, 0]
        return ops.reshape(ops.transpose(product, (1, 0, 2)), (-1, self.units))

    def _expected(self, inputs):
        """Algorithm 2."""
        keep = 1 - self.rate
        x, kernel, bias = widened(inputs), widened(self.kernel), widened(self.bias)
        # Both moments of the inputs divided by their largest, whose squares are never too large.
        largest = ops.stop_gradient(ops.max(ops.abs(x), axis=-1, keepdims=True, initial=1.0))
        x, bias = x / largest, bias / largest
        mean = largest * (keep * (ops.matmul(x, kernel) + bias))
        if self.activation is keras.activations.linear:
            return ops.cast(mean, self.compute_dtype)
        squares = ops.matmul(ops.square(x), ops.square(kernel)) + ops.square(bias)
        # The root's slope at 0 is infinite, and the gradient there would be no number.
        squares = ops.maximum(squares, _LEAST_SQUARES)
        deviation = largest * ops.sqrt(keep * self.rate * squares)
        deviates = ops.cast(self._deviates, x.dtype)
        u = ops.expand_dims(mean, 1) + ops.expand_dims(deviation, 1) * deviates[:, None]
        return ops.cast(ops.mean(self.activation(u), axis=1), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        return super().get_config() | {
            "units": self.units,
            "rate": self.rate,
            "activation": keras.activations.serialize(self.activation),
            "samples": self.samples,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable(package="keras_models")
class WeightNoise(keras.layers.Wrapper):
    """A layer whose kernel has Gaussian noise added to it in training, drawn anew every step.

    The gradient with respect to the noisy kernel is the gradient of the kernel. At test the
    layer is the plain one. Noise on the input is `keras.layers.GaussianNoise`.

    Args:
        layer: a layer with a weight `kernel`, such as Dense or Conv2D.
        stddev: standard deviation of the noise.
        seed: of the noise; None for another every time.

    Raises:
        ValueError: a negative stddev, a layer without a kernel.
    """

    def __init__(self, layer: keras.layers.Layer, stddev: float, seed=None, **kwargs):
        super().__init__(layer, **kwargs)
        if stddev < 0:
            raise ValueError(f"stddev must not be negative, not {stddev!r}.")
        self.stddev = stddev
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        super().build(input_shape)
        if not any(weight is self._kernel for weight in self.layer.trainable_variables):
            raise ValueError(f"{self.layer.name} has no kernel to put noise on.")

    @property
    def _kernel(self):
        return getattr(self.layer, "kernel", None)

    def call(self, inputs, training=False):
        if not training:
            return self.layer(inputs)
        # The layer's own call, with other numbers in the place of its weights.
        weights = [(weight, self._noisy(weight)) for weight in self.layer.trainable_variables]
        state = self.layer.non_trainable_variables
        with keras.StatelessScope([*weights, *((s, s.value) for s in state)]) as scope:
            outputs = self.layer(inputs)
        for variable in state:
            variable.assign(scope.get_current_value(variable))
        return outputs

    def _noisy(self, weight):
        if weight is not self._kernel:
            return weight.value
        noise = keras.random.normal(
            weight.shape, stddev=self.stddev, dtype=weight.value.dtype, seed=self.seed_generator
        )
        return weight.value + noise

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)

    def get_config(self):
        return super().get_config() | {"stddev": self.stddev, "seed": self.seed}
