"""R-CNN: warped regions, draws, SVMs and regression against naive versions, and the three nets."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import scipy.ndimage
from keras import ops
from sklearn.linear_model import Ridge
from sklearn.svm import LinearSVC

from keras_models.detection import rcnn_fitting
from keras_models.detection.rcnn import RCNN
from keras_models.detection.region_layers import RegionDraws, RegionFeatures, RegionSuppression
from keras_models.detection.warping import warp_regions

SIDE, REGIONS = 48, 12
SMALL = {
    "input_shape": (SIDE, SIDE, 1),
    "classes": 2,
    "backbone": "lenet",
    "size": 32,
    "context": 4,
    "drawn": 32,
    "detections": 5,
}


def scenes(count: int, seed: int = 0) -> tuple[dict, dict]:
    """Light squares, class 1, and dark ones, class 0, in noise; proposals near them."""
    draw = np.random.default_rng(seed)
    images = 0.1 * draw.normal(size=(count, SIDE, SIDE, 1)).astype(np.float32)
    truths = np.zeros((count, 3, 4), np.float32)
    classes = np.full((count, 3), -1, np.int32)
    proposals = np.zeros((count, REGIONS, 4), np.float32)
    for picture in range(count):
        for number in range(2):
            y, x = draw.integers(0, 24, 2)
            y, x, side = y, x // 2 + 24 * number % 36, draw.integers(10, 13)
            kind = draw.integers(0, 2)
            images[picture, y : y + side, x : x + side] += 2 * kind - 1
            truths[picture, number] = np.array([y, x, y + side, min(x + side, SIDE)]) / SIDE
            classes[picture, number] = kind
        for number in range(REGIONS - 2):
            near = truths[picture, number % 2] + 0.03 * draw.normal(size=4) * (number < 6)
            far = np.concatenate([draw.uniform(0, 0.5, 2), draw.uniform(0.6, 1, 2)])
            proposals[picture, number] = np.clip(near if number < 6 else far, 0, 1)
    return {"image": images, "proposals": proposals}, {"boxes": truths, "classes": classes}


def batches(x: dict, y: dict, size: int = 4) -> list:
    starts = range(0, len(x["image"]), size)
    return [
        tuple({name: each[start : start + size] for name, each in part.items()} for part in (x, y))
        for start in starts
    ]


def answers(net: keras.Model, x: dict) -> dict:
    return {name: ops.convert_to_numpy(each) for name, each in net(x).items()}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> SimpleNamespace:
    """The three nets, each of the one before."""
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("rcnn")
    x, y = scenes(24)
    tuned = RCNN(**SMALL)
    tuned.compile(optimizer=keras.optimizers.Adam(2e-3))
    history = tuned.fit(x, y, batch_size=6, epochs=8, verbose=0).history
    tuned.save(folder / "tuned.keras")
    svm = RCNN(**SMALL, scores="svm", base=str(folder / "tuned.keras"))
    svm_logs = svm.adapt(batches(x, y))
    svm.save(folder / "svm.keras")
    boxes = RCNN(**SMALL, scores="svm", box_regression=True, base=str(folder / "svm.keras"))
    box_logs = boxes.adapt(batches(x, y))
    logs = SimpleNamespace(history=history, svm=svm_logs, boxes=box_logs)
    return SimpleNamespace(folder=folder, x=x, y=y, tuned=tuned, svm=svm, boxes=boxes, logs=logs)


def naively_warped(image: np.ndarray, box: np.ndarray, size: int, context: int) -> np.ndarray:
    """By SciPy's interpolation, one pixel after the other."""
    height, width, channels = image.shape
    sides = np.array([height, width])
    low, high = box[:2] * sides, box[2:] * sides
    wide = (high - low) * size / (size - 2 * context)
    start = (low + high) / 2 - wide / 2
    places = [start[axis] + wide[axis] * (np.arange(size) + 0.5) / size for axis in (0, 1)]
    y, x = np.meshgrid(*places, indexing="ij")
    inside = (y >= 0) & (y <= height) & (x >= 0) & (x <= width)
    found = [
        scipy.ndimage.map_coordinates(
            image[..., channel], [y - 0.5, x - 0.5], order=1, mode="nearest"
        )
        for channel in range(channels)
    ]
    return np.stack(found, axis=-1) * inside[..., None]


