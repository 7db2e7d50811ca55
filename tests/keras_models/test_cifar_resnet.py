"""The residual nets for CIFAR-10 against section 4.2 and Table 6 of the paper."""

from math import prod

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_models.classification import CifarPlainNet, CifarResNet

both = pytest.mark.parametrize("build", [CifarResNet, CifarPlainNet])


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(7)


def trainable(model):
    return sum(prod(weight.shape) for weight in model.trainable_weights)


def images(*shape):
    return np.random.default_rng(3).normal(0, 60, shape).astype("float32")


@both
@pytest.mark.parametrize(
    ("depth", "parameters", "millions"),
    [
        (20, 269_722, "0.27"),
        (32, 464_154, "0.46"),
        (44, 658_586, "0.66"),
        (56, 853_018, "0.85"),
        (110, 1_727_962, "1.7"),
    ],
)
def test_parameters_are_the_published_ones(outline, build, depth, parameters, millions):
    model = outline(build, depth)
    assert trainable(model) == parameters
    assert f"{parameters / 1e6:.{len(millions) - 2}f}" == millions
    weighted = [layer for layer in model.layers if hasattr(layer, "kernel")]
    assert len(weighted) == depth


def test_1202_layers_have_19_4_million_parameters(outline):
    assert trainable(outline(CifarResNet, 1202)) == 19_421_274


def test_maps_are_those_of_the_paper(outline):
    shapes = {layer.name: layer.output.shape[1:] for layer in outline(CifarResNet, 56).layers}
    assert shapes["conv1"] == shapes["res2a"] == shapes["res2b8"] == (32, 32, 16)
    assert shapes["res3a"] == shapes["res3b8"] == (16, 16, 32)
    assert shapes["res4a"] == shapes["res4b8"] == (8, 8, 64)
    assert shapes["pool5"] == (64,) and shapes["logits"] == (10,)


@both
def test_narrower_stages_have_fewer_parameters(build):
    narrow = build(8, filters=(2, 4, 6))
    assert narrow.get_layer("logits").kernel.shape == (6, 10)
    with pytest.raises(ValueError, match="three stages"):
        build(8, filters=(2, 4))


def test_only_the_residual_net_has_shortcuts_and_they_have_no_parameters():
    sums = [layer for layer in CifarResNet(20).layers if isinstance(layer, keras.layers.Add)]
    assert len(sums) == 9
    plain = CifarPlainNet(20)
    assert not [layer for layer in plain.layers if isinstance(layer, keras.layers.Add)]
    assert trainable(plain) == trainable(CifarResNet(20))


@both
def test_one_row_of_float32_logits_an_image(build):
    model = build(14, input_shape=(9, 28, 1), classes=7)
    assert model.name.startswith("cifar_") and model.name.endswith("14")
    y = model(images(2, 9, 28, 1))
    assert y.shape == (2, 7) and y.dtype == tf.float32 and np.isfinite(y).all()


@both
def test_training_lowers_the_loss(build):
    model = build(8, input_shape=(16, 16, 3))
    x, labels = images(10, 16, 16, 3), np.arange(10)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss, jit_compile=False)
    losses = model.fit(x, labels, batch_size=10, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_mixed_precision_puts_out_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = CifarResNet(8)
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.get_layer("res2a_branch2a").compute_dtype == "bfloat16"
    assert model(images(2, 32, 32, 3)).dtype == tf.float32


@both
def test_saved_reloaded_and_given_its_weights(build, tmp_path):
    model, x = build(8), images(2, 32, 32, 3)
    expected = model(x)
    model.save(tmp_path / "net.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "net.keras")(x), expected)
    np.testing.assert_array_equal(build(8, weights=tmp_path / "net.keras")(x), expected)


@both
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 21}, r"6n\+2 \(8, 14, 20, ...\), not 21"),
        ({"depth": 2}, r"6n\+2"),
        ({"input_shape": (7, 32, 3)}, "at least 8, not 7 x 32"),
        ({"classes": 1}, "2 or more"),
        ({"weights": "imagenet"}, "no ImageNet weights"),
    ],
)
def test_wrong_arguments_are_refused_and_told(build, arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**arguments)
