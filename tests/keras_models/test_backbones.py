"""The backbone function of every family: the maps of its nets by the names of their layers."""

import importlib
import inspect

import keras
import numpy as np
import pytest

from keras_models import classification

# Small nets of every backbone function.
NETS = {
    "alexnet_backbone": ("AlexNet", {"input_shape": (36, 36, 3), "units": 2, "width": 0.1}),
    "bn_inception_backbone": ("BNInception", {"input_shape": (32, 32, 3), "width": 0.05}),
    "cifar_resnet_backbone": ("CifarResNet", {"depth": 8, "input_shape": (8, 8, 3)}),
    "ciresan_backbone": ("Ciresan", {"architecture": "1x14x14-4C3-MP2-6C2-MP2-12N-5N"}),
    "dropconnect_cifar10_backbone": ("DropConnectCIFAR10", {"input_shape": (8, 8, 3)}),
    "dropconnect_mnist_backbone": ("DropConnectMNIST", {"input_shape": (16, 16, 1)}),
    "googlenet_backbone": (
        "GoogLeNet",
        {"input_shape": (32, 32, 3), "auxiliary": False, "width": 0.05},
    ),
    "highway_cifar_backbone": ("HighwayCIFAR", {"input_shape": (8, 8, 3)}),
    "highway_mnist_backbone": ("HighwayMNIST", {"input_shape": (8, 8, 1), "filters": 2}),
    "lenet1_backbone": ("LeNet1", {}),
    "lenet5_backbone": ("LeNet5", {"input_shape": (16, 16, 1)}),
    "lenet5_relu_backbone": ("LeNet5ReLU", {"input_shape": (16, 16, 1)}),
    "prelu_net_backbone": ("PReLUNet", {"input_shape": (32, 32, 3), "width": 0.03}),
    "resnet_backbone": ("ResNet18", {"input_shape": (32, 32, 3), "shortcut": "A"}),
    "stochastic_pooling_net_backbone": (
        "StochasticPoolingNet",
        {"input_shape": (8, 8, 3), "maps": (3, 4, 5)},
    ),
    "vgg_backbone": (
        "VGG",
        {"configuration": "A-LRN", "input_shape": (32, 32, 3), "width": 0.05, "units": 2},
    ),
    "zfnet_backbone": ("ZFNet", {"input_shape": (44, 44, 3), "units": 2, "width": 0.05}),
}
# What the name of a net says and an argument of its backbone.
SAID = {"ResNet18": {"depth": 18}}
# Keras' own nets, and what is no net.
WITHOUT = {"applications", "published"}


def backbones() -> dict:
    """The backbone functions of the modules of the nets, by name."""
    modules = {getattr(classification, name).__module__ for name in classification.__all__}
    found = {}
    for module in modules:
        own = {
            name: value
            for name, value in vars(importlib.import_module(module)).items()
            if name.endswith("_backbone") and value.__module__ == module
        }
        assert own or module.rpartition(".")[2] in WITHOUT, f"{module} has no backbone function"
        found |= own
    return found


BACKBONES = backbones()


def test_every_backbone_is_tried():
    assert set(BACKBONES) == set(NETS)


@pytest.mark.parametrize("name", NETS)
def test_its_maps_are_those_of_the_net(name):
    backbone, (net_name, arguments) = BACKBONES[name], NETS[name]
    net = getattr(classification, net_name)(classes=5, **arguments)
    image = keras.Input(net.input_shape[1:])
    known = inspect.signature(backbone).parameters
    given = {key: value for key, value in arguments.items() if key in known}
    maps = backbone(image, **given, **SAID.get(net_name, {}))
    assert all(len(each.shape) == 4 for each in maps.values())

    alone = keras.Model(image, maps)
    # All layers with weights and maps are among them, and nothing of the classifier.
    weighted = [each.name for each in net.layers if each.weights and len(each.output.shape) == 4]
    assert [layer.name for layer in alone.layers if layer.weights] == weighted
    for layer in alone.layers:
        if layer.weights:
            layer.set_weights(net.get_layer(layer.name).get_weights())
    x = np.random.default_rng(1).normal(size=(2, *net.input_shape[1:])).astype("float32")
    taps = keras.Model(net.input, {each: net.get_layer(each).output for each in maps})
    for found, expected in zip(
        keras.tree.flatten(alone(x)), keras.tree.flatten(taps(x)), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    if "include_top" in inspect.signature(getattr(classification, net_name)).parameters:
        topless = getattr(classification, net_name)(classes=5, include_top=False, **arguments)
        assert topless.layers[-1].name == [*maps][-1]
        assert topless.output.shape == [*maps.values()][-1].shape
