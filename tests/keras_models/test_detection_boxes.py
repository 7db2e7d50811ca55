"""Boxes, anchors, matching, suppression and the losses of detection, against loops of NumPy."""

import math

import keras
import numpy as np
import pytest

from keras_models.detection.anchors import base_anchors, grid_anchors
from keras_models.detection.boxes import (
    LARGEST_LOG,
    areas,
    clip,
    decode,
    encode,
    inside,
    pairwise_iou,
)
from keras_models.detection.matching import match, sample
from keras_models.detection.suppression import suppress, suppress_by_class
from keras_models.losses import SmoothL1, proposal_loss, region_loss, smooth_l1

INF, NAN = float("inf"), float("nan")
ODD_BOXES = [
    [0.2, 0.2, 0.2, 0.8],  # no height
    [0.5, 0.5, 0.4, 0.9],  # upside down
    [0.0, 0.0, 0.0, 0.0],
    [NAN, 0.0, 1.0, 1.0],
    [0.0, 0.0, INF, 1.0],
    [-INF, -INF, INF, INF],
    [0.0, 0.0, 1.0, 1.0],
]


def numpy_of(*tensors):
    found = [keras.ops.convert_to_numpy(each) for each in tensors]
    return found[0] if len(found) == 1 else found


def random_boxes(draw, *shape, largest=0.5):
    corners = draw.uniform(0, 1 - largest / 2, (*shape, 2))
    sides = draw.uniform(0.01, largest, (*shape, 2))
    return np.concatenate([corners, corners + sides], axis=-1).astype("float32")


def naive_area(box):
    height, width = box[2] - box[0], box[3] - box[1]
    return height * width if height > 0 and width > 0 else 0.0


def naive_iou(a, b):
    a, b = (np.asarray(box, np.float64) for box in (a, b))
    if not (np.isfinite(a).all() and np.isfinite(b).all()) or not naive_area(a) * naive_area(b):
        return 0.0
    common = naive_area([*np.maximum(a[:2], b[:2]), *np.minimum(a[2:], b[2:])])
    return common / (naive_area(a) + naive_area(b) - common)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_intersection_over_union(dtype):
    draw = np.random.default_rng(1)
    a = keras.ops.cast(np.concatenate([random_boxes(draw, 9), ODD_BOXES])[None], dtype)
    b = keras.ops.cast(np.concatenate([random_boxes(draw, 5), ODD_BOXES])[None], dtype)
    found = pairwise_iou(a, b)
    assert keras.backend.standardize_dtype(found.dtype) == (
        "float64" if dtype == "float64" else "float32"
    )
    # Beside what these types make of the boxes.
    exact_a, exact_b = (numpy_of(keras.ops.cast(x, "float32")) for x in (a, b))
    expected = [[naive_iou(i, j) for j in exact_b[0]] for i in exact_a[0]]
    np.testing.assert_allclose(numpy_of(found)[0], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        numpy_of(areas(a))[0, :9], [naive_area(box) for box in exact_a[0, :9]], rtol=1e-5
    )


def test_no_boxes_have_no_overlaps():
    none, some = np.zeros((2, 0, 4), "float32"), np.ones((2, 3, 4), "float32")
    assert pairwise_iou(none, some).shape == (2, 0, 3)
    assert pairwise_iou(some, none).shape == (2, 3, 0)
    assert encode(none, none).shape == decode(none, none).shape == clip(none).shape == (2, 0, 4)
    indices, taken = suppress(none, np.zeros((2, 0)), 5, 0.5)
    assert indices.shape == (2, 5)
    assert not numpy_of(taken).any()
    assert (numpy_of(suppress_by_class(none, np.zeros((2, 0, 3)), 5, 0.5).classes) == -1).all()


def test_clipped_and_inside():
    boxes = [[-1, -2, 30, 40], [1, 2, 10, 20], [-INF, 0, INF, 5], [0, 0, 10, 20.5]]
    np.testing.assert_array_equal(
        clip(boxes, 10, 20), [[0, 0, 10, 20], [1, 2, 10, 20], [0, 0, 10, 5], [0, 0, 10, 20]]
    )
    np.testing.assert_array_equal(inside(boxes, 10, 20), [False, True, False, False])
    assert not inside([NAN, 0, 1, 1])