def test_regions_are_warped_with_their_context():
    draw = np.random.default_rng(0)
    images = draw.normal(size=(3, 20, 30, 2)).astype(np.float32)
    boxes = np.array([[0, 0, 1, 1], [0.2, 0.3, 0.5, 0.9], [0.7, 0, 1, 0.1], [0.5, 0.5, 0.52, 0.6]])
    pictures = np.array([0, 2, 1, 2])
    found = ops.convert_to_numpy(warp_regions(images, boxes, pictures, 24, 4))
    for window, box, picture in zip(found, boxes, pictures, strict=True):
        wanted = naively_warped(images[picture], box, 24, 4)
        np.testing.assert_allclose(window, wanted, atol=2e-5)
    assert (found[0, :4] == 0).all() and (found[0, 4:20, 4:20] != 0).all()


def test_a_picture_in_its_own_size_is_itself():
    image = np.random.default_rng(0).normal(size=(1, 16, 16, 3)).astype(np.float32)
    found = warp_regions(image, np.array([[0, 0, 1, 1]]), np.array([0]), 16, 0)
    np.testing.assert_allclose(ops.convert_to_numpy(found), image, atol=1e-6)


def test_features_of_regions_do_not_depend_on_the_chunks():
    network = keras.Sequential([keras.Input((16, 16, 1)), keras.layers.Flatten()])
    network = keras.Model(network.inputs[0], {"flat": network.outputs[0]})
    x, _ = scenes(3)
    few, many = (RegionFeatures(network, 2, chunk)(list(x.values())) for chunk in (5, 100))
    np.testing.assert_allclose(few["flat"], many["flat"], atol=1e-6)
    window = naively_warped(x["image"][2], x["proposals"][2, 7], 16, 2)
    np.testing.assert_allclose(few["flat"][2, 7], window.ravel(), atol=2e-5)
    with pytest.raises(ValueError, match="twice the context"):
        RegionFeatures(network, context=8)
    with pytest.raises(ValueError, match="chunk must be"):
        RegionFeatures(network, context=2, chunk=0)


def test_draws_are_of_the_published_shares():
    x, y = scenes(4)
    layer = RegionDraws(number=16, positives=0.25, seed=0)
    boxes, pictures, labels, truths = map(
        ops.convert_to_numpy, layer.drawn(x["proposals"], y["boxes"], y["classes"])
    )
    assert (labels > 0).sum() == 4 and (labels == 0).sum() == 12
    for box, picture, label, truth in zip(boxes, pictures, labels, truths, strict=True):
        overlaps = ops.convert_to_numpy(rcnn_fitting.pairwise_iou(box[None], y["boxes"][picture]))
        best = overlaps[0].argmax()
        assert (overlaps[0, best] >= 0.5) == (label > 0)
        assert label == 0 or truth == best
        assert label == 0 or y["classes"][picture, best] == label - 1
    again = RegionDraws(number=16, positives=0.25, seed=0)
    same = again.drawn(x["proposals"], y["boxes"], y["classes"])
    np.testing.assert_array_equal(ops.convert_to_numpy(same.boxes), boxes)


@pytest.mark.parametrize("truths", [0, 2])
def test_pictures_without_objects_are_background(truths):
    x, _ = scenes(2)
    empty = np.zeros((2, truths, 4)), np.full((2, truths), -1)
    labels = ops.convert_to_numpy(RegionDraws(number=64).drawn(x["proposals"], *empty).labels)
    # 10 of 12 proposals of a picture are there.
    assert (labels == 0).sum() == 20 and (labels == -1).sum() == 44


def test_the_loss_without_any_region_is_finite():
    net = RCNN(**SMALL)
    x, y = scenes(2)
    nothing = {name: np.zeros_like(each) for name, each in x.items()}
    y = {"boxes": 0 * y["boxes"], "classes": np.full_like(y["classes"], -1)}
    assert float(net.compute_loss(nothing, y, None)) == 0


def test_true_boxes_may_count_more_or_less():
    x, y = scenes(2)
    weights = np.where(y["classes"] == 1, 3.0, 0.0)
    weighed, plain, background = (RCNN(**SMALL, seed=0) for _ in range(3))
    for other in (plain, background):
        other.set_weights(weighed.get_weights())
    losses = [
        float(net.compute_loss(x, y, None, sample_weight=each))
        for net, each in (
            (plain, None),
            (weighed, weights),
            (background, np.zeros_like(weights)),
        )
    ]
    drawn = RegionDraws(32, seed=0).drawn(x["proposals"], y["boxes"], y["classes"])
    labels = ops.convert_to_numpy(drawn.labels)
    assert losses[0] > losses[2] > 0 and (labels == 2).any()
    assert losses[1] > losses[2]
    np.testing.assert_allclose(
        float(plain.compute_loss(x, y, None, sample_weight=np.ones_like(weights))),
        float(weighed.compute_loss(x, y, None)),
        rtol=1e-5,
    )


