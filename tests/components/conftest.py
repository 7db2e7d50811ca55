"""A small run on real images: scikit-learn's handwritten digits and a network trained on them."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

RECIPE = {
    "name": "digits",
    "task": "classification",
    "paper": "Kaynak 1995",
    "summary": "a small convolution network on 8x8 digits",
    "dataset": "digits",
    "size": "small",
    "full_data": True,
    "seed": 7,
    "model": "keras:Sequential",
}
TEST_IMAGES = 300
MNIST = {"size": [32, 32], "channels": 1, "fit": "pad", "range": [-0.1, 1.175]}
PHOTOGRAPHS = {
    "size": [24, 24],
    "resize": 28,
    "channels": 3,
    "fit": "crop",
    "range": [0.0, 255.0],
    "mean": "per_channel",
}
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True)
class Run:
    """Folders of the artifacts of a run, and the network itself."""

    examples: str
    model: str
    model_run: str
    network: object
    recipe = RECIPE
    test_images = TEST_IMAGES
    names = NAMES


@dataclass(frozen=True)
class Photographs:
    """An Examples folder of colour images, the folder of its Transform graph, and its images."""

    examples: str
    graph: str
    images: object
    preprocess = PHOTOGRAPHS


def write_split(folder: Path, split: str, images, labels) -> None:
    """Two gzipped TFRecord files of images uint8, [H, W] or [H, W, C], as ingest writes them."""
    import tensorflow as tf

    (folder / f"Split-{split}").mkdir(parents=True)
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    for shard in range(2):
        path = folder / f"Split-{split}" / f"data_tfrecord-{shard:05d}-of-00002.gz"
        with tf.io.TFRecordWriter(str(path), options) as writer:
            for index in range(shard, len(images), 2):
                image = images[index] if images[index].ndim == 3 else images[index][..., None]
                encoded = tf.io.encode_png(image).numpy()
                features = {
                    "image/encoded": _bytes(encoded),
                    "image/sha256": _bytes(hashlib.sha256(encoded).hexdigest().encode()),
                    "image/id": _bytes(f"{split}#{index}".encode()),
                    "label": tf.train.Feature(
                        int64_list=tf.train.Int64List(value=[int(labels[index])])
                    ),
                }
                example = tf.train.Example(features=tf.train.Features(feature=features))
                writer.write(example.SerializeToString())


def _bytes(value: bytes):
    import tensorflow as tf

    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def export(network, names, model_uri: str) -> None:
    """Writes a network [N, 8, 8, 1] -> logits as a SavedModel with the served signatures."""
    import tensorflow as tf
    from tfx.utils import path_utils

    def _image(example):
        bare = tf.strings.substr(example, 0, 4) == b"\x89PNG"
        spec = {"image/encoded": tf.io.FixedLenFeature([], tf.string, default_value="")}
        parsed = tf.io.parse_single_example(tf.where(bare, "", example), spec)["image/encoded"]
        image = tf.io.decode_png(tf.where(bare, example, parsed), channels=1)
        return tf.ensure_shape(tf.cast(image, tf.float32), [8, 8, 1])

    class Served(tf.Module):
        def __init__(self):
            super().__init__()
            # The bare variables: TensorFlow Serving's loader does not see through Keras' own.
            self.weights = [variable.value for variable in network.variables]
            self.names = tf.constant(names)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def serve(self, examples):
            return self._answer(tf.map_fn(_image, examples, fn_output_signature=tf.float32))

        @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 1], tf.float32, name="image")])
        def predict(self, image):
            return self._answer(image)

        def _answer(self, image):
            scores = tf.nn.softmax(network(image / 16.0, training=False))
            return {"scores": scores, "classes": tf.gather(self.names, tf.argmax(scores, axis=1))}

    served = Served()
    tf.saved_model.save(
        served,
        path_utils.serving_model_dir(model_uri),
        signatures={"serving_default": served.serve, "predict": served.predict},
    )


@pytest.fixture(scope="session")
def write_images():
    """`write_split`, for tests that need other examples."""
    return write_split


@pytest.fixture(scope="session")
def analyse():
    """`transform_graph`, for tests that need another one."""
    return transform_graph


@pytest.fixture(scope="session")
def export_model():
    """`export`, for tests that need another model."""
    return export


@pytest.fixture(scope="session")
def untrained_network():
    """`network`, for tests that need other weights or classes."""
    return network


@pytest.fixture(scope="session")
def digits():
    """Images uint8 [1797, 8, 8] (0..255) and labels; the last `TEST_IMAGES` are the test split."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return (data.images * 255 / 16).astype("uint8"), data.target


@pytest.fixture(scope="session")
def digits_run(digits, tmp_path_factory) -> Run:
    """The digits ingested, and a network trained on them well enough to be wrong only sometimes."""
    images, labels = digits
    folder = tmp_path_factory.mktemp("digits-run")
    run = Run(
        *(str(folder / name) for name in ("examples", "model", "model_run")),
        network=_train(images[:-TEST_IMAGES], labels[:-TEST_IMAGES]),
    )
    write_split(Path(run.examples), "train", images[:50], labels[:50])
    write_split(Path(run.examples), "test", images[-TEST_IMAGES:], labels[-TEST_IMAGES:])
    Path(run.examples, "labels.txt").write_text("".join(f"{name}\n" for name in NAMES))
    dead = Path(run.examples, "dead_letters")
    dead.mkdir()
    letters = [{"id": f"broken/{i:04d}.png", "reason": "truncated <PNG>"} for i in range(12)]
    (dead / "0.jsonl").write_text("".join(json.dumps(letter) + "\n" for letter in letters))

    export(run.network, list(NAMES), run.model)
    Path(run.model_run).mkdir()
    run.network.save(Path(run.model_run, "model.keras"))
    history = [
        {
            "epoch": epoch + 1,
            "loss": 2.0 * 0.6**epoch,
            "accuracy": 1 - 0.6 * 0.6**epoch,
            "val_loss": 1.8 * 0.62**epoch,
            "val_accuracy": 1 - 0.5 * 0.62**epoch,
            "learning_rate": 0.01 * 0.9**epoch,
            "seconds": 1.5,
        }
        for epoch in range(6)
    ]
    Path(run.model_run, "history.json").write_text(json.dumps(history))
    Path(run.model_run, "recipe.json").write_text(json.dumps(RECIPE))
    return run


