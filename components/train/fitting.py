"""`Model.fit` with exactly the steps of an epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf


def fit(
    model: keras.Model, batches: tf.data.Dataset, steps: int, epochs: range, **arguments: Any
) -> keras.callbacks.History:
    """Trains as `Model.fit` does, but for so many steps an epoch whatever `steps_per_execution` is.

    Keras runs whole executions only: in executions of 10 it makes 10 steps of 5, and 470 of 468.
    Here the last execution of an epoch is as short as it must be.

    Args:
      model: built and compiled.
      batches: of static shapes; `steps` for each epoch, one epoch after the other.
      steps: of an epoch.
      epochs: those that are left.
      **arguments: the others of `Model.fit`.

    Returns:
      What `Model.fit` does.
    """
    if model.steps_per_execution > 1:
        model.train_function = _train_function(model, steps)
    return model.fit(
        # Keras counts by whole executions, too, when an input that has an end must have ended.
        batches.repeat(),
        initial_epoch=epochs.start,
        epochs=epochs.stop,
        steps_per_epoch=steps,
        shuffle=False,  # Keras 3.15 warns that it cannot shuffle batches.
        **arguments,
    )


def adapts(model: keras.Model) -> bool:
    """Whether a network computes its own weights, as layers of Keras do that have `adapt`.

    `model.adapt(batches)` takes all training examples, (inputs, targets), as often as it goes
    through them, and returns numbers for the history, `loss` among them.
    """
    return hasattr(model, "adapt")


def adapt(
    model: keras.Model, batches: tf.data.Dataset, callbacks: Sequence[keras.callbacks.Callback]
) -> None:
    """Has a network compute its own weights, which counts as one epoch.

    Args:
      model: built and compiled.
      batches: of the whole training split, each example once.
      callbacks: told the beginning and the end of the epoch.
    """
    told = keras.callbacks.CallbackList(list(callbacks), model=model)
    told.on_train_begin()
    told.on_epoch_begin(0)
    logs = dict(model.adapt(batches))
    told.on_epoch_end(0, logs)
    told.on_train_end(logs)


def retrace(model: keras.Model, steps: int) -> None:
    """Has the steps of the epochs to come traced anew, with the layers that learn by now.

    Args:
      model: while it is trained by `fit`, between two epochs.
      steps: of an epoch.
    """
    if model.steps_per_execution > 1:
        model.train_function = _train_function(model, steps)
    else:
        model.make_train_function(force=True)


def _train_function(model: keras.Model, steps: int) -> Callable[[Any], dict[str, Any]]:
    """What `fit` calls with the iterator of the batches for each execution, from an epoch's first.

    Source: `make_train_function` of Keras 3.12 and 3.15, which looks for the end of the input at
    each step, where this one counts.
    """

    def one_step(batch: Any) -> None:
        model.distribute_strategy.run(model.train_step, args=(batch,))

    # Apart from the loop, because XLA compiles a step and not where its batch comes from.
    one_step = tf.function(one_step, autograph=False, jit_compile=model.jit_compile)

    def execution(iterator: Any, count: tf.Tensor) -> dict[str, Any]:
        def body(step: tf.Tensor) -> tf.Tensor:
            one_step(next(iterator))
            return step + 1

        tf.while_loop(lambda step: step < count, body, [tf.constant(0)])
        return model.get_metrics_result()

    execution = tf.function(execution, autograph=False, reduce_retracing=True)
    done = 0

    def train_function(iterator: Any) -> dict[str, Any]:
        nonlocal done
        count = min(model.steps_per_execution, steps - done)
        done = (done + count) % steps
        return execution(iterator, tf.constant(count))

    return train_function
