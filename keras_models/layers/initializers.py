"""Weight initialisations."""

from collections.abc import Sequence

import keras
import numpy as np


@keras.saving.register_keras_serializable(package="keras_models")
class FanInUniform(keras.initializers.Initializer):
    """Uniform between -2.4 / F and 2.4 / F, where F is the fan-in of the unit.

    The fan-in is given, not read off the shape: biases and the coefficients of subsampling
    layers are drawn by the same rule, and so are the maps of a `TableConv2D`, whose fan-ins
    differ from map to map.

    Args:
        fan_in: number of inputs of each unit; one number, or one for each entry of the last
            axis of the weight (the output maps).
        seed: integer for the same draw every time, None for a new one in every instance.

    Source: LeCun, Bottou, Bengio, Haffner 1998, appendix A.
    """

    def __init__(self, fan_in: int | Sequence[int], seed: int | None = None):
        if np.ndim(fan_in) > 1 or np.min(fan_in) < 1:
            raise ValueError(f"fan_in must be one positive number or one a map, not {fan_in!r}.")
        self.fan_in = np.asarray(fan_in).tolist()
        self.seed = seed
        # Keras' own, for its way with seeds: one draw an instance, reproducible through
        # keras.utils.set_random_seed.
        self._unit = keras.initializers.RandomUniform(-1.0, 1.0, seed=seed)

    def __call__(self, shape, dtype=None):
        draw = self._unit(shape, dtype=dtype)
        return draw * keras.ops.convert_to_tensor(2.4 / np.asarray(self.fan_in), draw.dtype)

    def get_config(self):
        return {"fan_in": self.fan_in, "seed": self.seed}