def test_detections_are_the_best_of_each_class():
    proposals = np.array([[[0, 0, 0.5, 0.5], [0, 0, 0.5, 0.45], [0.5, 0.5, 1.5, 1], [0] * 4]])
    scores = np.array([[[0.9, 0.1], [0.8, 0.3], [0.5, 0.6], [0.99, 0.99]]])
    found = RegionSuppression(4, 0.3)([proposals, scores])
    assert ops.convert_to_numpy(found["classes"]).tolist() == [[0, 1, 0, 1]]
    np.testing.assert_allclose(found["scores"], [[0.9, 0.6, 0.5, 0.3]])
    assert ops.convert_to_numpy(found["boxes"]).max() == 1
    few = RegionSuppression(1, 0.3)([proposals, scores])
    np.testing.assert_allclose(few["scores"], [[0.9]])


def lookup(features: dict):
    """`extract` that knows the features of each box."""

    def extract(images, boxes):
        return np.stack(
            [[features.get(tuple(box), np.zeros(6)) for box in of_one] for of_one in boxes]
        ).astype(np.float32)

    return extract


@pytest.fixture(scope="module")
def looked_up() -> SimpleNamespace:
    """Features of boxes that say a little of the class of the true box that they overlap."""
    draw = np.random.default_rng(1)
    x, y = scenes(40, seed=2)
    features = {}
    for picture in range(40):
        for boxes in (y["boxes"][picture], x["proposals"][picture]):
            overlaps = ops.convert_to_numpy(rcnn_fitting.pairwise_iou(boxes, y["boxes"][picture]))
            for box, overlap in zip(boxes, overlaps, strict=True):
                own = draw.normal(size=6)
                own[y["classes"][picture, overlap.argmax()]] += 3 * overlap.max()
                features[tuple(box)] = own
    return SimpleNamespace(x=x, y=y, extract=lookup(features), features=features)


def test_mining_finds_the_svm_of_all_negatives(looked_up):
    x, y, extract = looked_up.x, looked_up.y, looked_up.extract
    kernel, bias, logs = rcnn_fitting.fit_svms(extract, batches(x, y), 2)
    there = x["proposals"][..., 2] > 0
    found = extract(None, x["proposals"])
    norms = np.linalg.norm(found[there], axis=-1)
    scale = rcnn_fitting.NORM / norms.mean()
    for number in range(2):
        mine = y["classes"] == number
        positives = extract(None, y["boxes"])[mine]
        overlaps = ops.convert_to_numpy(rcnn_fitting.pairwise_iou(x["proposals"], y["boxes"]))
        largest = np.where(mine[:, None], overlaps, 0).max(axis=-1)
        negatives = found[there & (largest < 0.3)]
        examples = scale * np.concatenate([positives, negatives])
        labels = np.arange(len(examples)) < len(positives)
        known = LinearSVC(
            C=1e-3,
            loss="hinge",
            class_weight={True: 2.0},
            intercept_scaling=10,
            tol=1e-6,
            max_iter=500_000,
        ).fit(examples, labels)
        wanted = scale * known.coef_[0]
        np.testing.assert_allclose(kernel[:, number], wanted, atol=0.03 * np.abs(wanted).max())
        assert bias[number] == pytest.approx(known.intercept_[0], abs=0.03)
    assert logs["loss"] > 0 and logs["examples"] > 80


