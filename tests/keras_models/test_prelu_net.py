"""PReLU-nets against Tables 1 and 3 of the paper, and what every classification net promises."""

from math import prod

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_models.analysis import layer_costs, total_cost
from keras_models.classification import PReLUNet

SMALL = {"input_shape": (32, 32, 3), "classes": 4, "stem": "cifar", "width": 0.0625}
MODELS = ("E", "A", "B", "C")


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(7)


def images(*shape):
    return np.random.default_rng(3).normal(size=shape).astype("float32")


def test_model_e_is_table_1(outline):
    model = outline(PReLUNet)
    weighted = [layer for layer in model.layers if hasattr(layer, "kernel")]
    sizes = [(x.name, *x.kernel.shape[:-2], x.kernel.shape[-1]) for x in weighted]
    assert sizes == [
        ("conv1", 7, 7, 64),
        *[(f"conv2_{i}", 2, 2, 128) for i in range(1, 5)],
        *[(f"conv3_{i}", 2, 2, 256) for i in range(1, 7)],
        ("fc1", 4096), ("fc2", 4096), ("logits", 1000),
    ]  # fmt: skip
    assert len(weighted) == 14
    assert model.get_layer("conv1").strides == (2, 2)
    pools = [(model.get_layer(f"pool{i}").pool_size[0], model.get_layer(f"pool{i}").strides[0])
             for i in (1, 2)]  # fmt: skip
    assert pools == [(3, 3), (2, 2)]
    assert model.get_layer("spp").bins == (6, 3, 2, 1)
    assert model.get_layer("spp").output.shape == (None, 256 * (36 + 9 + 4 + 1))
    assert model.get_layer("fc1_dropout").rate == model.get_layer("fc2_dropout").rate == 0.5


@pytest.mark.parametrize(
    ("name", "depth", "computed", "published"),
    [
        ("A", 19, 1.906, 1.90),
        ("B", 22, 2.322, 2.32),
        # 0.9 % above the published.
        ("C", 22, 5.346, 5.30),
    ],
)
def test_large_models_are_table_3(outline, name, depth, computed, published):
    model = outline(PReLUNet, name)
    weighted = [layer for layer in model.layers if hasattr(layer, "kernel")]
    assert len(weighted) == depth
    multiply_adds = total_cost(layer_costs(model)).multiply_adds
    assert multiply_adds / 1e10 == pytest.approx(computed, abs=0.001)
    assert multiply_adds / 1e10 == pytest.approx(published, rel=0.01)
    widths = {"A": (256, 512, 512), "B": (256, 512, 512), "C": (384, 768, 896)}[name]
    for stage, side, width in zip((2, 3, 4), (56, 28, 14), widths, strict=True):
        convolutions = [layer for layer in weighted if layer.name.startswith(f"conv{stage}_")]
        assert len(convolutions) == (depth - 4) // 3
        assert {layer.output.shape[1:] for layer in convolutions} == {(side, side, width)}
        assert {layer.kernel_size for layer in convolutions} == {(3, 3)}
    assert model.get_layer("conv1").output.shape == (None, 112, 112, 96)
    assert model.get_layer("spp").bins == (7, 3, 2, 1)


@pytest.mark.parametrize(
    ("activation", "slopes"), [("relu", None), ("channel-shared", 1), ("channel-wise", 8)]
)
def test_slopes(activation, slopes):
    model = PReLUNet(**SMALL, activation=activation)
    alphas = {w.path: w for w in model.trainable_weights if w.name == "alpha"}
    names = {layer.name for layer in model.layers}
    if slopes is None:
        assert not alphas and "conv2_1_relu" in names and "fc2_relu" in names
        return
    # A function behind each of the 13 layers before the logits.
    assert len(alphas) == 13 and {"conv1_prelu", "fc1_prelu"} <= names
    assert all(np.all(np.asarray(alpha) == 0.25) for alpha in alphas.values())
    layer = model.get_layer("conv2_1_prelu")
    assert prod(layer.alpha.shape) == slopes
    assert prod(model.get_layer("fc1_prelu").alpha.shape) == (1 if slopes == 1 else 256)
    x = images(2, 3, 3, 8)
    np.testing.assert_allclose(layer(x), np.where(x > 0, x, 0.25 * x), rtol=1e-6)


