"""Whether pictures belong together."""

import numpy as np
import tensorflow as tf

FEATURES = {"same": tf.io.FixedLenFeature([], tf.int64)}
MOVES = False


def placed(parsed, settings):
    """Nothing has a place in a picture."""
    del parsed, settings
    return {}


def trained(parsed, placed):
    """0 or 1."""
    del placed
    return parsed["same"]


def fitted(targets, model):
    """The same for each output."""
    outputs = len(model.outputs)
    return targets if outputs == 1 else (targets,) * outputs


def truths(features):
    """float64 [N], 0 or 1."""
    return np.asarray(features["same"], np.float64)
