"""LeNet-1 and LeNet-5 against the numbers of the papers, and what every net promises."""

from math import prod

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_models.analysis import layer_costs
from keras_models.classification import LeNet1, LeNet5, LeNet5ReLU
from keras_models.classification.lenet import UnitBias
from keras_models.layers import prototype_codes
from keras_models.losses import MAPCriterion

NETS = {
    "rbf": LeNet5,
    "softmax": lambda **arguments: LeNet5(classifier="softmax", **arguments),
    "relu": LeNet5ReLU,
}
every_net = pytest.mark.parametrize("build", NETS.values(), ids=NETS)


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(7)


def images(*shape):
    return np.random.default_rng(3).uniform(-0.1, 1.175, shape).astype("float32")


def criterion(model):
    return MAPCriterion() if "RBF" in [layer.name for layer in model.layers] else (
        keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )  # fmt: skip


def test_lenet1_units_connections_and_parameters_are_the_published_ones():
    net = LeNet1()
    # A connection a weight of a unit, and one for its bias.
    connections, parameters = {}, {}
    for layer in net.layers:
        if layer.weights:
            name = layer.name.partition("_")[0]
            parameters[name] = parameters.get(name, 0) + layer.count_params()
            positions = prod(layer.output.shape[1:-1])
            inputs = prod(layer.bias.shape) if isinstance(layer, UnitBias) else 0
            inputs = inputs or positions * layer.count_params()
            connections[name] = connections.get(name, 0) + inputs
    assert parameters == {"H1": 1_068, "H2": 2_592, "H3": 5_790, "logits": 310}
    assert connections == {"H1": 19_968, "H2": 38_592, "H3": 5_790, "logits": 310}
    assert net.count_params() == sum(parameters.values()) == 9_760
    assert sum(connections.values()) == 64_660
    units = [net.get_layer(name).output.shape[1:] for name in ("H1", "H2", "H3", "logits")]
    assert units == [(8, 8, 12), (4, 4, 12), (30,), (10,)]
    assert sum(map(prod, units)) + 16 * 16 == 1_256


