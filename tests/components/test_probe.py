"""The probe on real handwritten digits, against scikit-learn called by hand."""

import csv
import io
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from tfx.types import channel_utils, standard_artifacts

from components import tasks
from components.artifacts import Probes
from components.probe import classifiers
from components.probe.component import Probe
from components.probe.executor import Executor, probe
from components.probe.features import LARGEST, Taps, tapped

SEED = 4
CLASSES = tasks.find("classification")
LAYERS = ["c1", "p2"]
PREPROCESS = {"size": [32, 32], "channels": 1, "fit": "pad", "range": [0.0, 1.0]}
PREPROCESS |= {"mean": "per_pixel", "resize": None}


@pytest.fixture(scope="module")
def network():
    """An untrained net: its layers know enough of digits to be compared."""
    keras.utils.set_random_seed(0)
    image = keras.Input((32, 32, 1), name="image")
    maps = keras.layers.Conv2D(6, 5, strides=2, activation="relu", name="c1")(image)
    pooled = keras.layers.GlobalMaxPooling2D(name="p2")(maps)
    return keras.Model(image, keras.layers.Dense(10, name="logits")(pooled))


@pytest.fixture(scope="module")
def taps(transformed, network):
    return Taps(network, LAYERS, transformed["per_pixel"], PREPROCESS, CLASSES)


@pytest.fixture(scope="module")
def probed(mnist_examples, taps):
    return probe(mnist_examples, taps, LAYERS, [1, 8], SEED)


def by_hand(network, layer, mnist_subset, split, mean):
    """The features as they would be without the pipeline."""
    images, labels = mnist_subset[split]
    padded = np.pad(images, [(0, 0), (2, 2), (2, 2)])[..., None].astype(np.float32)
    values = keras.Model(network.input, network.get_layer(layer).output)((padded - mean) / 255.0)
    return np.array(values).reshape(len(images), -1), labels


def test_rows(probed):
    assert probed["test_examples"] == 200
    keys = [(row["layer"], row["values"], row["examples_per_class"]) for row in probed["rows"]]
    assert keys == [("p2", 6, 1), ("c1", 14 * 14 * 6, 8), ("p2", 6, 8)]
    assert [row["examples"] for row in probed["rows"]] == [10, 80, 80]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_accuracies_are_those_of_scikit_learn(
    number, probed, network, mnist_subset, mnist_examples, train_images
):
    row = probed["rows"][number]
    mean = train_images["per_pixel"].mean.numpy()
    train, labels = by_hand(network, row["layer"], mnist_subset, "train", mean)
    test, true = by_hand(network, row["layer"], mnist_subset, "test", mean)
    order = record_order(mnist_examples)
    train, labels = train[order], labels[order].astype(np.int64)
    chosen = classifiers.ranks(labels, SEED) < row["examples_per_class"]
    assert np.bincount(labels[chosen]).tolist() == [row["examples_per_class"]] * 10
    scaler = StandardScaler().fit(train[chosen])
    values = train.shape[1]
    models = {
        "svm": LinearSVC(C=1 / values, random_state=SEED),
        "softmax": LogisticRegression(C=100 / values, max_iter=1000),
    }
    for name, model in models.items():
        model.fit(scaler.transform(train[chosen]), labels[chosen])
        given = model.predict(scaler.transform(test))
        expected = recall_score(true, given, average="macro")
        assert row[name] == pytest.approx(expected, abs=0.011), name


def record_order(uri):
    """The places of the training images, as the records come."""
    import tensorflow as tf

    from components import examples

    ids = [
        tf.train.Example.FromString(record).features.feature["image/id"].bytes_list.value[0]
        for record in examples.records(uri, "train").as_numpy_iterator()
    ]
    return np.array([int(name.partition(b"#")[2]) for name in ids])


def test_more_examples_and_more_values_help(probed):
    one, first, last = probed["rows"]
    for name in classifiers.CLASSIFIERS:
        assert one[name] < last[name] < first[name]
        assert first[name] > 0.5


def test_a_probe_repeats(probed, mnist_examples, taps):
    assert probe(mnist_examples, taps, LAYERS, [1, 8], SEED) == probed


