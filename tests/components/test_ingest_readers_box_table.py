"""A table of boxes: what its rows give, and what is wrong with others."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import tensorflow as tf
from PIL import Image

from components.ingest.contract import DeadLetter, Encoding, Record, to_example
from components.ingest.images import ImageError
from components.ingest.readers import reader
from components.ingest.sources import SourceError, resolve
from components.tasks.detection import targets

HEADER = ("path", "label", "ymin", "xmin", "ymax", "xmax")
WIDTH, HEIGHT = 80, 60


def data(folder: Path, *rows: tuple, header: tuple = HEADER, pictures: int = 3) -> str:
    for number in range(pictures):
        place = (number * 50, 0, number * 50 + WIDTH, HEIGHT)
        Image.fromarray(skimage.data.astronaut()).crop(place).save(folder / f"{number}.png")
    with open(folder / "labels.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return str(folder)


def loaded(folder: str, split: str = "all") -> tuple[dict[str, dict], dict[str, str]]:
    """Examples by id, and the reasons of the dead letters by id."""
    records, letters = {}, {}
    for each in _load(reader(resolve(folder)), split):
        try:
            if isinstance(each, DeadLetter):
                raise ImageError(each.reason)
            example = to_example(each, Encoding())
            records[each.identifier] = tf.train.Example.FromString(
                example.SerializeToString()
            ).features.feature
        except ImageError as error:
            letters[each.identifier] = str(error)
    return records, letters


def _load(read, split: str) -> Iterator[Record | DeadLetter]:
    for root in read.roots(split):
        for piece in read.pieces(root):
            yield from read.load(piece)


def boxes(example) -> np.ndarray:
    sides = [HEIGHT, WIDTH, HEIGHT, WIDTH]
    return np.reshape(example["objects/bbox"].float_list.value, (-1, 4)) * sides


def test_a_row_is_an_object_and_one_without_a_box_an_empty_image(tmp_path):
    rows = [
        ("0.png", "cat", 3, 10, 30, 40.5),
        ("1.png", "", "", "", "", ""),
        ("2.png", "dog", 0, 0, 60, 80),
        ("0.png", "dog", "1e1", 0, 60, 20),
    ]
    source = resolve(data(tmp_path, *rows))
    assert (source.kind, source.task) == ("boxes", "detection")
    assert reader(source).labels == ["cat", "dog"]
    records, letters = loaded(str(tmp_path))
    assert letters == {} and set(records) == {"0.png", "1.png", "2.png"}
    np.testing.assert_allclose(boxes(records["0.png"]), [[3, 10, 30, 40.5], [10, 0, 60, 20]])
    assert [*records["0.png"]["objects/label"].int64_list.value] == [0, 1]
    assert [*records["0.png"]["objects/label/text"].bytes_list.value] == [b"cat", b"dog"]
    assert boxes(records["1.png"]).shape == (0, 4)


def test_fractions_are_said_to_be_such(tmp_path):
    rows = [("0.png", "cat", 0.05, 0.125, 0.5, 0.5), ("1.png", "cat", 0, 0, 1, 1)]
    folder = data(tmp_path, *rows)
    _, letters = loaded(folder)
    assert "boxes are expected in pixels" in letters["0.png"]
    (tmp_path / "dataset.json").write_text('{"boxes": "fractions"}')
    records, letters = loaded(folder)
    assert letters == {}
    np.testing.assert_allclose(boxes(records["0.png"]), [[3, 10, 30, 40]], rtol=1e-6)
    (tmp_path / "dataset.json").write_text('{"boxes": "inches"}')
    with pytest.raises(SourceError, match="boxes: Input should be 'pixels' or 'fractions'"):
        resolve(folder)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("0.png", "cat", 3, 10, 3, 40), "box 0 .* is empty"),
        (("0.png", "cat", 3, 10, 30, 90), "lies outside the image"),
        (("0.png", "cat", 3, 10, "x", 40), "line 2: ymax should be a number, not 'x'"),
        (("0.png", "cat", 3, 10, "nan", 40), "line 2: ymax should be a number"),
        (("0.png", "cat", 3, 10, 30), "line 2: xmax should be a number, not ''"),
        (("0.png", "", 3, 10, 30, 40), "line 2: no label"),
        (("0.png", "cow", 3, 10, 30, 40), "line 2: unknown label: labels.txt has no 'cow'"),
        (("../0.png", "cat", 3, 10, 30, 40), "out of the folder"),
        (("4.png", "cat", 3, 10, 30, 40), "cannot be read"),
        (("1.png", "", "", "", "", ""), "one of its rows says that it has no objects"),
    ],
)
def test_an_image_with_a_wrong_row_is_a_dead_letter(tmp_path, row, reason):
    folder = data(tmp_path, row, ("1.png", "dog", 0, 0, 10, 10), ("2.png", "cat", 0, 0, 10, 10))
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    records, letters = loaded(folder)
    assert set(letters) == {row[0]} and set(records) == {"1.png", "2.png"} - {row[0]}
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(letters[row[0]])


def test_lines_that_are_no_rows_and_splits(tmp_path):
    header = (*HEADER, "split")
    rows = [
        ("0.png", "cat", 3, 10, 30, 40, "train"),
        ("0.png", "cat", 3, 10, 30, 40, "test"),
        ("1.png", "cat", 3, 10, 30, 40, "train"),
        ("2.png", "cat", 3, 10, 30, 40, "test"),
        ("", "cat", 3, 10, 30, 40, "train"),
        ("2.png", "cat", 3, 10, 30, 40, "test", "more"),
    ]
    folder = data(tmp_path, *rows, header=header)
    records, letters = loaded(folder, "train")
    assert set(records) == {"1.png"}
    assert letters["0.png"] == "line 3: the image is of another split before"
    assert letters["labels.csv, line 6"] == "no path in the row"
    assert letters["labels.csv, line 7"].startswith("8 fields")
    records, letters = loaded(folder, "test")
    assert set(records) == {"2.png"} and letters == {}


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        (
            HEADER[:-1],
            [("a", "x", 0, 0, 1)],
            "no column xmax; a table of boxes has path,label,ymin",
        ),
        ((*HEADER, "xmin"), [], "names a column twice"),
        (HEADER, [("0.png", "", "", "", "", "")], "no row has a label"),
        (HEADER, [], "no rows"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, header, rows, message):
    with pytest.raises(SourceError, match=message):
        resolve(data(tmp_path, *rows, header=header))


def test_ten_thousand_boxes_on_one_picture(tmp_path):
    rng = np.random.default_rng(0)
    corners = rng.integers(0, (HEIGHT - 10, WIDTH - 10), (10_000, 2))
    sides = rng.integers(1, 10, (10_000, 2))
    found = np.concatenate([corners, corners + sides], axis=1)
    rows = [("0.png", "cat", *map(int, box)) for box in found]
    records, letters = loaded(data(tmp_path, *rows))
    assert letters == {}
    np.testing.assert_allclose(boxes(records["0.png"]), found, rtol=1e-5, atol=1e-4)
    (read,) = [tf.train.Example(features=tf.train.Features(feature=dict(records["0.png"])))]
    parsed = tf.io.parse_single_example(read.SerializeToString(), targets.FEATURES)
    moved = targets.placed(parsed, {"size": [32, 32], "fit": "pad"})
    assert targets.trained(parsed, moved)["boxes"].shape == (10_000, 4)
    (truth,) = targets.truths({name: [value.numpy()] for name, value in parsed.items()})
    np.testing.assert_allclose(truth.boxes, found, rtol=1e-5, atol=1e-4)
