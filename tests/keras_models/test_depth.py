"""The depth nets against the sizes and numbers of maps of the papers' figures."""

from functools import partial
from math import prod

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_models.classification import VGG, AlexNet
from keras_models.classification.imagenet_weights import vgg_convolutions_from_applications
from keras_models.classification.top import start_from
from keras_models.depth import CoarseFineDepth, MultiScaleDepth
from keras_models.depth.scales import answer_pixels, layers_of_scales, train_scales
from keras_models.losses import LogDepthLoss

# Pictures of 60 x 80 and narrow layers.
SMALL = {"input_shape": (60, 80, 3), "width": 0.125, "units": 16, "feature_scale": 1.0}
NETS = {
    "coarse": partial(CoarseFineDepth, fine=False),
    "coarse-fine-vgg": partial(CoarseFineDepth, backbone="vgg"),
    "scales-1-2": partial(MultiScaleDepth, scales=2),
    "vgg-drawing": partial(MultiScaleDepth, backbone="vgg", channels="drawing"),
    "normals-crop": partial(MultiScaleDepth, normals=True, crop=(13, 18)),
}
every_net = pytest.mark.parametrize("build", NETS.values(), ids=NETS)


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(7)


def small(build, **arguments):
    return build(**SMALL | arguments)


def pictures(number=2, sides=(60, 80)):
    return np.random.default_rng(3).normal(0, 50, (number, *sides, 3)).astype("float32")


def listed(answers):
    """The answers of a net of one or several, in a list."""
    return list(answers.values()) if isinstance(answers, dict) else [answers]


def truth(net, number=2):
    """Depths from 1 to 4 metres, and unit normals, for the answers of a net."""
    rng = np.random.default_rng(5)
    depth = rng.uniform(1, 4, (number, *listed(net.output)[0].shape[1:])).astype("float32")
    if not isinstance(net.output, dict):
        return depth
    normals = rng.normal(size=(*depth.shape[:3], 3))
    return {"depth": depth, "normals": normals / np.linalg.norm(normals, axis=-1, keepdims=True)}


def losses(net):
    if not isinstance(net.output, dict):
        return LogDepthLoss()
    return {"depth": LogDepthLoss(), "normals": MaskedSquares()}


@keras.saving.register_keras_serializable(package="tests")
class MaskedSquares(keras.losses.Loss):
    """Squared errors where the target is a number."""

    def call(self, y_true, y_pred):
        known = tf.math.is_finite(y_true)
        return tf.where(known, tf.where(known, y_true, 0.0) - y_pred, 0.0) ** 2


def convolution(window, inputs, maps, groups=1):
    return window * window * inputs // groups * maps + maps


ALEXNET = sum(
    convolution(*layer)
    for layer in ((11, 3, 96), (5, 96, 256, 2), (3, 256, 384), (3, 384, 384, 2), (3, 384, 256, 2))
)
VGG_D = sum(
    convolution(3, inputs, maps)
    for inputs, maps in zip(
        (3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512),
        (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512),
        strict=True,
    )
)


def counts(net):
    """Parameters of each scale."""
    return {
        scale: sum(layer.count_params() for layer in layers)
        for scale, layers in layers_of_scales(net).items()
    }


def sizes(net, *names):
    return [net.get_layer(name).output.shape[1:] for name in names]


def test_coarse_and_fine_net_of_2014_have_the_published_maps_and_windows(outline):
    net = outline(CoarseFineDepth)
    assert net.output_shape == (None, 55, 74, 1) and net.name == "coarse_fine_depth"
    assert sizes(net, "pool1", "pool2", "conv3", "conv4", "pool5") == [
        (27, 37, 96), (13, 18, 256), (13, 18, 384), (13, 18, 384), (6, 8, 256),
    ]  # fmt: skip
    assert sizes(net, "scale1_fc1", "scale1_depth", "scale2_pool1", "scale2_join") == [
        (4096,), (55, 74, 1), (55, 74, 63), (55, 74, 64),
    ]  # fmt: skip
    coarse = ALEXNET + 6 * 8 * 256 * 4096 + 4096 + 4096 * 55 * 74 + 55 * 74
    fine = convolution(9, 3, 63) + convolution(5, 64, 64) + convolution(5, 64, 1)
    assert counts(net) == {1: coarse, 2: fine}
    assert (coarse, coarse + fine) == (69_344_614, 69_464_051)
    alone = outline(CoarseFineDepth, fine=False)
    assert (alone.output_shape, counts(alone)) == ((None, 55, 74, 1), {1: coarse})


