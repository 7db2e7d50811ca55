"""A recipe's network, compiled, with its loss and its optimizer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import keras
import tensorflow as tf

from components.train import data, fine_tuning
from components.train.graph import functional
from components.train.learning import losses, optimizer_of
from components.train.objects import build_network
from keras_models.optimizers import CurvatureOptimizer, with_curvature


def compiled_model(
    recipe: Mapping[str, Any], train: data.Images, classes: int | None
) -> keras.Model:
    """The recipe's network for these images, with its loss and its optimizer, all built.

    Args:
      recipe: plain data.
      train: the images.
      classes: how many there are; None where the task has none.

    Raises:
      ValueError: a network that does not answer what the task wants, such as one for another number
        of classes.
    """
    input_shape = (*recipe["preprocess"]["size"], train.shape[-1])
    model = build_network(recipe["model"], input_shape, classes, recipe["model_args"])
    model = functional(model, input_shape, train.task)
    train.task.part("answers").check(model, classes)
    _penalize(model, recipe["weight_decay"])
    optimizer = optimizer_of(recipe, data.steps_per_epoch(train, recipe))
    fine_tuning.slow_down(model, optimizer, recipe)
    model.compile(
        optimizer=optimizer,
        **losses(model, recipe),
        jit_compile=recipe["jit_compile"],
        steps_per_execution=recipe["steps_per_execution"],
    )
    # A checkpoint restores the optimizer's variables only where they exist.
    model.optimizer.build(model.trainable_variables)
    # In 16 bits the model's optimizer is Keras' that scales the loss, which is refused.
    return with_curvature(model) if isinstance(optimizer, CurvatureOptimizer) else model


def _penalize(model: keras.Model, weight_decay: float) -> None:
    """Adds weight_decay / 2 * w^2 to the loss for the kernels' weights, not for the biases."""
    if not weight_decay:
        return
    penalty = keras.regularizers.L2(weight_decay / 2)
    for variable in model.trainable_variables:
        if variable.name.endswith("kernel"):
            variable.regularizer = penalty


@contextlib.contextmanager
def precision(mixed: bool) -> Iterator[None]:
    """Whether what is built inside computes in 16 bits and keeps its variables in 32."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16" if mixed else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def for_outputs(
    model: keras.Model,
    batches: tf.data.Dataset,
    targets: ModuleType,
    by_class: Sequence[float] | None = None,
) -> tf.data.Dataset:
    """The batches with a target for each output.

    Args:
      model: the network.
      batches: (images, targets).
      targets: the task's module of that name.
      by_class: how much the examples of each class count in the loss; None where all count alike.

    Returns:
      Batches of (images, targets), with `by_class` (images, targets, weights).
    """
    if by_class is not None:
        weights = tf.constant(by_class, tf.float32)

        def weighted(images: tf.Tensor, found: Any) -> tuple[tf.Tensor, Any, Any]:
            counted = targets.weights(found, weights)
            return images, targets.fitted(found, model), targets.fitted(counted, model)

        return batches.map(weighted)
    if len(model.outputs) == 1 and not targets.MOVES:
        return batches
    return batches.map(lambda images, found: (images, targets.fitted(found, model)))
