"""A training that is killed after an epoch and goes on ends in the weights of one that is not."""

import contextlib
import inspect
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from tfx.components.trainer.fn_args_utils import FnArgs

from components import examples, tasks, trusted
from components.train import data, fitting, run, state
from components.train.callbacks import EpochCheckpoint
from components.train.fine_tuning import Freezing
from components.train.learning import PLATEAU, plateau
from components.train.network import compiled_model, precision
from components.train.objects import build
from components.train.stopping import early_stopping
from components.train.strategy import strategy
from keras_models import layers
from keras_models.optimizers import CurvatureOptimizer, with_curvature
from pipelines.optimizers import OPTIMIZERS

EPOCHS = 3
RECIPE = {
    "model": "keras_models.classification:Noisy",
    "model_args": {},
    "loss": {"class": "keras.losses:SparseCategoricalCrossentropy", "from_logits": True},
    "optimizer": {
        "class": "keras.optimizers:Adam",
        "learning_rate": {
            "class": "keras.optimizers.schedules:CosineDecay",
            "initial_learning_rate": 0.01,
            "decay_steps": "$steps",
        },
    },
    "augment": [{"step": "affine", "translate": 1.0}],
    "distorted_copies": 0,
    "weight_decay": 0.001,
    "task": "classification",
    "validation_split": 0.05,
    "auxiliary_weight": 0.3,
    "preprocess": {
        "size": [32, 32],
        "resize": None,
        "channels": 1,
        "fit": "pad",
        "range": [0.0, 1.0],
        "mean": "none",
    },
    "ingest": {"shorter_side": None, "format": "keep", "quality": 95},
    "batch_size": 120,
    "epochs": EPOCHS,
    "seed": 3,
    "mixed_precision": False,
    "jit_compile": False,
}


def noisy(input_shape, classes):
    """Of layers that keep something between two steps."""
    return keras.Sequential(
        [
            keras.layers.Input(input_shape),
            keras.layers.AveragePooling2D(4),
            layers.StochasticPooling2D(2),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.3),
            layers.DropConnect(classes, 0.4),
        ]
    )


@pytest.fixture(autouse=True)
def networks(monkeypatch):
    monkeypatch.setattr("keras_models.classification.Noisy", noisy, raising=False)
    monkeypatch.setenv(trusted.VARIABLE, noisy.__module__)


class PowerCut(BaseException):
    """What a test puts in the place of a kill."""


class Cut(keras.callbacks.Callback):
    """Ends the training when so many epochs lie behind."""

    def __init__(self, epochs: int | None):
        super().__init__()
        self._epochs = epochs

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self._epochs:
            raise PowerCut


class Judged(keras.callbacks.Callback):
    """Has the epochs end with these accuracies."""

    def __init__(self, accuracies: Sequence[float]):
        super().__init__()
        self._accuracies = accuracies

    def on_epoch_end(self, epoch, logs=None):
        if self._accuracies:
            logs["val_accuracy"] = self._accuracies[epoch]


def train(images, recipe, folder: Path, epochs: int | None = None, accuracies=()):
    """Trains as run_fn does, killed after some epochs; gives all of the state, and the history."""
    keras.utils.set_random_seed(recipe["seed"])
    checkpoint = EpochCheckpoint(str(folder))
    with precision(recipe["mixed_precision"]), strategy("one_device").scope():
        model = compiled_model(recipe, images, 10)
        first = checkpoint.restore(model)
    steps = data.steps_per_epoch(images, recipe)
    stopping = early_stopping(recipe, checkpoint)
    callbacks = [
        Judged(accuracies),
        *(Freezing(model, recipe, steps), *plateau(recipe, checkpoint.history)),
        *(*filter(None, [stopping]), checkpoint, Cut(epochs)),
    ]
    epochs_left = range(first, recipe["epochs"])
    if not (stopping and stopping.ended):
        batches = data.training_batches(images, recipe, first)
        with contextlib.suppress(PowerCut):
            fitting.fit(model, batches, steps, epochs_left, callbacks=callbacks, verbose=0)
    if stopping:
        stopping.restore(model)
    return [np.asarray(variable) for variable in state.variables(model)], checkpoint.history


