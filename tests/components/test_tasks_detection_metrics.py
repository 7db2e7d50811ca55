"""The figures of detections: against pycocotools, and against loops over single boxes."""

import contextlib
import io
from fractions import Fraction

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from components.tasks.detection import checks, matching, metrics, rows
from components.tasks.detection.targets import Objects

CLASSES = 4
PLACES = 12
# Of COCOeval.stats.
COCO_NAMES = (
    *("coco_ap", "coco_ap50", "coco_ap75", "coco_ap_small", "coco_ap_medium", "coco_ap_large"),
    *("coco_ar1", "coco_ar10", "coco_ar100", "coco_ar_small", "coco_ar_medium", "coco_ar_large"),
)


def objects(boxes, classes, difficult=None, crowd=None, areas=None) -> Objects:
    boxes = np.array(boxes, np.float64).reshape(-1, 4)
    none = np.zeros(len(boxes), bool)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) if areas is None else areas
    flags = (none if each is None else np.array(each, bool) for each in (difficult, crowd))
    return Objects(boxes, np.array(classes, np.int64), *flags, np.array(areas, np.float64))


def answers(*pictures, places: int = PLACES) -> dict[str, np.ndarray]:
    """The answers of lists (box, score, class) a picture."""
    found = {
        "boxes": np.zeros((len(pictures), places, 4), np.float32),
        "scores": np.zeros((len(pictures), places), np.float32),
        "classes": np.full((len(pictures), places), -1, np.int32),
        "count": np.array([len(each) for each in pictures], np.int32),
    }
    for place, listed in enumerate(pictures):
        for number, (box, score, label) in enumerate(listed):
            found["boxes"][place, number] = box
            found["scores"][place, number] = score
            found["classes"][place, number] = label
    return found


def figures(given, truths) -> dict:
    return metrics.figures(metrics.rows(given, truths, {}), {})


def made(seed: int, ties: bool = False, crowds: bool = True, pictures: int = 30):
    """Objects of many sizes, and detections near some of them, near others and nowhere.

    Of the last class there are detections and no objects, of the one before it the other way round.
    """
    rng = np.random.default_rng(seed)
    truths, found = [], []
    for _ in range(pictures):
        number = rng.integers(0, 6)
        sides = np.exp(rng.uniform(np.log(8), np.log(200), (number, 2)))
        corners = rng.uniform(0, 300, (number, 2))
        boxes = np.round(np.concatenate([corners, corners + sides], axis=1), 1)
        classes = rng.integers(0, CLASSES - 1, number)
        flags = rng.uniform(size=(2, number)) < 0.15
        crowd = flags[0] & crowds
        truths.append(objects(boxes, classes, flags[1] & ~crowd, crowd))
        listed = []
        for _ in range(rng.integers(0, PLACES + 1)):
            if number and rng.uniform() < 0.8:
                which = rng.integers(number)
                noise = rng.normal(0, rng.choice([0.02, 0.1, 0.3]), 4) * np.tile(sides[which], 2)
                box = boxes[which] + noise
                label = classes[which] if rng.uniform() < 0.8 else rng.integers(CLASSES)
            else:
                corner = rng.uniform(0, 300, 2)
                box = np.concatenate([corner, corner + rng.uniform(8, 200, 2)])
                label = rng.integers(CLASSES)
            box = np.concatenate([np.minimum(box[:2], box[2:]), np.maximum(box[:2], box[2:])])
            label = label if label != CLASSES - 2 else 0
            score = rng.integers(1, 5) / 4 if ties else rng.uniform()
            listed.append((box, score, label))
        found.append(sorted(listed, key=lambda each: -each[1]))
    return answers(*found), truths


def by_pycocotools(given, truths) -> dict[str, float]:
    """What pycocotools measures; difficult objects are what it calls ignored."""
    images = [{"id": number} for number in range(1, len(truths) + 1)]
    annotations, detections = [], []
    for image, (each, place) in enumerate(zip(truths, range(len(truths)), strict=True), 1):
        for box, label, difficult, crowd, area in zip(*each, strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": int(label) + 1,
                    "bbox": [box[1], box[0], box[3] - box[1], box[2] - box[0]],
                    "area": area,
                    # `ignore` itself is written over by `iscrowd` in COCOeval.
                    "iscrowd": int(crowd),
                    "difficult": bool(difficult),
                }
            )
        for number in range(given["count"][place]):
            top, left, bottom, right = given["boxes"][place, number].astype(np.float64)
            detections.append(
                {
                    "image_id": image,
                    "category_id": int(given["classes"][place, number]) + 1,
                    "bbox": [left, top, right - left, bottom - top],
                    "score": float(given["scores"][place, number]),
                }
            )
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        categories = [{"id": label + 1} for label in range(CLASSES)]
        known.dataset = {"images": images, "annotations": annotations, "categories": categories}
        known.createIndex()
        evaluation = _Evaluation(known, known.loadRes(detections), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(COCO_NAMES, evaluation.stats, strict=True))


