"""OverFeat's nets against Tables 1, 3, 4 and 5 of the paper, and offset pooling against windows."""

from math import prod

import keras
import numpy as np
import pytest

from keras_models.analysis.cost import layer_costs, total_cost
from keras_models.classification import OverFeat
from keras_models.classification.fully_convolutional import fully_convolutional
from keras_models.layers import OffsetMaxPooling2D

FAST = {
    "conv1": (56, 56, 96),
    # The paper prints the side of layer 2's outputs before the pooling, 24, as that of its input.
    "pool1": (28, 28, 96),
    "conv2": (24, 24, 256),
    "pool2": (12, 12, 256),
    "conv3": (12, 12, 512),
    "conv4": (12, 12, 1024),
    "conv5": (12, 12, 1024),
    "pool5": (6, 6, 1024),
    "fc6": (3072,),
    "fc7": (4096,),
    "logits": (1000,),
}
ACCURATE = {
    "pool1": (36, 36, 96),
    "pool2": (15, 15, 256),
    "conv3": (15, 15, 512),
    "conv4": (15, 15, 512),
    "conv5": (15, 15, 1024),
    "conv6": (15, 15, 1024),
    "pool6": (5, 5, 1024),
    "fc7": (4096,),
    "fc8": (4096,),
    "logits": (1000,),
}


@pytest.mark.parametrize(
    ("variant", "side", "published", "parameters"),
    [("fast", 231, FAST, 145_920_872), ("accurate", 221, ACCURATE, 144_656_488)],
)
def test_layers_are_those_of_tables_1_and_3(outline, variant, side, published, parameters):
    net = outline(OverFeat, (side, side, 3), variant=variant)
    assert {name: net.get_layer(name).output.shape[1:] for name in published} == published
    assert net.count_params() == parameters


@pytest.mark.parametrize(
    ("variant", "side", "millions"), [("fast", 231, 2_810), ("accurate", 221, 5_369)]
)
def test_connections_are_those_of_table_4(outline, variant, side, millions):
    net = outline(OverFeat, (side, side, 3), variant=variant)
    assert total_cost(layer_costs(net)).connections == pytest.approx(millions * 1e6, rel=0.005)


def test_weights_start_as_published():
    net = OverFeat((71, 71, 3), width=0.25, units=256)
    for layer in net.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            np.testing.assert_allclose(kernel.std(), 0.01, rtol=0.03)
            assert not bias.any()


def lively(net: keras.Model) -> keras.Model:
    """The net, with weights that let much of the picture through."""
    rng = np.random.default_rng(5)
    for weight in net.trainable_weights:
        fan_in = prod(weight.shape[:-1]) if len(weight.shape) > 1 else 100
        weight.assign(rng.normal(0, (2 / fan_in) ** 0.5, weight.shape))
    return net


def logits_everywhere(net: keras.Model) -> keras.Model:
    """The fully convolutional net up to the maps of logits."""
    anywhere = fully_convolutional(net)
    return keras.Model(anywhere.input, anywhere.get_layer("logits").output)


