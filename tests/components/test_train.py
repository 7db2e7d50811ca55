"""run_fn on real MNIST images, as TFX's Trainer calls it."""

import io
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2
from tfx.components.trainer.fn_args_utils import FnArgs

from components import tasks, trusted
from components.train import checks, data
from components.train.objects import build
from components.train.run import compiled_model, run_fn
from keras_models.optimizers import Diverged

RECIPE = {
    "name": "tiny",
    "model": "keras_models.classification.lenet:LeNet5ReLU",
    "model_args": {},
    "loss": {"class": "keras.losses:SparseCategoricalCrossentropy", "from_logits": True},
    "optimizer": {
        "class": "keras.optimizers:Adam",
        "learning_rate": {
            "class": "keras.optimizers.schedules:CosineDecay",
            "initial_learning_rate": 0.003,
            "decay_steps": "$steps",
        },
    },
    "augment": [{"step": "affine", "translate": 1.0}],
    "distorted_copies": 0,
    "weight_decay": 0.0,
    "task": "classification",
    "validation_split": 0.05,
    "auxiliary_weight": 0.3,
    "fully_convolutional": False,
    "preprocess": {
        "size": [32, 32],
        "channels": 1,
        "fit": "pad",
        "range": [0.0, 1.0],
        "mean": "per_pixel",
    },
    "ingest": {"shorter_side": None, "format": "keep", "quality": 95},
    "batch_size": 64,
    "epochs": 3,
    "seed": 3,
    "strategy": "one_device",
    "mixed_precision": False,
    "jit_compile": False,
    "steps_per_execution": 1,
    "features": ["F6"],
}


@pytest.fixture(scope="module")
def fn_args(mnist_examples, transformed):
    """The arguments that TFX gives to run_fn, for a recipe with changes."""

    def fn_args(folder: Path, **changes) -> FnArgs:
        recipe = {**RECIPE, **changes}
        graph = transformed[recipe["preprocess"]["mean"]].transform_savedmodel_dir
        return FnArgs(
            train_files=[f"{mnist_examples}/Split-train/*"],
            eval_files=[f"{mnist_examples}/Split-test/*"],
            transform_output=str(Path(graph).parent),
            serving_model_dir=str(folder / "serving"),
            model_run_dir=str(folder / "run"),
            custom_config={
                "recipe": json.dumps(recipe),
                "checkpoints": str(folder / "checkpoints"),
            },
        )

    return fn_args


@pytest.fixture(scope="module")
def train(fn_args):
    """Calls run_fn with changes to the recipe; returns the folder of its outputs."""

    def train(folder: Path, **changes) -> Path:
        run_fn(fn_args(folder, **changes))
        return folder

    return train


@pytest.fixture(scope="module")
def trained(train, tmp_path_factory) -> Path:
    return train(tmp_path_factory.mktemp("trained"))


def weights(folder: Path) -> list[np.ndarray]:
    return keras.models.load_model(folder / "run" / "model.keras", compile=False).get_weights()


def history(folder: Path) -> list[dict]:
    return json.loads((folder / "run" / "history.json").read_text())


def test_it_learns_and_says_so(trained):
    epochs = history(trained)
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3]
    assert epochs[-1]["loss"] < 0.7 * epochs[0]["loss"]
    assert epochs[-1]["val_accuracy"] > 0.5
    assert epochs[0]["learning_rate"] > epochs[1]["learning_rate"] > epochs[2]["learning_rate"]
    assert all(epoch["seconds"] > 0 for epoch in epochs)
    assert json.loads((trained / "run" / "recipe.json").read_text()) == RECIPE
    assert list((trained / "run" / "tensorboard").rglob("events*"))
    assert not (trained / "checkpoints").exists() or not list((trained / "checkpoints").iterdir())