@pytest.mark.parametrize(("activation", "scale"), [("relu", 2), ("channel-wise", 2 / 1.0625)])
def test_weights_start_by_equation_15(activation, scale):
    model = PReLUNet("A", (32, 32, 3), 10, activation, stem="cifar", width=0.25)
    for name, fan_in in [("conv2_2", 576), ("conv4_5", 1152), ("fc2", 1024)]:
        layer = model.get_layer(name)
        assert np.std(layer.kernel) == pytest.approx((scale / fan_in) ** 0.5, rel=0.03)
        assert not np.any(layer.bias)
    kernels = [model.get_layer(f"conv4_{i}").kernel for i in (2, 3)]
    assert not np.allclose(*kernels)


def test_activations_keep_their_size_through_the_layers():
    """What Eqn. 15 is for: neither 19 layers of PReLU make them vanish nor explode."""
    model = PReLUNet("A", (32, 32, 3), 10, stem="cifar", width=0.25)
    taps = keras.Model(model.input, [model.get_layer(f"conv{n}").output for n in ("2_1", "4_5")])
    first, last = (np.std(y) for y in taps(images(4, 32, 32, 3)))
    assert 0.2 < last / first < 5


@pytest.mark.parametrize("name", MODELS)
def test_small_pictures(name):
    model = PReLUNet(name, **SMALL)
    names = [layer.name for layer in model.layers]
    assert "pool1" not in names and model.name == f"prelu_net_{name.lower()}"
    assert model.get_layer("conv2_1").output.shape[1:3] == (32, 32)
    assert model.get_layer("conv3_1").output.shape[1:3] == (16, 16)
    y = model(images(2, 32, 32, 3))
    assert y.shape == (2, 4) and y.dtype == tf.float32 and np.isfinite(y).all()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("stem", "side"), [("imagenet", 32), ("cifar", 8)])
def test_the_smallest_inputs(name, stem, side):
    model = PReLUNet(name, (side, side, 1), 3, stem=stem, width=0.0625)
    assert np.isfinite(model(images(2, side, side, 1))).all()


@pytest.mark.parametrize("activation", ["relu", "channel-shared", "channel-wise"])
def test_training_lowers_the_loss(activation):
    model = PReLUNet(**SMALL, activation=activation)
    x, labels = images(8, 32, 32, 3), np.arange(8) % 4
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1e-3), loss, run_eagerly=True)
    before = model.evaluate(x, labels, verbose=0)
    model.fit(x, labels, batch_size=8, epochs=4, verbose=0)
    assert model.evaluate(x, labels, verbose=0) < before


def test_mixed_precision_puts_out_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = PReLUNet(**SMALL)
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.get_layer("conv2_1").compute_dtype == "bfloat16"
    assert model(images(2, 32, 32, 3)).dtype == tf.float32


@pytest.mark.parametrize("activation", ["relu", "channel-wise"])
def test_saved_reloaded_and_given_its_weights(activation, tmp_path):
    arguments = {"input_shape": (64, 50, 3), "classes": 4, "width": 0.0625}
    model, x = PReLUNet("B", activation=activation, **arguments), images(2, 64, 50, 3)
    expected = model(x)
    model.save(tmp_path / "net.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "net.keras")(x), expected)
    again = PReLUNet("B", activation=activation, weights=tmp_path / "net.keras", **arguments)
    np.testing.assert_array_equal(again(x), expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "D"}, r"\('E', 'A', 'B', 'C'\), not 'D'"),
        ({"activation": "elu"}, r"\('relu', 'channel-shared', 'channel-wise'\), not 'elu'"),
        ({"input_shape": (7, 32, 3)}, "at least 8, not 7 x 32"),
        ({"input_shape": (31, 32, 3), "stem": "imagenet"}, "at least 32, not 31 x 32"),
        ({"stem": "mnist"}, r"\('imagenet', 'cifar'\), not 'mnist'"),
        ({"classes": 1}, "2 or more"),
        ({"width": 0}, "positive"),
        ({"weights": "imagenet"}, "no ImageNet weights"),
    ],
)
def test_wrong_arguments_are_refused_and_told(arguments, message):
    with pytest.raises(ValueError, match=message):
        PReLUNet(**SMALL | arguments)
