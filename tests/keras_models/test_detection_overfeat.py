"""OverFeat's detector: merging and loss against naive NumPy, windows against the picture."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_models.classification import OverFeat
from keras_models.detection import OverFeatDetector
from keras_models.detection.merging import match_scores, merge
from keras_models.detection.sliding_windows import (
    SlidingWindows,
    decode_edges,
    encode_edges,
    window_boxes,
)

NARROW = {
    "input_shape": (48, 64, 3),
    "classes": 4,
    "variant": "fast",
    "stem": "cifar",
    "scales": (0.7, 1.0),
    "units": 24,
    "regressor_units": (16, 12),
    "width": 0.1,
    "initialization": "he",
    "dropout": 0.1,
    "candidates": 12,
    "detections": 7,
    "seed": 3,
}
# A picture of 34 x 45 pixels has 1 x 4 windows of 32, one of 48 x 64 has 5 x 9.
WINDOWS = 1 * 4 + 5 * 9


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(7)


def random_boxes(draw, *shape):
    centres, sides = draw.uniform(0, 1, (*shape, 2)), draw.uniform(0.05, 0.5, (*shape, 2))
    return np.concatenate([centres - sides / 2, centres + sides / 2], axis=-1).astype("float32")


def naive_score(a, b):
    lowest, highest = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    common = np.prod(np.maximum(highest - lowest, 0))
    area_a, area_b = np.prod(a[2:] - a[:2]), np.prod(b[2:] - b[:2])
    distance = np.linalg.norm((a[:2] + a[2:] - b[:2] - b[2:]) / 2)
    union = area_a + area_b - common
    return distance / ((area_a**0.5 + area_b**0.5) / 2) + 1 - common / union


def naive_merge(boxes, scores, threshold):
    left = [(box, score) for box, score in zip(boxes, scores, strict=True) if score > 0]
    while len(left) > 1:
        pairs = itertools.combinations(range(len(left)), 2)
        score, i, j = min((naive_score(left[i][0], left[j][0]), i, j) for i, j in pairs)
        if score > threshold:
            break
        (one, p), (other, q) = left[i], left[j]
        left[i] = ((one + other) / 2, p + q)
        del left[j]
    return sorted(left, key=lambda each: -each[1])


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.2, 100.0])
def test_merging_is_the_papers_loop(threshold):
    draw = np.random.default_rng(0)
    boxes, scores = random_boxes(draw, 3, 14), draw.uniform(0, 1, (3, 14)).astype("float32")
    scores[1, 5:] = 0
    scores[2] = 0
    given_boxes, given_scores = map(np.asarray, merge(boxes, scores, threshold))
    for picture in range(3):
        expected = naive_merge(boxes[picture], scores[picture], threshold)
        order = np.argsort(-given_scores[picture])[: len(expected)]
        assert np.count_nonzero(given_scores[picture]) == len(expected)
        for place, (box, score) in zip(order, expected, strict=True):
            np.testing.assert_allclose(given_scores[picture, place], score, rtol=1e-5)
            np.testing.assert_allclose(given_boxes[picture, place], box, rtol=1e-4, atol=1e-5)
    assert not given_boxes[given_scores == 0].any()


def test_match_scores_are_those_of_pairs():
    draw = np.random.default_rng(1)
    a, b = random_boxes(draw, 6), random_boxes(draw, 5)
    expected = [[naive_score(one, other) for other in b] for one in a]
    np.testing.assert_allclose(match_scores(a, b), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.diag(match_scores(a, a)), 0, atol=1e-5)


def test_boxes_that_are_no_numbers_are_not_merged():
    boxes = np.array(
        [[[0, 0, 1, 1], [np.nan, 0, 1, 1], [0, 0, 1, np.inf], [0, 0, 0, 0]]], "float32"
    )
    scores = np.array([[0.5, 0.9, 0.9, 0.9]], "float32")
    given, sums = map(np.asarray, merge(boxes, scores, 0.5))
    np.testing.assert_allclose(sums, [[0.5, 0, 0, 0.9]])
    np.testing.assert_allclose(given[0, 0], [0, 0, 1, 1])


def test_edges_go_there_and_back():
    draw = np.random.default_rng(2)
    boxes, windows = random_boxes(draw, 20), random_boxes(draw, 20)
    codes = np.asarray(encode_edges(boxes, windows))
    sides = np.tile(windows[:, 2:] - windows[:, :2], 2)
    np.testing.assert_allclose(codes, (boxes - windows) / sides, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(decode_edges(codes, windows), boxes, rtol=1e-4, atol=1e-5)


def detector(**arguments):
    return OverFeatDetector(**NARROW | arguments)


def pictures(number=2, sides=(48, 64)):
    return np.random.default_rng(0).normal(size=(number, *sides, 3)).astype("float32")


def targets(number=2):
    boxes = np.zeros((number, 3, 4), "float32")
    boxes[:, 0], boxes[:, 1] = (0.1, 0.2, 0.7, 0.7), (0.3, 0.5, 0.95, 0.9)
    classes = np.tile(np.array([[2, 0, -1]], "int32"), (number, 1))
    # A picture without objects.
    boxes[-1], classes[-1] = 0, -1
    return {"boxes": boxes, "classes": classes}


@pytest.mark.parametrize(("regressor", "boxes"), [("class", 4), ("shared", 1)])
def test_outputs_are_detections_and_what_the_loss_needs(regressor, boxes):
    net = detector(regressor=regressor)
    assert net.input_shape == (None, 48, 64, 3) and net.name == "overfeat_detector"
    given = net(pictures())
    assert given["logits"].shape == (2, WINDOWS, 5)
    assert given["codes"].shape == (2, WINDOWS, boxes, 4)
    found = [np.asarray(given[name]) for name in ("boxes", "scores", "classes")]
    assert [each.shape for each in found] == [(2, 7, 4), (2, 7), (2, 7)]
    boxes, scores, classes = found
    assert classes.dtype == "int32" and (classes >= 0).any() and classes.max() < 4
    assert (np.diff(scores) <= 0).all() and scores.min() >= 0 and scores.max() < 1
    assert (boxes[..., 2:] >= boxes[..., :2]).all() and boxes.min() >= 0 and boxes.max() <= 1
    unused = scores == 0
    assert (classes[unused] == -1).all() and not boxes[unused].any()
    # Nothing is merged while it learns.
    taught = net(pictures(), training=True)
    assert (np.asarray(taught["classes"]) == -1).all() and taught["logits"].shape[1] == WINDOWS


def test_windows_lie_where_the_net_looks():
    net = detector(scales=(0.7, 1.0))
    picture = tf.constant(pictures(1))
    windows = net.get_layer("windows").windows
    assert windows.shape == (WINDOWS, 4)
    with tf.GradientTape() as tape:
        tape.watch(picture)
        logits = net(picture)["logits"][0, :, 1]
    seen = np.abs(tape.jacobian(logits, picture).numpy()).sum(axis=(1, 4))
    rows, columns = np.mgrid[0.5:48, 0.5:64]
    for window, weights in zip(windows, seen, strict=True):
        centre = [(weights * place).sum() / weights.sum() for place in (rows / 48, columns / 64)]
        expected = (window[:2] + window[2:]) / 2
        np.testing.assert_allclose(centre, expected, atol=0.1)
        # Zeros around the convolutions let a window see a little further than its sides.
        inside = (rows / 48 >= window[0]) & (rows / 48 <= window[2])
        inside &= (columns / 64 >= window[1]) & (columns / 64 <= window[3])
        assert weights[inside].sum() > 0.5 * weights.sum()


def test_each_scale_is_the_net_on_the_resized_picture():
    both, one = detector(), detector(scales=(0.7,))
    one.set_weights(both.get_weights())
    x = pictures()
    np.testing.assert_allclose(one(x)["logits"], both(x)["logits"][:, :4], rtol=1e-4, atol=1e-5)


def naive_losses(y, logits, codes, windows, positive, negative):
    """The loss of a picture whose negative windows are all trained."""
    overlaps = np.zeros((len(windows), len(y["classes"])))
    for (p, window), (m, box) in itertools.product(enumerate(windows), enumerate(y["boxes"])):
        if y["classes"][m] >= 0:
            lowest, highest = np.maximum(window[:2], box[:2]), np.minimum(window[2:], box[2:])
            common = np.prod(np.maximum(highest - lowest, 0))
            areas = [np.prod(each[2:] - each[:2]) for each in (window, box)]
            overlaps[p, m] = common / (sum(areas) - common)
    best = (overlaps == overlaps.max(axis=0)) & (overlaps > 0)
    entropies, distances = [], []
    for p, window in enumerate(windows):
        truth = overlaps[p].argmax()
        is_positive = overlaps[p, truth] >= positive or best[p].any()
        if not is_positive and overlaps[p, truth] >= negative:
            continue
        label = y["classes"][truth] if is_positive else -1
        entropies.append(np.log(np.exp(logits[p]).sum()) - logits[p, label + 1])
        box = y["boxes"][truth]
        lowest, highest = np.maximum(window[:2], box[:2]), np.minimum(window[2:], box[2:])
        share = np.prod(np.maximum(highest - lowest, 0)) / max(np.prod(box[2:] - box[:2]), 1e-9)
        if is_positive and share >= 0.5:
            sides = np.tile(window[2:] - window[:2], 2)
            code = codes[p, label if len(codes[p]) > 1 else 0]
            distances.append((((box - window) / sides - code) ** 2).sum())
    return np.mean(entropies), np.mean(distances) if distances else 0.0


@pytest.mark.parametrize("regressor", ["class", "shared"])
def test_the_loss_is_that_of_the_windows(regressor):
    net = detector(regressor=regressor, negatives=1000)
    x, y = pictures(), targets()
    given = net(x)
    logits, codes = (np.asarray(given[name]) for name in ("logits", "codes"))
    layer = net.get_layer("windows")
    class_losses, box_losses = map(np.asarray, layer.picture_losses(y, logits, codes))
    for n in range(2):
        of_picture = {name: value[n] for name, value in y.items()}
        expected = naive_losses(of_picture, logits[n], codes[n], layer.windows, 0.5, 0.3)
        np.testing.assert_allclose((class_losses[n], box_losses[n]), expected, rtol=1e-4)
    assert box_losses[0] > 0 and box_losses[1] == 0
    total = net.compute_loss(x, y, given)
    np.testing.assert_allclose(total, np.mean(class_losses + box_losses), rtol=1e-5)
    weighed = net.compute_loss(x, y, given, sample_weight=np.array([2.0, 0.0], "float32"))
    np.testing.assert_allclose(weighed, class_losses[0] + box_losses[0], rtol=1e-5)
    # Of objects: those of the first count twice as much, those of the second nothing.
    objects = np.array([[2.0, 0.0, -1.0], [-1.0, -1.0, -1.0]], "float32")
    _, boxes_alone = map(np.asarray, layer.picture_losses(y, logits, codes, objects))
    _, both = map(np.asarray, layer.picture_losses(y, logits, codes, np.ones((2, 3))))
    np.testing.assert_allclose(both, box_losses, rtol=1e-5)
    assert boxes_alone[0] != box_losses[0] and boxes_alone[1] == 0
    assert np.isfinite(net.compute_loss(x, y, given, sample_weight=objects))


def test_half_of_the_negative_windows_are_the_worst_and_others_are_drawn():
    layer = SlidingWindows([(64, 64)], [(9, 9)], 4, 32, negatives=10, seed=1)
    offence = np.random.default_rng(0).permutation(81).astype("float32")[None]
    negative = np.ones((1, 81), bool)
    negative[0, :30] = False
    taken = [np.asarray(layer._interesting(offence, negative))[0] for _ in range(2)]
    worst = set(np.argsort(np.where(negative[0], -offence[0], np.inf))[:5])
    chosen = [set(np.flatnonzero(each)) for each in taken]
    assert all(len(each) == 10 and worst < each and min(each) >= 30 for each in chosen)
    assert chosen[0] != chosen[1]
    few = np.zeros((1, 81), bool)
    few[0, 3:6] = True
    assert set(np.flatnonzero(layer._interesting(offence, few)[0])) == {3, 4, 5}
    assert not np.asarray(layer._interesting(offence, np.zeros((1, 81), bool))).any()


def test_it_learns_and_shows_both_losses():
    net = detector()
    x, y = pictures(), targets()
    net.compile(keras.optimizers.Adam(0.003), jit_compile=False)
    history = net.fit(x, y, epochs=10, verbose=0, validation_data=(x, y)).history
    assert {"loss", "class_loss", "box_loss", "val_class_loss", "val_box_loss"} <= set(history)
    assert history["loss"][-1] < 0.8 * history["loss"][0]
    np.testing.assert_allclose(
        history["loss"], np.add(history["class_loss"], history["box_loss"]), rtol=1e-4
    )


def test_loss_and_boxes_are_compiled():
    layer = SlidingWindows([(48, 48)], [(5, 5)], 4, 32, candidates=6, detections=4, seed=1)
    draw = np.random.default_rng(4)
    logits = draw.normal(0, 2, (2, 25, 5)).astype("float32")
    codes = draw.normal(0, 0.1, (2, 25, 4, 4)).astype("float32")
    plain = layer([logits, codes])
    compiled = tf.function(lambda *given: layer([*given]), jit_compile=True)(logits, codes)
    for name, each in plain.items():
        np.testing.assert_allclose(compiled[name], each, rtol=1e-4, atol=1e-5)
    losses = tf.function(layer.picture_losses, jit_compile=True)(targets(), logits, codes)
    assert np.isfinite(losses).all() and losses[1][0] > 0


def test_pictures_without_objects_have_a_finite_loss():
    net = detector()
    x = pictures()
    nothing = {"boxes": np.zeros((2, 0, 4), "float32"), "classes": np.zeros((2, 0), "int32")}
    loss = net.compute_loss(x, nothing, net(x))
    assert np.isfinite(loss) and loss > 0


@pytest.mark.parametrize(
    ("dtype", "rtol"), [("float32", 1e-4), ("float16", 2e-3), ("bfloat16", 2e-2)]
)
def test_known_windows_become_one_box(dtype, rtol):
    layer = SlidingWindows([(64, 64)], [(9, 9)], 4, 32, detections=3, dtype=dtype)
    logits = np.zeros((1, 81, 3), "float32")
    logits[..., 0] = 60
    codes = np.zeros((1, 81, 1, 4), "float32")
    truth = np.array([0.3, 0.35, 0.6, 0.7], "float32")
    for window in (30, 31, 40):
        logits[0, window] = (0, 0, 60)
        codes[0, window, 0] = encode_edges(truth, layer.windows[window])
    found = layer([logits, codes])
    assert keras.backend.standardize_dtype(found["boxes"].dtype) == "float32"
    np.testing.assert_allclose(found["boxes"][0, 0], truth, rtol=rtol)
    np.testing.assert_allclose(found["scores"][0], [0.75, 0, 0], atol=1e-5)
    assert np.asarray(found["classes"])[0].tolist() == [1, -1, -1]


def test_at_each_scale_the_best_classes_count_alone():
    layer = SlidingWindows([(32, 32), (36, 32)], [(1, 1), (2, 1)], 4, 32, top_classes=1)
    probabilities = np.array([[[0.5, 0.2, 0.1], [0.1, 0.2, 0.3], [0.6, 0.0, 0.2]]], "float32")
    kept = np.asarray(layer._of_top_classes(keras.ops.convert_to_tensor(probabilities)))
    np.testing.assert_allclose(kept[0], [[0.5, 0, 0], [0.1, 0, 0], [0.6, 0, 0]])


def test_windows_of_several_scales_are_fractions_of_the_picture():
    windows = window_boxes([(40, 80), (80, 160)], [(2, 1), (1, 2)], 8, 32)
    np.testing.assert_allclose(
        windows,
        [[0, 0, 0.8, 0.4], [0.2, 0, 1, 0.4], [0, 0, 0.4, 0.2], [0, 0.05, 0.4, 0.25]],
        rtol=1e-6,
    )


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_answers_and_learns_in_float32(policy):
    keras.config.set_dtype_policy(policy)
    try:
        net = detector()
    finally:
        keras.config.set_dtype_policy("float32")
    x, y = pictures(), targets()
    given = net(x)
    assert net.get_layer("conv1").compute_dtype == policy.removeprefix("mixed_")
    assert {name: keras.backend.standardize_dtype(each.dtype) for name, each in given.items()} == {
        **dict.fromkeys(("boxes", "scores", "logits", "codes"), "float32"),
        "classes": "int32",
    }
    net.compile(keras.optimizers.SGD(0.01))
    assert np.isfinite(net.train_on_batch(x, y)).all()


def test_it_is_saved_and_exported(tmp_path):
    net, x = detector(), pictures()
    expected = {name: np.asarray(each) for name, each in net(x).items()}
    net.save(tmp_path / "net.keras")
    net.save_weights(tmp_path / "net.weights.h5")
    net.export(tmp_path / "served", verbose=False)
    again = keras.models.load_model(tmp_path / "net.keras")
    given_weights = detector(weights=tmp_path / "net.weights.h5")
    served = tf.saved_model.load(tmp_path / "served")
    for other in (again, given_weights, served.serve):
        for name, each in other(x).items():
            np.testing.assert_allclose(each, expected[name], rtol=1e-4, atol=1e-5)
    again.compile("sgd")
    assert np.isfinite(again.train_on_batch(x, targets())).all()


def test_it_starts_from_a_classifier(tmp_path):
    classifier = OverFeat((32, 32, 3), 10, stem="cifar", units=24, width=0.1)
    classifier.save(tmp_path / "base.keras")
    net = detector(base=tmp_path / "base.keras")
    for name in ("conv1", "conv5", "fc6", "fc7"):
        ours, theirs = net.get_layer(name).get_weights(), classifier.get_layer(name).get_weights()
        for mine, given in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(mine, given)
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(tmp_path / "other.keras")
    with pytest.raises(ValueError, match="no layer with weights in common"):
        detector(base=tmp_path / "other.keras")


@pytest.mark.parametrize(
    ("variant", "sides", "windows"),
    # The windows of Table 5, of its last scale in the accurate net.
    [("accurate", (461, 569), 21 * 30), ("fast", (231, 263), 1 * 3)],
)
def test_published_windows(outline, variant, sides, windows):
    net = outline(OverFeatDetector, (*sides, 3), variant=variant, scales=(1.0,), regressor="shared")
    assert net.output["logits"].shape == (None, windows, 201)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dropout": 1.5}, "dropout|rate"),
        ({"regressor": "none"}, r"\('class', 'shared'\), not 'none'"),
        ({"variant": "slow"}, "not 'slow'"),
        ({"classes": 0}, "1 or more"),
        ({"scales": ()}, "one or more"),
        ({"positive": 0.2, "negative": 0.3}, "negative <= positive"),
        ({"positive": 1.1}, "negative <= positive"),
        ({"candidates": 0}, "candidates and detections must be 1 or more"),
        ({"detections": 0}, "candidates and detections must be 1 or more"),
        ({"negatives": -1}, "negatives 0 or more"),
        ({"scales": (0.5, 1.0)}, "at the scale 0.5 a picture of 48 x 64 has a side of 24"),
        ({"input_shape": (None, 64, 3)}, r"\(height, width, channels\)"),
        ({"base": "nowhere.keras"}, "nowhere.keras"),
    ],
)
def test_wrong_arguments_are_refused_and_told(arguments, message):
    with pytest.raises(ValueError, match=message):
        detector(**arguments)
