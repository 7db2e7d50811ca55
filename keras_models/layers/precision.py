"""Types to compute in where 16 bits are too few."""

from typing import Any

import keras
from keras import ops


def widened(x: Any) -> Any:
    """The tensor in float32, or in float64 where it is that already.

    For squares and sums, which overflow a float16 from 256 and from a few thousands on.
    """
    return ops.cast(x, keras.backend.result_type(x.dtype, "float32"))