def network(classes: int = 10):
    """A small network on digits, with logits at its end."""
    import keras

    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.layers.Input((8, 8, 1)),
            keras.layers.Conv2D(12, 3, activation="relu", name="c1"),
            keras.layers.Flatten(),
            keras.layers.Dense(classes),
        ]
    )


def _train(images, labels):
    import keras

    model = network()
    model.compile(
        optimizer=keras.optimizers.Adam(0.003),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(images[..., None] / 16.0, labels, batch_size=64, epochs=4, verbose=0)
    return model


@pytest.fixture(scope="session")
def mnist_subset():
    """The first 600 training and 200 test images of MNIST: (uint8 [N, 28, 28], labels) by split."""
    import importlib.resources

    from components.ingest.idx import read_split

    folder = Path(str(importlib.resources.files("convnets_data"))) / "mnist"
    splits = {"train": ("train-*", 600), "test": ("t10k-*", 200)}
    return {
        split: tuple(values[:count] for values in read_split(folder, pattern))
        for split, (pattern, count) in splits.items()
    }


@pytest.fixture(scope="session")
def mnist_examples(mnist_subset, tmp_path_factory) -> str:
    """An Examples folder of that subset."""
    folder = tmp_path_factory.mktemp("mnist-examples")
    for split, (images, labels) in mnist_subset.items():
        write_split(folder, split, images, labels)
    (folder / "labels.txt").write_text("".join(f"{number}\n" for number in range(10)))
    return str(folder)


@pytest.fixture(scope="session")
def transformed(mnist_examples, tmp_path_factory) -> dict:
    """Output of real tf.Transform jobs on the training split, by the recipe's `mean`."""
    import tensorflow_transform as tft

    return {
        mean: tft.TFTransformOutput(
            transform_graph(
                mnist_examples,
                {"preprocess": {**MNIST, "mean": mean}},
                tmp_path_factory.mktemp(mean),
            )
        )
        for mean in ("none", "per_pixel")
    }


@pytest.fixture(scope="session")
def train_images(mnist_examples, transformed) -> dict:
    """`data.Images` of the training split by the recipe's `mean`."""
    from components import tasks
    from components.train.data import Images

    files = [f"{mnist_examples}/Split-train/*"]
    task = tasks.find("classification")
    return {mean: Images(files, output, task) for mean, output in transformed.items()}


@pytest.fixture(scope="session")
def photographs(tmp_path_factory) -> Photographs:
    """Sixty parts of three photographs, a class each, with the principal axes of their colours."""
    import numpy as np
    import skimage.data
    import tensorflow_transform as tft

    from components import tasks
    from components.train.data import Images

    parts = [
        photograph[y : y + 40, x : x + 56]
        for photograph in (skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea())
        for y in range(100, 260, 40)
        for x in range(60, 340, 56)
    ]
    folder = tmp_path_factory.mktemp("photographs")
    order = np.random.default_rng(0).permutation(len(parts))
    labels = order // 20
    for split in ("train", "test"):
        write_split(folder, split, [parts[place] for place in order], labels)
    (folder / "labels.txt").write_text("astronaut\ncoffee\nchelsea\n")
    config = {"preprocess": PHOTOGRAPHS, "axes": True}
    graph = transform_graph(str(folder), config, tmp_path_factory.mktemp("axes"))
    output = tft.TFTransformOutput(graph)
    images = Images([f"{folder}/Split-train/*"], output, tasks.find("classification"))
    return Photographs(str(folder), graph, images)


def transform_graph(examples: str, config: dict, folder: Path) -> str:
    """Analyses the training split as the Transform component does, with its `custom_config`."""
    import tensorflow as tf
    import tensorflow_transform as tft
    import tensorflow_transform.beam as tft_beam
    from tfx_bsl.public import tfxio

    from components.preprocess.transform import preprocessing_fn

    schema = tft.DatasetMetadata.from_feature_spec(
        {"image/encoded": tf.io.FixedLenFeature([1], tf.string)}
    ).schema
    source = tfxio.TFExampleRecord(f"{examples}/Split-train/*", ["tests"], schema=schema)
    import apache_beam as beam

    with beam.Pipeline() as pipeline, tft_beam.Context(temp_dir=str(folder / "tmp")):
        data = (pipeline | source.BeamSource(), source.TensorAdapterConfig())
        transform_fn = data | tft_beam.AnalyzeDataset(
            lambda inputs: preprocessing_fn(inputs, config)
        )
        _ = transform_fn | tft_beam.WriteTransformFn(str(folder / "graph"))
        metadata = tft.DatasetMetadata(schema)
        _ = metadata | tft_beam.WriteMetadata(str(folder / "graph" / "metadata"), pipeline)
    return str(folder / "graph")
