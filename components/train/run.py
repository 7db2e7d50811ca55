"""The function that TFX's Trainer calls."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft
from tfx.components.trainer.fn_args_utils import FnArgs

from components.examples import label_names
from components.train import data
from components.train.callbacks import EpochCheckpoint, EpochFacts, ProgressReport
from components.train.objects import build, load
from components.train.signatures import ServedModel
from components.train.strategy import is_chief, strategy


def run_fn(fn_args: FnArgs) -> None:
    """Trains the recipe's network and exports it.

    Args:
      fn_args: TFX's; `custom_config` holds `recipe` (JSON) and `checkpoints`, the folder below
        which an interrupted training finds its last epoch.
    """
    recipe = json.loads(fn_args.custom_config["recipe"])
    # First of all: collectives between workers are set up before anything is computed.
    active = strategy(recipe["strategy"])
    keras.utils.set_random_seed(recipe["seed"])
    transform = tft.TFTransformOutput(fn_args.transform_output)
    train = data.Images(fn_args.train_files, transform)
    test = data.Images(fn_args.eval_files, transform)
    # Two folders up from .../Split-train/*: the Examples artifact.
    labels = label_names(os.path.dirname(os.path.dirname(fn_args.train_files[0])))
    checkpoint = EpochCheckpoint(_checkpoint_folder(fn_args))
    with active.scope(), _precision(recipe["mixed_precision"]):
        model = compiled_model(recipe, train, len(labels))
        first_epoch = checkpoint.restore(model)
    if first_epoch < recipe["epochs"]:
        _fit(model, recipe, train, test, checkpoint, first_epoch, fn_args.model_run_dir, active)
    if not is_chief(active):
        return
    served = ServedModel(model, transform, train.mean, labels, recipe)
    served.save(fn_args.serving_model_dir)
    _write_model_run(fn_args.model_run_dir, model, recipe, checkpoint.history)
    checkpoint.delete()


@contextlib.contextmanager
def _precision(mixed: bool) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16" if mixed else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def compiled_model(recipe: Mapping[str, Any], train: data.Images, classes: int) -> keras.Model:
    """The recipe's network for these images, with its loss and its optimizer, all built."""
    network = load(recipe["model"])
    input_shape = (*recipe["preprocess"]["size"], train.shape[-1])
    model = network(input_shape=input_shape, classes=classes, **recipe["model_args"])
    _penalize(model, recipe["weight_decay"])
    epoch = data.steps_per_epoch(train, recipe)
    optimizer = build(recipe["optimizer"], steps=epoch * recipe["epochs"], steps_per_epoch=epoch)
    auxiliary = len(model.outputs) - 1
    weights = [1.0] + [recipe["auxiliary_weight"]] * auxiliary
    model.compile(
        optimizer=optimizer,
        loss=[build(recipe["loss"]) for _ in model.outputs] if auxiliary else build(recipe["loss"]),
        loss_weights=weights if auxiliary else None,
        metrics=[["accuracy"]] + [[]] * auxiliary if auxiliary else ["accuracy"],
        jit_compile=recipe["jit_compile"],
        steps_per_execution=recipe["steps_per_execution"],
    )
    # A checkpoint restores the optimizer's variables only where they exist.
    model.optimizer.build(model.trainable_variables)
    return model


def _penalize(model: keras.Model, weight_decay: float) -> None:
    """Adds weight_decay / 2 * w^2 to the loss for the kernels' weights, not for the biases."""
    if not weight_decay:
        return
    penalty = keras.regularizers.L2(weight_decay / 2)
    for variable in model.trainable_variables:
        if variable.name.endswith("kernel"):
            variable.regularizer = penalty


def _fit(model, recipe, train, test, checkpoint, first_epoch, model_run_dir, active) -> None:
    steps = data.steps_per_epoch(train, recipe)
    callbacks = [EpochFacts(), ProgressReport(recipe["epochs"], steps)]
    if is_chief(active):
        folder = os.path.join(model_run_dir, "tensorboard")
        callbacks += [checkpoint, keras.callbacks.TensorBoard(folder, write_graph=False)]
    model.fit(
        # Keras asks for one batch after the last, and warns where there is none.
        _for_outputs(model, data.training_batches(train, recipe, first_epoch).repeat()),
        initial_epoch=first_epoch,
        epochs=recipe["epochs"],
        steps_per_epoch=steps,
        validation_data=_for_outputs(model, data.test_batches(test, recipe)),
        callbacks=callbacks,
        verbose=2,
    )


def _for_outputs(model: keras.Model, batches: tf.data.Dataset) -> tf.data.Dataset:
    """The batches with the labels once for each output: auxiliary classifiers learn them too."""
    outputs = len(model.outputs)
    if outputs == 1:
        return batches
    return batches.map(lambda images, labels: (images, (labels,) * outputs))


def _checkpoint_folder(fn_args: FnArgs) -> str:
    """The same for the same recipe, data and transform, another for any other."""
    identity = [fn_args.custom_config["recipe"], fn_args.transform_output, fn_args.train_files]
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    return os.path.join(fn_args.custom_config["checkpoints"], key)


def _write_model_run(
    folder: str, model: keras.Model, recipe: Mapping[str, Any], history: list[dict[str, float]]
) -> None:
    tf.io.gfile.makedirs(folder)
    model.save(os.path.join(folder, "model.keras"))
    for name, value in (("history.json", history), ("recipe.json", recipe)):
        with tf.io.gfile.GFile(os.path.join(folder, name), "w") as file:
            json.dump(value, file, indent=1)