def test_box_coding_is_appendix_c():
    # R-CNN's t of G = (centre 3, 5, sides 4, 2) from P = (centre 2, 6, sides 2, 4).
    codes = encode([[1, 4, 5, 6]], [[1, 4, 3, 8]])
    np.testing.assert_allclose(codes, [[0.5, -0.25, math.log(2), -math.log(2)]], rtol=1e-6)
    scaled = encode([[1, 4, 5, 6]], [[1, 4, 3, 8]], (0.1, 0.1, 0.2, 0.2))
    np.testing.assert_allclose(scaled, codes / np.array([0.1, 0.1, 0.2, 0.2]), rtol=1e-6)


def test_box_coding_returns_where_it_came_from():
    draw = np.random.default_rng(2)
    boxes, references = random_boxes(draw, 3, 50), random_boxes(draw, 3, 50)
    for deviations in ((1, 1, 1, 1), (0.1, 0.1, 0.2, 0.2)):
        codes = encode(boxes, references, deviations)
        np.testing.assert_allclose(decode(codes, references, deviations), boxes, atol=1e-6)


def test_box_coding_at_its_limits():
    for odd in ODD_BOXES[:-1]:
        assert not numpy_of(encode([odd], [[0.0, 0.0, 1.0, 1.0]])).any()
        assert not numpy_of(encode([[0.0, 0.0, 1.0, 1.0]], [odd])).any()
    box = numpy_of(decode([[0.0, 0.0, 1000.0, INF]], [[0.0, 0.0, 16.0, 16.0]]))
    np.testing.assert_allclose(box, [[-492, -492, 508, 508]], rtol=1e-5)
    assert math.isclose(LARGEST_LOG, math.log(62.5))
    assert np.isnan(numpy_of(decode([[NAN, 0.0, 0.0, 0.0]], [[0.0, 0.0, 1.0, 1.0]]))).any()


def test_the_nine_anchors_of_the_authors_code():
    # x1, y1, x2, y2 of the last pixels that are inside, as generate_anchors.py gives them.
    published = np.array(
        [
            [-84, -40, 99, 55],
            [-176, -88, 191, 103],
            [-360, -184, 375, 199],
            [-56, -56, 71, 71],
            [-120, -120, 135, 135],
            [-248, -248, 263, 263],
            [-36, -80, 51, 95],
            [-80, -168, 95, 183],
            [-168, -344, 183, 359],
        ]
    )
    edges = published + np.array([0, 0, 1, 1])
    np.testing.assert_array_equal(base_anchors(), edges[:, [1, 0, 3, 2]])


def test_anchors_of_a_grid():
    base = base_anchors(4, (8, 12), (1.0,))
    grid = numpy_of(grid_anchors(3, 2, 4, base))
    expected = [
        anchor + np.array([y, x, y, x]) * 4 for y in range(3) for x in range(2) for anchor in base
    ]
    np.testing.assert_array_equal(grid, expected)
    np.testing.assert_array_equal(base, [[-2, -2, 6, 6], [-4, -4, 8, 8]])


@pytest.mark.parametrize(
    "arguments", [(0,), (16, ()), (16, (128,), ()), (16, (0,)), (16, (128,), (-1.0,))]
)
def test_anchors_that_cannot_be(arguments):
    with pytest.raises(ValueError, match="must be positive"):
        base_anchors(*arguments)


def naive_match(boxes, truths, positive, negative, counted, best_of_each):
    overlaps = np.array([[naive_iou(a, b) for b in truths] for a in boxes])
    overlaps = overlaps.reshape(len(boxes), len(truths)) * counted[:, None]
    kinds, found = [], []
    for i in range(len(boxes)):
        row = overlaps[i] if len(truths) else np.zeros(1)
        best = best_of_each and any(row[j] == overlaps[:, j].max() > 0 for j in range(len(truths)))
        if not counted[i]:
            kinds.append(-1)
        elif row.max() >= positive or best:
            kinds.append(1)
        else:
            kinds.append(0 if negative[0] <= row.max() < negative[1] else -1)
        found.append(row.argmax())
    return kinds, found


@pytest.mark.parametrize("best_of_each", [False, True])
@pytest.mark.parametrize("thresholds", [(0.7, (0.0, 0.3)), (0.5, (0.1, 0.5))])
def test_matches(thresholds, best_of_each):
    draw = np.random.default_rng(3)
    boxes, truths = random_boxes(draw, 4, 60), random_boxes(draw, 4, 5)
    boxes[0, :2] = truths[0, :1]  # two boxes alike, and just as good
    present = np.arange(5) < np.array([[5], [3], [1], [0]])
    counted = draw.random((4, 60)) < 0.8
    found = match(boxes, truths, present, *thresholds, counted, best_of_each)
    for n in range(4):
        kinds, numbers = naive_match(
            boxes[n], truths[n][present[n]], *thresholds, counted[n], best_of_each
        )
        np.testing.assert_array_equal(found.kinds[n], kinds)
        np.testing.assert_array_equal(found.truths[n], numbers)
    everything = match(boxes, truths, present, *thresholds, best_of_each=best_of_each)
    assert (numpy_of(everything.kinds)[3] == (0 if thresholds[1][0] == 0 else -1)).all()