TABLE = {
    2: convolution(9, 3, 96) + convolution(5, 160, 64) + 2 * convolution(5, 64, 64),
    3: convolution(9, 3, 96) + convolution(5, 97, 64) + convolution(5, 64, 64),
}
DRAWING = {
    2: convolution(9, 3, 64) + convolution(5, 128, 64) + convolution(5, 64, 64),
    3: convolution(9, 3, 63) + 2 * convolution(5, 64, 64),
}


@pytest.mark.parametrize(
    ("channels", "published", "joined"),
    [("table", TABLE, (160, 97)), ("drawing", DRAWING, (128, 64))],
)
@pytest.mark.parametrize(
    ("backbone", "features", "coarsest"),
    [("alexnet", ALEXNET, (6, 8, 256)), ("vgg", VGG_D, (7, 9, 512))],
)
def test_the_net_of_2015_has_the_published_maps(
    outline, channels, published, joined, backbone, features, coarsest
):
    net = outline(MultiScaleDepth, backbone=backbone, channels=channels)
    assert net.output_shape == (None, 109, 147, 1)
    assert sizes(net, "pool5", "scale1_fc1", "scale1_maps", "scale1_cut") == [
        coarsest, (4096,), (14, 19, 64), (55, 74, 64),
    ]  # fmt: skip
    assert sizes(net, "scale2_join", "scale2_depth", "scale3_join", "scale3_depth") == [
        (55, 74, joined[0]), (55, 74, 1), (109, 147, joined[1]), (109, 147, 1),
    ]  # fmt: skip
    answer = convolution(5, 64, 1)
    scale1 = features + prod(coarsest) * 4096 + 4096 + (4096 + 1) * 14 * 19 * 64
    assert counts(net) == {1: scale1, 2: published[2] + answer, 3: published[3] + answer}
    two = outline(MultiScaleDepth, scales=2, backbone=backbone, channels=channels)
    assert two.output_shape == (None, 55, 74, 1)
    assert counts(two) == {1: scale1, 2: published[2] + answer}


def test_the_stages_of_vgg_have_the_published_sizes(outline):
    net = outline(MultiScaleDepth, backbone="vgg")
    assert sizes(net, *(f"pool{stage}" for stage in range(1, 6))) == [
        (112, 150, 64), (56, 75, 128), (28, 37, 256), (14, 18, 512), (7, 9, 512),
    ]  # fmt: skip
    assert net.count_params() == 217_355_458
    assert outline(MultiScaleDepth).count_params() == 123_185_922


def test_depth_and_normals_share_scale_1_and_the_first_convolutions(outline):
    net = outline(MultiScaleDepth, normals=True)
    assert {name: x.shape for name, x in net.output.items()} == {
        "depth": (None, 109, 147, 1),
        "normals": (None, 109, 147, 3),
    }
    alone = counts(outline(MultiScaleDepth))
    both = counts(net)
    stack = convolution(5, 160, 64) + 2 * convolution(5, 64, 64)
    assert both[1] == alone[1]
    assert both[2] == alone[2] + stack + convolution(5, 64, 3)
    stack = convolution(5, 100, 64) + convolution(5, 64, 64)
    assert both[3] == convolution(9, 3, 96) + 2 * stack + convolution(5, 64, 4)
    assert net.count_params() == 123_923_848


def test_the_answers_are_where_the_authors_code_has_them():
    """The centres of what is seen: rows 5 to 221 and columns 5 to 297 of crops of 228 x 304."""
    image = np.arange(228 * 304).reshape(228, 304)
    rows, columns = answer_pixels((109, 147), 2)
    assert image[rows, columns].shape == (109, 147)
    assert (image[rows, columns][0, 0], image[rows, columns][-1, -1]) == (5 * 305, 221 * 304 + 297)
    rows, columns = answer_pixels((55, 74), 4)
    assert (image[rows, columns].shape, image[rows, columns][-1, -1]) == ((55, 74), 221 * 304 + 297)


@pytest.mark.parametrize(("layer", "step"), [("scale2_pool1", 4), ("scale3_pool1", 2)])
def test_an_answer_sees_the_pixels_around_its_own(layer, step):
    net = small(MultiScaleDepth)
    x = keras.ops.convert_to_tensor(pictures(1))
    features = keras.Model(net.input, net.get_layer(layer).output)
    with tf.GradientTape() as tape:
        tape.watch(x)
        maps = features(x)
        seen = maps[0, 4, 6]
    found = np.nonzero(tape.gradient(seen, x).numpy()[0].any(-1))
    pixels = answer_pixels(maps.shape[1:3], step)
    # 9 x 9 windows 2 apart, of which the largest of 3 x 3 is seen.
    for places, along, index in zip(found, pixels, (4, 6), strict=True):
        centre = along.start + index * along.step
        assert (centre - places.min(), places.max() - centre) == (6, 6)


