"""The residual nets against Tables 1 to 4 of the paper, and what every classification net
promises."""

import functools
from math import prod

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_models.analysis import layer_costs, total_cost
from keras_models.classification import (
    Plain18,
    Plain34,
    ResNet18,
    ResNet34,
    ResNet50,
    ResNet101,
    ResNet152,
)
from keras_models.classification.resnet import ZeroPaddedShortcut, block_name

NETS = {
    "resnet18": ResNet18,
    "plain18": Plain18,
    "resnet50": ResNet50,
}
every_net = pytest.mark.parametrize("build", NETS.values(), ids=NETS)


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(7)


def trainable(model):
    return sum(prod(weight.shape) for weight in model.trainable_weights)


def images(*shape):
    return np.random.default_rng(3).normal(0, 60, shape).astype("float32")


@pytest.mark.parametrize(
    ("build", "parameters", "published"),
    [
        # Table 1's last row. 3.857 and 3.644 stand there cut off rather than rounded.
        (ResNet18, 11_515_688, 1.8),
        (Plain18, 11_515_688, 1.8),
        (ResNet34, 21_623_848, 3.6),
        (Plain34, 21_623_848, 3.6),
        (ResNet50, 25_557_032, 3.8),
        (ResNet101, 44_549_160, 7.6),
        (ResNet152, 60_192_808, 11.3),
    ],
)
def test_parameters_and_multiply_adds(outline, build, parameters, published):
    model = outline(build)
    cost = total_cost(layer_costs(model))
    assert cost.parameters == parameters
    giga = cost.multiply_adds / 1e9
    assert published in (round(giga, 1), int(10 * giga) / 10)
    layers = [layer for layer in model.layers if hasattr(layer, "kernel")]
    on_the_road = [layer for layer in layers if "branch1" not in layer.name]
    assert model.name in (f"resnet{len(on_the_road)}", f"plain{len(on_the_road)}")
    assert not any(layer.use_bias for layer in layers[:-1])


def test_options_differ_by_their_projections(outline):
    a, b, c = (outline(ResNet34, shortcut=option) for option in "ABC")
    # One 1 x 1 convolution and its normalisation at the beginning of conv3_x, conv4_x, conv5_x.
    assert trainable(b) - trainable(a) == sum(n * 2 * n + 4 * n for n in (64, 128, 256))
    # And one over each of the 3 + 3 + 5 + 2 other blocks.
    others = sum(k * (n * n + 2 * n) for k, n in ((3, 64), (3, 128), (5, 256), (2, 512)))
    assert trainable(c) - trainable(b) == others
    assert trainable(outline(Plain34)) == trainable(a)


def test_maps_are_those_of_table_1(outline):
    shapes = {layer.name: layer.output.shape[1:] for layer in outline(ResNet50).layers}
    assert shapes["conv1"] == (112, 112, 64) and shapes["pool1"] == (56, 56, 64)
    for name, side, width in [("2c", 56, 64), ("3d", 28, 128), ("4f", 14, 256), ("5c", 7, 512)]:
        assert shapes[f"res{name}_branch2b"] == (side, side, width)
        assert shapes[f"res{name}"] == (side, side, 4 * width)
    assert shapes["pool5"] == (2048,) and shapes["logits"] == (1000,)
    shapes = {layer.name: layer.output.shape[1:] for layer in outline(ResNet34).layers}
    assert [shapes[n] for n in ("res2c", "res3d", "res4f", "res5c")] == [
        (56, 56, 64), (28, 28, 128), (14, 14, 256), (7, 7, 512),
    ]  # fmt: skip


def test_the_stride_is_on_the_first_convolution_of_a_block(outline):
    layers = outline(ResNet50).layers
    strides = {layer.name: layer.strides[0] for layer in layers if hasattr(layer, "strides")}
    for stage in "345":
        assert strides[f"res{stage}a_branch2a"] == strides[f"res{stage}a_branch1"] == 2
        assert strides[f"res{stage}a_branch2b"] == strides[f"res{stage}b_branch2a"] == 1


def test_names_of_blocks():
    assert [block_name(2, i, 3) for i in range(3)] == ["res2a", "res2b", "res2c"]
    assert [block_name(4, i, 23) for i in (0, 1, 22)] == ["res4a", "res4b1", "res4b22"]


def test_option_a_takes_every_second_pixel_and_adds_zeros():
    x = images(2, 5, 4, 3)
    layer = ZeroPaddedShortcut(7, 2)
    y = np.asarray(layer(x))
    assert y.shape == (2, 3, 2, 7) == layer.compute_output_shape(x.shape)
    np.testing.assert_array_equal(y[..., :3], x[:, ::2, ::2])
    assert not y[..., 3:].any()
    assert layer.compute_output_shape((None, None, 4, 3)) == (None, None, 2, 7)
    assert ZeroPaddedShortcut.from_config(layer.get_config()).filters == 7


