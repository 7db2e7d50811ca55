"""The gate of a highway layer against its equation, the nets against the papers' numbers, and what
every classification net promises."""

from math import prod

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_models.classification import HighwayCIFAR, HighwayMLP, HighwayMNIST
from keras_models.classification.highway import HighwayGate

NETS = {
    "mlp": (HighwayMLP, (28, 28, 1)),
    "mnist": (HighwayMNIST, (28, 28, 1)),
    "cifar": (HighwayCIFAR, (16, 16, 3)),
}
every_net = pytest.mark.parametrize(("build", "shape"), NETS.values(), ids=NETS)


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(7)


def images(*shape):
    return np.random.default_rng(3).normal(size=shape).astype("float32")


def trainable(model):
    return sum(prod(weight.shape) for weight in model.trainable_weights)


def test_the_gate_is_equation_3():
    h, x = images(2, 2, 4, 4, 3)
    t = 1 / (1 + np.exp(-images(3, 2, 4, 4, 3)[2]))
    gate = HighwayGate()
    np.testing.assert_allclose(gate([h, t, x]), h * t + x * (1 - t), rtol=1e-5, atol=1e-6)
    # Eqn. 4: y = x where T = 0 and y = H where T = 1.
    np.testing.assert_array_equal(gate([h, np.zeros_like(x), x]), x)
    np.testing.assert_allclose(gate([h, np.ones_like(x), x]), h, rtol=1e-5, atol=1e-6)
    assert gate.weights == [] and gate.compute_output_shape([(None, 4)] * 3) == (None, 4)
    assert keras.saving.get_registered_name(HighwayGate) == "keras_models>HighwayGate"


def test_the_gates_gradients_are_those_of_equation_3():
    h, t, x = (tf.constant(v) for v in images(3, 5, 6))
    with tf.GradientTape() as tape:
        tape.watch([h, t, x])
        y = HighwayGate()([h, t, x])
    for gradient, expected in zip(tape.gradient(y, [h, t, x]), (t, h - x, 1 - t), strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-6)


def test_other_than_three_inputs_of_one_shape_are_refused():
    for shapes in ([(2, 3), (2, 3)], [(2, 3), (2, 1), (2, 3)]):
        with pytest.raises(ValueError, match="one shape"):
            HighwayGate()([np.zeros(shape, "float32") for shape in shapes])


