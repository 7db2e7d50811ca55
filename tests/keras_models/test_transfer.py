"""A trained net of which only the top is learnt anew, on scikit-learn's handwritten digits."""

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from keras_models.classification import CifarResNet
from keras_models.classification.transfer import FineTuned, Retrained

SHAPE = (8, 8, 1)


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    return (data.images[..., None] / 16.0).astype("float32"), data.target


@pytest.fixture(scope="module")
def base(digits, tmp_path_factory):
    """A residual net (batch normalisation, padded shortcuts) that has seen the digits 0 to 4."""
    keras.utils.set_random_seed(0)
    images, labels = (part[digits[1] < 5] for part in digits)
    model = CifarResNet(8, SHAPE, classes=5)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(images, labels, batch_size=64, epochs=2, verbose=0)
    path = str(tmp_path_factory.mktemp("base") / "model.keras")
    model.save(path)
    return path


def test_only_the_top_learns(base, digits, tmp_path):
    keras.utils.set_random_seed(1)
    images, labels = (part[digits[1] >= 5] for part in digits)
    labels = labels - 5
    model = Retrained(SHAPE, 5, base)
    before = {variable.path: np.array(variable) for variable in model.variables}
    assert [variable.path for variable in model.trainable_variables] == [
        "logits/kernel",
        "logits/bias",
    ]
    model.compile(
        keras.optimizers.Adam(0.03),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    _, untrained = model.evaluate(images, labels, verbose=0)
    model.fit(images, labels, batch_size=64, epochs=15, verbose=0)
    _, accuracy = model.evaluate(images, labels, verbose=0)
    assert untrained < 0.5 and accuracy > 0.8
    for variable in model.variables:
        same = np.array_equal(np.array(variable), before[variable.path])
        assert same == (not variable.path.startswith("logits/")), variable.path

    trained = keras.models.load_model(base, compile=False)
    expected = keras.Model(trained.input, trained.get_layer("pool5").output)(images[:20])
    tapped = keras.Model(model.input, model.get_layer("pool5").output)(images[:20])
    np.testing.assert_allclose(tapped, expected, atol=1e-6)

    model.save(tmp_path / "again.keras")
    again = keras.models.load_model(tmp_path / "again.keras")
    np.testing.assert_allclose(again(images[:20]), model(images[:20]), atol=1e-5)
    assert len(again.trainable_variables) == 2


def test_the_answer_is_logits_for_the_new_classes(base):
    model = Retrained(SHAPE, 7, base, name="again")
    assert model.name == "again"
    assert model.output_shape == (None, 7)
    assert model.output.dtype == "float32"


def test_wrong_arguments(base, tmp_path):
    with pytest.raises(ValueError, match=r"\(8, 8, 1\).*\(32, 32, 3\)"):
        Retrained((32, 32, 3), 5, base)
    with pytest.raises(ValueError, match="classes"):
        Retrained(SHAPE, 1, base)
    with pytest.raises(ValueError, match=r"nothing\.keras"):
        Retrained(SHAPE, 5, str(tmp_path / "nothing.keras"))
    other = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten()])
    other.save(tmp_path / "other.keras")
    with pytest.raises(ValueError, match="logits"):
        Retrained(SHAPE, 5, str(tmp_path / "other.keras"))


@pytest.fixture
def keras_net(tmp_path):
    """As people make them: nested, pixels scaled inside, softmax in the last layer."""
    keras.utils.set_random_seed(2)
    backbone = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3, activation="relu")], name="backbone"
    )
    image = keras.Input((8, 8, 1))
    x = keras.layers.GlobalAveragePooling2D()(backbone(keras.layers.Rescaling(1 / 16)(image)))
    net = keras.Model(image, keras.layers.Dense(3, "softmax", name="predictions")(x))
    net.save(tmp_path / "mine.keras")
    return net, tmp_path / "mine.keras"


def test_any_keras_model_goes_on_or_gets_a_new_classifier(keras_net, digits, tmp_path):
    net, path = keras_net
    images = digits[0][:9]
    same = FineTuned(SHAPE, 3, path)
    np.testing.assert_allclose(keras.ops.softmax(same(images)), net(images), atol=1e-6)
    other = FineTuned(SHAPE, 5, path)
    assert other.output_shape == (None, 5) and other.output.dtype == "float32"
    assert all(layer.trainable for layer in other.layers)
    for ours, theirs in zip(other.get_weights()[:2], net.get_weights()[:2], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    other.save(tmp_path / "again.keras")
    again = keras.models.load_model(tmp_path / "again.keras")
    np.testing.assert_allclose(again(images), other(images), atol=1e-6)


def test_a_sequential_net_with_a_softmax_of_its_own_goes_on(digits, tmp_path):
    net = keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Flatten(),
            keras.layers.Dense(4),
            keras.layers.Softmax(),
        ]
    )
    net.save(tmp_path / "net.keras")
    tuned = FineTuned(SHAPE, 4, tmp_path / "net.keras")
    images = digits[0][:9]
    np.testing.assert_allclose(keras.ops.softmax(tuned(images)), net(images), atol=1e-6)


def test_a_model_that_cannot_be_fine_tuned_is_refused(keras_net, tmp_path):
    _, path = keras_net
    with pytest.raises(ValueError, match=r"\(8, 8, 1\), which .* takes, not \(8, 8, 3\)"):
        FineTuned((8, 8, 3), 5, path)
    with pytest.raises(ValueError, match=r"Did you mean .*mine\.keras"):
        FineTuned(SHAPE, 5, tmp_path / "mina.keras")
    other = keras.Sequential([keras.Input(SHAPE), keras.layers.Conv2D(2, 3, name="maps")])
    other.save(tmp_path / "other.keras")
    with pytest.raises(ValueError, match="ends with Conv2D maps"):
        FineTuned(SHAPE, 5, tmp_path / "other.keras")