def test_a_block_is_the_sum_of_its_branches():
    """Eqn. 1 (option B where the size changes), layer by layer with NumPy's own sums."""
    model = ResNet18(input_shape=(32, 32, 3), classes=5, shortcut="B")
    for weight in model.weights:
        if "moving" in weight.path or "gamma" in weight.path or "beta" in weight.path:
            weight.assign(np.random.default_rng(1).uniform(0.5, 1.5, weight.shape))
    taps = ["res2b_relu", "res3a_branch1", "bn3a_branch1", "bn3a_branch2b", "res3a", "res3a_relu"]
    taps += ["bn3b_branch2b", "res3b_relu"]
    outputs = keras.Model(model.input, {name: model.get_layer(name).output for name in taps})
    values = {name: np.asarray(value) for name, value in outputs(images(2, 32, 32, 3)).items()}
    kernel = np.asarray(model.get_layer("res3a_branch1").kernel)[0, 0]
    projected = values["res2b_relu"][:, ::2, ::2] @ kernel
    np.testing.assert_allclose(values["res3a_branch1"], projected, rtol=1e-3, atol=1e-3)
    total = values["bn3a_branch1"] + values["bn3a_branch2b"]
    np.testing.assert_allclose(values["res3a"], total, rtol=1e-5)
    np.testing.assert_allclose(values["res3a_relu"], np.maximum(total, 0), rtol=1e-5)
    again = np.maximum(values["res3a_relu"] + values["bn3b_branch2b"], 0)
    np.testing.assert_allclose(values["res3b_relu"], again, rtol=1e-4, atol=1e-4)


def test_weights_start_with_variance_2_over_the_fan_in():
    model = ResNet18()
    for name, fan_in in [("conv1", 147), ("res2a_branch2a", 576), ("res5b_branch2b", 4608)]:
        assert np.std(model.get_layer(name).kernel) == pytest.approx((2 / fan_in) ** 0.5, rel=0.05)


@every_net
def test_one_row_of_float32_logits_an_image(build):
    model = build(input_shape=(40, 33, 1), classes=7, name="other")
    assert model.name == "other" and model.output_shape == (None, 7)
    y = model(images(2, 40, 33, 1))
    assert y.dtype == tf.float32 and np.isfinite(y).all() and np.ptp(y, axis=1).min() > 0


@every_net
def test_training_lowers_the_loss(build):
    model = build(input_shape=(32, 32, 3), classes=4)
    x, labels = images(8, 32, 32, 3), np.arange(8) % 4
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # Eagerly: three steps take less time than to trace one.
    model.compile(keras.optimizers.SGD(1e-4), loss, run_eagerly=True)
    losses = model.fit(x, labels, batch_size=8, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_puts_out_float32(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = ResNet18(input_shape=(32, 32, 3), classes=4)
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.get_layer("res2a_branch2a").compute_dtype == policy.removeprefix("mixed_")
    y = model(images(2, 32, 32, 3))
    assert y.dtype == tf.float32 and np.isfinite(y).all()


@every_net
def test_saved_reloaded_and_given_its_weights(build, tmp_path):
    model, x = build(input_shape=(32, 32, 3), classes=4), images(2, 32, 32, 3)
    expected = model(x)
    model.save(tmp_path / "net.keras")
    model.save_weights(tmp_path / "net.weights.h5")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "net.keras")(x), expected)
    again = build(input_shape=(32, 32, 3), classes=4, weights=tmp_path / "net.weights.h5")
    np.testing.assert_array_equal(again(x), expected)


@pytest.mark.parametrize("build", [ResNet34, Plain34, ResNet50])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": (31, 32, 3)}, "at least 32, not 31 x 32"),
        ({"input_shape": (32, 32)}, r"\(height, width, channels\)"),
        ({"classes": 1}, "2 or more"),
        ({"weights": "nowhere.h6"}, "nowhere.h6"),
    ],
)
def test_wrong_arguments_are_refused_and_told(build, arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**{"input_shape": (32, 32, 3), "classes": 4} | arguments)


@pytest.mark.parametrize("build", [ResNet18, ResNet34, ResNet50, ResNet101, ResNet152])
def test_unknown_shortcuts_are_refused(build):
    for shortcut in ("D", None):
        with pytest.raises(ValueError, match=r"\('A', 'B', 'C'\)"):
            build(shortcut=shortcut)


def test_imagenet_weights_only_for_the_net_they_are_of():
    with pytest.raises(ValueError, match="for 3 channels, not for 1"):
        ResNet50((64, 64, 1), weights="imagenet")
    for build in (functools.partial(ResNet50, shortcut="C"), ResNet18):
        with pytest.raises(ValueError, match="no ImageNet weights"):
            build(weights="imagenet")
