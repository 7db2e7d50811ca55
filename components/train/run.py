"""The function that TFX's Trainer calls."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf
import tensorflow_transform as tft
from tfx.components.trainer.fn_args_utils import FnArgs

from components import progress, tasks
from components.examples import label_names
from components.preprocess.transform import centre
from components.settings import applied
from components.train import balance, data, fitting, warmup, workers
from components.train.callbacks import STAGE, EpochCheckpoint, EpochFacts, ProgressReport
from components.train.fine_tuning import Freezing
from components.train.learning import plateau
from components.train.network import compiled_model, for_outputs, precision
from components.train.signatures import ServingModule
from components.train.stopping import EarlyStopping, early_stopping
from components.train.strategy import is_chief, strategy
from keras_models.optimizers import StopOnDivergence

_WARM_UP_IMAGES = 4


def run_fn(fn_args: FnArgs) -> None:
    """Trains the recipe's network and exports it.

    Args:
      fn_args: TFX's; `custom_config` holds `recipe` (JSON) and `checkpoints`, the folder below
        which an interrupted training finds its last epoch; `hyperparameters` the values that a
        search has found, if there was one.
    """
    recipe = json.loads(fn_args.custom_config["recipe"])
    if fn_args.hyperparameters:
        recipe = applied(recipe, fn_args.hyperparameters["values"])
    # First of all: collectives between workers are set up before anything is computed.
    active = strategy(recipe["strategy"])
    keras.utils.set_random_seed(recipe["seed"])
    transform = tft.TFTransformOutput(fn_args.transform_output)
    task = tasks.of_recipe(recipe)
    train, validation = data.train_and_validation(
        fn_args.train_files, transform, task, recipe["validation_split"]
    )
    # Two folders up from .../Split-train/*: the Examples artifact.
    names = label_names(os.path.dirname(os.path.dirname(fn_args.train_files[0])))
    classes = len(names) if task.has_classes else None
    checkpoint = EpochCheckpoint(_checkpoint_folder(fn_args, recipe))
    with precision(recipe["mixed_precision"]):
        with active.scope():
            model = compiled_model(recipe, train, classes)
        if recipe["strategy"] == "multi_worker":
            first_epoch = _restore_all(model, recipe, train, classes, checkpoint, active)
        else:
            with active.scope():
                first_epoch = checkpoint.restore(model)
    notes = _notes(train, recipe)
    stopping = early_stopping(recipe, checkpoint)
    if stopping and validation is None:
        notes.append("not stopped early: no training image is held out, to tell when")
        stopping = None
    if first_epoch < recipe["epochs"] and not (stopping and stopping.ended):
        examples = _Examples(train, validation, balance.by_class(recipe, train, names))
        _fit(
            model,
            recipe,
            examples,
            checkpoint,
            stopping,
            first_epoch,
            fn_args.model_run_dir,
            active,
        )
    else:
        # The end of `fit`, which comes after the last checkpoint: averaged weights are taken over.
        model.optimizer.finalize_variable_values(model.trainable_variables)
    if stopping:
        with active.scope():
            stopping.restore(model)
        notes.append(stopping.note)
    if is_chief(active):
        _export(fn_args, model, recipe, transform, train, names, checkpoint, notes)
    if recipe["strategy"] == "multi_worker":
        workers.end(active)


class _Examples(NamedTuple):
    """What is learnt from and validated on, and how much the examples of each class count."""

    train: data.Images
    validation: data.Images | None
    by_class: Sequence[float] | None


def _notes(train: data.Images, recipe: Mapping[str, Any]) -> list[str]:
    """What the training does otherwise than the recipe says, for a reader; shown at once."""
    size = data.batch_size(train, recipe)
    if size == recipe["batch_size"]:
        return []
    note = (
        f"batches of {size}, not of {recipe['batch_size']}: of {train.count} training images an "
        f"epoch would have one step, and so has {data.steps_per_epoch(train, recipe)}"
    )
    print(note, flush=True)
    progress.report(STAGE, 0, recipe["epochs"], note)
    return [note]


def _export(fn_args, model, recipe, transform, train, names, checkpoint, notes) -> None:
    """Writes the model to be served and the ModelRun; then there is no need of checkpoints."""
    served = ServingModule(model, transform, train.mean, names, recipe)
    signatures = served.save(fn_args.serving_model_dir)
    warmup.write(
        fn_args.serving_model_dir, signatures, _questions(train, recipe["preprocess"]), train.task
    )
    files = {"history.json": checkpoint.history, "recipe.json": recipe, "notes.json": notes}
    _write_model_run(fn_args.model_run_dir, model, files)
    checkpoint.delete()


def _questions(train: data.Images, preprocess: Mapping[str, Any]) -> warmup.Questions:
    """Some training images as requests hold them."""
    stored = next(iter(train.batches))[0]
    shown = {"image": stored} if train.task.one_picture else stored
    few = {name: each[:_WARM_UP_IMAGES] for name, each in shown.items()}
    return warmup.Questions(
        warmup.bare_examples(train.records, _WARM_UP_IMAGES, train.task),
        {
            name: (each if name in train.task.box_counts else centre(each, preprocess)).numpy()
            for name, each in few.items()
        },
    )


def _restore_all(model, recipe, train, classes, checkpoint, active) -> int:
    """Restores the model of all workers from the chief's checkpoint; the epochs that lie behind."""
    if not is_chief(active):
        return workers.agree(active, model, None, 0)
    restored = compiled_model(recipe, train, classes)
    return workers.agree(active, model, restored, checkpoint.restore(restored))