MEMORY = {"steps_per_execution": 8}
# A loss scale that grows within an epoch, and a rate that is divided after the first one.
DECODED = {"steps_per_execution": 2, "mixed_precision": True} | {
    "optimizer": {
        "class": "keras.optimizers:SGD",
        "learning_rate": 0.01,
        "momentum": 0.9,
        PLATEAU: {"patience": 1, "monitor": "loss", "change": 100.0},
    }
}
COPIES = {"steps_per_execution": 1, "distorted_copies": 1} | {
    "optimizer": {
        "class": "keras.optimizers:Nadam",
        "learning_rate": 0.01,
        "use_ema": True,
        "gradient_accumulation_steps": 2,
    }
}


@pytest.mark.parametrize(
    ("kept", "changes", "killed"),
    [(True, MEMORY, 1), (False, DECODED, 2), (True, COPIES, 1)],
    ids=["in memory", "decoded each epoch", "distorted copies"],
)
def test_killed_and_resumed(
    kept, changes, killed, mnist_examples, transformed, tmp_path, monkeypatch
):
    recipe = RECIPE | changes
    if not kept:
        monkeypatch.setattr(data, "_MEMORY_BYTES", 0)
    # As of two spans, which may be named in any order.
    spans = [f"{mnist_examples}/Split-train/data_tfrecord-0000{number}*" for number in range(2)]
    images = data.Images(spans, transformed["none"], tasks.find("classification"))
    whole, history = train(images, recipe, tmp_path / "whole")
    train(images, recipe, tmp_path / "killed", killed)
    again = data.Images(spans[::-1], transformed["none"], tasks.find("classification"))
    resumed, records = train(again, recipe, tmp_path / "killed")
    assert records == history
    assert len(history) == EPOCHS
    for one, other in zip(resumed, whole, strict=True):
        np.testing.assert_array_equal(one, other)


# Layers that learn from the second epoch on.
TUNED = {
    "freeze": {"layers": ["backbone"], "epochs": 1},
    "backbone_rate": 0.5,
    "early_stopping": {"patience": 1, "min_delta": 0.0},
    "epochs": 6,
    "weight_decay": 0.0,
}
# So that the fourth epoch is the last, and the third is kept.
ACCURACIES = (0.1, 0.2, 0.3, 0.25, 0.4, 0.5)


@pytest.mark.parametrize("steps_per_execution", [1, 8])
def test_fine_tuning_killed_and_resumed(steps_per_execution, train_images, tmp_path):
    """Before the layers learn, after it, and when there is no epoch left but the best to take."""
    recipe = RECIPE | TUNED | {"steps_per_execution": steps_per_execution}
    images = train_images["none"]
    whole, history = train(images, recipe, tmp_path / "whole", accuracies=ACCURACIES)
    assert [epoch["epoch"] for epoch in history] == [1, 2, 3, 4]
    for killed in (1, 3):
        folder = tmp_path / str(killed)
        train(images, recipe, folder, killed, accuracies=ACCURACIES)
    shutil.copytree(tmp_path / "whole", tmp_path / "4")
    for killed in (1, 3, 4):
        resumed, records = train(images, recipe, tmp_path / str(killed), accuracies=ACCURACIES)
        assert records == history
        for one, other in zip(resumed, whole, strict=True):
            np.testing.assert_array_equal(one, other)
    # What is kept is the third epoch's.
    third, _ = train(images, recipe, tmp_path / "third", 3, accuracies=ACCURACIES)
    weights = len(noisy((32, 32, 1), 10).variables)
    for one, other in zip(whole[:weights], third[:weights], strict=True):
        np.testing.assert_array_equal(one, other)