# Sides that the windows of these nets without zeros fill.
@pytest.mark.parametrize(("variant", "side", "stride"), [("fast", 199, 16), ("accurate", 209, 12)])
def test_at_every_offset_it_is_the_net_on_every_window(variant, side, stride):
    """Zeros around windows are not those around pictures: the convolutions go without here."""
    net = lively(unpadded(OverFeat((side, side, 3), 5, variant, units=8, width=0.05)))
    picture = np.random.default_rng(0).normal(size=(1, side + 3 * stride + 5, side + stride, 3))
    maps = np.asarray(logits_everywhere(net)(picture))
    assert maps.shape == (1, 4, 2, 5)
    windows = np.concatenate(
        [
            picture[:, top : top + side, left : left + side]
            for top in range(0, 4 * stride, stride)
            for left in (0, stride)
        ]
    )
    expected = np.asarray(net(windows)).reshape(1, 4, 2, 5)
    assert np.ptp(expected, axis=(0, 1, 2)).min() > 1e-2
    np.testing.assert_allclose(maps, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        fully_convolutional(net)(picture), expected.max(axis=(1, 2)), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(("variant", "side", "seen"), [("fast", 135, 6), ("accurate", 113, 6)])
def test_the_classifier_slides_over_the_maps_of_the_whole_picture(variant, side, seen):
    """With zeros around pictures: each window of the last maps, pooled and classified alone."""
    net = lively(OverFeat((side, side, 3), 5, variant, units=8, width=0.05))
    pool = next(layer for layer in net.layers if isinstance(layer, OffsetMaxPooling2D))
    picture = np.random.default_rng(0).normal(size=(1, side + 40, side + 24, 3))
    anywhere = fully_convolutional(net)
    maps = keras.Model(anywhere.input, anywhere.get_layer(pool.name).input)(picture)
    classify = keras.Sequential([keras.Input(pool.output.shape[1:]), *net.layers[-6:]])
    assert pool.output.shape[1] * pool.pool_size[0] == seen
    logits = np.asarray(logits_everywhere(net)(picture))
    for row, column in np.ndindex(*logits.shape[1:3]):
        window = maps[:, row : row + seen, column : column + seen]
        np.testing.assert_allclose(
            logits[:, row, column], classify(pool(window)), rtol=1e-5, atol=1e-5
        )


def unpadded(net: keras.Model) -> keras.Model:
    """The net without zeros around its convolutions."""

    def bare(layer):
        config = layer.get_config()
        if isinstance(layer, keras.layers.Conv2D):
            config["padding"] = "valid"
        return type(layer).from_config(config)

    return keras.models.clone_model(net, clone_function=bare)


# Table 5; the paper prints a width of 35 before and of 24 after the classifier at scale 5, which
# cannot both be.
@pytest.mark.parametrize(
    ("sides", "before", "after"),
    [
        ((245, 245), (17, 17), (3, 3)),
        ((281, 317), (20, 23), (6, 9)),
        ((317, 389), (23, 29), (9, 15)),
        ((389, 461), (29, 35), (15, 21)),
        ((425, 497), (32, 38), (18, 24)),
        ((461, 569), (35, 44), (21, 30)),
    ],
)
def test_maps_are_those_of_table_5(outline, sides, before, after):
    def build():
        net = OverFeat((221, 221, 3), variant="accurate")
        anywhere = fully_convolutional(net)
        outputs = [anywhere.get_layer("pool6").input, anywhere.get_layer("logits").output]
        return keras.Model(anywhere.input, outputs)

    maps, logits = outline(build).compute_output_shape((None, *sides, 3))
    assert (maps[1:3], logits[1:3]) == (before, after)


def test_it_is_saved_and_compiled_with_every_offset(tmp_path):
    net = lively(OverFeat((8, 8, 3), 5, stem="cifar", units=8, width=0.05))
    anywhere = fully_convolutional(net)
    picture = np.random.default_rng(0).normal(size=(2, 13, 11, 3)).astype("float32")
    anywhere.save(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras")
    np.testing.assert_allclose(again(picture), anywhere(picture), rtol=1e-6)
    np.testing.assert_allclose(net(picture[:, :8, :8]), anywhere(picture[:, :8, :8]), rtol=1e-5)
    again.compile(jit_compile=True)
    np.testing.assert_allclose(
        again.predict(picture, verbose=0), anywhere(picture), rtol=1e-4, atol=1e-5
    )


def test_the_stem_for_small_pictures_keeps_them():
    net = OverFeat((32, 32, 3), 10, "accurate", stem="cifar", units=16, width=0.1)
    sides = [net.get_layer(name).output.shape[1] for name in ("conv1", "conv2", "conv3", "pool6")]
    assert sides == [32, 16, 8, 4]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variant": "small"}, r"\('fast', 'accurate'\), not 'small'"),
        ({"stem": "small"}, r"\('imagenet', 'cifar'\), not 'small'"),
        ({"width": 0.0}, r"width must be positive, not 0.0"),
        ({"input_shape": (70, 90, 3)}, "at least 71, not 70 x 90"),
        ({"input_shape": (90, 76, 3), "variant": "accurate"}, "at least 77, not 90 x 76"),
        ({"input_shape": (7, 40, 3), "stem": "cifar"}, "at least 8, not 7 x 40"),
    ],
)
def test_wrong_arguments_are_refused_and_told(arguments, message):
    with pytest.raises(ValueError, match=message):
        OverFeat(**arguments)