class _Evaluation(COCOeval):
    def _prepare(self):
        super()._prepare()
        for truths in self._gts.values():
            for each in truths:
                each["ignore"] = int(each["iscrowd"] or each["difficult"])


@pytest.mark.parametrize("seed", range(6))
def test_coco_figures_are_those_of_pycocotools(seed):
    given, truths = made(seed)
    found, expected = figures(given, truths), by_pycocotools(given, truths)
    assert 0.05 < expected["coco_ap"] < 0.9
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-12), name


def test_of_equal_scores_no_order_is_the_lucky_one():
    """pycocotools takes them as they come: between the worst order and the best."""
    for seed in range(4):
        given, truths = made(seed, ties=True)
        found, expected = figures(given, truths), by_pycocotools(given, truths)
        for name in COCO_NAMES[6:]:
            assert found[name] == pytest.approx(expected[name], abs=1e-12)
        backwards = {name: values[::-1] for name, values in given.items()}
        other = figures(backwards, truths[::-1])
        for name, value in found.items():
            assert other[name] == pytest.approx(value, abs=1e-12), name


def iou(one, other, crowd=False) -> float:
    height = min(one[2], other[2]) - max(one[0], other[0])
    width = min(one[3], other[3]) - max(one[1], other[1])
    if height <= 0 or width <= 0:
        return 0.0
    first, second = ((each[2] - each[0]) * (each[3] - each[1]) for each in (one, other))
    common = height * width
    return common / (first if crowd else first + second - common)


def voc_by_loops(given, truths) -> dict[str, float]:
    """VOC's development kit, box by box; precision and recall as fractions."""
    found: dict[str, list[float]] = {"map50": [], "map50_11_points": []}
    for label in range(CLASSES):
        positives, verdicts = 0, []
        for place, each in enumerate(truths):
            own = [number for number in range(len(each.classes)) if each.classes[number] == label]
            positives += sum(not (each.difficult[n] or each.crowd[n]) for n in own)
            taken = set()
            for number in range(given["count"][place]):
                if given["classes"][place, number] != label:
                    continue
                box = given["boxes"][place, number].astype(np.float64)
                single = [(iou(box, each.boxes[n]), -n) for n in own if not each.crowd[n]]
                best, which = max(single, default=(0.0, 0))
                score = given["scores"][place, number]
                if best >= 0.5:
                    if each.difficult[-which]:
                        continue
                    verdicts.append((score, -which not in taken))
                    taken.add(-which)
                elif not any(iou(box, each.boxes[n], True) >= 0.5 for n in own if each.crowd[n]):
                    verdicts.append((score, False))
        if not positives:
            continue
        points = [(Fraction(0), Fraction(0))]
        for threshold in sorted({score for score, _ in verdicts}, reverse=True):
            above = [right for score, right in verdicts if score >= threshold]
            points.append((Fraction(sum(above), positives), Fraction(sum(above), len(above))))
        eleven = sum(best_from(points, Fraction(tenth, 10)) for tenth in range(11)) / 11
        area = sum(
            (points[n][0] - points[n - 1][0]) * best_from(points, points[n][0])
            for n in range(1, len(points))
        )
        found["map50"].append(float(area))
        found["map50_11_points"].append(float(eleven))
    return {name: float(np.mean(values)) for name, values in found.items()}


def best_from(points, recall: Fraction) -> Fraction:
    return max((p for r, p in points if r >= recall), default=Fraction(0))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_voc_figures_are_those_of_loops(seed, ties):
    given, truths = made(seed, ties)
    found, expected = figures(given, truths), voc_by_loops(given, truths)
    assert 0.05 < expected["map50"] < 0.95
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-12), name


BOX, FAR = (0, 0, 10, 10), (50, 50, 60, 60)


def test_an_object_is_found_once():
    given = answers([(BOX, 0.9, 0), (BOX, 0.8, 0)])
    assert figures(given, [objects([BOX, FAR], [0, 0])])["map50"] == 0.5
    found = metrics.rows(given, [objects([BOX, FAR], [0, 0])], {})
    assert rows.divided(found).found.voc.tolist() == [matching.FOUND, matching.FALSE]
    # The second one of the object is not as bad as one of nothing, but wrong.
    assert rows.divided(found).found.kind.tolist() == [rows.RIGHT, rows.LOCALIZATION]


