"""What the nets of the classics promise alike: training, mixed precision, saving, refusals."""

from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_models.classification import (
    VGG,
    AlexNet,
    Ciresan,
    DropConnectCIFAR10,
    DropConnectMNIST,
    LeNet1,
    OverFeat,
    StochasticPoolingNet,
    ZFNet,
)
from keras_models.verification import DeepFace

# Each as small as it can be built and still has every kind of layer.
NETS = {
    "lenet1": (LeNet1, (16, 16, 1)),
    "ciresan": (partial(Ciresan, "1x14x14-4C3-MP2-6C2-MP2-12N-5N"), (14, 14, 1)),
    "alexnet": (partial(AlexNet, units=16), (36, 36, 3)),
    "alexnet-cifar": (partial(AlexNet, units=16, stem="cifar"), (8, 8, 3)),
    "zfnet": (partial(ZFNet, units=16, width=0.25), (44, 44, 3)),
    "zfnet-cifar": (partial(ZFNet, units=16, width=0.25, stem="cifar"), (8, 8, 3)),
    "overfeat": (partial(OverFeat, units=16, width=0.1), (71, 71, 3)),
    "overfeat-cifar": (
        partial(OverFeat, variant="accurate", units=16, width=0.1, stem="cifar"),
        (8, 8, 3),
    ),
    "vgg-a-lrn": (partial(VGG, "A-LRN", units=16, width=0.125), (32, 32, 3)),
    "vgg-c": (partial(VGG, "C", units=16, width=0.125), (32, 32, 3)),
    "dropconnect-cifar": (DropConnectCIFAR10, (8, 8, 3)),
    "dropconnect-mnist": (DropConnectMNIST, (16, 16, 1)),
    "deepface": (partial(DeepFace, units=16, width=0.25), (71, 71, 1)),
    "stochastic-pooling": (partial(StochasticPoolingNet, maps=(8, 8, 8)), (8, 8, 3)),
}
every_net = pytest.mark.parametrize(("build", "shape"), NETS.values(), ids=NETS)


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(7)


def batch(shape, images=8, classes=5):
    x = np.random.default_rng(3).normal(size=(images, *shape)).astype("float32")
    return x, np.arange(images) % classes


def trained(model, x, labels, steps=1):
    """The model after steps on one batch, and its losses on it before and after."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss, run_eagerly=True)
    before = float(loss(labels, model(x)))
    for _ in range(steps):
        model.train_on_batch(x, labels)
    return before, float(loss(labels, model(x)))


@every_net
def test_it_puts_out_float32_logits_and_learns(build, shape):
    model, (x, labels) = build(input_shape=shape, classes=5, name="other"), batch(shape)
    assert model.name == "other" and model.input_shape == (None, *shape)
    logits = model(x)
    assert logits.dtype == tf.float32 and logits.shape == (8, 5)
    assert model.layers[-1].name == "logits"
    assert np.isfinite(logits).all()
    assert np.ptp(logits, axis=0).min() > 0, "a class has one logit for all images: too narrow?"
    before, after = trained(model, x, labels, steps=4)
    assert after < before


@every_net
def test_every_weight_has_a_gradient(build, shape):
    model, (x, labels) = build(input_shape=shape, classes=5), batch(shape)
    with tf.GradientTape() as tape:
        losses = keras.losses.sparse_categorical_crossentropy(
            labels, model(x, training=True), from_logits=True
        )
    variables = model.trainable_variables
    gradients = tape.gradient(losses, [variable.value for variable in variables])
    for variable, gradient in zip(variables, gradients, strict=True):
        assert np.isfinite(gradient).all() and np.any(gradient), variable.path


@every_net
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_trains_and_puts_out_float32(build, shape, policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = build(input_shape=shape, classes=5)
    finally:
        keras.config.set_dtype_policy("float32")
    x, labels = batch(shape)
    assert model.layers[1].compute_dtype == policy.removeprefix("mixed_")
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
    assert model(x).dtype == tf.float32
    before, after = trained(model, x, labels)
    assert np.isfinite(after)
    # A step whose gradients float16 does not hold is left out by Keras' LossScaleOptimizer.
    assert after != before, "no step was taken: do weights start so large that gradients overflow?"


@every_net
def test_saved_reloaded_and_given_its_weights(build, shape, tmp_path):
    model, (x, _) = build(input_shape=shape, classes=5), batch(shape, 3)
    expected = model(x)
    model.save(tmp_path / "net.keras")
    model.save_weights(tmp_path / "net.weights.h5")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "net.keras")(x), expected)
    for name in ("net.keras", "net.weights.h5"):
        again = build(input_shape=shape, classes=5, weights=tmp_path / name)
        np.testing.assert_array_equal(again(x), expected)


@every_net
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": (32, 32)}, r"\(height, width, channels\)"),
        ({"input_shape": (None, None, 3)}, r"\(height, width, channels\)"),
        ({"input_shape": (0, 32, 3)}, r"\(height, width, channels\)"),
        ({"classes": 1}, "2 or more"),
        ({"weights": "nowhere.h6"}, "nowhere.h6"),
        ({"weights": "imagenet"}, "no ImageNet weights"),
    ],
)
def test_wrong_arguments_are_refused_and_told(build, shape, arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**{"input_shape": shape} | arguments)


NARROW = {
    "vgg": partial(VGG, "E", units=128, width=0.25),
    "alexnet": partial(AlexNet, stem="cifar", units=256, width=0.25),
    "overfeat": partial(OverFeat, stem="cifar", units=256, width=0.25),
    "zfnet": partial(ZFNet, stem="cifar", units=256, width=0.25),
}


@pytest.mark.parametrize("build", NARROW.values(), ids=NARROW)
def test_a_narrow_net_started_by_he_tells_images_apart(build):
    images, _ = batch((32, 32, 3), images=16)

    def spread(**arguments):
        net = build(input_shape=(32, 32, 3), classes=10, **arguments)
        features = keras.Model(net.input, net.get_layer("fc7").output)
        return np.std(features(images), axis=0).mean()

    assert spread(initialization="he") > 0.01 > 10 * spread()
