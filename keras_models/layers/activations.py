"""Activation functions."""

import functools

import keras
from keras import ops

AMPLITUDE = 1.7159
SLOPE = 2.0 / 3.0


@keras.saving.register_keras_serializable(package="keras_models")
def scaled_tanh(x):
    """The squashing function f(a) = A tanh(S a), with A = 1.7159 and S = 2/3.

    f(1) = 1 and f(-1) = -1, and the second derivative is largest there, so targets of +-1 lie
    where the unit is still sensitive. Any shape, any float dtype.

    Source: LeCun, Bottou, Bengio, Haffner 1998, section II.B (Eqn 6) and appendix A.
    """
    return AMPLITUDE * ops.tanh(SLOPE * x)


@keras.saving.register_keras_serializable(package="keras_models")
class Maxout(keras.layers.Layer):
    """The largest of each group of `pieces` features: h_i = max over j of z_ij.

    z_ij is feature j * units + i: the features are `pieces` blocks of as many units each.

    Args:
        pieces: features a group, k in the paper.
        axis: of the features; 1 for maps in channels_first.

    Input [..., units * pieces], output [..., units], or the same on another axis.

    Raises:
        ValueError: fewer than 1 pieces, or features that are no multiple of them.

    Source: Goodfellow, Warde-Farley, Mirza, Courville, Bengio 2013, Maxout networks, section 3.
    """

    def __init__(self, pieces: int, axis: int = -1, **kwargs):
        super().__init__(**kwargs)
        if pieces < 1:
            raise ValueError(f"pieces must be at least 1, not {pieces!r}.")
        self.pieces = pieces
        self.axis = axis

    def build(self, input_shape):
        features = input_shape[self.axis]
        if features is None or features % self.pieces:
            raise ValueError(
                f"{features} features on axis {self.axis} are not groups of {self.pieces}."
            )
        self.input_spec = keras.layers.InputSpec(ndim=len(input_shape), axes={self.axis: features})

    def call(self, inputs):
        return functools.reduce(ops.maximum, ops.split(inputs, self.pieces, axis=self.axis))

    def compute_output_shape(self, input_shape):
        shape = list(input_shape)
        shape[self.axis] //= self.pieces
        return tuple(shape)

    def get_config(self):
        return super().get_config() | {"pieces": self.pieces, "axis": self.axis}


def prelu(shared: str = "channel", rank: int = 4, **kwargs) -> keras.layers.PReLU:
    """Keras' PReLU, set up as published: f(y) = max(0, y) + a min(0, y), a starts at 0.25.

    Args:
        shared: "channel" for one a map (or feature), "all" for one a layer.
        rank: axes of the input with the batch: 4 for maps [N, H, W, channels], 2 for [N, features].
        kwargs: further arguments of `keras.layers.PReLU`, such as `name`.

    The slopes are the weight "alpha"; the paper puts no weight decay on them.

    Raises:
        ValueError: another `shared`.

    Source: He, Zhang, Ren, Sun 2015, Delving deep into rectifiers, section 2.1, Eqns 1 to 4.
    """
    shared_axes = {"channel": range(1, rank - 1), "all": range(1, rank)}
    if shared not in shared_axes:
        raise ValueError(f"shared must be one of {tuple(shared_axes)}, not {shared!r}.")
    return keras.layers.PReLU(
        alpha_initializer=keras.initializers.Constant(0.25),
        shared_axes=list(shared_axes[shared]) or None,
        **kwargs,
    )
