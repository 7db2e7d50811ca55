"""The VGG nets against Tables 1 and 2 of the paper."""

from math import prod

import numpy as np
import pytest

from keras_models.analysis import layer_costs, total_cost
from keras_models.classification import VGG
from keras_models.classification.vgg import CONFIGURATIONS, start_from_net_a

PARAMETERS = {
    "A": 132_863_336,
    "A-LRN": 132_863_336,
    "B": 133_047_848,
    "B-5x5": 134_503_528,
    "C": 133_638_952,
    "D": 138_357_544,
    "E": 143_667_240,
}
LAYERS_WITH_WEIGHTS = {"A": 11, "A-LRN": 11, "B": 13, "B-5x5": 8, "C": 16, "D": 16, "E": 19}
# Table 1, a column a net: windows and maps of the convolutions, M for the poolings. B-5x5 is of
# section 4.1 and has no column.
TABLE_1 = {
    "A": "3-64 M 3-128 M 3-256 3-256 M 3-512 3-512 M 3-512 3-512 M",
    "A-LRN": "3-64 LRN M 3-128 M 3-256 3-256 M 3-512 3-512 M 3-512 3-512 M",
    "B": "3-64 3-64 M 3-128 3-128 M 3-256 3-256 M 3-512 3-512 M 3-512 3-512 M",
    "B-5x5": "5-64 M 5-128 M 5-256 M 5-512 M 5-512 M",
    "C": "3-64 3-64 M 3-128 3-128 M 3-256 3-256 1-256 M 3-512 3-512 1-512 M 3-512 3-512 1-512 M",
    "D": "3-64 3-64 M 3-128 3-128 M 3-256 3-256 3-256 M 3-512 3-512 3-512 M 3-512 3-512 3-512 M",
    "E": (
        "3-64 3-64 M 3-128 3-128 M 3-256 3-256 3-256 3-256 M "
        "3-512 3-512 3-512 3-512 M 3-512 3-512 3-512 3-512 M"
    ),
}
every_net = pytest.mark.parametrize("configuration", CONFIGURATIONS)


def row(layer):
    """A layer as Table 1 writes it, or None for those that it leaves out."""
    kind = type(layer).__name__
    if kind == "Conv2D":
        return f"{layer.kernel_size[0]}-{layer.filters}"
    return {"MaxPooling2D": "M", "LocalResponseNormalization": "LRN"}.get(kind)


@every_net
def test_it_is_the_column_of_table_1_with_the_exact_parameters(outline, configuration):
    net = outline(VGG, configuration)
    assert net.name == f"vgg_{configuration.lower()}"
    assert " ".join(filter(None, map(row, net.layers))) == TABLE_1[configuration]
    assert net.count_params() == PARAMETERS[configuration]
    weighted = [layer for layer in net.layers if layer.weights]
    assert len(weighted) == LAYERS_WITH_WEIGHTS[configuration]
    assert [net.get_layer(f"pool{stage}").output.shape[1:] for stage in range(1, 6)] == [
        (112, 112, 64), (56, 56, 128), (28, 28, 256), (14, 14, 512), (7, 7, 512),
    ]  # fmt: skip
    assert [layer.name for layer in weighted[-3:]] == ["fc6", "fc7", "logits"]
    assert net.get_layer("drop6").rate == net.get_layer("drop7").rate == 0.5


def test_the_shallow_net_sees_as_many_pixels_as_b(outline):
    """Section 2.3: two convolutions of 3 x 3 have the receptive field of one of 5 x 5."""
    costs = [total_cost(layer_costs(outline(VGG, name))) for name in ("B", "B-5x5")]
    assert costs[0].receptive_field == costs[1].receptive_field
    assert [cost.depth for cost in costs] == [13, 8]


def test_e_takes_19_6_billion_multiply_adds(outline):
    net = outline(VGG, "E")
    multiply_adds = sum(
        prod(layer.kernel.shape) * prod(layer.output.shape[1:-1])
        for layer in net.layers
        if layer.weights
    )
    assert round(multiply_adds / 1e9, 1) == 19.6


def test_convolutions_are_named_by_their_stage():
    names = [layer.name for layer in VGG("C", (32, 32, 3), units=8).layers]
    assert names[1:4] == ["conv1_1", "conv1_2", "pool1"]
    assert {"conv3_3", "conv4_3", "conv5_3"} < set(names)


def test_weights_start_as_published():
    normal, glorot = (
        VGG("A", (32, 32, 3), units=64, initialization=name) for name in ("normal", "glorot")
    )
    for layer in normal.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            # Variance 10^-2.
            np.testing.assert_allclose(kernel.std(), 0.1, rtol=0.05)
            assert not bias.any()
            kernel, bias = glorot.get_layer(layer.name).get_weights()
            window = prod(kernel.shape[:-2])
            limit = np.sqrt(6 / (window * (kernel.shape[-2] + kernel.shape[-1])))
            assert 0.98 * limit < np.abs(kernel).max() < 1.0001 * limit
            assert not bias.any()


def test_width_scales_the_maps_and_leaves_the_units():
    net = VGG("B", (32, 32, 3), units=8, width=0.125)
    maps = [layer.filters for layer in net.layers if hasattr(layer, "filters")]
    assert maps == [8, 8, 16, 16, 32, 32, 64, 64, 64, 64]
    assert net.get_layer("fc6").units == net.get_layer("fc7").units == 8


@pytest.mark.parametrize("configuration", ["B", "E"])
def test_deeper_nets_start_from_net_a(configuration):
    net_a = VGG("A", (32, 32, 3), classes=7, units=16)
    net = VGG(configuration, (32, 32, 3), classes=7, units=16)
    before = {layer.name: layer.get_weights() for layer in net.layers if layer.weights}
    assert start_from_net_a(net, net_a) is net
    taken = ["conv1_1", "conv2_1", "conv3_1", "conv3_2", "fc6", "fc7", "logits"]
    for name, weights in before.items():
        source = net_a.get_layer(name).get_weights() if name in taken else weights
        np.testing.assert_array_equal(net.get_layer(name).get_weights()[0], source[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"configuration": "F"}, r"\('A', 'B', 'C', 'D', 'E', 'A-LRN', 'B-5x5'\), not 'F'"),
        ({"initialization": "lecun"}, r"\('normal', 'glorot', 'he'\), not 'lecun'"),
        ({"width": 0.0}, "width must be positive, not 0.0"),
        ({"input_shape": (31, 40, 3)}, "at least 32, not 31 x 40"),
        ({"configuration": "B", "weights": "imagenet"}, "no ImageNet weights of vgg_b"),
        ({"width": 0.25, "units": 8, "weights": "imagenet"}, "has 16 maps in conv1_1, not 64"),
        ({"input_shape": (32, 32, 1), "units": 8, "weights": "imagenet"}, "is for 1 channels"),
    ],
)
def test_wrong_arguments_are_refused_and_told(arguments, message):
    with pytest.raises(ValueError, match=message):
        VGG(**{"input_shape": (32, 32, 3)} | arguments)