@every_net
def test_it_answers_in_float32_and_learns(build):
    net, x = small(build, name="other"), pictures()
    assert net.name == "other"
    outputs = listed(net(x))
    assert [y.shape for y in outputs] == [(2, *y.shape[1:]) for y in listed(net.output)]
    assert all(y.dtype == tf.float32 and np.isfinite(y).all() for y in outputs)
    assert np.ptp(outputs[0], axis=0).min() > 0
    net.compile(keras.optimizers.Adam(1e-3), losses(net), run_eagerly=True)
    history = net.fit(x, truth(net), epochs=6, verbose=0).history["loss"]
    assert np.isfinite(history).all() and history[-1] < history[0]


def test_normals_have_length_1():
    normals = small(MultiScaleDepth, normals=True)(pictures())["normals"]
    np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1, rtol=1e-5)


@every_net
def test_every_weight_has_a_gradient(build):
    net, x = small(build, width=0.5), pictures(4)
    with tf.GradientTape() as tape:
        # Without training: a random half of the units is left out there, and a crop is not all.
        answers = [tf.reduce_sum(y * tf.random.normal(y.shape)) for y in listed(net(x))]
        total = tf.add_n(answers)
    variables = net.trainable_variables
    gradients = tape.gradient(total, [variable.value for variable in variables])
    for variable, gradient in zip(variables, gradients, strict=True):
        assert np.isfinite(gradient).all() and np.any(gradient), variable.path


@pytest.mark.parametrize(
    ("name", "policy"), [("scales-1-2", "mixed_float16"), ("normals-crop", "mixed_bfloat16")]
)
def test_mixed_precision_trains(name, policy):
    keras.config.set_dtype_policy(policy)
    try:
        net = small(NETS[name])
    finally:
        keras.config.set_dtype_policy("float32")
    assert net.get_layer("scale2_conv1").compute_dtype == policy.removeprefix("mixed_")
    assert {variable.dtype for variable in net.trainable_variables} == {"float32"}
    assert {y.dtype for y in listed(net(pictures()))} == {tf.float32}
    before = net.get_layer("scale2_conv1").get_weights()[0]
    # Scale 1's enlargement is in float32 because of XLA, which compiles one net alone: it takes its
    # time.
    compiled = policy == "mixed_float16"
    net.compile(
        keras.optimizers.SGD(1e-4), losses(net), jit_compile=compiled, run_eagerly=not compiled
    )
    # The first steps of float16 are those that find the scale of the loss.
    epochs = 10 if compiled else 2
    history = net.fit(pictures(), truth(net), epochs=epochs, verbose=0).history["loss"]
    assert np.isfinite(history).all()
    assert np.any(net.get_layer("scale2_conv1").get_weights()[0] != before)


