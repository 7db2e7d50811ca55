"""Several learning rates in one optimizer."""

from collections.abc import Collection
from typing import Any

import keras


def with_smaller_rate(
    optimizer: keras.optimizers.Optimizer, variables: Collection[keras.Variable], factor: float
) -> keras.optimizers.Optimizer:
    """Has an optimizer take some variables' steps at a part of its learning rate.

    As the layers near the input of a pretrained net are trained: Howard, Ruder 2018, Universal
    language model fine-tuning, section 3.2 ("discriminative fine-tuning"). An optimizer's own
    `weight_decay` keeps the whole rate.

    Args:
      optimizer: any of Keras that updates variables one by one, in `update_step`. Its class and
        configuration stay what they are: a model saved with it is read without this.
      variables: those with the smaller rate.
      factor: what the learning rate is multiplied by for them.

    Returns:
      `optimizer`.
    """
    inner = getattr(optimizer, "inner_optimizer", None)
    if inner is not None:
        with_smaller_rate(inner, variables, factor)
        return optimizer
    slow = {id(variable) for variable in variables}
    update = optimizer.update_step

    def update_step(gradient: Any, variable: Any, learning_rate: Any) -> None:
        # What arrives may be the backend's variable, or one of its copies on several devices.
        known = optimizer._trainable_variables[optimizer._get_variable_index(variable)]
        rate = learning_rate * factor if id(known) in slow else learning_rate
        update(gradient, variable, rate)

    optimizer.update_step = update_step
    return optimizer