def naive_lenet1(net, x):
    """Unit by unit, with -1 around the pictures and the maps."""

    def squash(a):
        return 1.7159 * np.tanh(2 / 3 * a)

    def undersampled(x, kernel):
        x = np.pad(x, ((0, 0), (2, 1), (2, 1), (0, 0)), constant_values=-1)
        y = np.zeros((len(x), (x.shape[1] - 3) // 2, (x.shape[2] - 3) // 2, kernel.shape[-1]))
        for n, i, j, k in np.ndindex(y.shape):
            y[n, i, j, k] = (x[n, 2 * i : 2 * i + 5, 2 * j : 2 * j + 5] * kernel[..., k]).sum()
        return y

    weights = {layer.name: layer.get_weights() for layer in net.layers}
    h1 = squash(undersampled(x, weights["H1_windows"][0]) + weights["H1"][0])
    seen = [[*range(8)], [*range(4, 12)], [*range(8, 12), *range(4)]]
    h2 = [
        undersampled(h1[..., maps], weights[f"H2_windows{n}"][0]) for n, maps in enumerate(seen, 1)
    ]
    h2 = squash(np.concatenate(h2, axis=-1) + weights["H2"][0]).reshape(len(x), -1)
    h3 = squash(h2 @ weights["H3"][0] + weights["H3"][1])
    return h3 @ weights["logits"][0] + weights["logits"][1]


def test_lenet1_is_the_sum_over_its_connections():
    net, x = LeNet1(), images(2, 16, 16, 1)
    np.testing.assert_allclose(net(x), naive_lenet1(net, x), rtol=1e-4, atol=1e-5)


def test_lenet1_weights_start_uniform_within_2_4_over_the_fan_in():
    net = LeNet1()
    fan_ins = {"H1": 25, "H1_windows": 25, "H2": 200, "H2_windows2": 200, "H3": 192, "logits": 30}
    for name, fan_in in fan_ins.items():
        for weight in net.get_layer(name).get_weights():
            assert np.abs(weight).max() <= 2.4 / fan_in
        assert np.abs(net.get_layer(name).get_weights()[0]).max() > 0.95 * 2.4 / fan_in


@pytest.mark.parametrize(("side", "h1", "h2"), [(4, 2, 1), (15, 8, 4), (28, 14, 7)])
def test_lenet1_halves_any_side_twice(side, h1, h2):
    net = LeNet1((side, 16, 3), classes=7)
    assert net.get_layer("H1").output.shape == (None, h1, 8, 12)
    assert net.get_layer("H2").output.shape == (None, h2, 4, 12)
    with pytest.raises(ValueError, match="at least 4, not 3 x 16"):
        LeNet1((3, 16, 1))


def test_parameters_and_connections_are_the_published_ones():
    costs = {
        cost.name: (cost.parameters, cost.connections)
        for cost in layer_costs(LeNet5())
        if cost.connections
    }
    assert costs == {
        "C1": (156, 122_304),
        "S2": (12, 5_880),
        "C3": (1_516, 151_600),
        "S4": (32, 2_000),
        "C5": (48_120, 48_120),
        "F6": (10_164, 10_164),
        "RBF": (0, 840),
    }
    assert sum(parameters for parameters, _ in costs.values()) == 60_000
    assert sum(connections for _, connections in costs.values()) == 340_908


def test_maps_are_the_published_sizes():
    shapes = {layer.name: layer.output.shape[1:] for layer in LeNet5().layers}
    assert [shapes[name] for name in ("C1", "S2", "C3", "S4", "C5", "F6", "RBF", "logits")] == [
        (28, 28, 6), (14, 14, 6), (10, 10, 16), (5, 5, 16), (120,), (84,), (10,), (10,),
    ]  # fmt: skip


def test_weights_start_uniform_within_2_4_over_the_fan_in():
    model = LeNet5()
    fan_ins = {"C1": 25, "S2": 4, "S4": 4, "C5": 400, "F6": 120}
    for name, fan_in in fan_ins.items():
        for weight in model.get_layer(name).get_weights():
            assert np.abs(weight).max() <= 2.4 / fan_in
    assert np.abs(model.get_layer("F6").get_weights()[0]).max() > 0.99 * 2.4 / 120
    c3 = np.abs(model.get_layer("C3").get_weights()[0]).reshape(25, 60).max(axis=0)
    # Six maps see 3 inputs, nine see 4, the last sees all 6.
    assert c3[:18].max() <= 2.4 / 75 and c3[18:54].max() <= 2.4 / 100
    assert c3[54:].max() <= 2.4 / 150 < c3[18:54].max() < c3[:18].max()


def test_rbf_logits_are_minus_the_distances_of_f6_to_the_codes():
    model, x = LeNet5(), images(4, 32, 32, 1)
    f6 = keras.Model(model.input, model.get_layer("F6").output)(x)
    penalties = ((np.asarray(f6)[:, None] - prototype_codes(10)) ** 2).sum(axis=-1)
    np.testing.assert_allclose(model(x), -penalties, rtol=1e-4)


@every_net
def test_one_row_of_float32_logits_an_image(build):
    model = build(input_shape=(40, 28, 3), classes=7, name="other")
    assert model.name == "other" and model.output_shape == (None, 7)
    y = model(images(2, 40, 28, 3))
    assert y.dtype == tf.float32 and np.isfinite(y).all() and np.ptp(y, axis=1).min() > 0


@every_net
def test_the_smallest_input_is_16_by_16(build):
    assert build(input_shape=(16, 16, 1)).output_shape == (None, 10)


@every_net
def test_it_learns_a_batch_by_heart(build):
    model = build()
    x, labels = images(20, 32, 32, 1), np.arange(20) % 10
    model.compile(
        keras.optimizers.Adam(3e-3), criterion(model), metrics=["accuracy"], jit_compile=False
    )
    # One epoch of 150 times the same batch: epochs cost more than these steps.
    model.fit(
        np.tile(x, (150, 1, 1, 1)), np.tile(labels, 150), batch_size=20, shuffle=False, verbose=0
    )
    assert model.evaluate(x, labels, verbose=0)[1] == 1.0


@every_net
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_trains_and_puts_out_float32(build, policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = build()
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.get_layer("C3").compute_dtype == policy.removeprefix("mixed_")
    assert model.get_layer("C3").variable_dtype == "float32"
    x, labels = images(16, 32, 32, 1), np.arange(16) % 10
    assert model(x).dtype == tf.float32
    model.compile(keras.optimizers.SGD(1e-3), criterion(model), jit_compile=False)
    losses = model.fit(x, labels, batch_size=16, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


@every_net
def test_a_compiled_step_is_the_same_step(build):
    x, labels = images(8, 32, 32, 1), np.arange(8)
    losses = []
    for jit_compile in (False, True):
        keras.utils.set_random_seed(1)
        model = build()
        model.compile(keras.optimizers.SGD(1e-3), criterion(model), jit_compile=jit_compile)
        losses.append(model.fit(x, labels, batch_size=8, epochs=2, verbose=0).history["loss"])
    np.testing.assert_allclose(*losses, rtol=1e-3)


@every_net
def test_saved_reloaded_exported_and_given_its_weights(build, tmp_path):
    model, x = build(), images(3, 32, 32, 1)
    expected = model(x)
    model.compile("sgd", criterion(model))
    model.save(tmp_path / "net.keras")
    model.save_weights(tmp_path / "net.weights.h5")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "net.keras")(x), expected)
    for name in ("net.keras", "net.weights.h5"):
        np.testing.assert_array_equal(build(weights=tmp_path / name)(x), expected)
    model.export(tmp_path / "exported", verbose=False)
    served = tf.saved_model.load(tmp_path / "exported")
    np.testing.assert_allclose(served.serve(x), expected, rtol=1e-5)
    assert served.serve(images(1, 32, 32, 1)).shape == (1, 10)


@every_net
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": (15, 32, 1)}, "at least 16, not 15 x 32"),
        ({"input_shape": (32, 32)}, r"\(height, width, channels\)"),
        ({"input_shape": (None, None, 1)}, r"\(height, width, channels\)"),
        ({"classes": 1}, "2 or more"),
        ({"weights": "nowhere.h6"}, "nowhere.h6"),
    ],
)
def test_wrong_arguments_are_refused_and_told(build, arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**arguments)


def test_unknown_classifier_and_too_many_classes_are_refused():
    with pytest.raises(ValueError, match=r"\('rbf', 'softmax'\), not 'svm'"):
        LeNet5(classifier="svm")
    with pytest.raises(ValueError, match="1 to 168"):
        LeNet5(classes=1000)
    assert LeNet5(classes=1000, classifier="softmax").output_shape == (None, 1000)