def test_matches_without_boxes_or_truths():
    none, some = np.zeros((2, 0, 4), "float32"), np.ones((2, 3, 4), "float32")
    assert match(none, some, np.ones((2, 3), bool), best_of_each=True).kinds.shape == (2, 0)
    found = match(some, none, np.ones((2, 0), bool), best_of_each=True)
    np.testing.assert_array_equal(found.kinds, np.zeros((2, 3)))


def test_samples():
    kinds = np.full((4, 40), -1, "int32")
    kinds[0, :30], kinds[0, 30:] = 1, 0  # too few negative ones: half of the places stay empty
    kinds[1, :3], kinds[1, 5:30] = 1, 0  # too few positive ones: negative ones take their places
    kinds[2, 7] = 0
    seeds = keras.random.SeedGenerator(5)
    seen = set()
    for _ in range(60):
        indices, given = numpy_of(*sample(kinds, 16, 0.25, seeds))
        assert [(row == 1).sum() for row in given] == [4, 3, 0, 0]
        assert [(row == 0).sum() for row in given] == [10, 13, 1, 0]
        for n in range(4):
            used = given[n] >= 0
            assert (kinds[n, indices[n]] == given[n])[used].all()
            assert len(set(indices[n][used])) == used.sum()
            assert not indices[n][~used].any()
            assert (np.diff(given[n]) <= 0).all()
        seen |= {*indices[0][:4]}
    assert seen == set(range(30))
    again = [numpy_of(*sample(kinds, 16, 0.25, 7)) for _ in range(2)]
    np.testing.assert_array_equal(*again)
    assert not (numpy_of(sample(kinds, 16, 0.0, 7)[1]) == 1).any()
    assert (numpy_of(sample(np.zeros((1, 0), "int32"), 4, 0.5, 7)[1]) == -1).all()


def naive_suppress(boxes, scores, number, overlap):
    taken = []
    for i in np.argsort(-scores, kind="stable"):
        fine = np.isfinite(scores[i]) and np.isfinite(boxes[i]).all()
        if fine and all(naive_iou(boxes[i], boxes[j]) <= overlap for j in taken):
            taken.append(int(i))
    return taken[:number]


@pytest.mark.parametrize("boxes_each, number", [(7, 20), (256, 40), (700, 300)])
def test_suppression(boxes_each, number):
    draw = np.random.default_rng(4)
    boxes = random_boxes(draw, 2, boxes_each, largest=0.3)
    scores = draw.normal(size=(2, boxes_each)).round(2).astype("float32")  # with ties
    boxes[0, 1], scores[0, 2:5] = [NAN, 0, 1, 1], [NAN, INF, -INF]
    for overlap in (0.1, 0.5):
        indices, taken = numpy_of(*suppress(boxes, scores, number, overlap))
        assert indices.shape == taken.shape == (2, number)
        for n in range(2):
            expected = naive_suppress(boxes[n], scores[n], number, overlap)
            np.testing.assert_array_equal(indices[n][taken[n]], expected)
            assert taken[n][: len(expected)].all()


def test_suppression_along_a_chain():
    """Each box overlaps the next alone: every second one stays, which takes the most rounds."""
    start = np.arange(300, dtype="float32")
    boxes = np.stack([start * 0, start, start * 0 + 1, start + 1.5], axis=-1)[None]
    indices, taken = numpy_of(*suppress(boxes, -start[None], 200, 0.1))
    np.testing.assert_array_equal(indices[taken], np.arange(0, 300, 2))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="traces with TensorFlow")
@pytest.mark.parametrize("compiled", [False, True])
def test_in_the_graph_with_sides_unknown(compiled):
    import tensorflow as tf

    def found(boxes, scores):
        present = boxes[:, :4, 0] < 0.5
        matches = match(boxes, boxes[:, :4], present, 0.5, (0.1, 0.5), best_of_each=True)
        return (
            *matches,
            sample(matches.kinds, 8, 0.25, 3)[1],  # which ones, XLA draws otherwise
            *suppress(boxes, scores[..., 0], 20, 0.3),
            *suppress_by_class(boxes, scores, 20, 0.3),
        )

    draw = np.random.default_rng(5)
    boxes, scores = random_boxes(draw, 2, 30), draw.uniform(size=(2, 30, 2)).astype("float32")
    free = [tf.TensorSpec((None, None, 4)), tf.TensorSpec((None, None, 2))]
    graph = tf.function(found, input_signature=free, jit_compile=compiled)
    for mine, theirs in zip(found(boxes, scores), graph(boxes, scores), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)


