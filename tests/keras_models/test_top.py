"""What the nets end with, and the weights that they are given."""

from functools import partial

import keras
import numpy as np
import pytest

from keras_models.classification import (
    VGG,
    VGG16,
    VGG19,
    AlexNet,
    BNInception,
    CifarPlainNet,
    CifarResNet,
    GoogLeNet,
    Plain18,
    PReLUNet,
    ResNet18,
    ZFNet,
)

# As small as they can be built; side, the maps of the last layer, and their side.
NETS = {
    "alexnet": (partial(AlexNet, stem="cifar", width=0.25, units=8), 16, 64, 2),
    "zfnet": (partial(ZFNet, stem="cifar", width=0.25, units=8), 16, 64, 2),
    "vgg": (partial(VGG, "A", width=0.125, units=8), 64, 64, 2),
    "googlenet": (partial(GoogLeNet, stem="cifar", width=0.125), 16, 128, 4),
    "bn-inception": (partial(BNInception, stem="cifar", width=0.125), 16, 128, 4),
    "prelu-net": (partial(PReLUNet, stem="cifar", width=0.0625), 16, 16, 8),
    "plain": (Plain18, 64, 512, 2),
    "resnet": (ResNet18, 64, 512, 2),
    "cifar-resnet": (partial(CifarResNet, 8), 16, 64, 4),
    "cifar-plain": (partial(CifarPlainNet, 8), 16, 64, 4),
}
every_net = pytest.mark.parametrize("name", NETS)


@every_net
def test_without_its_top_a_net_gives_maps_or_pools_them(name):
    build, side, maps, last = NETS[name]
    keras.utils.set_random_seed(3)
    bare = build(input_shape=(side, side, 3), include_top=False)
    assert bare.output_shape[-1] == maps
    assert bare.output_shape[1] >= last
    x = np.random.default_rng(0).normal(size=(2, side, side, 3)).astype("float32")
    found = np.asarray(bare(x))
    every = (("avg", np.mean), ("max", np.max))
    for pooling, reduce in every if name == "cifar-plain" else every[:1]:
        pooled = build(input_shape=(side, side, 3), include_top=False, pooling=pooling)
        pooled.set_weights(bare.get_weights())
        np.testing.assert_allclose(pooled(x), reduce(found, axis=(1, 2)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["resnet", "cifar-resnet", "vgg"])
def test_without_its_top_a_net_takes_pictures_of_any_size(name):
    build, side, maps, last = NETS[name]
    bare = build(input_shape=(None, None, 3), include_top=False)
    assert bare.output_shape == (None, None, None, maps)
    assert bare(np.zeros((1, 2 * side, side, 3))).shape == (1, 2 * last, last, maps)
    with pytest.raises(ValueError, match="height, width, channels"):
        build(input_shape=(None, None, 3))


def test_vgg_has_the_parameters_of_keras_applications(outline):
    for ours, theirs in ((VGG16, keras.applications.VGG16), (VGG19, keras.applications.VGG19)):
        for top in (True, False):
            parameters = [
                outline(net, include_top=top, weights=None).count_params() for net in (ours, theirs)
            ]
            assert parameters[0] == parameters[1]
    assert outline(VGG16).name == "vgg16"


@pytest.mark.parametrize("name", ["alexnet", "cifar-resnet"])
def test_pooling_is_for_nets_without_their_top(name):
    build, side, *_ = NETS[name]
    with pytest.raises(ValueError, match="set include_top=False"):
        build(input_shape=(side, side, 3), pooling="avg")
    with pytest.raises(ValueError, match=r"\('avg', 'max'\), not 'mean'"):
        build(input_shape=(side, side, 3), include_top=False, pooling="mean")


SMALL = partial(CifarResNet, 8, (8, 8, 3))


def test_another_classifier_is_left_out_of_a_trained_net(tmp_path):
    trained = SMALL(classes=4)
    trained.save(tmp_path / "net.keras")
    trained.save_weights(tmp_path / "net.weights.h5")
    tuned = SMALL(classes=7, weights=tmp_path / "net.keras")
    bare = SMALL(include_top=False, weights=tmp_path / "net.keras")
    for net in (tuned, bare):
        for layer in net.layers:
            if layer.name != "logits":
                for ours, theirs in zip(
                    layer.get_weights(), trained.get_layer(layer.name).get_weights(), strict=True
                ):
                    np.testing.assert_array_equal(ours, theirs)
    assert tuned.get_layer("logits").kernel.shape == (64, 7)
    with pytest.raises(ValueError, match="does not fit cifar_resnet8; with other classes"):
        SMALL(classes=7, weights=tmp_path / "net.weights.h5")
    with pytest.raises(ValueError, match="cifar_resnet8 is not the net of cifar_resnet14: res2b"):
        CifarResNet(14, (8, 8, 3), classes=7, weights=tmp_path / "net.keras")


def test_the_near_match_of_wrong_weights_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"no file 'imagnet'\. Did you mean 'imagenet'"):
        SMALL(weights="imagnet")
    SMALL(classes=4).save(tmp_path / "photos.keras")
    with pytest.raises(ValueError, match=r"Did you mean '.*photos\.keras'"):
        SMALL(weights=str(tmp_path / "photo.keras"))
    with pytest.raises(ValueError, match=r"None, \"imagenet\" or the path .*'nothing'\.$"):
        SMALL(weights="nothing")