def test_an_unknown_layer(transformed, network):
    with pytest.raises(ValueError, match="c7"):
        Taps(network, ["c7"], transformed["none"], PREPROCESS, CLASSES)


def test_a_task_without_one_class_an_image_is_refused(transformed, network):
    with pytest.raises(ValueError, match="one class for each image, and depth has none"):
        Taps(network, LAYERS, transformed["none"], PREPROCESS, tasks.find("depth"))


def test_large_maps_are_averaged_over_the_smallest_squares_that_fit():
    image = keras.Input((31, 30, 20))
    maps = keras.layers.Activation("relu", name="maps")(image)
    (row,) = tapped(keras.Model(image, maps), ["maps"]).outputs
    # 31 * 30 * 20 values are too many; 16 * 15 * 20 still are, and 11 * 10 * 20 are not.
    assert LARGEST < 16 * 15 * 20
    assert row.shape == (None, 11 * 10 * 20)
    pixels = np.random.default_rng(0).random((2, 31, 30, 20), np.float32)
    values = tapped(keras.Model(image, maps), ["maps"])(pixels)["maps"].numpy()
    squares = values.reshape(2, 11, 10, 20)
    np.testing.assert_allclose(squares[:, 1, 2], pixels[:, 2:5, 6:9].mean((1, 2)), rtol=1e-5)
    # A square that juts out is the mean of what there is.
    np.testing.assert_allclose(squares[:, 0, 2], pixels[:, :2, 6:9].mean((1, 2)), rtol=1e-5)


def test_ranks_are_a_random_order_of_each_class():
    labels = np.array([2, 0, 2, 2, 0, 1])
    places = classifiers.ranks(labels, seed=0)
    for label, number in ((0, 2), (1, 1), (2, 3)):
        assert sorted(places[labels == label]) == list(range(number))
    drawn = {tuple(classifiers.ranks(labels, seed)) for seed in range(50)}
    assert len(drawn) == 12


def test_accuracy_is_the_mean_of_the_classes():
    right, examples = np.array([1, 0, 3]), np.array([2, 0, 3])
    assert classifiers.accuracy(right, examples) == pytest.approx(0.75)


def test_the_component_writes_both_files(probed, mnist_examples, transformed, network, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    network.save(run / "model.keras")
    recipe = {"name": "tiny", "size": "small", "dataset": "mnist", "seed": SEED}
    recipe |= {"model": "keras:Model", "preprocess": PREPROCESS}
    (run / "recipe.json").write_text(json.dumps(recipe))
    graph = Path(transformed["per_pixel"].transform_savedmodel_dir).parent
    inputs = {
        "examples": artifact(standard_artifacts.Examples, mnist_examples),
        "transform_graph": artifact(standard_artifacts.TransformGraph, graph),
        "model_run": artifact(standard_artifacts.ModelRun, run),
    }
    outputs = {"probes": artifact(Probes, tmp_path)}
    transfer = {"from": "other", "layers": LAYERS, "examples_per_class": [1, 8]}
    figures = {"svm": "wan2013-mnist-crop-dropout", "softmax": "zeiler2014-caltech101-softmax7"}
    transfer["benchmarks"] = {LAYERS[-1]: figures}
    channels = {key: channel_utils.as_channel(each) for key, each in inputs.items()}
    component = Probe(**channels, transfer=transfer)
    Executor().Do(inputs, outputs, component.exec_properties)
    written = json.loads((tmp_path / "probes.json").read_text())
    assert written["rows"] == probed["rows"]
    assert (written["name"], written["from"]) == ("tiny", "other")
    # That of Caltech's pictures is none of MNIST's.
    assert written["published"] == {LAYERS[-1]: {"svm": 0.39 / 100}}
    table = list(csv.DictReader(io.StringIO((tmp_path / "probes.csv").read_text())))
    assert [float(row["svm"]) for row in table] == [row["svm"] for row in probed["rows"]]


def artifact(kind, uri):
    made = kind()
    made.uri = str(uri)
    return [made]