@pytest.mark.parametrize("shared", [True, False])
def test_suppression_by_class(shared):
    draw = np.random.default_rng(6)
    boxes = random_boxes(draw, 2, 30) if shared else random_boxes(draw, 2, 30, 3)
    scores = draw.uniform(size=(2, 30, 3)).astype("float32")
    scores[1] *= 0.02  # nothing but one box
    scores[1, 3, 2] = 0.9
    found = suppress_by_class(boxes, scores, 25, 0.3, least_score=0.05)
    for n in range(2):
        expected = []
        for c in range(3):
            of_class = boxes[n] if shared else boxes[n, :, c]
            seen = np.where(scores[n, :, c] > 0.05, scores[n, :, c], -INF)
            kept = naive_suppress(of_class, seen, 25, 0.3)
            expected += [(scores[n, i, c], c, *of_class[i]) for i in kept]
        expected = sorted(expected, reverse=True)[:25]
        expected += [(0, -1, 0, 0, 0, 0)] * (25 - len(expected))
        rows = np.column_stack(numpy_of(found.scores[n], found.classes[n], found.boxes[n]))
        np.testing.assert_allclose(rows, expected, rtol=1e-6)


def test_smooth_l1_is_equation_3():
    np.testing.assert_allclose(smooth_l1([0.0, 0.5, -0.5, 1.0, -3.0]), [0, 0.125, 0.125, 0.5, 2.5])
    np.testing.assert_allclose(smooth_l1([0.1, -1.0], 3.0), [0.045, 1 - 0.5 / 9], rtol=1e-6)
    half = keras.ops.cast([300.0], "float16")
    np.testing.assert_allclose(smooth_l1(half), [299.5])
    loss = SmoothL1.from_config(SmoothL1(3.0).get_config())
    np.testing.assert_allclose(loss([[0.0, 0.0]], [[0.1, -1.0]]), 0.045 + 1 - 0.5 / 9, rtol=1e-6)
    with pytest.raises(ValueError, match="sigma must be positive"):
        SmoothL1(0.0)


def test_loss_of_proposals_is_equation_1():
    draw = np.random.default_rng(7)
    logits = draw.normal(size=(2, 6)) * 5
    codes, targets = draw.normal(size=(2, 2, 6, 4))
    kinds = np.array([[1, 1, 0, 0, 0, -1], [0, 0, 0, 0, 0, 0]])
    class_loss, box_loss = numpy_of(*proposal_loss(logits, codes, kinds, targets, 20, sigma=2.0))
    for n in range(2):
        p = 1 / (1 + np.exp(-logits[n]))
        entropy = [
            -math.log(p[i] if kinds[n, i] else 1 - p[i]) for i in range(6) if kinds[n, i] >= 0
        ]
        np.testing.assert_allclose(class_loss[n], sum(entropy) / 6, rtol=1e-5)
        errors = [smooth_l1(codes[n, i] - targets[n, i], 2.0) for i in range(6) if kinds[n, i] == 1]
        np.testing.assert_allclose(box_loss[n], np.sum(errors) / 20, rtol=1e-5)


@pytest.mark.parametrize("by_class", [True, False])
def test_loss_of_regions_is_the_multi_task_loss(by_class):
    draw = np.random.default_rng(8)
    logits, targets = draw.normal(size=(2, 5, 4)), draw.normal(size=(2, 5, 4))
    codes = draw.normal(size=(2, 5, 3, 4) if by_class else (2, 5, 4))
    labels = np.array([[3, 1, 0, 0, -1], [-1] * 5])
    class_loss, box_loss = numpy_of(*region_loss(logits, codes, labels, targets))
    p = np.exp(logits[0]) / np.exp(logits[0]).sum(-1, keepdims=True)
    entropy = [-math.log(p[i, labels[0, i]]) for i in range(4)]
    np.testing.assert_allclose(class_loss, [sum(entropy) / 5, 0], rtol=1e-5)
    chosen = [codes[0, i, labels[0, i] - 1] if by_class else codes[0, i] for i in (0, 1)]
    errors = smooth_l1(np.stack(chosen) - targets[0, :2])
    np.testing.assert_allclose(box_loss, [np.sum(errors) / 5, 0], rtol=1e-5)