def _fit(
    model: keras.Model,
    recipe: Mapping[str, Any],
    examples: _Examples,
    checkpoint: EpochCheckpoint,
    stopping: EarlyStopping | None,
    first_epoch: int,
    model_run_dir: str,
    active: tf.distribute.Strategy,
) -> None:
    train, validation, by_class = examples
    steps = data.steps_per_epoch(train, recipe)
    watched = tasks.find(recipe["task"]).watched
    report = ProgressReport(recipe["epochs"], steps, watched)
    freezing = Freezing(model, recipe, steps)
    callbacks = [freezing, StopOnDivergence(), EpochFacts(watched), report]
    callbacks += [*plateau(recipe, checkpoint.history), *filter(None, [stopping])]
    if is_chief(active):
        folder = os.path.join(model_run_dir, "tensorboard")
        callbacks += [checkpoint, keras.callbacks.TensorBoard(folder, write_graph=False)]
    if fitting.adapts(model):
        if recipe["strategy"] != "one_device":
            raise ValueError(f"{recipe['model']} computes its weights on one device")
        whole = for_outputs(model, data.validation_batches(train, recipe), train.targets)
        fitting.adapt(model, whole, callbacks)
        return
    held_out = None
    if validation is not None:
        whole = data.validation_batches(validation, recipe)
        held_out = for_outputs(model, whole, train.targets)

    def batches(share: data.Share) -> tf.data.Dataset:
        made = data.training_batches(train, recipe, first_epoch, share)
        return for_outputs(model, made, train.targets, by_class)

    epochs = range(first_epoch, recipe["epochs"])
    if recipe["strategy"] == "multi_worker":
        workers.fit(model, active, batches, held_out, steps, epochs, callbacks)
        return
    fitting.fit(
        model,
        batches(data.Share()),
        steps,
        epochs,
        validation_data=held_out,
        callbacks=callbacks,
        verbose=2,
    )


def _checkpoint_folder(fn_args: FnArgs, recipe: Mapping[str, Any]) -> str:
    """The same for the same recipe, own modules, data and transform, another for any other."""
    identity = [recipe, fn_args.transform_output, fn_args.train_files]
    if "modules" in fn_args.custom_config:
        identity.append(fn_args.custom_config["modules"])
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    return os.path.join(fn_args.custom_config["checkpoints"], key)


def _write_model_run(folder: str, model: keras.Model, files: Mapping[str, Any]) -> None:
    tf.io.gfile.makedirs(folder)
    model.save(os.path.join(folder, "model.keras"))
    for name, value in files.items():
        with tf.io.gfile.GFile(os.path.join(folder, name), "w") as file:
            json.dump(value, file, indent=1)