def test_what_is_difficult_or_a_crowd_does_not_count():
    truth = objects([BOX, FAR], [0, 0], difficult=[True, False])
    assert figures(answers([(FAR, 0.5, 0)]), [truth])["map50"] == 1.0
    assert figures(answers([(BOX, 0.9, 0), (BOX, 0.8, 0), (FAR, 0.5, 0)]), [truth])["map50"] == 1.0
    crowd = objects([(0, 0, 40, 40), FAR], [0, 0], crowd=[True, False])
    several = answers([(BOX, 0.9, 0), ((20, 20, 30, 30), 0.8, 0), (FAR, 0.5, 0)])
    found = figures(several, [crowd])
    assert found["map50"] == found["coco_ap50"] == 1.0
    alone = figures(answers([(BOX, 0.9, 0)]), [objects([BOX], [0], difficult=[True])])
    assert {name for name, value in alone.items() if value is not None} == {"localization_error"}


def test_detections_are_wrong_in_three_ways():
    truth = objects([BOX, FAR], [0, 1])
    off, nowhere = (0, 6, 10, 16), (80, 0, 90, 10)
    given = answers([(BOX, 0.9, 0), (off, 0.8, 0), (FAR, 0.7, 0), (nowhere, 0.6, 0)])
    found = rows.divided(metrics.rows(given, [truth], {})).found
    assert found.kind.tolist() == [
        *(rows.RIGHT, rows.LOCALIZATION, rows.CONFUSION, rows.BACKGROUND)
    ]


def test_pictures_without_objects_count_what_is_found_in_them():
    truths = [objects([BOX], [0]), objects([], [])]
    assert figures(answers([(BOX, 0.5, 0)], []), truths)["map50"] == 1.0
    assert figures(answers([(BOX, 0.5, 0)], [(BOX, 0.9, 0)]), truths)["map50"] == 0.5
    nothing = figures(answers([(BOX, 0.5, 0)]), [objects([], [])])
    assert set(nothing.values()) == {None}


def test_what_is_no_number_is_wrong_and_not_left_out():
    truth = [objects([BOX, FAR], [0, 0])]
    good = answers([(BOX, 0.9, 0), (FAR, 0.8, 0)])
    assert figures(good, truth)["map50"] == 1.0
    for name in ("boxes", "scores"):
        bad = {key: values.copy() for key, values in good.items()}
        bad[name][0, 1] = np.nan
        found = figures(bad, truth)
        # A detection whose score is none is the surest of all, and wrong.
        assert found["map50"] == (0.5 if name == "boxes" else 0.25)
    bad["boxes"][0, 1] = np.inf
    assert figures(bad, truth)["map50"] == 0.25


def test_the_error_of_localisation():
    truth = objects([BOX], [3])
    others = [(FAR, 0.9 - number / 10, number) for number in (0, 1, 2)]

    def error(*listed) -> float:
        return figures(answers(list(listed)), [truth])["localization_error"]

    assert error((BOX, 0.9, 3)) == 0.0
    assert error((BOX, 0.9, 2)) == error((FAR, 0.9, 3)) == error() == 1.0
    assert error(*others, (BOX, 0.3, 3)) == 0.0
    # The fifth class is the last guess, and each class has its surest box.
    assert error(*others, (FAR, 0.5, 4), (BOX, 0.3, 3)) == 0.0
    assert error(*others, (FAR, 0.5, 4), (FAR, 0.4, 5), (BOX, 0.3, 3)) == 1.0
    assert error((FAR, 0.9, 3), (BOX, 0.8, 3)) == 1.0
    half, less = (0, 0, 10, 5), (0, 0, 10, 4.9)
    assert error((half, 0.9, 3)) == 0.0 and error((less, 0.9, 3)) == 1.0
    two = [objects([BOX, FAR], [3, 4])]
    assert figures(answers([(BOX, 0.9, 3)]), two)["localization_error"] == 0.5


def test_rows_of_batches_in_any_order_give_the_same_figures():
    given, truths = made(1, ties=True)
    whole = metrics.rows(given, truths, {})
    pictures = rows.by_picture(whole)
    assert len(pictures) == len(truths)
    shuffled = [pictures[place] for place in np.random.default_rng(0).permutation(len(pictures))]
    expected, found = (metrics.figures(each, {}) for each in (whole, np.concatenate(shuffled)))
    assert found == pytest.approx(expected, abs=1e-12)
    one_by_one = [
        metrics.rows({name: values[n : n + 1] for name, values in given.items()}, [truths[n]], {})
        for n in range(len(truths))
    ]
    np.testing.assert_array_equal(np.concatenate(one_by_one), whole)