def test_a_fine_tuning_ends_with_its_best_weights_and_says_so(train, tmp_path, train_images):
    """No epoch is so much better than the first."""
    tuned = train(
        tmp_path,
        batch_size=512,
        epochs=8,
        optimizer={"class": "keras.optimizers:SGD", "learning_rate": 0.2},
        freeze={"layers": ["C1", "backbone"], "epochs": 1},
        backbone_rate=0.5,
        class_weights="balanced",
        early_stopping={"patience": 2, "min_delta": 1.0},
    )
    batch, stopped = json.loads((tuned / "run" / "notes.json").read_text())
    assert re.fullmatch(
        r"batches of 128, not of 512: of 5\d\d training images an epoch would have one step, "
        "and so has 4",
        batch,
    )
    assert len(history(tuned)) == 3
    assert re.match("stopped early, after 3 epochs; the weights are those of epoch 1", stopped)
    model = keras.models.load_model(tuned / "run" / "model.keras", compile=False)
    assert all(layer.trainable for layer in model.layers)
    fresh = train(
        tmp_path / "one",
        batch_size=512,
        epochs=1,
        optimizer={"class": "keras.optimizers:SGD", "learning_rate": 0.2},
        freeze={"layers": ["C1", "backbone"], "epochs": 1},
        class_weights="balanced",
    )
    for one, other in zip(weights(tuned), weights(fresh), strict=True):
        np.testing.assert_array_equal(one, other)


def test_classify_and_regress_are_signatures_of_their_own(trained):
    saved = saved_model_pb2.SavedModel.FromString(
        (trained / "serving" / "saved_model.pb").read_bytes()
    )
    signatures = saved.meta_graphs[0].signature_def
    classify, regress = signatures["classify"], signatures["regress"]
    assert classify.method_name == "tensorflow/serving/classify"
    assert regress.method_name == "tensorflow/serving/regress"
    assert set(classify.outputs) == {"classes", "scores"}
    assert set(regress.outputs) == {"outputs"}
    assert classify.inputs["inputs"] == regress.inputs["inputs"]  # as MultiInference wants it


def test_requests_that_warm_it_up_lie_beside_it(trained):
    path = trained / "serving" / "assets.extra" / "tf_serving_warmup_requests"
    logs = [
        prediction_log_pb2.PredictionLog.FromString(record)
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    ]
    requests = [getattr(log, log.WhichOneof("log_type")).request for log in logs]
    asked = [request.model_spec.signature_name for request in requests]
    expected = ("serving_default", "predict", "classify", "features", "regress")
    assert asked == [name for name in expected for _ in range(2)]
    images = requests[1].inputs["examples"].string_val
    assert len(images) == 4
    example = tf.train.Example.FromString(images[0])
    assert set(example.features.feature) == {"image/encoded"}


def test_every_signature_gives_the_networks_answer(trained, mnist_subset, train_images):
    images, _ = mnist_subset["test"]
    encoded = [tf.io.encode_png(image[..., None]).numpy() for image in images[:20]]
    feature = [
        tf.train.Feature(bytes_list=tf.train.BytesList(value=[content])) for content in encoded
    ]
    examples = [
        tf.train.Example(
            features=tf.train.Features(feature={"image/encoded": one})
        ).SerializeToString()
        for one in feature
    ]
    padded = np.pad(images[:20], [(0, 0), (2, 2), (2, 2)])[..., None].astype(np.float32)
    mean = train_images["per_pixel"].mean.numpy()
    network = keras.models.load_model(trained / "run" / "model.keras", compile=False)
    expected = keras.ops.softmax(network((padded - mean) / 255.0)).numpy()

    signatures = tf.saved_model.load(str(trained / "serving")).signatures
    mixed = tf.constant(encoded[:7] + examples[7:])
    for answer in (
        signatures["serving_default"](examples=tf.constant(encoded)),
        signatures["serving_default"](examples=tf.constant(examples)),
        signatures["serving_default"](examples=mixed),
        signatures["predict"](image=tf.constant(padded)),
    ):
        np.testing.assert_allclose(answer["scores"], expected, atol=1e-5)
        labels = [str(number).encode() for number in expected.argmax(axis=1)]
        assert answer["classes"].numpy().tolist() == labels
    both = signatures["classify"](inputs=mixed)
    np.testing.assert_allclose(both["scores"], expected, atol=1e-5)
    np.testing.assert_allclose(both["outputs"], expected.max(axis=1), atol=1e-5)
    assert both["classes"].numpy().tolist() == 20 * [[str(n).encode() for n in range(10)]]
    tapped = keras.Model(network.inputs, network.get_layer("F6").output)
    features = signatures["features"](examples=mixed)
    np.testing.assert_allclose(
        features["F6"], tapped((padded - mean) / 255.0), rtol=1e-4, atol=1e-4
    )
    assert (trained / "serving" / "assets" / "labels.txt").read_text().split() == [
        str(number) for number in range(10)
    ]


