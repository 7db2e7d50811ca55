"""DeepFace against Figure 2 of its paper, and what compares its features against NumPy."""

import keras
import numpy as np
import pytest
from sklearn.svm import SVC

from keras_models.analysis import layer_costs
from keras_models.layers import (
    AbsoluteDifference,
    ChiSquaredTerms,
    ComponentNormalization,
    NegativeDistance,
)
from keras_models.verification import (
    DeepFace,
    InnerProduct,
    PixelDistance,
    Siamese,
    WeightedChiSquared,
)

# As narrow as it still has two maps a layer.
SHAPE, NARROW = (71, 75, 1), {"width": 0.125, "units": 24}
PAIRS = (InnerProduct, WeightedChiSquared, Siamese)


def test_maps_are_those_of_figure_2(outline):
    net = outline(DeepFace)
    shapes = {layer.name: layer.output.shape[1:] for layer in net.layers}
    published = {
        "image": (152, 152, 3),
        "conv1": (142, 142, 32),
        "pool2": (71, 71, 32),
        "conv3": (63, 63, 16),
        "local4": (55, 55, 16),
        "local5": (25, 25, 16),
        "local6": (21, 21, 16),
        "fc7": (4096,),
        "logits": (4030,),
    }
    assert {name: shapes[name] for name in published} == published
    # By the printed layers; the paper says "more than 120 million parameters".
    assert net.count_params() == 118_923_774
    assert 118_923_774 < 120e6
    in_local_and_full = sum(
        layer.count_params() for layer in net.layers if not layer.name.startswith("conv")
    )
    assert in_local_and_full / net.count_params() > 0.95, "section 3: more than 95 %"


