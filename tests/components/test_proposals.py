"""Selective search: against a naive version, on real pictures, and in ingestion."""

import importlib.util
import io

import numpy as np
import pytest
import skimage.data
import tensorflow as tf
from PIL import Image
from skimage import filters, measure

from components.ingest.contract import Encoding, Record, to_example
from components.ingest.images import ImageError
from components.ingest.proposals import grouping
from components.ingest.proposals import selective_search as search
from components.ingest.proposals.finding import Proposals, of_file, of_image, padded
from components.preprocess.augment import augment_example, central_example

LABELS = np.array([[0, 0, 1, 1], [0, 2, 2, 1], [3, 3, 2, 2], [3, 3, 4, 4]])


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union: [N, M]."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=-1)
    area, other = (np.prod(each[:, 2:] - each[:, :2], axis=-1) for each in (boxes, others))
    return common / (area[:, None] + other[None] - common)


@pytest.fixture(scope="module")
def coins() -> tuple[np.ndarray, np.ndarray]:
    """A photograph of coins, and the boxes of those that a threshold finds."""
    grey = skimage.data.coins()
    smooth = filters.gaussian(grey, 2)
    regions = measure.regionprops(measure.label(smooth > filters.threshold_otsu(smooth)))
    boxes = [region.bbox for region in regions if 1000 < region.area < 4000]
    return np.repeat(grey[..., None], 3, axis=-1), np.array(boxes)


def test_boxes_and_neighbours_of_regions():
    assert grouping.boxes_of(LABELS).tolist() == [
        [0, 0, 2, 2],
        [0, 2, 2, 4],
        [1, 1, 3, 4],
        [2, 0, 4, 2],
        [3, 2, 4, 4],
    ]
    pairs = {(0, 1), (0, 2), (0, 3), (1, 2), (2, 3), (2, 4), (3, 4)}
    assert set(map(tuple, grouping.neighbours_of(LABELS).tolist())) == pairs


def naively_grouped(regions: grouping.Regions) -> list[list[int]]:
    """All pairs compared at each step, in floats of 64 bits, by the paper's four equations."""
    live = {
        number: (histogram.astype(float), size, box)
        for number, (histogram, size, box) in enumerate(
            zip(regions.histograms, regions.sizes, regions.boxes, strict=True)
        )
    }
    touch = {frozenset(pair) for pair in regions.neighbours.tolist()}

    def around(one, other):
        return np.append(np.minimum(one[:2], other[:2]), np.maximum(one[2:], other[2:]))

    def similarity(pair):
        (one, size, box), (other, other_size, other_box) = (live[each] for each in pair)
        area = np.prod(np.diff(around(box, other_box).reshape(2, 2), axis=0))
        small = 1 - (size + other_size) / regions.pixels
        fill = 1 - (area - size - other_size) / regions.pixels
        return np.minimum(one, other).sum() + small + fill

    boxes = []
    while len(live) > 1:
        one, other = max(touch, key=similarity)
        (a, size, box), (b, other_size, other_box) = live.pop(one), live.pop(other)
        new, total = max(*live, one, other) + 1, size + other_size
        live[new] = (size * a + other_size * b) / total, total, around(box, other_box)
        merged = {
            frozenset(new if each in (one, other) else each for each in pair) for pair in touch
        }
        touch = {pair for pair in merged if len(pair) == 2}
        boxes.append(live[new][2].tolist())
    return boxes


def test_grouping_is_that_of_the_equations():
    draw = np.random.default_rng(0)
    labels = np.kron(np.arange(30).reshape(5, 6), np.ones((4, 5), int))
    histograms = draw.random((30, 12)).astype(np.float32)
    regions = grouping.Regions(
        histograms / histograms.sum(axis=1, keepdims=True),
        np.bincount(labels.ravel()).astype(float),
        grouping.boxes_of(labels),
        grouping.neighbours_of(labels),
        labels.size,
    )
    found = grouping.grouped(regions)
    assert found.tolist() == naively_grouped(regions)
    assert found[-1].tolist() == [0, 0, 20, 30]


def test_coins_are_found(coins):
    picture, truths = coins
    found = of_image(Image.fromarray(picture), Proposals())
    sides = np.array(picture.shape[:2] * 2)
    assert len(truths) > 10 and 200 < len(found) <= 2000
    assert (overlaps(truths, found * sides).max(axis=1) > 0.7).mean() > 0.9
    few = found[:300]
    assert (overlaps(truths, few * sides).max(axis=1) > 0.5).mean() > 0.5


def test_opencv_finds_the_same(coins):
    picture, truths = coins
    if importlib.util.find_spec("cv2") is None:
        with pytest.raises(ValueError, match="opencv-contrib-python-headless"):
            Proposals(method="opencv")
        return
    recalls = [
        (overlaps(truths, found * np.array(picture.shape[:2] * 2)).max(axis=1) > 0.7).mean()
        for found in (
            of_image(Image.fromarray(picture), Proposals(method=method))
            for method in ("own", "opencv")
        )
    ]
    assert abs(recalls[0] - recalls[1]) < 0.1