def test_files_as_people_have_them_get_the_answer_of_what_training_saw(trained, mnist_subset):
    """Turned by EXIF data and transparent, among plain ones, and inside tf.Examples."""
    images, _ = mnist_subset["test"]
    exif, plain, found = Image.Exif(), [], []
    exif[0x0112] = 3
    for image in images[:6]:
        upright, turned, clear = Image.fromarray(image), io.BytesIO(), io.BytesIO()
        upright.transpose(Image.Transpose.ROTATE_180).save(turned, "PNG", exif=exif)
        # Black ink of which nothing but the strength is known.
        ink = Image.merge("LA", (Image.new("L", upright.size), ImageOps.invert(upright)))
        ink.save(clear, "PNG")
        plain += 2 * [tf.io.encode_png(image[..., None]).numpy()]
        found += [turned.getvalue(), clear.getvalue()]
    example = tf.train.Example()
    example.features.feature["image/encoded"].bytes_list.value.append(found[0])
    found[0] = example.SerializeToString()
    signature = tf.saved_model.load(str(trained / "serving")).signatures["serving_default"]
    answers = [signature(examples=tf.constant(each))["scores"] for each in (found, plain)]
    np.testing.assert_allclose(*answers, atol=1e-6)


def test_graph_loaders_find_the_variables(trained):
    """TensorFlow Serving restores a graph in a session, and not the objects around it."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(trained / "serving"))
        signature = loaded.signature_def["predict"]
        scores = session.run(
            signature.outputs["scores"].name,
            {signature.inputs["image"].name: np.zeros([1, 32, 32, 1], np.float32)},
        )
    np.testing.assert_allclose(scores.sum(), 1.0, rtol=1e-5)


def test_an_interrupted_training_ends_as_an_uninterrupted_one(
    train, trained, tmp_path, monkeypatch
):
    from components.train import callbacks

    class PowerCut(BaseException):
        pass

    def cut(self, epoch, logs=None):
        if epoch == 2:
            raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr(callbacks.ProgressReport, "on_epoch_begin", cut)
        with pytest.raises(PowerCut):
            train(tmp_path)
    (saved,) = (tmp_path / "checkpoints").glob("*/epoch-*")
    assert saved.name == "epoch-00002"
    # What a kill in the middle of writing leaves behind.
    (saved.parent / ".writing").mkdir()
    (saved.parent / ".writing" / "state.index").write_bytes(b"half")
    train(tmp_path)
    assert [epoch["epoch"] for epoch in history(tmp_path)] == [1, 2, 3]
    for resumed, whole in zip(weights(tmp_path), weights(trained), strict=True):
        np.testing.assert_array_equal(resumed, whole)


def test_a_checkpoint_of_another_recipe_is_not_taken(train, tmp_path, monkeypatch):
    from components.train import callbacks

    monkeypatch.setattr(callbacks.EpochCheckpoint, "delete", lambda self: None)
    train(tmp_path, epochs=1)
    train(tmp_path, epochs=1, seed=4)
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"strategy": "mirrored"},
        {"mixed_precision": True},
        {"jit_compile": True},
        {"steps_per_execution": 3},
        {"model": "keras_models.classification.lenet:LeNet5"}
        | {"loss": {"class": "keras_models.losses.classification:MAPCriterion"}},
        {"preprocess": {**RECIPE["preprocess"], "mean": "none"}},
        {"optimizer": {"class": "keras_models.optimizers:StochasticDiagonalLM"}},
        {
            "optimizer": {
                "class": "keras.optimizers:SGD",
                "learning_rate": 0.01,
                "divide_on_plateau": {"patience": 1},
            }
        },
    ],
    ids=lambda changes: next(iter(changes)) + "=" + str(next(iter(changes.values())))[:12],
)
def test_recipe_fields(train, tmp_path, changes):
    folder = train(tmp_path, epochs=1, **changes)
    (epoch,) = history(folder)
    assert np.isfinite(epoch["loss"])
    signature = tf.saved_model.load(str(folder / "serving")).signatures["predict"]
    scores = signature(image=tf.zeros([2, 32, 32, 1]))["scores"]
    np.testing.assert_allclose(tf.reduce_sum(scores, axis=1), [1.0, 1.0], rtol=1e-3)


def test_a_cluster_of_one_worker(fn_args, tmp_path):
    """In a process of its own, because collectives are set up before anything else."""
    arguments = fn_args(tmp_path, epochs=1, strategy="multi_worker")
    script = """
