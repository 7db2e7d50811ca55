"""BN-Inception against Figure 5 of the batch normalisation paper, and what every classification
net promises."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_models.analysis import layer_costs, total_cost
from keras_models.classification import BNInception

SMALL = {"input_shape": (32, 32, 3), "classes": 4, "stem": "cifar", "width": 0.125}
# The nets of Figures 2 and 3.
VARIANTS = {
    "baseline": {"batch_normalization": False, "local_response": True, "dropout": 0.4},
    "bn_baseline": {"local_response": True, "dropout": 0.4},
    "x5": {},
    "x5_sigmoid": {"activation": "sigmoid"},
}
every_variant = pytest.mark.parametrize("arguments", VARIANTS.values(), ids=VARIANTS)


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(7)


def images(*shape):
    return np.random.default_rng(3).normal(size=shape).astype("float32")


@pytest.fixture(scope="module")
def published(outline):
    return outline(BNInception)


def test_modules_are_the_rows_of_figure_5(published):
    shapes = {layer.name: layer.output.shape[1:] for layer in published.layers}
    assert [shapes[name] for name in ("conv1", "pool1", "conv2_reduce", "conv2", "pool2")] == [
        (112, 112, 64), (56, 56, 64), (56, 56, 64), (56, 56, 192), (28, 28, 192),
    ]  # fmt: skip
    # The output size of a row; 3c and 4e halve the side at their end.
    outputs = {
        "3a": (28, 256), "3b": (28, 320), "3c": (14, 576), "4a": (14, 576), "4b": (14, 576),
        "4c": (14, 576), "4d": (14, 576), "4e": (7, 1024), "5a": (7, 1024), "5b": (7, 1024),
    }  # fmt: skip
    for module, (side, maps) in outputs.items():
        assert shapes[f"inception_{module}"] == (side, side, maps)
    row = ("1x1", "3x3_reduce", "3x3", "double_3x3_reduce", "double_3x3_1", "double_3x3_2")
    widths = [shapes[f"inception_4d_{name}"][-1] for name in row]
    assert widths == [96, 128, 192, 160, 192, 192]
    assert "inception_3c_1x1" not in shapes and "inception_4e_pool_proj" not in shapes
    assert shapes["inception_4e_pool"] == (7, 7, 576)


def test_kinds_of_pooling(published):
    kinds = {
        module: type(published.get_layer(f"inception_{module}_pool")).__name__
        for module in ("3a", "3c", "4d", "4e", "5a", "5b")
    }
    assert kinds == {
        "3a": "AveragePooling2D", "3c": "MaxPooling2D", "4d": "AveragePooling2D",
        "4e": "MaxPooling2D", "5a": "AveragePooling2D", "5b": "MaxPooling2D",
    }  # fmt: skip


def test_parameters(published, outline):
    # Not published: the counts of these rows. One bias a map less, two of scale and shift more.
    baseline = outline(BNInception, **VARIANTS["baseline"])
    trainable = [total_cost(layer_costs(model)).parameters for model in (published, baseline)]
    assert trainable == [11_188_288, 11_178_336]
    weighted = [layer for layer in baseline.layers if layer.weights and layer.name != "logits"]
    assert trainable[0] - trainable[1] == sum(layer.output.shape[-1] for layer in weighted)


def test_conv1_is_separable_with_8_filters_a_channel(published):
    conv1 = published.get_layer("conv1")
    assert isinstance(conv1, keras.layers.SeparableConv2D)
    assert conv1.depthwise_kernel.shape == (7, 7, 3, 8) and conv1.strides == (2, 2)


@every_variant
def test_normalization_stands_before_each_nonlinearity(arguments):
    model = BNInception(**SMALL | arguments)
    kinds = [type(layer).__name__ for layer in model.layers]
    convolutions = kinds.count("Conv2D")
    normalised = arguments.get("batch_normalization", True)
    assert kinds.count("Activation") == convolutions
    assert kinds.count("BatchNormalization") == normalised * convolutions
    assert kinds.count("LocalResponseNormalization") == 2 * arguments.get("local_response", 0)
    assert kinds.count("Dropout") == bool(arguments.get("dropout"))
    activation = arguments.get("activation", "relu")
    layer = model.get_layer(f"inception_4a_3x3_{activation}")
    before = "inception_4a_3x3_bn" if normalised else "inception_4a_3x3"
    assert layer.input is model.get_layer(before).output
    function = {"relu": tf.nn.relu, "sigmoid": tf.nn.sigmoid}[activation]
    x = images(3, 2)
    np.testing.assert_allclose(layer(x), function(x), rtol=1e-5)
    assert model.get_layer("conv2").use_bias is not normalised


@every_variant
def test_training_lowers_the_loss(arguments):
    model = BNInception(**SMALL | arguments | {"dropout": 0.0})
    x, labels = images(8, 32, 32, 3), np.arange(8) % 4
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # Eagerly: two steps take less time than to trace one.
    model.compile(keras.optimizers.SGD(0.01), loss, run_eagerly=True)
    losses = model.fit(x, labels, batch_size=8, epochs=2, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_mixed_precision_puts_out_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = BNInception(**SMALL)
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.get_layer("inception_3a_1x1").compute_dtype == "bfloat16"
    assert model(images(2, 32, 32, 3)).dtype == tf.float32


def test_saved_reloaded_and_given_its_weights(tmp_path):
    arguments = VARIANTS["bn_baseline"] | {"input_shape": (32, 40, 3), "classes": 4, "width": 0.125}
    model, x = BNInception(**arguments), images(2, 32, 40, 3)
    expected = model(x)
    assert expected.shape == (2, 4) and expected.dtype == tf.float32
    model.save(tmp_path / "net.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "net.keras")(x), expected)
    again = BNInception(**arguments, weights=tmp_path / "net.keras")
    np.testing.assert_array_equal(again(x), expected)


def test_small_pictures():
    model = BNInception((28, 28, 1), 10, stem="cifar", width=0.25)
    shapes = {layer.name: layer.output.shape[1:] for layer in model.layers}
    assert shapes["conv1"] == (28, 28, 16) and shapes["inception_3b"] == (28, 28, 80)
    assert shapes["inception_4d"] == (14, 14, 144) and shapes["inception_5b"] == (7, 7, 256)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": (31, 32, 3), "stem": "imagenet"}, "at least 32, not 31 x 32"),
        ({"input_shape": (3, 32, 3)}, "at least 4, not 3 x 32"),
        ({"activation": "tanh"}, r"\('relu', 'sigmoid'\), not 'tanh'"),
        ({"stem": "mnist"}, r"\('imagenet', 'cifar'\), not 'mnist'"),
        ({"classes": 1}, "2 or more"),
        ({"width": -1}, "positive"),
        ({"weights": "imagenet"}, "no ImageNet weights"),
    ],
)
def test_wrong_arguments_are_refused_and_told(arguments, message):
    with pytest.raises(ValueError, match=message):
        BNInception(**SMALL | arguments)
