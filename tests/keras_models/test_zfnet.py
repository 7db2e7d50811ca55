"""Zeiler and Fergus' net against Figure 3 and Table 3 of the paper."""

import keras
import numpy as np
import pytest

from keras_models.classification import ZFNet


def test_maps_are_those_of_figure_3(outline):
    net = outline(ZFNet)
    shapes = {layer.name: layer.output.shape[1:] for layer in net.layers}
    published = {
        "conv1": (110, 110, 96),
        "pool1": (55, 55, 96),
        "conv2": (26, 26, 256),
        "pool2": (13, 13, 256),
        "conv3": (13, 13, 384),
        "conv4": (13, 13, 384),
        "conv5": (13, 13, 256),
        "pool5": (6, 6, 256),
        "fc6": (4096,),
        "fc7": (4096,),
        "logits": (1000,),
    }
    assert {name: shapes[name] for name in published} == published
    conv1, conv2 = net.get_layer("conv1"), net.get_layer("conv2")
    assert (conv1.kernel_size, conv1.strides) == ((7, 7), (2, 2))
    assert (conv2.kernel_size, conv2.strides) == ((5, 5), (2, 2))
    order = [layer.name for layer in net.layers]
    assert order.index("pool1") < order.index("norm1") < order.index("conv2")
    # AlexNet's count without towers and with 7 x 7 windows instead of 11 x 11.
    assert net.count_params() == 62_357_608


@pytest.mark.parametrize(
    ("arguments", "changed"),
    [
        ({"units": 2048}, {"fc6": (2048,), "fc7": (2048,)}),
        ({"units": 8192}, {"fc6": (8192,), "fc7": (8192,)}),
        (
            {"maps": (512, 1024, 512)},
            {"conv3": (13, 13, 512), "conv4": (13, 13, 1024), "conv5": (13, 13, 512)},
        ),
    ],
)
def test_adjustments_of_table_3(outline, arguments, changed):
    net = outline(ZFNet, **arguments)
    assert {name: net.get_layer(name).output.shape[1:] for name in changed} == changed


def test_weights_start_as_published():
    net = ZFNet((44, 44, 3), units=512)
    for layer in net.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            np.testing.assert_allclose(kernel.std(), 0.01, rtol=0.03)
            assert not bias.any()


def test_filters_are_kept_within_a_root_mean_square_of_a_tenth():
    net = ZFNet((44, 44, 3), classes=3, units=8, maps=(8, 8, 8))
    conv1 = net.get_layer("conv1")
    kernel = np.full((7, 7, 3, 96), 0.05, "float32")
    kernel[..., 1] = np.random.default_rng(0).normal(0, 3, (7, 7, 3))
    conv1.kernel.assign(kernel)
    net.compile(
        keras.optimizers.SGD(0.0), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    net.train_on_batch(np.ones((1, 44, 44, 3), "float32"), np.zeros(1))
    after = np.asarray(conv1.kernel)
    np.testing.assert_allclose(after[..., 0], 0.05, rtol=1e-5)
    np.testing.assert_allclose(np.sqrt((after[..., 1] ** 2).mean()), 0.1, rtol=1e-4)
    np.testing.assert_allclose(
        after[..., 1] / after[0, 0, 0, 1], kernel[..., 1] / kernel[0, 0, 0, 1], rtol=1e-3
    )


def test_the_stem_for_small_pictures_keeps_them():
    net = ZFNet((32, 32, 3), classes=10, stem="cifar", units=64)
    sides = [net.get_layer(name).output.shape[1] for name in ("conv1", "conv2", "conv3", "pool5")]
    assert sides == [32, 16, 8, 4]


def test_width_scales_the_maps():
    net = ZFNet((44, 44, 3), units=8, maps=(512, 1024, 512), width=0.25)
    maps = [net.get_layer(f"conv{number}").filters for number in range(1, 6)]
    assert maps == [24, 64, 128, 256, 128]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"maps": (384, 256)}, "conv3, conv4 and conv5"),
        ({"stem": "small"}, r"\('imagenet', 'cifar'\), not 'small'"),
        ({"width": -1.0}, "width must be positive, not -1.0"),
        ({"input_shape": (43, 50, 3)}, "at least 44, not 43 x 50"),
        ({"input_shape": (7, 40, 3), "stem": "cifar"}, "at least 8, not 7 x 40"),
    ],
)
def test_wrong_arguments_are_refused_and_told(arguments, message):
    with pytest.raises(ValueError, match=message):
        ZFNet(**arguments)
