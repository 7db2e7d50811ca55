"""Activation functions."""

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