def test_a_layer_is_its_equation():
    """y = relu(W_H x + b_H) * sigmoid(W_T x + b_T) + x * (1 - the same), Eqn. 3."""
    model = HighwayMLP(units=9, transform_bias=-2.0)
    taps = keras.Model(model.input, [model.get_layer(n).output for n in ("fc4", "fc5")])
    before, after = (np.asarray(y) for y in taps(images(3, 28, 28, 1)))
    w_h, b_h = model.get_layer("fc5_H").get_weights()
    w_t, b_t = model.get_layer("fc5_T").get_weights()
    assert (b_t == -2).all() and (b_h == 0).all()
    t = 1 / (1 + np.exp(-(before @ w_t + b_t)))
    expected = np.maximum(before @ w_h + b_h, 0) * t + before * (1 - t)
    np.testing.assert_allclose(after, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("depth", [10, 20, 50, 100])
def test_fully_connected_layers_have_about_5000_weights(depth):
    model = HighwayMLP(depth=depth)
    first, classifier = 784 * 50 + 50, 50 * 10 + 10
    assert trainable(model) == first + (depth - 1) * 2 * (50 * 50 + 50) + classifier
    gates = [layer for layer in model.layers if isinstance(layer, HighwayGate)]
    assert len(gates) == depth - 1 and model.name == f"highway_mlp{depth}"


@pytest.mark.parametrize(("filters", "parameters", "kilo"), [(16, 38_986, 39), (32, 151_690, 151)])
def test_parameters_of_the_net_for_mnist(filters, parameters, kilo):
    model = HighwayMNIST(filters=filters)
    assert trainable(model) == parameters
    assert kilo in (round(parameters / 1000), parameters // 1000)
    shapes = [model.get_layer(name).output.shape[1:] for name in ("conv1_3", "conv2_3", "pool3")]
    assert shapes == [(24, 24, filters), (12, 12, filters), (3, 3, filters)]
    assert sum(isinstance(layer, HighwayGate) for layer in model.layers) == 8


def test_parameters_of_the_net_for_cifar():
    model = HighwayCIFAR()
    assert trainable(model) == 2_256_838 and round(2_256_838 / 1e6, 1) == 2.3
    gates = [layer for layer in model.layers if isinstance(layer, HighwayGate)]
    # 19 layers: 14 highway layers, three plain and a 1 x 1 convolution, the classifier.
    assert len(gates) == 14
    shapes = [model.get_layer(name).output.shape[1:] for name in ("conv5", "conv11", "conv17")]
    assert shapes == [(32, 32, 32), (16, 16, 80), (8, 8, 128)]
    assert model.get_layer("conv18").output.shape == (None, 8, 8, 100)
    assert np.all(np.asarray(model.get_layer("conv9_T").bias) == -2)


def test_a_deep_net_begins_by_passing_its_input_on():
    model = HighwayMLP(depth=100, transform_bias=-8.0)
    taps = keras.Model(model.input, [model.get_layer(n).output for n in ("fc1", "fc100")])
    first, last = taps(images(2, 28, 28, 1))
    np.testing.assert_allclose(first, last, atol=0.15 * np.abs(first).max())
    assert np.abs(first).max() > 0.5


@every_net
def test_one_row_of_float32_logits_an_image(build, shape):
    y = build(input_shape=shape, classes=7)(images(2, *shape))
    assert y.shape == (2, 7) and y.dtype == tf.float32 and np.isfinite(y).all()


@every_net
def test_training_lowers_the_loss(build, shape):
    model = build(input_shape=shape)
    x, labels = images(10, *shape), np.arange(10)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01), loss, run_eagerly=True)
    before = model.evaluate(x, labels, verbose=0)
    model.fit(x, labels, batch_size=10, epochs=4, verbose=0)
    assert model.evaluate(x, labels, verbose=0) < before


@every_net
def test_mixed_precision_puts_out_float32(build, shape):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build(input_shape=shape)
    finally:
        keras.config.set_dtype_policy("float32")
    gates = [layer for layer in model.layers if isinstance(layer, HighwayGate)]
    assert gates[0].compute_dtype == "bfloat16"
    assert model(images(2, *shape)).dtype == tf.float32


@every_net
def test_saved_reloaded_and_given_its_weights(build, shape, tmp_path):
    model, x = build(input_shape=shape), images(2, *shape)
    expected = model(x)
    model.save(tmp_path / "net.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "net.keras")(x), expected)
    again = build(input_shape=shape, weights=tmp_path / "net.keras")
    np.testing.assert_array_equal(again(x), expected)


@pytest.mark.parametrize(
    ("build", "smallest"), [(HighwayMLP, 1), (HighwayMNIST, 5), (HighwayCIFAR, 4)]
)
def test_wrong_arguments_are_refused_and_told(build, smallest):
    assert build(input_shape=(smallest, smallest, 1)).output_shape == (None, 10)
    for arguments, message in [
        ({"input_shape": (smallest - 1, 9, 1)}, r"at least|\(height, width, channels\)"),
        ({"classes": 1}, "2 or more"),
        ({"weights": "imagenet"}, "no ImageNet weights"),
    ]:
        with pytest.raises(ValueError, match=message):
            build(**arguments)


def test_unknown_activations_and_depths_are_refused():
    with pytest.raises(ValueError, match=r"\('relu', 'tanh'\), not 'elu'"):
        HighwayMLP(activation="elu")
    with pytest.raises(ValueError, match="2 or more, not 1"):
        HighwayMLP(depth=1)
