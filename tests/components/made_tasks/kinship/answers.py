"""A logit to a probability."""

import tensorflow as tf


def check(model, classes):
    """Whether the network gives one number."""
    del classes
    (output,) = model.outputs
    if tuple(output.shape) != (None, 1):
        raise ValueError(f"the network gives {tuple(output.shape)}; wanted is one number")


def served(logits, names, size):
    """Logits [N, 1] to `kin`, float32 [N]."""
    del names, size
    return {"kin": tf.nn.sigmoid(tf.cast(logits, tf.float32)[:, 0])}


def signatures(serve, names):
    """No others."""
    del serve, names
    return {}


def finish(folder):
    """Nothing is left to be done."""
    del folder
    return ()