def test_boxes_are_regressed_by_ridge(looked_up):
    x, y, extract = looked_up.x, looked_up.y, looked_up.extract
    kernel, bias, logs = rcnn_fitting.fit_boxes(extract, batches(x, y), 2)
    overlaps = ops.convert_to_numpy(rcnn_fitting.pairwise_iou(x["proposals"], y["boxes"]))
    best = overlaps.argmax(axis=-1)
    total = 0
    for number in range(2):
        own = np.take_along_axis(y["classes"], best, axis=1) == number
        chosen = own & (overlaps.max(axis=-1) >= 0.6)
        total += chosen.sum()
        features = extract(None, x["proposals"])[chosen]
        truths = np.take_along_axis(y["boxes"], best[..., None], axis=1)[chosen]
        codes = ops.convert_to_numpy(rcnn_fitting.encode(truths, x["proposals"][chosen]))
        scale = rcnn_fitting.NORM / np.linalg.norm(features, axis=1).mean()
        # The whitening mixes the four; a penalty on all weights alike is turned with them.
        values, vectors = np.linalg.eigh(np.cov(codes.T, bias=True))
        whiten = (vectors / np.sqrt(values + 1e-3)) @ vectors.T
        extended = np.append(scale * features, np.ones((len(features), 1)), axis=1)
        ridge = Ridge(alpha=1000, fit_intercept=False)
        ridge.fit(extended, (codes - codes.mean(axis=0)) @ whiten)
        wanted = ridge.coef_.T @ np.linalg.inv(whiten)
        columns = slice(4 * number, 4 * number + 4)
        np.testing.assert_allclose(kernel[:, columns], scale * wanted[:-1], atol=1e-5)
        np.testing.assert_allclose(bias[columns], wanted[-1] + codes.mean(axis=0), atol=1e-5)
    assert logs["examples"] == total


@pytest.mark.parametrize("shape", [(5, 9), (9, 5)])
def test_ridge_by_the_smaller_matrix_is_the_same(shape):
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=shape), draw.normal(size=(shape[0], 4))
    wanted = Ridge(alpha=1000, fit_intercept=False).fit(x, y).coef_.T
    np.testing.assert_allclose(rcnn_fitting._ridge(x, y), wanted, atol=1e-10)


def test_data_that_nothing_is_learnt_from(looked_up):
    x, y = looked_up.x, looked_up.y
    none = {**y, "classes": np.full_like(y["classes"], -1)}
    with pytest.raises(ValueError, match="no true box"):
        rcnn_fitting.fit_svms(looked_up.extract, batches(x, none), 2)
    with pytest.raises(ValueError, match=r"No region overlaps a true box by 0\.6"):
        rcnn_fitting.fit_boxes(looked_up.extract, batches(x, none), 2)


def test_a_class_without_examples_is_never_found(looked_up):
    kernel, bias, _ = rcnn_fitting.fit_svms(looked_up.extract, batches(looked_up.x, looked_up.y), 3)
    assert not kernel[:, 2].any() and bias[2] == -100
    kernel, bias, _ = rcnn_fitting.fit_boxes(
        looked_up.extract, batches(looked_up.x, looked_up.y), 3
    )
    assert not kernel[:, 8:].any() and not bias[8:].any()


def test_fine_tuning_learns_and_answers(made):
    assert made.logs.history["loss"][-1] < 0.7 * made.logs.history["loss"][0]
    found = answers(made.tuned, made.x)
    assert {name: each.shape for name, each in found.items()} == {
        "boxes": (24, 5, 4),
        "scores": (24, 5),
        "classes": (24, 5),
    }
    assert (np.diff(found["scores"]) <= 0).all() and found["scores"].max() <= 1
    assert set(np.unique(found["classes"])) <= {-1, 0, 1}


def test_svms_tell_the_classes_apart(made):
    found = answers(made.svm, made.x)
    truths, classes = made.y["boxes"][:, :2], made.y["classes"][:, :2]
    overlaps = ops.convert_to_numpy(rcnn_fitting.pairwise_iou(truths, found["boxes"][:, :1]))
    right = (overlaps[..., 0] >= 0.5) & (classes == found["classes"][:, :1])
    assert right.any(axis=1).mean() > 0.8
    assert made.logs.svm["loss"] > 0 and made.logs.boxes["loss"] < 0.1


def test_each_step_leaves_what_was_there(made):
    for name in ("region_logits", "svm"):
        assert (name == "svm") == (name in [layer.name for layer in made.svm.layers])
    networks = [net.get_layer("regions").network for net in (made.tuned, made.svm, made.boxes)]
    for other in networks[1:]:
        for one, same in zip(networks[0].weights, other.weights, strict=True):
            np.testing.assert_array_equal(one, same)
    for one, same in zip(
        *(n.get_layer("svm").weights for n in (made.svm, made.boxes)), strict=True
    ):
        np.testing.assert_array_equal(one, same)
    assert [w.path for w in made.svm.trainable_weights] == ["svm/kernel", "svm/bias"]
    paths = [w.path for w in made.boxes.trainable_weights]
    assert paths == ["box_regression/kernel", "box_regression/bias"]