def test_killed_between_the_last_epoch_and_the_export(
    mnist_examples, transformed, tmp_path, monkeypatch
):
    """Keras takes over averaged weights at the end of `fit`, after the last checkpoint."""
    exported = []

    def cut(fn_args, model, *_):
        exported.append(model.get_weights())
        raise PowerCut

    monkeypatch.setattr(run, "_export", cut)
    averaged = {"class": "keras.optimizers:SGD", "learning_rate": 0.1, "use_ema": True}
    changes = {"optimizer": averaged, "epochs": 1, "strategy": "one_device"}
    recipe = RECIPE | changes | {"steps_per_execution": 1}
    arguments = FnArgs(
        train_files=[f"{mnist_examples}/Split-train/*"],
        eval_files=[f"{mnist_examples}/Split-test/*"],
        transform_output=str(Path(transformed["none"].transform_savedmodel_dir).parent),
        model_run_dir=str(tmp_path / "run"),
        custom_config={"recipe": json.dumps(recipe), "checkpoints": str(tmp_path / "checkpoints")},
    )
    for _ in range(2):
        with pytest.raises(PowerCut):
            run.run_fn(arguments)
    for one, other in zip(*exported, strict=True):
        np.testing.assert_array_equal(one, other)


def saved(folder: Path, epochs: int) -> EpochCheckpoint:
    """Checkpoints of a training of so many epochs."""
    checkpoint = EpochCheckpoint(str(folder))
    checkpoint.set_model(dense(keras.optimizers.SGD(0.1)))
    for epoch in range(epochs):
        checkpoint.on_epoch_end(epoch, {"loss": 1.0})
    return checkpoint


@pytest.fixture
def cut_removal(monkeypatch):
    """A context in which removing a folder is killed after its first file."""

    @contextlib.contextmanager
    def cut_removal():
        def half(folder):
            next(path for path in sorted(Path(folder).rglob("*")) if path.is_file()).unlink()
            raise PowerCut

        with monkeypatch.context() as patch, pytest.raises(PowerCut):
            patch.setattr(tf.io.gfile, "rmtree", half)
            yield

    return cut_removal


def test_killed_while_checkpoints_are_removed(tmp_path, cut_removal):
    folder = tmp_path / "folder"
    checkpoint = saved(folder, 1)
    with cut_removal():
        checkpoint.on_epoch_end(1, {"loss": 0.5})
    assert EpochCheckpoint(str(folder)).restore(checkpoint.model) == 2
    checkpoint.on_epoch_end(2, {"loss": 0.5})
    assert EpochCheckpoint(str(folder)).restore(checkpoint.model) == 3
    with cut_removal():
        checkpoint.delete()
    # The model is there by then; if it is asked for once more it is trained anew.
    assert EpochCheckpoint(str(folder)).restore(checkpoint.model) == 0
    saved(folder, 2).delete()
    assert not folder.exists()


def test_checkpoints_of_another_version_are_passed_over(tmp_path):
    old = tmp_path / "epoch-00001"
    old.mkdir()
    (old / "model.weights.h5").write_bytes(b"")
    (old / "history.json").write_text('[{"epoch": 1}]')
    checkpoint = EpochCheckpoint(str(tmp_path))
    assert (checkpoint.restore(dense(keras.optimizers.SGD(0.1))), checkpoint.history) == (0, [])
    saved(tmp_path, 2)
    assert checkpoint.restore(dense(keras.optimizers.SGD(0.1))) == 2


def test_records_come_in_the_same_order_on_any_machine(tmp_path):
    """Four files in turn; tf.data by itself takes a third of the processors."""
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    files = [str(tmp_path / str(number)) for number in range(6)]
    for number, file in enumerate(files):
        with tf.io.TFRecordWriter(file, options) as writer:
            for record in "ab":
                writer.write(f"{number}{record}".encode())
    order = b" ".join(examples.read(files).as_numpy_iterator())
    assert order == b"0a 1a 2a 3a 0b 1b 2b 3b 4a 5a 4b 5b"


def dense(optimizer: keras.optimizers.Optimizer, **arguments) -> keras.Model:
    keras.utils.set_random_seed(1)
    layers_ = [keras.layers.Input((4,)), keras.layers.Dense(3, "tanh"), keras.layers.Dense(2)]
    model = keras.Sequential(layers_)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, **arguments)
    model.optimizer.build(model.trainable_variables)
    return with_curvature(model) if isinstance(optimizer, CurvatureOptimizer) else model