def test_each_box_comes_once_and_is_large_enough(coins):
    image = Image.fromarray(coins[0]).crop((0, 0, 200, 150))
    found = of_image(image, Proposals(width=0, smallest=12))
    assert len(np.unique(found, axis=0)) == len(found)
    few = of_image(image, Proposals(width=0, smallest=12, most=9))
    np.testing.assert_array_equal(few, found[:9])
    sides = (found[:, 2:] - found[:, :2]) * [150, 200]
    assert sides.min() > 11.9
    assert found.dtype == np.float32 and found.min() >= 0 and found.max() <= 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (7, 5), (30, 30)])
@pytest.mark.parametrize("grey", [True, False])
def test_odd_pictures(shape, grey):
    pixels = np.full(shape if grey else (*shape, 3), 90, np.uint8)
    found = of_image(Image.fromarray(pixels), Proposals(width=0, smallest=1))
    np.testing.assert_array_equal(found, [[0, 0, 1, 1]])
    assert of_image(Image.fromarray(pixels), Proposals(width=0)).shape == (int(shape[0] == 30), 4)


def test_seeds_mix_the_hierarchies(coins):
    crop = coins[0][:120, :160]
    one, again, other = (search.selective_search(crop, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert one.tolist() != other.tolist()
    assert sorted(one.tolist()) == sorted(other.tolist())


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"most": 0}, "most of proposals must be 1 or more"),
        ({"width": -1}, "width of proposals"),
        ({"smallest": 0}, "smallest of proposals"),
        ({"method": "edges"}, "must be own or opencv, not 'edges'"),
    ],
)
def test_settings_that_cannot_be(settings, reason):
    with pytest.raises(ValueError, match=reason):
        Proposals(**settings)
    with pytest.raises(ValueError, match=reason):
        Encoding(proposals=settings)


def test_boxes_are_filled_up_with_zeros():
    boxes = np.arange(8).reshape(2, 4) / 8
    assert padded(boxes, 1).tolist() == boxes[:1].tolist()
    assert padded(boxes, 3).tolist() == [*boxes.tolist(), [0] * 4]
    assert padded([], 2).tolist() == [[0] * 4] * 2


def proposals_of(encoding: Encoding, **features) -> list[float]:
    made = to_example(Record("a", features), encoding).features.feature
    return list(made["proposals"].float_list.value) if "proposals" in made else []


def test_ingestion_finds_them(coins):
    content = png(coins[0][:150, :200])
    asked = Encoding(proposals={"width": 0, "most": 50}, shorter_side=75)
    stored = proposals_of(asked, **{"image/encoded": content})
    found = of_file(content, Proposals(width=0, most=50))
    np.testing.assert_array_equal(np.float32(stored).reshape(-1, 4), found)
    assert proposals_of(Encoding(), **{"image/encoded": content}) == []
    own = {"image/encoded": content, "proposals": [0.25, 0.25, 0.5, 0.5]}
    assert proposals_of(asked, **own) == own["proposals"]
    with pytest.raises(ImageError, match=r"proposal 0 .* lies outside"):
        proposals_of(asked, **own | {"proposals": [0.5, 0.5, 3.0, 1.0]})


def test_they_move_with_the_picture():
    image = tf.zeros([20, 40, 3])
    boxes = tf.constant([[0.0, 0.0, 0.1, 0.1], [0.25, 0.25, 0.75, 0.5]])
    features = {"image": image, "proposals": boxes, "objects/bbox": boxes}
    moved = central_example(features, (10, 20))
    assert moved["proposals"].numpy().tolist() == [[0, 0, 1, 0.5]]
    seeds = [tf.constant([1, number], tf.int64) for number in range(8)]
    both = [augment_example(features, [{"step": "flip"}], seed, (20, 40)) for seed in seeds]
    for found in both:
        np.testing.assert_allclose(found["proposals"], found["objects/bbox"])
    mirrored = [found["proposals"].numpy() for found in both if found["proposals"][0, 1] > 0]
    assert 0 < len(mirrored) < len(seeds)
    wanted = [[0, 0.9, 0.1, 1], [0.25, 0.5, 0.75, 0.75]]
    np.testing.assert_allclose(mirrored[0], wanted, atol=1e-6)


def test_directions_of_texture_are_eight():
    """Of a slope that rises in one direction, that direction alone has more than its first bin."""
    slope = np.repeat(np.arange(0, 240, 8, dtype=np.uint8)[None], 30, axis=0)
    maps = {}
    for turns in range(4):
        turned = np.rot90(slope, turns)
        bins = search._texture_bins(np.repeat(turned[..., None], 3, axis=-1))
        assert bins.shape == (24, 30, 30)
        steepness = (bins - 10 * np.arange(24)[:, None, None])[:, 15, 15]
        maps[turns] = steepness[:8].tolist()
        assert steepness[:8].tolist() == steepness[8:16].tolist()
    assert len({tuple(values) for values in maps.values()}) == 4
    assert all(sum(value > 0 for value in values) in (1, 3) for values in maps.values())