def test_weights_start_as_published():
    for layer in DeepFace(SHAPE, classes=5, units=64).layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            np.testing.assert_allclose(kernel.std(), 0.01, rtol=0.1)
            assert (bias == 0.5).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"input_shape": (70, 152, 3)}, "at least 71"),
        ({"classes": 1}, "classes must be 2"),
        ({"width": 0.0}, "width must be positive"),
        ({"initialization": "ones"}, "initialization must be one of"),
    ],
)
def test_refused_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        DeepFace(**arguments)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A net with features that are not all dead, and its file."""
    keras.utils.set_random_seed(0)
    net = DeepFace(SHAPE, classes=3, initialization="he", **NARROW)
    path = str(tmp_path_factory.mktemp("deepface") / "model.keras")
    net.save(path)
    return net, path


def pictures(count: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        name: random.normal(size=(count, *SHAPE)).astype(np.float32) for name in ("image", "pair")
    }


def features(net, x) -> np.ndarray:
    return keras.Model(net.input, net.get_layer("fc7").output)(x).numpy()


def normalized(f: np.ndarray, largest: np.ndarray) -> np.ndarray:
    f = f / np.maximum(largest, 0.05)
    return f / np.linalg.norm(f, axis=1, keepdims=True)


@pytest.mark.parametrize("build", PAIRS, ids=lambda each: each.__name__)
def test_scores_are_those_of_the_formula(build, trained):
    net, path = trained
    model = build(SHAPE, base=path, **NARROW)
    shown = pictures(6)
    f, g = (features(net, x) for x in shown.values())
    if build is not Siamese:
        # A pass in training finds the largest values, and of other pictures changes none back.
        model(shown, training=True)
        largest = np.maximum(f.max(axis=0), g.max(axis=0))
        model({name: 0 * x for name, x in shown.items()}, training=True)
        np.testing.assert_allclose(model.get_layer("largest").largest, largest, rtol=1e-5)
        f, g = normalized(f, largest), normalized(g, largest)
    terms = {
        InnerProduct: lambda: (f * g).sum(axis=1, keepdims=True),
        WeightedChiSquared: lambda: (f - g) ** 2 / np.where(f + g > 0, f + g, 1),
        Siamese: lambda: np.abs(f - g),
    }[build]()
    head = model.get_layer("score")
    random = np.random.default_rng(1)
    kernel = random.uniform(size=head.kernel.shape).astype(np.float32)
    head.set_weights([kernel, np.float32([0.25])])
    scores = model(shown).numpy()
    assert scores.shape == (6, 1) and scores.dtype == np.float32
    np.testing.assert_allclose(scores, terms @ kernel + 0.25, rtol=2e-4, atol=1e-5)


def test_the_distance_of_pixels():
    model, shown = PixelDistance(SHAPE), pictures(4)
    apart = np.square(shown["image"] - shown["pair"]).mean(axis=(1, 2, 3)) ** 0.5
    np.testing.assert_allclose(model(shown).numpy()[:, 0], -apart, rtol=1e-5)


def test_of_the_siamese_net_the_two_topmost_layers_learn(trained):
    model = Siamese(SHAPE, base=trained[1], **NARROW)
    names = [variable.path.split("/")[-2] for variable in model.trainable_variables]
    assert names == ["fc7", "fc7", "score", "score"]
    for build in (InnerProduct, WeightedChiSquared):
        model = build(SHAPE, base=trained[1], **NARROW)
        assert {each.path for each in model.trainable_variables} == {"score/kernel", "score/bias"}


def test_a_pair_is_judged_alike_in_either_order(trained):
    shown = pictures(3)
    turned = {"image": shown["pair"], "pair": shown["image"]}
    for build in PAIRS:
        model = build(SHAPE, base=trained[1], **NARROW)
        np.testing.assert_allclose(model(shown), model(turned), rtol=1e-5, atol=1e-6)


def test_a_base_of_another_width_is_refused(trained):
    with pytest.raises(ValueError, match="units must be 24, those of fc7 in deepface, not 16"):
        InnerProduct(SHAPE, width=0.125, units=16, base=trained[1])
    with pytest.raises(ValueError, match="conv1"):
        InnerProduct(SHAPE, width=0.25, units=24, base=trained[1])


@pytest.mark.parametrize("build", [*PAIRS, PixelDistance], ids=lambda each: each.__name__)
def test_saved_and_read_again(build, tmp_path):
    own = {} if build is PixelDistance else NARROW
    model, shown = build(SHAPE, **own), pictures(2)
    model(shown, training=True)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(shown), model(shown), rtol=1e-6)
    assert layer_costs(model)


def test_weights_are_those_of_a_support_vector_machine():
    """The hinge loss with a decay of the weights is scikit-learn's linear machine."""
    random = np.random.default_rng(0)
    f, g = random.uniform(size=(2, 200, 6)).astype(np.float32)
    terms = ChiSquaredTerms()([f, g]).numpy()
    same = (terms @ np.float32([3, 1, 0, 0, 2, 0]) + random.normal(0, 0.2, 200) < 0.9).astype(int)
    svm = SVC(C=1.0, kernel="linear", tol=1e-6).fit(terms, same)
    kernel, bias = svm.coef_.T.astype(np.float32), svm.intercept_.astype(np.float32)
    hinge = keras.losses.Hinge()

    def cost(scale: float, shift: float) -> float:
        scores = terms @ (scale * kernel) + bias + shift
        decay = 0.5 * np.square(scale * kernel).sum() / len(terms)
        return float(hinge(same[:, None].astype(np.float32), scores)) + decay

    around = [cost(1 + a, b) for a in (-0.02, 0, 0.02) for b in (-0.02, 0, 0.02) if a or b]
    assert cost(1, 0) < min(around), "its weights are not the least of our loss"


def test_layers_refuse_and_keep_their_arguments():
    with pytest.raises(ValueError, match="epsilon must be positive"):
        ComponentNormalization(0.0)
    layer = ComponentNormalization(0.1)
    assert ComponentNormalization.from_config(layer.get_config()).epsilon == 0.1
    f, g = np.zeros((2, 3), np.float32), np.float32([[0, 1, 2], [0, 0, 0]])
    np.testing.assert_allclose(ChiSquaredTerms()([f, g]), g)
    np.testing.assert_allclose(AbsoluteDifference()([f, g]), g)
    assert np.isfinite(NegativeDistance()([f, f])).all()
    for layer in (ChiSquaredTerms(), AbsoluteDifference(), NegativeDistance()):
        shape = layer.compute_output_shape([(2, 3), (2, 3)])
        assert tuple(layer([f, g]).shape) == shape
