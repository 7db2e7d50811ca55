"""Costs and receptive fields, against nets counted by hand and nets whose counts are known."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_models.analysis import layer_costs, total_cost
from keras_models.classification import VGG, CifarResNet, LeNet1, LeNet5, ResNet50
from keras_models.classification.fully_convolutional import fully_convolutional
from keras_models.detection import FasterRCNN, FastRCNN
from keras_models.layers import (
    ActivationBatchNormalization,
    DropConnect,
    LocalContrastNormalization,
    LocallyConnected2D,
    LocalResponseNormalization,
    Maxout,
    SpatialPyramidPooling2D,
    StochasticPooling2D,
    TiledConv2D,
    WeightNoise,
    prelu,
)


def sequential(shape, *stack):
    return keras.Sequential([keras.Input(shape), *stack])


def counts(cost):
    return cost.parameters, cost.multiply_adds, cost.connections


def counted(shape, *stack):
    """Parameters, multiply-adds and connections of the last of some layers."""
    return counts(layer_costs(sequential(shape, *stack))[-1])


# 8 x 8 pictures of 4 maps, counted by hand.
BY_HAND = {
    # 3 * 3 * 4 * 6 = 216 weights and 6 biases at 6 * 6 positions.
    "Conv2D": (layers.Conv2D(6, 3), (222, 216 * 36, 222 * 36)),
    "same, stride": (layers.Conv2D(6, 3, 2, "same"), (222, 216 * 16, 222 * 16)),
    "no bias": (layers.Conv2D(6, 3, use_bias=False), (216, 216 * 36, 216 * 36)),
    # Each of 6 maps sees 2 of the 4.
    "groups": (layers.Conv2D(6, 3, groups=2), (114, 108 * 36, 114 * 36)),
    "1 x 3": (layers.Conv2D(6, (1, 3)), (78, 72 * 48, 78 * 48)),
    # 3 * 3 weights for each of 4 * 2 maps.
    "DepthwiseConv2D": (
        layers.DepthwiseConv2D(3, depth_multiplier=2), (80, 72 * 36, 80 * 36),
    ),
    # 3 * 3 for each of 4 maps, and 4 * 6 at the same positions.
    "SeparableConv2D": (layers.SeparableConv2D(6, 3), (66, 60 * 36, 66 * 36)),
    "Dense on maps": (layers.Dense(5), (25, 20 * 64, 25 * 64)),
    "LocallyConnected2D": (LocallyConnected2D(6, 3), (222 * 36, 216 * 36, 222 * 36)),
    "TiledConv2D": (TiledConv2D(6, 3, 2), (222 * 4, 216 * 36, 222 * 36)),
    "WeightNoise": (WeightNoise(layers.Conv2D(6, 3), 0.1), (222, 216 * 36, 222 * 36)),
    "BatchNormalization": (layers.BatchNormalization(), (8, 0, 0)),
    "per activation": (ActivationBatchNormalization(), (2 * 256, 0, 0)),
    "PReLU": (prelu(), (4, 0, 0)),
    "LRN": (LocalResponseNormalization(), (0, 0, 0)),
    "MaxPooling2D": (layers.MaxPooling2D(), (0, 0, 0)),
    "pyramid": (SpatialPyramidPooling2D(), (0, 0, 0)),
}  # fmt: skip


@pytest.mark.parametrize(("layer", "expected"), BY_HAND.values(), ids=BY_HAND)
def test_layers_counted_by_hand(layer, expected):
    assert counted((8, 8, 4), layer) == expected


def test_fully_connected_layers_counted_by_hand():
    assert counted((7,), layers.Dense(5)) == (40, 35, 40)
    assert counted((7,), layers.Dense(5, use_bias=False)) == (35, 35, 35)
    assert counted((7,), DropConnect(5)) == (40, 35, 40)


def test_counts_do_not_depend_on_the_data_format():
    first = counted((6, 14, 14), layers.Conv2D(16, 5, data_format="channels_first"))
    last = counted((14, 14, 6), layers.Conv2D(16, 5))
    assert first == last == (2_416, 240_000, 241_600)


def test_a_small_net_row_by_row():
    image = keras.Input((9, 9, 3), name="image")
    x = layers.Conv2D(4, 3, use_bias=False, name="conv")(image)
    y = layers.Conv2D(4, 1, name="side")(x)
    x = layers.Add(name="add")([x, y])
    x = layers.MaxPooling2D(3, 2, name="pool")(x)
    x = layers.Flatten(name="flat")(x)
    model = keras.Model(image, layers.Dense(2, name="fc")(x))
    rows = {cost.name: cost for cost in layer_costs(model)}
    assert list(rows) == ["image", "conv", "side", "add", "pool", "flat", "fc"]
    assert [row.shape for row in rows.values()] == [
        (9, 9, 3), (7, 7, 4), (7, 7, 4), (7, 7, 4), (3, 3, 4), (36,), (2,),
    ]  # fmt: skip
    assert [row.activations for row in rows.values()] == [243, 196, 196, 196, 36, 0, 2]
    fields = [(row.receptive_field, row.stride) for row in rows.values()]
    assert fields[:5] == [((n, n), (s, s)) for n, s in [(1, 1), (3, 1), (3, 1), (3, 1), (5, 2)]]
    assert fields[5] == fields[6] == ((9, 9), (9, 9))
    assert rows["conv"].kind == "Conv2D"
    total = total_cost(list(rows.values()))
    assert counts(total) == (108 + 20 + 74, 108 * 49 + 16 * 49 + 72, 108 * 49 + 20 * 49 + 74)
    assert total.activations == 243 + 3 * 196 + 36 + 2
    assert (total.receptive_field, total.stride) == ((5, 5), (2, 2))


def test_known_nets(outline):
    def cost(application):
        return total_cost(layer_costs(outline(application, weights=None)))

    vgg = cost(keras.applications.VGG16)
    assert vgg.parameters == 138_357_544
    assert vgg.multiply_adds == 15_470_264_320
    assert (vgg.receptive_field, vgg.stride) == ((212, 212), (32, 32))
    resnet = cost(keras.applications.ResNet50)
    # Without the running means and variances.
    assert resnet.parameters == 25_583_592
    assert resnet.multiply_adds == 3_857_973_248
    assert (resnet.receptive_field, resnet.stride) == ((483, 483), (32, 32))
    mobilenet = cost(keras.applications.MobileNetV2)
    assert mobilenet.parameters == 3_504_872
    assert mobilenet.multiply_adds == 300_774_272
    assert (mobilenet.receptive_field, mobilenet.stride) == ((491, 491), (32, 32))


def test_lenet_1_and_5_have_the_published_connections():
    lenet1, lenet5 = (total_cost(layer_costs(net())) for net in (LeNet1, LeNet5))
    assert (lenet1.parameters, lenet1.connections) == (9_760, 64_660)
    assert (lenet5.parameters, lenet5.connections) == (60_000, 340_908)


def test_a_dense_net_costs_as_much_as_its_net_at_the_size_of_training():
    net = VGG("A", (32, 32, 3), classes=10, units=16)
    anywhere = fully_convolutional(net)
    assert counts(total_cost(layer_costs(anywhere, (32, 32, 3)))) == counts(
        total_cost(layer_costs(net))
    )
    rows = {row.name: row for row in layer_costs(anywhere, (64, 96, 3))}
    assert rows["fc6"].shape == (2, 3, 16)
    assert rows["fc6"].multiply_adds == 6 * 512 * 16


def test_nested_nets_are_counted_layer_by_layer():
    inner = sequential((None, None, 3), layers.Conv2D(4, 3, name="conv"))
    inner.name = "inner"
    middle_input = keras.Input((None, None, 3))
    middle = keras.Model(middle_input, layers.ReLU(name="relu")(inner(middle_input)), name="middle")
    image = keras.Input((10, 8, 3), name="image")
    rows = layer_costs(keras.Model(image, layers.MaxPooling2D(name="pool")(middle(image))))
    assert [row.name for row in rows] == ["image", "middle/inner/conv", "middle/relu", "pool"]
    assert rows[1].shape == (8, 6, 4)
    assert counts(rows[1]) == (112, 108 * 48, 112 * 48)


def test_a_layer_called_twice_has_its_parameters_once():
    a, b = keras.Input((5,)), keras.Input((5,))
    shared = layers.Dense(3, name="shared")
    rows = layer_costs(keras.Model([a, b], layers.Subtract()([shared(a), shared(b)])))
    assert [counts(row) for row in rows if row.name == "shared"] == [(18, 15, 18), (0, 15, 18)]


def test_open_sides_are_counted_at_the_size_that_is_given():
    model = sequential((None, None, 3), layers.Conv2D(4, 3), layers.GlobalAveragePooling2D())
    rows = layer_costs(model, (10, 8, 3))
    assert [row.shape for row in rows[1:]] == [(8, 6, 4), (4,)]
    assert rows[1].multiply_adds == 108 * 48
    assert rows[2].receptive_field == (10, 8)
    with pytest.raises(ValueError, match=r"as many values .* not counted without input_shape"):
        layer_costs(model)
    for shape in ((10, None, 3), (10, 8, 4), (10, 8)):
        with pytest.raises(ValueError, match=r"must be as \(None, None, 3\) with numbers"):
            layer_costs(model, shape)


def test_counting_leaves_the_model_as_it_is():
    model = sequential((8, 8, 3), layers.Conv2D(4, 3, name="conv"), layers.Flatten())
    layer_costs(model)
    assert model.get_layer("conv").output.shape == (None, 6, 6, 4)
    assert model(np.zeros((1, 8, 8, 3))).shape == (1, 144)


def test_what_cannot_be_counted_is_named():
    attention = layers.MultiHeadAttention(2, 4, name="attention")
    x = keras.Input((5, 8))
    with pytest.raises(ValueError, match="attention is a MultiHeadAttention, which has weights"):
        layer_costs(keras.Model(x, attention(x, x)))
    with pytest.raises(ValueError, match="unbuilt has no graph of layers"):
        layer_costs(keras.Sequential([layers.Dense(3)], name="unbuilt"))

    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ValueError, match="own has no graph of layers"):
        layer_costs(Own(name="own"))


def residual(x):
    y = layers.Conv2D(1, 3, strides=2, padding="same", **ONES)(x)
    y = layers.Conv2D(1, 3, padding="same", **ONES)(y)
    return layers.Add()([layers.Conv2D(1, 1, strides=2, **ONES)(x), y])


def squeezed(x):
    gate = layers.Reshape((1, 1, 1))(layers.GlobalAveragePooling2D()(x))
    return layers.Multiply()([x, gate])


ONES = {"kernel_initializer": "ones", "use_bias": False}
STACKS = {
    "convolutions": [layers.Conv2D(1, 3, **ONES), layers.Conv2D(1, (5, 2), strides=2, **ONES)],
    "dilated": [layers.Conv2D(1, 3, dilation_rate=2, **ONES), layers.Conv2D(1, 3, **ONES)],
    "pooled": [
        layers.AveragePooling2D(3, 2), layers.Conv2D(1, 3, **ONES), layers.AveragePooling2D(2),
        layers.Conv2D(1, 3, **ONES),
    ],
    "separable": [
        layers.DepthwiseConv2D(3, strides=2, depthwise_initializer="ones"),
        layers.SeparableConv2D(
            1, 3, depthwise_initializer="ones", pointwise_initializer="ones"
        ),
    ],
    "own": [
        StochasticPooling2D(3, 2),
        LocallyConnected2D(2, 3, kernel_initializer="ones"),
        TiledConv2D(2, 3, 2, kernel_initializer="ones"),
        Maxout(2),
        LocalResponseNormalization(),
    ],
    "contrast": [LocalContrastNormalization(5, divisive=False), layers.AveragePooling2D(2)],
    "borders": [layers.ZeroPadding2D(2), layers.Conv2D(1, 3, **ONES), layers.Cropping2D(2)],
    "residual": [residual, residual],
    "gated": [layers.Conv2D(1, 3, **ONES), squeezed],
}  # fmt: skip


@pytest.mark.parametrize(
    ("net", "arguments", "depth"),
    [(VGG, {"configuration": "D"}, 16), (ResNet50, {}, 50), (CifarResNet, {"depth": 56}, 56),
     (LeNet5, {}, 5)],
)  # fmt: skip
def test_depth_is_what_the_papers_call_a_net_by(outline, net, arguments, depth):
    # LeNet-5 counts its two layers of subsampling, too.
    assert total_cost(layer_costs(outline(net, **arguments))).depth == depth


def test_depth_is_that_of_the_longest_way():
    image = keras.Input((8, 8, 4))
    short, long = layers.Conv2D(4, 1)(image), image
    for _ in range(3):
        long = layers.BatchNormalization()(layers.Conv2D(4, 1)(long))
    costs = layer_costs(keras.Model(image, layers.Add()([short, long])))
    assert {cost.name: cost.depth for cost in costs if cost.kind == "Add"}.popitem()[1] == 3
    assert costs[0].depth == 0 and min(cost.depth for cost in costs if cost.multiply_adds) == 1


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
def test_receptive_fields_are_where_the_gradients_are(stack):
    image = x = keras.Input((39, 33, 1))
    for layer in stack:
        x = layer(x)
    model = keras.Model(image, x)
    cost = layer_costs(model)[-1]
    picture = tf.constant(np.random.default_rng(0).uniform(1, 2, (1, 39, 33, 1)), "float32")
    row, column = model.output_shape[1] // 2 - 1, model.output_shape[2] // 2 - 1

    def seen(i, j):
        """First and last pixel that unit (i, j) depends on, down and across."""
        with tf.GradientTape() as tape:
            tape.watch(picture)
            unit = model(picture)[0, i, j, 0]
        there = np.argwhere(tape.gradient(unit, picture)[0, ..., 0])
        return there.min(axis=0), there.max(axis=0)

    first, last = seen(row, column)
    assert tuple(last - first + 1) == cost.receptive_field
    if cost.receptive_field < (39, 33):
        assert tuple(seen(row + 1, column + 1)[0] - first) == cost.stride


def test_an_unknown_view_of_the_picture_is_none_and_a_shortcut_hides_it():
    image = keras.Input((8, 8, 4))
    x = layers.Permute((3, 1, 2))(image)
    assert layer_costs(keras.Model(image, layers.Conv2D(2, 3)(x)))[-1].receptive_field is None
    x = layers.Conv2D(4, 3, strides=2, padding="same")(image)
    x = layers.Add()([x, image[:, ::2, ::2]])
    assert layer_costs(keras.Model(image, x))[-1].receptive_field == (3, 3)


def test_a_layer_of_no_fixed_shape_is_not_counted(outline):
    for network in (FasterRCNN, FastRCNN):
        with pytest.raises(ValueError, match="proposals has as many values as there happen to be"):
            layer_costs(outline(network, (64, 64, 3)))
