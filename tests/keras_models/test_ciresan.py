"""Ciresan's nets against the lines that the papers print, and the mean of several columns."""

import keras
import numpy as np
import pytest

from keras_models.classification import Ciresan, LeNet5ReLU, MultiColumn
from keras_models.classification.ciresan import ARCHITECTURES


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(7)


def shapes(net):
    return [layer.output.shape[1:] for layer in net.layers[1:] if layer.name != "flat"]


# Maps after each layer; parameters add up window * window * inputs * maps + maps and the like.
PUBLISHED = {
    "mnist": (
        (29, 29, 1),
        [(26, 26, 20), (13, 13, 20), (9, 9, 40), (3, 3, 40), (150,), (10,)],
        76_040,
    ),
    "chinese-characters": (
        (48, 48, 1),
        [
            (46, 46, 100), (23, 23, 100), (22, 22, 200), (11, 11, 200), (10, 10, 300), (5, 5, 300),
            (4, 4, 400), (2, 2, 400), (500,), (3755,),
        ],
        3_483_655,
    ),
    # Neural Networks 32, 2012, Table 1.
    "traffic-signs": (
        (48, 48, 3),
        [
            (42, 42, 100), (21, 21, 100), (18, 18, 150), (9, 9, 150), (6, 6, 250), (3, 3, 250),
            (300,), (43,),
        ],
        1_543_443,
    ),
    # The third pooling's last window is cut at the border: 5 -> 3.
    "cifar-10": (
        (32, 32, 3),
        [
            (30, 30, 300), (15, 15, 300), (14, 14, 300), (7, 7, 300), (5, 5, 300), (3, 3, 300),
            (2, 2, 300), (1, 1, 300), (300,), (100,), (10,),
        ],
        1_660_710,
    ),
}  # fmt: skip


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_maps_and_parameters_are_those_of_the_line(architecture):
    input_shape, maps, parameters = PUBLISHED[architecture]
    net = Ciresan(architecture)
    assert net.input_shape == (None, *input_shape)
    assert shapes(net) == maps
    assert net.count_params() == parameters


def test_a_line_of_ones_own_is_the_net_it_says():
    net = Ciresan("2x20x11-6C3-MP2-4C2-10N-12N-7N")
    names = [layer.name for layer in net.layers]
    assert names == ["image", "conv1", "pool1", "conv2", "flat", "fc1", "fc2", "logits"]
    assert shapes(net) == [(18, 9, 6), (9, 5, 6), (8, 4, 4), (10,), (12,), (7,)]
    assert net.input_shape == (None, 20, 11, 2)
    assert Ciresan("1x6x6-3N").get_layer("logits").input.shape == (None, 36)


def test_other_pictures_and_classes_take_the_place_of_the_lines():
    net = Ciresan("mnist", input_shape=(35, 41, 3), classes=62)
    assert net.input_shape == (None, 35, 41, 3) and net.output_shape == (None, 62)


def test_units_squash_and_weights_start_within_0_05():
    net = Ciresan("1x29x29-20C4-MP2-40C5-MP3-150N-10N")
    for name in ("conv1", "conv2", "fc1", "logits"):
        layer = net.get_layer(name)
        for weight in layer.get_weights():
            assert np.abs(weight).max() <= 0.05
        assert np.abs(layer.get_weights()[0]).max() > 0.98 * 0.05
        one = layer.activation(np.float32([1.0]))
        # 1.7159 tanh(2/3) = 1, and the logits are linear; linear at 3 is told from squashed.
        three = np.asarray(layer.activation(np.float32([3.0])))
        np.testing.assert_allclose(one, [1.0], atol=1e-4)
        np.testing.assert_allclose(three, [3.0 if name == "logits" else 1.6542], atol=1e-4)


def test_scores_of_several_columns_are_averaged():
    columns = [Ciresan("1x10x10-8C3-MP2-5N", name="column") for _ in range(3)]
    for column in columns:
        kernel = column.get_layer("logits").kernel
        kernel.assign(10 * kernel)
    net = MultiColumn(columns)
    x = np.random.default_rng(3).normal(size=(6, 10, 10, 1)).astype("float32")
    scores = np.mean([keras.ops.softmax(column(x)) for column in columns], axis=0)
    assert np.abs(keras.ops.softmax(columns[0](x)) - scores).max() > 1e-2
    np.testing.assert_allclose(keras.ops.softmax(net(x)), scores, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(net(x), np.log(scores), rtol=1e-4, atol=1e-5)
    assert net(x).dtype == "float32"
    # The columns' own weights, which go on learning.
    assert net.count_params() == 3 * columns[0].count_params()
    columns[1].get_layer("logits").bias.assign([9, 0, 0, 0, 0])
    assert np.abs(np.asarray(net(x)) - np.log(scores)).max() > 0.1


def test_a_column_may_preprocess_its_pictures():
    net = Ciresan("1x10x10-8C3-MP2-5N")
    image = keras.Input((20, 20, 1))
    smaller = keras.Model(image, net(keras.layers.Resizing(10, 10)(image)))
    larger = Ciresan("1x20x20-8C3-MP2-5N")
    x = np.random.default_rng(3).normal(size=(2, 20, 20, 1)).astype("float32")
    scores = [keras.ops.softmax(column(x)) for column in (smaller, larger)]
    averaged = keras.ops.softmax(MultiColumn([smaller, larger])(x))
    np.testing.assert_allclose(averaged, np.mean(scores, axis=0), rtol=1e-4, atol=1e-6)


def test_columns_are_saved_and_reloaded_as_one(tmp_path):
    net = MultiColumn([Ciresan("1x10x10-8C3-MP2-5N") for _ in range(2)], name="two")
    x = np.random.default_rng(3).normal(size=(2, 10, 10, 1)).astype("float32")
    net.save(tmp_path / "two.keras")
    again = keras.models.load_model(tmp_path / "two.keras")
    assert again.name == "two"
    np.testing.assert_array_equal(again(x), net(x))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Ciresan("imagenet"), r"one of \('mnist', .* not 'imagenet'"),
        (lambda: Ciresan("1x29x29-20C4-MP2"), "or a line such as '1x29x29-20C4"),
        (lambda: Ciresan("29x29-20C4-10N"), "or a line such as '1x29x29-20C4"),
        (lambda: Ciresan("1x29x29-20C4-AP2-10N"), "'AP2' is no layer: 20C4 is"),
        (lambda: Ciresan("1x9x9-20C4-MP2-5C4-10N"), "5C4 does not fit on maps of 3 x 3"),
        (lambda: Ciresan("1x9x9-10N-5C4-10N"), "5C4 does not fit on maps of 1"),
        (lambda: Ciresan("mnist", input_shape=(11, 11, 1)), "40C5 does not fit on maps of 4 x 4"),
        (lambda: MultiColumn([]), "one or more nets"),
        (
            lambda: MultiColumn([Ciresan("1x32x32-10N"), LeNet5ReLU(classes=7)]),
            r"the same input shape .* \[\(\(32, 32, 1\), 10\), \(\(32, 32, 1\), 7\)\]",
        ),
    ],
)
def test_wrong_arguments_are_refused_and_told(build, message):
    with pytest.raises(ValueError, match=message):
        build()
