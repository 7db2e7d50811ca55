"""Several workers: real processes that meet on this machine's loopback."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from tfx.components.trainer.fn_args_utils import FnArgs

from components.train import data
from components.train.run import run_fn

RECIPE = {
    "name": "tiny",
    "model": "keras_models.classification.lenet:LeNet1",
    "model_args": {},
    "loss": {"class": "keras.losses:SparseCategoricalCrossentropy", "from_logits": True},
    "optimizer": {"class": "keras.optimizers:SGD", "learning_rate": 0.05, "momentum": 0.9},
    "augment": [{"step": "affine", "translate": 1.0}],
    "distorted_copies": 0,
    "weight_decay": 0.001,
    "task": "classification",
    "validation_split": 0.05,
    "auxiliary_weight": 0.3,
    "fully_convolutional": False,
    "preprocess": {
        "size": [32, 32],
        "resize": None,
        "channels": 1,
        "fit": "pad",
        "range": [0.0, 1.0],
        "mean": "none",
    },
    "ingest": {"shorter_side": None, "format": "keep", "quality": 95},
    "batch_size": 64,
    "epochs": 3,
    "seed": 3,
    "strategy": "one_device",
    "mixed_precision": False,
    "jit_compile": False,
    "steps_per_execution": 1,
    "features": [],
}
# A worker: what TFX's Trainer calls. With an epoch, it is killed after that one's first steps, in
# which the chief has taken part: it has saved the epoch before.
WORKER = """
import json, os, signal, sys
from tfx.components.trainer.fn_args_utils import FnArgs
from components.train import callbacks
from components.train.run import run_fn

def killed(self, batch, logs=None):
    if self._epoch == int(sys.argv[2]) and batch == 1:
        os.kill(os.getpid(), signal.SIGKILL)

if len(sys.argv) > 2:
    callbacks.ProgressReport.on_train_batch_end = killed
run_fn(FnArgs(**json.loads(sys.argv[1])))
"""


@pytest.fixture(scope="module")
def fn_args(mnist_examples, transformed):
    def fn_args(folder: Path, **changes) -> dict:
        graph = transformed["none"].transform_savedmodel_dir
        checkpoints = str(folder / "checkpoints")
        return {
            "train_files": [f"{mnist_examples}/Split-train/*"],
            "eval_files": [f"{mnist_examples}/Split-test/*"],
            "transform_output": str(Path(graph).parent),
            "serving_model_dir": str(folder / "serving"),
            "model_run_dir": str(folder / "run"),
            "custom_config": {"recipe": json.dumps(RECIPE | changes), "checkpoints": checkpoints},
        }

    return fn_args


def start(folders, fn_args, killed: int | None = None, at_epoch: int = 0):
    """A process for each folder; with `killed`, that one is killed in the epoch."""
    with socket.socket() as one, socket.socket() as other:
        for free in (one, other):
            free.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{free.getsockname()[1]}" for free in (one, other)]
    processes = []
    for index, folder in enumerate(folders):
        folder.mkdir(exist_ok=True)
        task = {"type": "worker", "index": index}
        config = {"cluster": {"worker": addresses}, "task": task}
        arguments = json.dumps(fn_args(folder, strategy="multi_worker"))
        epoch = [str(at_epoch)] if index == killed else []
        with (folder / "log").open("w") as log:
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-c", WORKER, arguments, *epoch],
                    env={**os.environ, "TF_CONFIG": json.dumps(config)},
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            )
    return [process.wait() for process in processes]


@pytest.mark.slow
def test_two_workers_one_of_them_killed_learn_what_one_learns(fn_args, tmp_path):
    run_fn(FnArgs(**fn_args(tmp_path / "alone")))
    folders = [tmp_path / "chief", tmp_path / "other"]
    log = folders[0] / "log"
    codes = start(folders, fn_args, killed=1, at_epoch=2)
    assert codes[1] == -signal.SIGKILL and codes[0] not in (0, -signal.SIGKILL), log.read_text()
    assert "the training goes on from its last whole epoch" in log.read_text()
    (saved,) = (folders[0] / "checkpoints").glob("*/epoch-*")
    assert saved.name == "epoch-00002"

    assert start(folders, fn_args) == [0, 0], log.read_text()
    # The chief alone writes, and the other needs nothing of what it writes.
    assert not any((folders[1] / name).exists() for name in ("serving", "run", "checkpoints"))
    assert (folders[0] / "serving" / "saved_model.pb").exists()
    models = [
        keras.models.load_model(folder / "run" / "model.keras", compile=False)
        for folder in (folders[0], tmp_path / "alone")
    ]
    for together, alone in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(together, alone, atol=1e-5)
    histories = [
        json.loads((folder / "run" / "history.json").read_text())
        for folder in (folders[0], tmp_path / "alone")
    ]
    for together, alone in zip(*histories, strict=True):
        for key in ("epoch", "steps", "loss", "accuracy", "val_loss", "val_accuracy"):
            assert together[key] == pytest.approx(alone[key], abs=1e-4)


def test_parts_of_images_in_memory_are_the_batch_of_one_worker(train_images):
    images = train_images["none"]
    whole, *parts = (
        list(data.training_batches(images, RECIPE, 2, share).as_numpy_iterator())
        for share in (data.Share(), data.Share(0, 2), data.Share(1, 2))
    )
    assert len(whole) == 9
    for (pixels, labels), *halves in zip(whole, *parts, strict=True):
        np.testing.assert_array_equal(np.concatenate([half[0] for half in halves]), pixels)
        np.testing.assert_array_equal(np.concatenate([half[1] for half in halves]), labels)


def test_each_worker_reads_files_of_its_own(train_images, monkeypatch):
    monkeypatch.setattr(data, "_MEMORY_BYTES", 0)
    images = train_images["none"]
    recipe = RECIPE | {"augment": []}
    seen = []
    for worker in range(2):
        batches = data.training_batches(images, recipe, 2, data.Share(worker, 2))
        pixels = [batch[0] for batch in batches.as_numpy_iterator()]
        assert [len(batch) for batch in pixels] == [32] * 9
        seen.append({image.tobytes() for batch in pixels for image in batch})
    assert [len(images) for images in seen] == [288, 288]
    assert not seen[0] & seen[1]
    with pytest.raises(ValueError, match="4 workers cannot share 2 files"):
        data.training_batches(images, recipe, 2, data.Share(0, 4))


def test_batches_that_cannot_be_shared(train_images):
    with pytest.raises(ValueError, match="3 workers cannot share batches of 64 images evenly"):
        data.training_batches(train_images["none"], RECIPE, 0, data.Share(0, 3))