def test_ten_thousand_objects_in_one_picture():
    corners = np.stack(np.divmod(np.arange(10_000), 100), axis=1) * 10.0
    truth = objects(np.concatenate([corners, corners + 8], axis=1), np.arange(10_000) % 3)
    listed = [(truth.boxes[n], 1 - n / 200, truth.classes[n]) for n in range(100)]
    found = figures(answers(listed, places=100), [truth])
    assert found["coco_ar100"] == pytest.approx(100 / 10_000, rel=0.01)
    assert found["map50"] == pytest.approx(100 / 10_000, rel=0.01)


def test_two_models_find_together_what_one_misses():
    truth = [objects([BOX, FAR], [0, 1])]
    one = answers([(BOX, 0.9, 0), ((80, 0, 90, 10), 0.4, 0)], places=3)
    other = answers([((0, 0, 10, 9), 0.7, 0), (FAR, 0.6, 1)], places=2)
    found = metrics.combined([one, other])
    assert found["count"].tolist() == [3] and found["boxes"].shape == (1, 3, 4)
    assert found["classes"][0].tolist() == [0, 1, 0]
    np.testing.assert_allclose(found["scores"][0], [0.8, 0.3, 0.2], rtol=1e-6)
    np.testing.assert_array_equal(found["boxes"][0, 0], BOX)
    assert figures(found, truth)["map50"] == 1.0


def test_a_constant_list_is_the_mean_box_of_each_class():
    truths = [objects([BOX, (2, 0, 12, 10)], [1, 1]), objects([FAR], [2]), objects([FAR], [1])]
    found = metrics.constant(iter([truths[:1], truths[1:]]), ["a", "b", "c"], {})
    assert found["classes"].tolist() == [[1, 2]] and found["count"].tolist() == [2]
    np.testing.assert_allclose(found["scores"], [[2 / 3, 1 / 3]], rtol=1e-6)
    np.testing.assert_allclose(found["boxes"][0, 0], np.mean([BOX, (2, 0, 12, 10), FAR], axis=0))


NAMES = ("a", "b", "c")


@pytest.mark.parametrize(
    ("change", "objection"),
    [
        ({}, None),
        ({"boxes": ((0, 0), (5, 0, 4, 9))}, "ends before it begins"),
        ({"classes": ((0, 0), 3)}, "the class 3, and there are 3"),
        ({"classes": ((0, 1), -1)}, "the class -1"),
        ({"scores": ((0, 0), 1.5)}, "a score of 1.5"),
        ({"scores": ((0, 1), 0.95)}, "scores that do not fall"),
        ({"scores": ((0, 2), 0.1)}, "unused places"),
        ({"boxes": ((1, 0), BOX)}, "unused places"),
        ({"count": ((0,), 13)}, "a count of 13 in 12 places"),
        ({"count": ((0,), -1)}, "a count of -1"),
    ],
)
def test_what_a_served_list_must_never_be(change, objection):
    given = answers([(BOX, 0.9, 0), (FAR, 0.8, 2)], [])
    for name, (place, value) in change.items():
        given[name][place] = value
    found = checks.objections(given, NAMES)
    assert (found == []) if objection is None else (objection in found[0])


def test_a_model_and_examples_belong_together():
    given = answers([(BOX, 0.9, 2)])
    checks.check(given, [object()], NAMES)
    with pytest.raises(ValueError, match="gives the class 2, the examples have 2"):
        checks.check(given, [object()], NAMES[:2])
    with pytest.raises(ValueError, match="detections in 1 pictures, of 2"):
        checks.check(given, [object()] * 2, NAMES)
    with pytest.raises(ValueError, match=r"boxes of shape \[1, 11, 4\]"):
        checks.check({**given, "boxes": given["boxes"][:, :11]}, [object()], NAMES)


def test_how_far_lists_are_apart():
    one = answers([(BOX, 0.9, 0), (FAR, 0.9, 1), (BOX, 0.001, 1)], [])
    # Equal scores in another order, a little less of the box, and without what is hardly found.
    other = answers([(FAR, 0.9, 1), ((0, 0, 10, 9.99), 0.9, 0)], [])
    np.testing.assert_allclose(checks.apart(one, other), [0.001, 0.0], atol=1e-6)
    np.testing.assert_allclose(checks.apart(other, one), [0.001, 0.0], atol=1e-6)
    elsewhere = answers([(FAR, 0.9, 0), (FAR, 0.9, 1)], [(BOX, 0.3, 0)])
    np.testing.assert_allclose(checks.apart(one, elsewhere), [0.9, 0.3], rtol=1e-6)
    # What a full list has no place for is as far as it is above its last.
    full = answers([(BOX, 0.9, 0)], places=1)
    more = answers([(BOX, 0.9, 0), (FAR, 0.89, 1)], places=2)
    np.testing.assert_allclose(checks.apart(full, more), [0.0], atol=1e-6)