import json, sys
from tfx.components.trainer.fn_args_utils import FnArgs
from components.train.run import run_fn
run_fn(FnArgs(**json.loads(sys.argv[1])))
"""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    cluster = {"cluster": {"worker": [address]}, "task": {"type": "worker", "index": 0}}
    given = {key: value for key, value in vars(arguments).items() if value is not None}
    run = subprocess.run(
        [sys.executable, "-c", script, json.dumps(given)],
        env={**os.environ, "TF_CONFIG": json.dumps(cluster)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert len(history(tmp_path)) == 1
    assert (tmp_path / "serving" / "saved_model.pb").exists()


def test_a_loss_that_is_no_number_stops_and_advises(train, tmp_path):
    with pytest.raises(Diverged, match=r"step 2 \(batch 2 of epoch 1\).*divide it by 10"):
        train(tmp_path, optimizer={"class": "keras.optimizers:SGD", "learning_rate": 1e30})
    assert not list((tmp_path / "checkpoints").glob("*/epoch-*"))


@pytest.mark.parametrize("memory", [data._MEMORY_BYTES, 0], ids=["from memory", "from files"])
def test_each_epoch_has_its_own_order_and_its_own_distortions(train_images, memory, monkeypatch):
    monkeypatch.setattr(data, "_MEMORY_BYTES", memory)
    images = train_images["none"]
    recipe = {**RECIPE, "epochs": 2, "augment": []}
    batches = list(data.training_batches(images, recipe).as_numpy_iterator())
    steps = data.steps_per_epoch(images, recipe)
    assert (images.count, steps, len(batches)) == (600, 9, 18)
    first, second = (np.concatenate([x for x, _ in batches[i * 9 : i * 9 + 9]]) for i in (0, 1))
    assert np.abs(first - second).max() > 0.5
    assert len(np.unique(first.reshape(len(first), -1), axis=0)) == 576
    resumed = list(data.training_batches(images, recipe, 1).as_numpy_iterator())
    for (x, y), (same_x, same_y) in zip(batches[9:], resumed, strict=True):
        np.testing.assert_array_equal(x, same_x)
        np.testing.assert_array_equal(y, same_y)


def test_epochs_take_turns_over_the_images_and_their_distorted_copies(train_images):
    """Section III.B of LeCun et al. 1998: a set of the images and of copies, distorted once."""
    images = train_images["none"]
    recipe = {**RECIPE, "epochs": 5, "distorted_copies": 1, "batch_size": 100}
    batches = list(data.training_batches(images, recipe).as_numpy_iterator())
    epochs = [_pixels(batches[first : first + 6]) for first in range(0, 30, 6)]
    sets = [{image.tobytes() for image in pixels} for pixels in epochs]
    plain = list(data.validation_batches(images, recipe).as_numpy_iterator())
    assert sets[0] == {image.tobytes() for pixels, _ in plain for image in pixels}
    assert sets[0] == sets[2] == sets[4]
    assert sets[1] == sets[3]
    # A translation of less than half a pixel in each direction may leave an image as it was.
    assert len(sets[0] & sets[1]) < 10
    orders = [[image.tobytes() for image in pixels] for pixels in epochs]
    assert orders[1] != orders[3]
    resumed = data.training_batches(images, recipe, 4).as_numpy_iterator()
    np.testing.assert_array_equal(_pixels(resumed), epochs[4])


def _pixels(batches):
    return np.concatenate([pixels for pixels, _ in batches])


def test_distorted_copies_that_do_not_fit_into_memory(train_images, monkeypatch):
    images = train_images["none"]
    monkeypatch.setattr(data, "_MEMORY_BYTES", 2 * 600 * 32 * 32)
    data.training_batches(images, {**RECIPE, "distorted_copies": 1})
    with pytest.raises(ValueError, match="2 distorted copies of 600 images do not fit"):
        data.training_batches(images, {**RECIPE, "distorted_copies": 2})


def test_weight_decay_is_on_the_kernels_alone(train_images):
    """The loss grows by decay / 2 * w^2, so that its gradient is decay * w."""
    recipe = {**RECIPE, "weight_decay": 0.5}
    model = compiled_model(recipe, train_images["none"], classes=10)
    model(np.zeros((1, 32, 32, 1), "float32"))
    kernels = [v.numpy() for v in model.trainable_variables if v.name == "kernel"]
    assert len(kernels) == 5
    expected = 0.25 * sum((kernel**2).sum() for kernel in kernels)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)


def test_auxiliary_classifiers_learn_and_are_not_served(fn_args, tmp_path, monkeypatch):
    monkeypatch.setattr("keras_models.classification.TwoHeads", _two_heads, raising=False)
    monkeypatch.setenv(trusted.VARIABLE, __name__.partition(".")[0])
    run_fn(fn_args(tmp_path, model="keras_models.classification:TwoHeads", epochs=1, features=[]))
    (epoch,) = history(tmp_path)
    assert {"accuracy", "val_accuracy", "loss", "val_loss"} <= set(epoch)
    trained = keras.models.load_model(tmp_path / "run" / "model.keras")
    assert np.abs(trained.get_layer("auxiliary").bias.numpy()).max() > 0
    served = tf.saved_model.load(str(tmp_path / "serving"))
    image = tf.zeros([2, 32, 32, 1])
    assert served.signatures["predict"](image=image)["scores"].shape == (2, 10)


@keras.saving.register_keras_serializable("test_train")
class _OwnCall(keras.Model):
    """A model with a `call` of its own."""

    def __init__(self, classes, **kwargs):
        super().__init__(**kwargs)
        self.classes = classes
        self.flatten, self.scores = keras.layers.Flatten(), keras.layers.Dense(classes)

    def call(self, inputs):
        return self.scores(self.flatten(inputs))

    def get_config(self):
        return {**super().get_config(), "classes": self.classes}


def _sequential(*first, classes):
    layers = keras.layers
    inner = keras.Sequential([layers.MaxPooling2D(4), layers.Flatten(name="flat")])
    return keras.Sequential([*first, inner, layers.Dense(classes, name="scores")])


KINDS = {
    "Sequential": lambda input_shape, classes: _sequential(classes=classes),
    "SequentialOfInput": lambda input_shape, classes: _sequential(
        keras.Input(input_shape), classes=classes
    ),
    "OwnCall": lambda input_shape, classes: _OwnCall(classes),
}


@pytest.mark.parametrize("kind", KINDS)
def test_any_kind_of_keras_model_is_trained_and_served(kind, fn_args, tmp_path, monkeypatch):
    monkeypatch.setattr("keras_models.classification.Own", KINDS[kind], raising=False)
    monkeypatch.setenv(trusted.VARIABLE, __name__.partition(".")[0])
    features = ["scores"] if kind != "OwnCall" else []
    run_fn(fn_args(tmp_path, model="keras_models.classification:Own", epochs=1, features=features))
    served = tf.saved_model.load(str(tmp_path / "serving"))
    network = keras.models.load_model(tmp_path / "run" / "model.keras", compile=False)
    image = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 1)).astype("float32")
    scores = served.signatures["predict"](image=tf.constant(image))["scores"]
    assert scores.shape == (2, network.output_shape[-1])
    assert ("features" in served.signatures) == bool(features)


@keras.saving.register_keras_serializable(package="tests")
class _Means(keras.Model):
    """Compares pictures with the mean picture of each class, which it computes itself."""

    def adapt(self, batches):
        pixels, labels = map(np.concatenate, zip(*batches.as_numpy_iterator(), strict=True))
        flat = pixels.reshape(len(pixels), -1)
        classes = self.get_layer("scores").units
        means = np.stack([flat[labels == number].mean(axis=0) for number in range(classes)], axis=1)
        self.get_layer("scores").set_weights([means, -0.5 * np.square(means).sum(axis=0)])
        return {"loss": 0.25, "examples": float(len(flat))}

    def compute_loss(self, *args, **kwargs):
        raise NotImplementedError


def _means(input_shape, classes):
    image = keras.Input(input_shape)
    scores = keras.layers.Dense(classes, name="scores")(keras.layers.Flatten()(image))
    return _Means(image, scores)


def test_a_network_that_computes_its_own_weights(fn_args, tmp_path, monkeypatch, train_images):
    monkeypatch.setattr("keras_models.classification.Own", _means, raising=False)
    monkeypatch.setenv(trusted.VARIABLE, __name__.partition(".")[0])
    own = {"model": "keras_models.classification:Own", "loss": None, "features": []}
    run_fn(fn_args(tmp_path, **own, epochs=1, validation_split=0.0))
    (entry,) = history(tmp_path)
    assert entry["epoch"] == 1 and entry["loss"] == 0.25
    # Every picture once, whatever the size of the batches is.
    assert entry["examples"] == train_images["per_pixel"].count
    network = keras.models.load_model(tmp_path / "run" / "model.keras", compile=False)
    images = train_images["per_pixel"]
    pixels, labels = next(iter(data.validation_batches(images, RECIPE)))
    assert (np.argmax(network(pixels), axis=1) == labels.numpy()).mean() > 0.7
    checks.check_losses(_means((32, 32, 1), 10), {**RECIPE, **own}, 10)
    with pytest.raises(ValueError, match="on one device"):
        run_fn(fn_args(tmp_path / "other", **own, epochs=1, strategy="mirrored"))


def test_a_network_for_another_number_of_classes_is_not_trained(train_images, monkeypatch):
    def seven(input_shape, classes):
        return _sequential(classes=7)

    monkeypatch.setattr("keras_models.classification.Own", seven, raising=False)
    monkeypatch.setenv(trusted.VARIABLE, __name__.partition(".")[0])
    recipe = RECIPE | {"model": "keras_models.classification:Own"}
    with pytest.raises(ValueError, match=r"gives \(None, 7\); wanted .* \(None, 10\)"):
        compiled_model(recipe, train_images["none"], 10)


def _two_heads(input_shape, classes):
    image = keras.Input(input_shape)
    flat = keras.layers.Flatten()(image)
    heads = [keras.layers.Dense(classes, name=name)(flat) for name in ("logits", "auxiliary")]
    return keras.Model(image, heads)


def test_dense_signature_takes_larger_images(fn_args, tmp_path):
    plain = {**RECIPE["preprocess"], "mean": "none"}
    run_fn(fn_args(tmp_path, epochs=1, fully_convolutional=True, preprocess=plain))
    signatures = tf.saved_model.load(str(tmp_path / "serving")).signatures
    image = tf.random.stateless_uniform([2, 32, 32, 1], [1, 2], 0, 255)
    dense, one_view = (signatures[name](image=image)["scores"] for name in ("dense", "predict"))
    np.testing.assert_allclose(dense, one_view, atol=1e-5)
    larger = signatures["dense"](image=tf.image.resize(image, [48, 64]))["scores"]
    np.testing.assert_allclose(tf.reduce_sum(larger, axis=1), [1.0, 1.0], rtol=1e-5)


def test_no_examples(transformed, tmp_path):
    with pytest.raises(ValueError, match="no examples"):
        data.Images([f"{tmp_path}/none-*"], transformed["none"], tasks.find("classification"))


def test_objects_by_path():
    optimizer = build(
        {
            "class": "keras.optimizers:SGD",
            "learning_rate": {
                "class": "keras.optimizers.schedules:CosineDecay",
                "initial_learning_rate": 0.1,
                "decay_steps": "$steps",
            },
        },
        "optimizer",
        steps=10,
    )
    assert float(optimizer.learning_rate) == pytest.approx(0.1)
    schedule = {
        "class": "keras.optimizers.schedules:PiecewiseConstantDecay",
        "boundaries": ["$steps * 0.5", "$steps * 0.75"],
        "values": [0.1, 0.01, 0.001],
    }
    rate = build(schedule, "schedule or optimizer", steps=10)
    assert [round(float(rate(step)), 4) for step in (5, 6, 7, 8)] == [0.1, 0.01, 0.01, 0.001]
    decay = {"class": "keras.optimizers.schedules:CosineDecay", "initial_learning_rate": 0.1}
    rate = build({**decay, "decay_steps": "$steps * 0.1"}, "schedule or optimizer", steps=5)
    assert rate.decay_steps == 1
    with pytest.raises(ValueError, match=r"keras\.optimizers:SDG"):
        build({"class": "keras.optimizers:SDG"}, "optimizer")
    with pytest.raises(ValueError, match=r"SGD: .*momentun"):
        build({"class": "keras.optimizers:SGD", "momentun": 0.9}, "optimizer")
