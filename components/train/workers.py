"""Training by several workers in step, each of which computes its part of every batch.

Keras 3 does not fit a model under MultiWorkerMirroredStrategy: `Model.fit` fails on its first
batch. The steps here are the model's own `train_step` and `test_step`, run by the strategy; the
optimizer adds up the gradients of all workers, so that all keep the same weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from components.train import state
from components.train.data import Share
from components.train.strategy import share

_SEEDS = "seed_generator_state"
_LOST = (tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.UnavailableError)

_AGAIN = (
    "another worker has ended before the training has; start all workers again with the same "
    "commands: the training goes on from its last whole epoch"
)


class WorkerLost(RuntimeError):
    """Another worker has ended before the training has."""


def agree(
    active: tf.distribute.Strategy, model: keras.Model, restored: keras.Model | None, epochs: int
) -> int:
    """Gives all workers what the chief has restored, and each its own random numbers.

    Args:
      active: the strategy under which the model was built.
      model: built and compiled.
      restored: of the chief the same model built outside of the strategy, because to assign to a
        variable of the strategy is itself a step that all workers take together.
      epochs: how many epochs lie behind, as this process knows it.

    Returns:
      How many epochs lie behind, as the chief knows it.
    """
    (number,) = _of_the_chief(active, [tf.constant(epochs, tf.int64)])
    variables = state.variables(model)
    if number:
        values = [variable.value for variable in state.variables(restored or model)]
        for variable, value in zip(variables, _of_the_chief(active, values), strict=True):
            _assign_here(active, variable, value)
    for variable in variables:
        if variable.path.endswith(_SEEDS):
            # Each draws for its own images: the same masks on all would be fewer masks.
            offset = tf.cast([share(active).worker, 0], variable.dtype)
            _assign_here(active, variable, tf.convert_to_tensor(variable.value) + offset)
    return int(number)


def _assign_here(active: tf.distribute.Strategy, variable: keras.Variable, value: Any) -> None:
    for component in active.experimental_local_results(variable.value):
        component.assign(value)


def _of_the_chief(active: tf.distribute.Strategy, values: Sequence[Any]) -> list[tf.Tensor]:
    """The chief's values, on all workers; each gives its own, of the same shapes and types."""
    own = [tf.convert_to_tensor(value) for value in values]
    # There are sums of few types.
    wide = [tf.cast(value, tf.int64) if value.dtype.is_integer else value for value in own]

    @tf.function
    def first() -> list[tf.Tensor]:
        context = tf.distribute.get_replica_context()
        of_chief = context.replica_id_in_sync_group == 0
        given = [tf.where(of_chief, value, tf.zeros_like(value)) for value in wide]
        # One by one: those given together are packed into one tensor, of one type.
        return [context.all_reduce(tf.distribute.ReduceOp.SUM, value) for value in given]

    summed = [active.experimental_local_results(value)[0] for value in active.run(first)]
    return [tf.cast(value, old.dtype) for value, old in zip(summed, own, strict=True)]


def fit(
    model: keras.Model,
    active: tf.distribute.Strategy,
    batches: Callable[[Share], tf.data.Dataset],
    validation: tf.data.Dataset | None,
    steps: int,
    epochs: range,
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    """Trains as `Model.fit` does.

    Args:
      model: built and compiled in the scope of `active`.
      active: a MultiWorkerMirroredStrategy.
      batches: a worker's part of all batches that are left, from its share.
      validation: the held-out batches, all of them, if there are any; each worker takes its part.
      steps: batches of an epoch.
      epochs: those that are left.
      callbacks: of this worker; they are not told of the loss within an epoch.

    Raises:
      WorkerLost: another worker has ended.
    """
    own = share(active)
    replicas = active.num_replicas_in_sync // own.workers

    def local(_: tf.distribute.InputContext) -> tf.data.Dataset:
        part = batches(own)
        size = tf.nest.flatten(part.element_spec)[0].shape[0]
        return part.rebatch(size // replicas) if replicas > 1 else part

    @tf.function
    def train_step(iterator) -> None:
        active.run(model.train_step, args=(next(iterator),))

    @tf.function(reduce_retracing=True)
    def test_step(batch) -> None:
        active.run(model.test_step, args=(batch,))

    listeners = keras.callbacks.CallbackList(
        callbacks, model=model, epochs=epochs.stop, steps=steps, verbose=0
    )
    iterator = iter(active.distribute_datasets_from_function(local))
    held_out = validation and validation.shard(own.workers, own.worker)
    listeners.on_train_begin()
    try:
        for epoch in epochs:
            listeners.on_epoch_begin(epoch)
            model.reset_metrics()
            for step in range(steps):
                listeners.on_train_batch_begin(step)
                train_step(iterator)
                listeners.on_train_batch_end(step)
            logs = _metrics(model)
            if held_out is not None:
                model.reset_metrics()
                # Without the strategy's own reading, in which workers with fewer batches stall.
                for batch in held_out:
                    test_step(batch)
                logs |= {f"val_{name}": value for name, value in _metrics(model).items()}
            listeners.on_epoch_end(epoch, logs)
    except _LOST as error:
        raise WorkerLost(_AGAIN) from error
    model.optimizer.finalize_variable_values(model.trainable_variables)
    listeners.on_train_end()


def end(active: tf.distribute.Strategy) -> None:
    """Waits until all workers have come here: one that leaves early is taken for lost.

    Raises:
      WorkerLost: another worker has ended; not on the chief.
    """
    try:
        _of_the_chief(active, [tf.constant(0, tf.int64)])
    except _LOST as error:
        # The chief has all it needs of the others.
        if share(active).worker:
            raise WorkerLost(_AGAIN) from error


def _metrics(model: keras.Model) -> dict[str, float]:
    """Of all workers together."""
    return {name: float(value) for name, value in model.get_metrics_result().items()}