@pytest.mark.parametrize("name", ["coarse-fine-vgg", "normals-crop"])
def test_saved_reloaded_and_given_its_weights(name, tmp_path):
    build, x = NETS[name], pictures()
    net = small(build)
    expected = listed(net(x))
    net.save(tmp_path / "net.keras")
    net.save_weights(tmp_path / "net.weights.h5")
    again = keras.models.load_model(tmp_path / "net.keras")
    assert type(again) is type(net)
    for same in (again, small(build, weights=tmp_path / "net.weights.h5")):
        for found, wanted in zip(listed(same(x)), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("train", [(3,), (1, 2)])
def test_scales_are_trained_and_fixed(train):
    net = small(MultiScaleDepth, train=train)
    scales = layers_of_scales(net)
    before = {layer.name: layer.get_weights() for layer in net.layers if layer.weights}
    net.compile(keras.optimizers.Adam(1e-3), LogDepthLoss(), run_eagerly=True)
    net.fit(pictures(), truth(net), epochs=2, verbose=0)
    for scale, members in scales.items():
        for layer in members:
            if layer.weights:
                moved = np.any(layer.get_weights()[0] != before[layer.name][0])
                assert moved == (scale in train), layer.name
    assert train_scales(net, (2, 3)).trainable_variables[0].path.startswith("scale2")


def test_layers_say_whose_they_are():
    scales = layers_of_scales(small(MultiScaleDepth))
    names = {scale: [x.name for x in members if x.weights] for scale, members in scales.items()}
    assert names == {
        1: ["conv1", "conv2", "conv3", "conv4", "conv5", "scale1_fc1", "scale1_fc2"],
        2: ["scale2_conv1", *(f"scale2_depth_conv{n}" for n in (2, 3, 4)), "scale2_depth"],
        3: ["scale3_conv1", *(f"scale3_depth_conv{n}" for n in (2, 3)), "scale3_depth"],
    }


# Scale 3 on crops.


def cropping(**arguments):
    return small(MultiScaleDepth, train=(3,), crop=(9, 12), **arguments)


def test_features_of_a_crop_are_the_crop_of_the_features():
    net, x = cropping(), pictures()
    layer = net.get_layer("scale3_crop")
    join = keras.Model(net.input, [net.get_layer("scale3_join").output, layer.output[2]])
    whole = np.asarray(join(x)[0])
    places = set()
    for _ in range(12):
        found, place = (np.asarray(y) for y in join(x, training=True))
        row, column = place
        places.add((row, column))
        assert found.shape[1:3] == (9, 12)
        # The first map is scale 2's answer, which dropout changes in training; the others are the
        # picture's.
        cut = whole[:, row : row + 9, column : column + 12]
        np.testing.assert_allclose(found[..., 1:], cut[..., 1:], rtol=1e-5, atol=1e-5)
    assert len(places) > 6
    assert all(0 <= row <= 25 - 9 and 0 <= column <= 35 - 12 for row, column in places)


def test_the_crop_of_the_coarser_answer_is_at_the_same_place():
    layer = keras.layers.deserialize(
        keras.layers.serialize(cropping().get_layer("scale3_crop")) | {"build_config": None}
    )
    rows = np.arange(25.0)[:, None] + np.zeros((1, 35))
    margin = np.arange(62.0)[:, None] + np.zeros((1, 82))
    x = [np.stack([y] * 2)[..., None].astype("float32") for y in (margin, rows)]
    for _ in range(5):
        picture, maps, place = (np.asarray(y) for y in layer(x, training=True))
        assert maps[0, 0, 0, 0] == place[0] and picture[0, 0, 0, 0] == 2 * place[0]
        assert picture.shape == (2, 29, 35, 1) and maps.shape == (2, 9, 12, 1)


def test_in_training_the_answer_is_one_crop_and_the_loss_is_that_of_the_crop():
    net, x = cropping(), pictures()
    whole = np.asarray(net(x))
    assert np.isfinite(whole).all() and whole.shape == (2, 25, 35, 1)
    answer = np.asarray(net(x, training=True))
    inside = answer != -np.inf
    rows, columns = (np.flatnonzero(inside[0, ..., 0].any(axis)) for axis in (1, 0))
    assert (len(rows), len(columns), inside[0].sum()) == (9, 12, 9 * 12)
    net.compile("sgd", LogDepthLoss())
    depth = truth(net)
    box = (slice(None), slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    expected = LogDepthLoss()(depth[box], answer[box])
    np.testing.assert_allclose(net.compute_loss(x, depth, answer), expected, rtol=1e-5)


def test_an_answer_that_diverged_in_the_crop_is_not_left_out():
    net = cropping()
    net.compile("sgd", LogDepthLoss())
    answer = np.full((2, 25, 35, 1), -np.inf, "float32")
    answer[:, :9, :12] = np.nan
    assert np.isnan(net.compute_loss(None, truth(net), answer))


def test_stages_of_training_are_joined_by_weights(tmp_path):
    """Section 3: scales 1 and 2 jointly, then scale 3 on crops with the others fixed."""
    first = small(MultiScaleDepth, scales=2)
    first.compile(keras.optimizers.Adam(1e-3), LogDepthLoss(), run_eagerly=True)
    first.fit(pictures(), truth(first), verbose=0)
    first.save(tmp_path / "first.keras")
    net = cropping(base=str(tmp_path / "first.keras"))
    net.compile(keras.optimizers.Adam(1e-2), LogDepthLoss(), run_eagerly=True)
    net.fit(pictures(), truth(net), epochs=2, verbose=0)
    coarser = keras.Model(net.input, net.get_layer("scale2_depth").output)
    np.testing.assert_array_equal(coarser(pictures()), first(pictures()))
    assert {variable.path.partition("_")[0] for variable in net.trainable_variables} == {"scale3"}


def test_compiled_metrics_see_the_crop_alone():
    net = cropping()
    shares = keras.metrics.MeanMetricWrapper(lambda y, _: tf.math.is_finite(y), name="known")
    net.compile("sgd", LogDepthLoss(), metrics=[shares], run_eagerly=True)
    x, depth = pictures(), truth(net)
    known = net.fit(x, depth, verbose=0).history["known"][0]
    np.testing.assert_allclose(known, 9 * 12 / (25 * 35), rtol=1e-6)
    np.testing.assert_allclose(net.evaluate(x, depth, verbose=0)[1], 1.0)


# Weights of ImageNet nets.


@pytest.mark.parametrize(
    ("classifier", "build"),
    [
        (partial(AlexNet, (60, 80, 3)), partial(CoarseFineDepth, fine=False)),
        (partial(VGG, "D", (60, 80, 3)), partial(MultiScaleDepth, backbone="vgg", scales=2)),
    ],
    ids=["alexnet", "vgg"],
)
def test_scale_1_starts_from_our_imagenet_nets(classifier, build, tmp_path):
    trained = classifier(classes=5, units=8, width=0.125)
    trained.save(tmp_path / "trained.keras")
    net = small(build, base=str(tmp_path / "trained.keras"))
    taken = [layer.name for layer in net.layers if layer.name.startswith("conv")]
    assert len(taken) == len([x for x in trained.layers if x.weights]) - 3
    for name in taken:
        for found, wanted in zip(
            net.get_layer(name).get_weights(), trained.get_layer(name).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(found, wanted)


def test_scale_1_starts_from_keras_applications(outline):
    source = keras.applications.VGG16(weights=None, include_top=False, input_shape=(60, 80, 3))
    net = small(MultiScaleDepth, backbone="vgg", scales=2, width=1.0)
    vgg_convolutions_from_applications(source, net)
    # Without the zeros of the first two convolutions, on a picture whose border is that of a larger
    # one: the maps of the first stage are those of keras.applications inside.
    maps = [
        keras.Model(model.input, model.get_layer(name).output)
        for model, name in ((source, "block1_conv2"), (net, "conv1_2"))
    ]
    theirs, ours = maps[0](pictures()[..., ::-1]), maps[1](pictures())
    np.testing.assert_allclose(ours, theirs[:, 2:-2, 2:-2], atol=1e-3)
    np.testing.assert_array_equal(
        net.get_layer("conv5_3").kernel, source.get_layer("block5_conv3").kernel
    )
    with pytest.raises(ValueError, match=r"does not have the convolutions of vgg16: conv1_1 is mi"):
        vgg_convolutions_from_applications(source, small(MultiScaleDepth))


def test_weights_that_do_not_fit_are_refused_and_told():
    net = small(CoarseFineDepth)
    wide = AlexNet((60, 80, 3), classes=5, units=8, width=0.25)
    with pytest.raises(ValueError, match=r"conv1 has weights of \[\(11, 11, 3, 12\)"):
        start_from(net, wide)
    with pytest.raises(ValueError, match="has no layer with weights in common with"):
        start_from(net, VGG("A", (32, 32, 3), classes=5, units=8, width=0.125))


@pytest.mark.parametrize(
    ("build", "arguments", "message"),
    [
        (CoarseFineDepth, {"input_shape": (54, 80, 3)}, "at least 55, not 54 x 80"),
        (CoarseFineDepth, {"input_shape": (60, 80)}, r"\(height, width, channels\)"),
        (CoarseFineDepth, {"backbone": "resnet"}, r"\('alexnet', 'vgg'\), not 'resnet'"),
        (CoarseFineDepth, {"width": 0.0}, "width must be positive, not 0.0"),
        (CoarseFineDepth, {"train": (3,)}, r"some of \(1, 2\), not \(3,\)"),
        (CoarseFineDepth, {"train": ()}, r"some of \(1, 2\), not \(\)"),
        (CoarseFineDepth, {"base": "nowhere.keras"}, "base must be the path of a .keras file"),
        (MultiScaleDepth, {"scales": 1}, r"\(2, 3\), not 1"),
        (MultiScaleDepth, {"channels": "talk"}, r"\('table', 'drawing'\), not 'talk'"),
        (MultiScaleDepth, {"scales": 2, "crop": (9, 9)}, "crop is for the training of scale 3"),
        (MultiScaleDepth, {"crop": (26, 35)}, r"up to \(25, 35\).*not \(26, 35\)"),
        (MultiScaleDepth, {"train": (4,)}, r"some of \(1, 2, 3\), not \(4,\)"),
    ],
)
def test_wrong_arguments_are_refused_and_told(build, arguments, message):
    with pytest.raises(ValueError, match=message):
        small(build, **arguments)