@pytest.mark.parametrize("which", ["tuned", "svm", "boxes"])
def test_saved_it_is_the_same(which, made):
    net = getattr(made, which)
    few = {name: each[:3] for name, each in made.x.items()}
    net.save(made.folder / f"{which}.keras")
    again = keras.models.load_model(made.folder / f"{which}.keras")
    assert type(again) is type(net)
    assert [v.path for v in again.trainable_variables] == [v.path for v in net.trainable_variables]
    wanted = answers(net, few)
    for name, each in answers(again, few).items():
        np.testing.assert_allclose(each, wanted[name], atol=1e-5)


def test_exported_it_is_the_same(made):
    import tensorflow as tf

    few = {name: each[:3] for name, each in made.x.items()}
    made.boxes.export(str(made.folder / "export"), verbose=False)
    loaded = tf.saved_model.load(str(made.folder / "export"))
    served = loaded.serve(few)
    wanted = answers(made.boxes, few)
    for name, each in served.items():
        np.testing.assert_allclose(each, wanted[name], atol=1e-5)


def test_in_mixed_precision(made):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        net = RCNN(**SMALL, base=str(made.folder / "tuned.keras"))
    finally:
        keras.config.set_dtype_policy("float32")
    assert net.get_layer("regions").network.get_layer("C1").compute_dtype == "float16"
    few = {name: each[:3] for name, each in made.x.items()}
    wanted, found = (answers(each, few) for each in (made.tuned, net))
    assert found["boxes"].dtype == found["scores"].dtype == np.float32
    np.testing.assert_allclose(found["scores"][:, 0], wanted["scores"][:, 0], atol=0.05)
    truths = {name: each[:3] for name, each in made.y.items()}
    assert np.isfinite(float(net.compute_loss(few, truths, None)))


def test_pictures_of_any_size_and_features_of_each_layer():
    arguments = SMALL | {"input_shape": (None, None, 1)}
    lengths = {"pool5": 400, "fc6": 120, "fc7": 84}
    for name, length in lengths.items():
        net = RCNN(**arguments, scores="svm", features=name, box_regression=True)
        assert net.get_layer("svm").kernel.shape == (length, 2)
        assert net.get_layer("box_regression").kernel.shape == (400, 8)
    x, _ = scenes(2)
    assert net(x)["boxes"].shape == (2, 5, 4)


def test_a_classifier_is_where_fine_tuning_starts(tmp_path):
    from keras_models.classification import LeNet5ReLU

    classifier = LeNet5ReLU((32, 32, 1), 10)
    classifier.save(tmp_path / "net.keras")
    net = RCNN(**SMALL, base=str(tmp_path / "net.keras"))
    inner = net.get_layer("regions").network
    np.testing.assert_array_equal(inner.get_layer("F6").kernel, classifier.get_layer("F6").kernel)
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    other.save(tmp_path / "other.keras")
    with pytest.raises(ValueError, match="in common"):
        RCNN(**SMALL, base=str(tmp_path / "other.keras"))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"backbone": "lenett"}, "backbone"),
        ({"scores": "logits"}, "scores"),
        ({"features": "pool4"}, "features"),
        ({"classes": 0}, "1 or more"),
        ({"box_regression": True}, 'of scores="svm"'),
        ({"context": 16}, "twice the context"),
    ],
)
def test_arguments_that_are_refused(arguments, reason):
    with pytest.raises(ValueError, match=reason):
        RCNN(**SMALL | arguments)


def test_the_published_nets_have_their_features():
    with keras.StatelessScope(initialize_variables=False):
        alexnet = RCNN((500, 500, 3), 20, scores="svm", box_regression=True)
        vgg = RCNN((500, 500, 3), 20, backbone="vgg16", size=224, scores="svm", features="pool5")
    assert alexnet.get_layer("svm").kernel.shape == (4096, 20)
    assert alexnet.get_layer("box_regression").kernel.shape == (9216, 80)
    assert vgg.get_layer("svm").kernel.shape == (25088, 20)


def test_steps_cannot_train_what_is_computed(made):
    with pytest.raises(NotImplementedError, match="adapt"):
        made.svm.compute_loss(made.x, made.y, {})