@pytest.mark.filterwarnings("error:Your input ran out of data")
def test_keras_knows_how_many_batches_there_are(train_images):
    images = train_images["none"]
    recipe = RECIPE | {"steps_per_execution": 4, "epochs": 1}
    model = compiled_model(recipe, images, 10)
    batches = data.training_batches(images, recipe)
    tested = data.validation_batches(images, recipe | {"batch_size": 250})
    records = fitting.fit(model, batches, 5, range(1), validation_data=tested, verbose=0).history
    assert int(model.optimizer.iterations) == 5
    assert records["val_loss"] == pytest.approx([model.evaluate(tested, verbose=0)[0]])


def drawn(count: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.normal(size=(count, 4)).astype("float32"), random.integers(0, 2, count)


class Counted(keras.callbacks.Callback):
    """How many steps there were after each execution."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(int(self.model.optimizer.iterations))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_an_epoch_has_its_steps_whatever_an_execution_has(jit_compile):
    """713 images in batches of 128 are 5 steps an epoch, not the 10 of an execution."""
    batches = tf.data.Dataset.from_tensor_slices(drawn(713)).batch(128, drop_remainder=True)
    steps, losses = {}, {}
    for number in (1, 2, 5, 10):
        optimizer = keras.optimizers.SGD(0.1)
        model = dense(optimizer, jit_compile=jit_compile, steps_per_execution=number)
        counted = Counted()
        records = fitting.fit(model, batches, 5, range(1, 4), callbacks=[counted], verbose=0)
        steps[number], losses[number] = counted.steps, records.history["loss"]
    assert steps[1] == list(range(1, 16))
    assert steps[2] == [2, 4, 5, 7, 9, 10, 12, 14, 15]
    assert steps[5] == steps[10] == [5, 10, 15]
    for number in (2, 5, 10):
        np.testing.assert_allclose(losses[number], losses[1], rtol=1e-6)


def optimizers():
    base = keras.optimizers.Optimizer
    for name, kind in sorted(vars(keras.optimizers).items()):
        # Keras 3.12's Muon does not take TensorFlow's variables.
        if inspect.isclass(kind) and issubclass(kind, base) and name != "Muon":
            given = inspect.signature(kind).parameters.values()
            if all(one.default is not one.empty or one.kind is one.VAR_KEYWORD for one in given):
                yield pytest.param({"class": f"keras.optimizers:{name}"}, id=name)
    for name, spec in OPTIMIZERS.items():
        if spec["class"].startswith("keras_models"):
            yield pytest.param(dict(spec), id=name)
    averaged = {"class": "keras.optimizers:Adam", "amsgrad": True, "use_ema": True}
    yield pytest.param(averaged | {"ema_overwrite_frequency": 2}, id="averaged weights")
    accumulated = {"class": "keras.optimizers:Lion", "gradient_accumulation_steps": 2}
    yield pytest.param(accumulated, id="accumulated gradients")
    scaled = {"class": "keras.optimizers:LossScaleOptimizer", "dynamic_growth_steps": 2}
    scaled |= {"inner_optimizer": {"class": "keras.optimizers:RMSprop", "momentum": 0.9}}
    yield pytest.param(scaled, id="loss scale")


@pytest.mark.parametrize("spec", optimizers())
def test_all_of_an_optimizer_is_kept(spec, tmp_path):
    x, y = drawn(40)
    batches = [(x[start : start + 8], y[start : start + 8]) for start in range(0, 40, 8)]
    whole, resumed = dense(build(spec, "optimizer")), dense(build(spec, "optimizer"))
    for batch in batches[:3]:
        whole.train_step(batch)
    state.save(whole, str(tmp_path / "state"))
    state.load(resumed, str(tmp_path / "state"))
    for batch in batches[3:]:
        whole.train_step(batch)
        resumed.train_step(batch)
    for one, other in zip(state.variables(resumed), state.variables(whole), strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other), one.path)
