"""Readers of images and their annotations, on files made of photographs."""

import csv
import itertools
import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from components.ingest import masks
from components.ingest.contract import DeadLetter, Encoding, Record, to_example
from components.ingest.images import ImageError
from components.ingest.readers import reader
from components.ingest.sources import Source, SourceError, resolve

SIZE = WIDTH, HEIGHT = 80, 60


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Four crops of a photograph, 0.jpg to 3.jpg."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(4):
        place = (number * 50, number * 40, number * 50 + 160, number * 40 + 120)
        crop = Image.fromarray(skimage.data.astronaut()).crop(place)
        crop.resize(SIZE).save(folder / f"{number}.jpg")
    return folder


def copied(photos: Path, folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        (folder / name).write_bytes((photos / f"{number}.jpg").read_bytes())


def loaded(source: Source, split: str) -> tuple[dict[str, dict], dict[str, str]]:
    """Examples by id, and the reasons of the dead letters by id; as a worker would read them."""
    records: dict[str, dict] = {}
    letters: dict[str, str] = {}
    read = pickle.loads(pickle.dumps(reader(source)))
    for each in _load(read, split):
        if isinstance(each, DeadLetter):
            letters[each.identifier] = each.reason
        else:
            to_example(each, Encoding())
            records[each.identifier] = dict(each.features)
    return records, letters


def _load(read, split: str) -> Iterator[Record | DeadLetter]:
    for root in read.roots(split):
        for piece in read.pieces(root):
            yield from read.load(piece)


# labels.csv


def table(folder: Path, *rows: tuple, header=("path", "label")) -> Path:
    with open(folder / "labels.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return folder


def test_csv(photos, tmp_path):
    copied(photos, tmp_path / "deep" / "er", "a, b.jpg", "ü.jpg")
    copied(photos, tmp_path, "top.jpg")
    rows = [("deep/er/a, b.jpg", "10"), ("deep/er/ü.jpg", "9"), ("top.jpg", "10")]
    source = resolve(str(table(tmp_path, *rows)))
    assert (source.kind, source.task, source.patterns) == (
        "csv",
        "classification",
        (("all", "labels.csv"),),
    )
    records, letters = loaded(source, "all")
    assert letters == {}
    # Names that are numbers keep their order.
    assert reader(source).labels == ["9", "10"]
    assert {name: each["label"] for name, each in records.items()} == {
        "deep/er/a, b.jpg": 1,
        "deep/er/ü.jpg": 0,
        "top.jpg": 1,
    }
    assert records["top.jpg"]["image/encoded"] == (tmp_path / "top.jpg").read_bytes()


def test_csv_with_splits(photos, tmp_path):
    copied(photos, tmp_path, "a.jpg", "b.jpg", "c.jpg")
    rows = [("a.jpg", "x", "train"), ("b.jpg", "y", "train"), ("c.jpg", "x", "test")]
    source = resolve(str(table(tmp_path, *rows, header=("path", "label", "split"))))
    assert set(loaded(source, "train")[0]) == {"a.jpg", "b.jpg"}
    assert set(loaded(source, "test")[0]) == {"c.jpg"}


def test_csv_rows_that_give_no_example(photos, tmp_path):
    copied(photos, tmp_path, "a.jpg", "b.jpg")
    rows = [("a.jpg", "x"), ("b.jpg", "y"), ("c.jpg", "x"), ("/a.jpg", "x"), ("", "x")]
    table(tmp_path, *rows, ("b.jpg", ""), ("d.jpg",), ("z.jpg", "z"))
    (tmp_path / "labels.txt").write_text("x\nz\n")
    records, letters = loaded(resolve(str(tmp_path)), "all")
    assert set(records) == {"a.jpg"}
    assert letters.pop("z.jpg").startswith("z.jpg cannot be read")
    assert letters == {
        "c.jpg": "c.jpg cannot be read: No such file or directory",
        "/a.jpg": "an absolute path: /a.jpg: paths start at the folder of the data",
        "labels.csv, line 6": "no path in the row",
        "b.jpg": "no label in the row",
        "d.jpg": "no label in the row",
    }


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('"50.jpg,x', "a quote that is not closed in its line"),
        ('50.jpg,"x', "a quote that is not closed in its line"),
        ('"50".jpg,x', "',' expected after '\"'"),
        (
            "5,0.jpg,x",
            "3 fields, and the first line names 2: a field with a comma",
        ),
        ("50\0.jpg,x", "a zero byte"),
        (f"50.jpg,{'x' * 200_000}", "field larger than field limit"),
        (f"50.jpg,{'x' * 2_000_000}", "more than 1,048,576 characters"),
        ("50.jpg", "no label in the row"),
    ],
)
def test_a_line_of_a_csv_that_is_no_row_loses_no_other(photos, tmp_path, line, reason):
    copied(photos, tmp_path, "a.jpg", "b.jpg")
    rows = [f"{name}.jpg,{label}" for name, label in ("ax", "by")] * 60
    lines = ["path,label", *rows[:50], line, *rows[50:]]
    (tmp_path / "labels.csv").write_text("\r\n".join(lines))
    reading = reader(resolve(str(tmp_path)))
    assert reading.labels == ["x", "y"]
    found = list(_load(reading, "all"))
    (letter,) = (each for each in found if isinstance(each, DeadLetter))
    assert (len(found), letter.count) == (121, 1)
    assert letter.identifier in ("labels.csv, line 52", "50.jpg")
    assert reason in letter.reason


def test_names_that_lead_out_of_the_folder(photos, tmp_path):
    copied(photos, tmp_path / "elsewhere", "a.jpg")
    data = tmp_path / "data"
    copied(photos, data, "b.jpg", "c.jpg")
    rows = [("../elsewhere/a.jpg", "x"), ("b.jpg", "x"), ("here/../c.jpg", "y")]
    table(data, *rows, ("link/a.jpg", "y"), ("link/../../elsewhere/a.jpg", "y"))
    # Whoever puts a link into the folder wants what is there.
    (data / "link").symlink_to(tmp_path / "elsewhere")
    records, letters = loaded(resolve(str(data)), "all")
    assert set(records) == {"b.jpg", "here/../c.jpg", "link/a.jpg"}
    assert set(letters) == {"../elsewhere/a.jpg", "link/../../elsewhere/a.jpg"}
    assert all(each.startswith("a path out of the folder") for each in letters.values())


def test_a_csv_row_with_a_class_that_the_list_does_not_have(photos, tmp_path):
    copied(photos, tmp_path, "a.jpg", "b.jpg", "c.jpg")
    (tmp_path / "labels.txt").write_text("x\nz\n")
    rows = [("a.jpg", "x"), ("b.jpg", "y"), ("c.jpg", "z")]
    _, letters = loaded(resolve(str(table(tmp_path, *rows))), "all")
    assert letters == {"b.jpg": "unknown label: labels.txt has no 'y'"}
    (tmp_path / "labels.txt").write_text("x\n")
    with pytest.raises(SourceError, match=r"one class only .* lists, of 3 that are there, "):
        resolve(str(tmp_path))


def test_a_csv_whose_quotes_follow_a_space(photos, tmp_path):
    copied(photos, tmp_path, "a, b.jpg", "c.jpg")
    (tmp_path / "labels.csv").write_text('path, label\n"a, b.jpg", "cat"\nc.jpg, "dog"\n')
    records, letters = loaded(resolve(str(tmp_path)), "all")
    found = {name: record["label/text"] for name, record in records.items()}
    assert (found, letters) == ({"a, b.jpg": "cat", "c.jpg": "dog"}, {})


@pytest.mark.parametrize(
    ("values", "train", "test"),
    [
        (("Train", "TEST", "train"), "ac", "b"),
        (("training", "val", "train"), "ac", "b"),
        (("train", "valid", "test"), "ab", "c"),
    ],
)
def test_the_splits_of_a_csv_are_called_as_folders_may_be(values, train, test, photos, tmp_path):
    copied(photos, tmp_path, "a.jpg", "b.jpg", "c.jpg")
    rows = [(f"{n}.jpg", label, split) for n, label, split in zip("abc", "xyx", values, strict=1)]
    table(tmp_path, *rows, header=("path", "label", "split"))
    source = resolve(str(tmp_path))
    assert set(loaded(source, "train")[0]) == {f"{name}.jpg" for name in train}
    assert set(loaded(source, "test")[0]) == {f"{name}.jpg" for name in test}


@pytest.mark.parametrize("name", ["Labels.csv", "LABELS.TXT", "Dataset.json"])
def test_a_file_called_in_another_case_is_not_passed_over(name, photos, tmp_path):
    for folder in ("x", "y"):
        copied(photos, tmp_path / folder, "a.jpg")
    (tmp_path / name).write_text("x\ny\n")
    with pytest.raises(SourceError, match=f"{name}: not read under .* call it {name.lower()}$"):
        resolve(str(tmp_path))


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        (("file", "label"), [("a.jpg", "x")], "no column path; the first line must be path,label"),
        (("path", "class"), [], "no column label; .* has path, class"),
        (("path", "label"), [], "no rows"),
        (("path", "label"), [("a.jpg", "x"), ("b.jpg", "x")], r"images of one class only \(x\)"),
        (("path", "label", "split"), [("a", "x", "train"), ("b", "y", "2")], "not '2'"),
        (
            ("path", "label", "split"),
            [("a", "x", "train"), ("b", "y", "train")],
            "or none of test; seen",
        ),
        (("path", "label", "label"), [("a", "x", "y")], "names a column twice"),
        (("path", "label"), [("a", "x", "y")], "no rows; line 2: 3 fields"),
    ],
)
def test_a_csv_that_cannot_be_used(tmp_path, header, rows, message):
    with pytest.raises(SourceError, match=message):
        resolve(str(table(tmp_path, *rows, header=header)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("katze\nkäfer\n".encode("latin-1"), "labels.txt: no UTF-8 text"),
        (b"x\n\ny\n", "labels.txt: line 2 is empty"),
        (b"x\ny\nx\n", "labels.txt: lines 1 and 3 are both 'x'"),
        (b"x\ny\0\n", "labels.txt: no text: line 2 holds a zero byte"),
    ],
)
def test_lists_of_classes_that_cannot_be_used(photos, tmp_path, content, message):
    copied(photos, tmp_path, "a.jpg", "b.jpg")
    table(tmp_path, ("a.jpg", "x"), ("b.jpg", "y"))
    (tmp_path / "labels.txt").write_bytes(content)
    with pytest.raises(SourceError, match=message):
        reader(resolve(str(tmp_path)))


def test_a_list_of_classes_with_the_mark_of_its_encoding(photos, tmp_path):
    copied(photos, tmp_path, "a.jpg", "b.jpg")
    table(tmp_path, ("a.jpg", "x"), ("b.jpg", "y"))
    (tmp_path / "labels.txt").write_bytes("y\r\nx\r\n\r\n".encode("utf-8-sig"))
    assert reader(resolve(str(tmp_path))).labels == ["y", "x"]


def test_a_csv_in_another_encoding(tmp_path):
    (tmp_path / "labels.csv").write_bytes("path,label\nü.png,x\n".encode("latin-1"))
    with pytest.raises(SourceError, match="no UTF-8 text"):
        resolve(str(tmp_path))


def test_what_is_no_regular_file_is_a_dead_letter(photos, tmp_path):
    """A named pipe makes whoever opens it wait, and a device has no end."""
    copied(photos, tmp_path / "x", "a.jpg", "b.jpg")
    copied(photos, tmp_path / "y", "c.jpg")
    os.mkfifo(tmp_path / "x" / "pipe.jpg")
    (tmp_path / "y" / "zero.png").symlink_to("/dev/zero")
    with open(tmp_path / "y" / "huge.png", "wb") as file:
        file.truncate(1 << 40)  # It takes no room on the disk, and would take it in memory.
    records, letters = loaded(resolve(str(tmp_path)), "all")
    assert set(records) == {"x/a.jpg", "x/b.jpg", "y/c.jpg"}
    assert letters == {
        "x/pipe.jpg": "cannot be read: it is a named pipe, and only regular files are read",
        "y/zero.png": "cannot be read: it is a device, and only regular files are read",
        "y/huge.png": "cannot be read: 1,099,511,627,776 bytes, more than 1,073,741,824",
    }


# VOC


def voc_xml(*objects: tuple, size=SIZE, filename="") -> str:
    """Each object: name, xmin, ymin, xmax, ymax, difficult."""
    parts = [f"<filename>{filename}</filename>"] if filename else []
    parts.append(f"<size><width>{size[0]}</width><height>{size[1]}</height></size>")
    for name, xmin, ymin, xmax, ymax, difficult in objects:
        box = f"<xmin>{xmin}</xmin><ymin>{ymin}</ymin><xmax>{xmax}</xmax><ymax>{ymax}</ymax>"
        parts.append(
            f"<object><name>{name}</name><difficult>{difficult}</difficult>"
            f"<bndbox>{box}</bndbox></object>"
        )
    return f"<annotation>{''.join(parts)}</annotation>"


WOMAN = ("person", 1, 1, 40, 60, 0)


@pytest.fixture
def voc(photos, tmp_path) -> Path:
    copied(photos, tmp_path / "JPEGImages", "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    (tmp_path / "Annotations").mkdir()
    for name in "abcd":
        (tmp_path / "Annotations" / f"{name}.xml").write_text(
            voc_xml(WOMAN, ("flag", 41, 31, 80, 60, 1))
        )
    return tmp_path


def listed(voc: Path, folder: str, **lists: str) -> None:
    (voc / "ImageSets" / folder).mkdir(parents=True, exist_ok=True)
    for name, images in lists.items():
        path = voc / "ImageSets" / folder / f"{name}.txt"
        path.write_text("".join(f"{image}\n" for image in images))


def test_voc(voc):
    source = resolve(str(voc))
    assert (source.kind, source.task, source.patterns) == ("voc", "detection", (("all", "*/*"),))
    assert reader(source).labels == ["flag", "person"]
    records, letters = loaded(source, "all")
    assert (set(records), letters) == (set("abcd"), {})
    # Pixels are counted from 1: the first box is the left half, the second the lower right quarter.
    np.testing.assert_allclose(records["a"]["objects/bbox"], [0, 0, 1, 0.5, 0.5, 0.5, 1, 1])
    assert records["a"]["objects/label"] == [1, 0]
    assert records["a"]["objects/label/text"] == ["person", "flag"]
    assert records["a"]["objects/difficult"] == [0, 1]
    assert records["b"]["image/encoded"] == (voc / "JPEGImages" / "b.jpg").read_bytes()


@pytest.mark.parametrize(
    ("lists", "train", "test"),
    [
        ({"train": "a", "val": "b", "trainval": "ab", "test": "cd"}, "ab", "cd"),
        ({"train": "abc", "val": "d", "trainval": "abcd"}, "abc", "d"),
    ],
)
def test_voc_lists(voc, lists, train, test):
    listed(voc, "Main", **lists, person_train="ab")
    (voc / "ImageSets" / "Main" / "flag_train.txt").write_text("a -1\n")
    source = resolve(str(voc))
    assert reader(source).labels == ["flag", "person"]
    assert set(loaded(source, "train")[0]) == set(train)
    assert set(loaded(source, "test")[0]) == set(test)


@pytest.mark.parametrize(
    ("xml", "reason"),
    [
        ("<annotation><object>", "Annotations/a.xml is no XML: "),
        (voc_xml(), "Annotations/a.xml has no object"),
        (voc_xml(("dog", 1, 1, 9, 9, 0)), "Annotations/a.xml: unknown class 'dog'"),
        (voc_xml(("person", 1, 1, "", 9, 0)), "Annotations/a.xml: object 0: xmax: Input should be"),
        (voc_xml(("person", 1, 1, "1e400", 9, 0)), "xmax: Input should be a finite number"),
        (voc_xml(("", 1, 1, 9, 9, 0)), "object 0: name: String should have at least 1 character"),
        (voc_xml(WOMAN, size=("wide", 60)), "size: width: Input should be a valid number"),
        (voc_xml(WOMAN, size=("inf", 60)), "size: width: Input should be a finite number"),
        ('<?xml version="1.0" encoding="klingon"?><annotation/>', "is no XML: unknown encoding"),
        ('<?xml version="1.0" encoding="shift_jis"?><annotation/>', "is no XML: multi-byte"),
        (voc_xml(WOMAN, filename="../../a.jpg"), ""),
        (voc_xml(WOMAN, size=(60, 80)), "is for an image of 60 x 80 pixels, and it has 80 x 60"),
        (voc_xml(WOMAN, filename="a.png"), ""),
    ],
)
def test_voc_annotations_that_give_no_example(voc, xml, reason):
    (voc / "labels.txt").write_text("flag\nperson\n")
    (voc / "Annotations" / "a.xml").write_text(xml)
    records, letters = loaded(resolve(str(voc)), "all")
    if not reason:  # It names a file that is not there; the one of the annotation's name is.
        assert set(records) == set("abcd")
        return
    assert set(records) == set("bcd")
    assert reason in letters["a"]


def test_a_voc_annotation_that_grows(voc):
    """Ten entities, each ten times the one before."""
    names = "abcdefghij"
    inner = (f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in itertools.pairwise(names))
    kinds = f'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">{"".join(inner)}]>'
    text = f"{kinds}<annotation><object><name>&j;</name></object></annotation>"
    (voc / "Annotations" / "a.xml").write_text(text)
    records, letters = loaded(resolve(str(voc)), "all")
    assert set(records) == set("bcd")
    assert letters["a"].startswith("Annotations/a.xml is no XML: ")


@pytest.mark.parametrize(
    ("filename", "other", "wanted"),
    [
        ("moved.jpg", "", "a.jpg"),  # It is not there.
        ("C:\\photos\\a.jpg", "", "a.jpg"),
        ("a", "", "a.jpg"),
        ("a.png", "a.png", "a.png"),
        ("./a.jpg", "", "a.jpg"),
        ("b.jpg", "", None),
        ("b", "", None),
    ],
)
def test_the_image_of_a_voc_annotation_is_the_one_of_its_name(voc, filename, other, wanted):
    (voc / "Annotations" / "a.xml").write_text(voc_xml(WOMAN, filename=filename))
    if other:
        Image.open(voc / "JPEGImages" / "d.jpg").save(voc / "JPEGImages" / other)
    records, letters = loaded(resolve(str(voc)), "all")
    if wanted is None:
        assert letters == {
            "a": f"Annotations/a.xml names {filename}, which is there, and so is a.jpg: correct "
            "its filename, or name the annotation as its image is named"
        }
        return
    assert records["a"]["image/encoded"] == (voc / "JPEGImages" / wanted).read_bytes()


@pytest.mark.parametrize("name", ["photo.jpg", "photo", "a.JPG"])
def test_a_voc_annotation_without_an_image_of_its_name_has_the_one_that_it_names(voc, name):
    (voc / "Annotations" / "a.xml").write_text(voc_xml(WOMAN, filename=name))
    path = (voc / "JPEGImages" / "a.jpg").rename(voc / "JPEGImages" / f"{name.split('.')[0]}.JPG")
    path.rename(path.with_suffix(".jpg") if name == "photo.jpg" else path)
    records, _ = loaded(resolve(str(voc)), "all")
    assert set(records) == set("abcd")


def test_voc_boxes_that_are_shares_of_the_sides(voc):
    boxes = [("person", 0.1, 0.1, 0.5, 0.5, 0), ("flag", 0.5, 0.5, 1, 1, 0)]
    (voc / "Annotations" / "a.xml").write_text(voc_xml(*boxes))
    records, letters = loaded(resolve(str(voc)), "all")
    assert set(records) == set("bcd")
    assert letters["a"].startswith("its boxes lie within 0..1, and the image has 80 x 60 pixels")


def test_voc_without_the_image(voc):
    (voc / "JPEGImages" / "a.jpg").unlink()
    _, letters = loaded(resolve(str(voc)), "all")
    assert letters == {"a": "JPEGImages/a.jpg cannot be read: No such file or directory"}


def test_voc_classes_of_pixels(voc):
    (voc / "SegmentationClass").mkdir()
    for name in "abc":
        classes = Image.fromarray(np.eye(60, 80, dtype=np.uint8) * 2, "P")
        classes.putpalette([*range(256)] * 3)
        classes.save(voc / "SegmentationClass" / f"{name}.png")
    listed(voc, "Segmentation", train="ab", val="cd")
    listed(voc, "Main", train="abc", val="d")
    source = resolve(str(voc), "segmentation")
    assert reader(source).labels == ["background", "flag", "person"]
    assert set(loaded(source, "train")[0]) == {"a", "b"}
    records, letters = loaded(source, "test")
    assert set(records) == {"c"}
    assert "SegmentationClass/d.png cannot be read" in letters["d"]
    with pytest.raises(SourceError, match="data for detection and segmentation; needed is depth"):
        resolve(str(voc), "depth")


def test_voc_without_images(tmp_path):
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations" / "a.xml").write_text(voc_xml(WOMAN))
    with pytest.raises(SourceError, match="no folder JPEGImages"):
        resolve(str(tmp_path))


# COCO

CATEGORIES = [{"id": 7, "name": "flag"}, {"id": 2, "name": "person"}]


def image(number: int, **changed) -> dict:
    return {"id": number, "file_name": f"{number}.jpg", "width": 80, "height": 60, **changed}


def annotation(number: int, **changed) -> dict:
    return {"image_id": number, "category_id": 2, "bbox": [20, 15, 40, 30], "iscrowd": 0, **changed}


def coco(photos: Path, folder: Path, **files: tuple) -> Path:
    """Each file: images, annotations and, if others, categories; images lie in train2017/ etc."""
    (folder / "annotations").mkdir(exist_ok=True)
    for name, (images, annotations, *categories) in files.items():
        copied(photos, folder / name.rpartition("_")[2], "0.jpg", "1.jpg", "2.jpg", "3.jpg")
        content = {"images": images, "annotations": annotations}
        content["categories"] = categories[0] if categories else CATEGORIES
        (folder / "annotations" / f"{name}.json").write_text(json.dumps(content))
    return folder


def test_coco(photos, tmp_path):
    coco(
        photos,
        tmp_path,
        instances_train2017=(
            [image(0), image(1), image(2)],
            [annotation(0), annotation(0, category_id=7, iscrowd=1), annotation(1)],
        ),
        instances_val2017=([image(3)], [annotation(3)]),
        captions_val2017=([], []),
    )
    source = resolve(str(tmp_path))
    assert (source.kind, source.task) == ("coco", "detection")
    # In the order of the ids.
    assert reader(source).labels == ["person", "flag"]
    records, letters = loaded(source, "train")
    assert letters == {}
    assert set(records) == {f"train2017/{number}.jpg" for number in range(3)}
    first = records["train2017/0.jpg"]
    np.testing.assert_allclose(first["objects/bbox"], [0.25, 0.25, 0.75, 0.75] * 2)
    assert (first["objects/label"], first["objects/crowd"]) == ([0, 1], [0, 1])
    assert first["objects/label/text"] == ["person", "flag"]
    assert not {"objects/difficult", "objects/area", "objects/mask"} & set(first)
    # COCO's protocol counts what is found in an image without objects.
    assert records["train2017/2.jpg"]["objects/bbox"] == []
    assert set(loaded(source, "test")[0]) == {"val2017/3.jpg"}


# In an image of 80 x 60: polygons and run lengths with the box that both have.
SQUARES = [[20, 15, 40, 15, 40, 30, 20, 30], [50, 40, 60, 40, 60, 45, 50, 45]]
RUNS = {"size": [60, 80], "counts": [20 * 60, 30, 60 * 80 - 20 * 60 - 30]}


def test_coco_areas_and_masks(photos, tmp_path):
    shapes = [
        annotation(0, segmentation=SQUARES, area=350.0),
        annotation(0, segmentation=RUNS, area=30, iscrowd=1),
        # One of the objects has no outline.
        annotation(1, segmentation=SQUARES, area=350.0),
        annotation(1, segmentation=[], area=20),
        # Half of a pixel too few.
        annotation(2, segmentation={"size": [60, 80], "counts": [100, 20]}),
    ]
    coco(photos, tmp_path, all=([image(number) for number in range(3)], shapes))
    records, letters = loaded(resolve(str(tmp_path)), "all")
    first, second = records["all/0.jpg"], records["all/1.jpg"]
    assert (first["objects/crowd"], first["objects/area"]) == ([0, 1], [350.0, 30.0])
    squares, column = first["objects/mask"]
    wanted = np.zeros((60, 80), bool)
    wanted[15:30, 20:40] = wanted[40:45, 50:60] = True
    np.testing.assert_array_equal(squares, wanted)
    assert column[:30, 20].all() and column.sum() == 30
    assert second["objects/area"] == [350.0, 20.0] and "objects/mask" not in second
    assert letters == {"all/2.jpg": "segmentation: its runs are of 120 pixels in all"}


# Width, height, outline and the run lengths that the COCO API's `frPyObjects` and `merge` give.
OUTLINES = [
    (
        *(44, 5, "a01:0H020000000S10mN000000001O00000000O100000000000\\1"),
        [[25, 3, 39, 1, 7, 1, 3, 3, 7, 4, 1, 2, 21, 1, 16, 1]],
    ),
    (
        *(7, 15, "g01=1N3N1O11JM0M"),
        [[7, 3, 4, 9, 6, 7, 6, 8], [7, 11, 6, 14, 6, 2, 1, 9]],
    ),
    (12, 9, "m1140U1", [[7, 8, 8, 1, 6, 9]]),
]


@pytest.mark.parametrize(("width", "height", "counts", "polygons"), OUTLINES)
def test_polygons_cover_the_pixels_that_cocos_own_programs_say(width, height, counts, polygons):
    runs = {"size": [height, width], "counts": counts}
    of_runs = masks.mask(runs, (width, height))
    assert of_runs.any() and not of_runs.all()
    np.testing.assert_array_equal(masks.mask(polygons, (width, height)), of_runs)


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ([[1, 2, 3, 4]], "4 numbers are no polygon"),
        ({"size": [9, 8], "counts": "40"}, "of size"),
        ({"size": [9, 12], "counts": "m114"}, "of 108|of [0-9]+ pixels in all"),
        ({"size": [9, 12], "counts": "m"}, "middle of a number"),
        ({"size": [9, 12], "counts": "\x00"}, "no run length has"),
        ({"size": [9, 12], "counts": 3}, "neither numbers nor a text"),
    ],
)
def test_outlines_that_are_none(segmentation, reason):
    with pytest.raises(ImageError, match=reason):
        masks.mask(segmentation, (12, 9))


def test_coco_images_that_give_no_example(photos, tmp_path):
    images = [image(0), image(1), image(2, width=81), image(3), image(4)]
    annotations = [
        annotation(0, category_id=5),
        annotation(1, bbox=[]),
        annotation(2),
        annotation(3),
        annotation(9),
        annotation(9),
    ]
    source = resolve(str(coco(photos, tmp_path, instances_all=(images, annotations))))
    assert source.patterns == (("all", "*/*"),)
    records, letters = loaded(source, "all")
    assert set(records) == {"all/3.jpg"}
    assert letters == {
        "all/0.jpg": "annotations[0]: unknown category 5",
        "all/1.jpg": "annotations[1]: bbox: List should have at least 4 items after validation, "
        "not 0, not []",
        "all/2.jpg": "annotated as 81 x 60 pixels, and it has 80 x 60",
        "all/4.jpg": "all/4.jpg cannot be read: No such file or directory",
        "image 9": "2 annotations of an image that annotations/instances_all.json does not list",
    }


def test_coco_files_that_cannot_be_used(photos, tmp_path):
    coco(photos, tmp_path, instances_train2017=([], []), instances_train2014=([], []))
    with pytest.raises(SourceError, match="expected for train, found instances"):
        resolve(str(tmp_path))
    (tmp_path / "annotations" / "instances_train2014.json").unlink()
    (tmp_path / "annotations" / "instances_train2017.json").write_text('{"images": ')
    with pytest.raises(SourceError, match="no JSON"):
        reader(resolve(str(tmp_path)))
    (tmp_path / "annotations" / "instances_train2017.json").write_text('{"images": []}')
    with pytest.raises(SourceError, match="no annotations as COCO has them: no annotations"):
        reader(resolve(str(tmp_path)))


@pytest.mark.parametrize(
    "categories",
    [
        [{"id": 2, "name": "flag"}, {"id": 7, "name": "person"}],
        [{"id": 0, "name": "person"}, {"id": 2, "name": "flag"}],
        [{"id": 2, "name": "flag"}],
        [{"id": 2, "name": "flag"}, {"id": 7, "name": "person"}, {"id": 9, "name": "not used"}],
    ],
)
def test_a_coco_category_of_the_test_file_is_the_class_of_its_name(categories, photos, tmp_path):
    train, val = ([image(0)], [annotation(0)]), ([image(3)], [annotation(3)], categories)
    source = resolve(str(coco(photos, tmp_path, train=train, val=val)))
    assert reader(source).labels == ["person", "flag"]
    assert loaded(source, "train")[0]["train/0.jpg"]["objects/label/text"] == ["person"]
    first = loaded(source, "test")[0]["val/3.jpg"]
    assert (first["objects/label"], first["objects/label/text"]) == ([1], ["flag"])


@pytest.mark.parametrize(
    ("categories", "message"),
    [
        (
            [*CATEGORIES[:1], {"id": 2, "name": "dog"}],
            r"val\.json: objects of the category 'dog', which \S+train\.json does not have: it has "
            "person, flag$",
        ),
        ([*CATEGORIES, {"id": 9, "name": "flag"}], "categories 7, 9 are all called 'flag'"),
        ([*CATEGORIES, {"id": 2, "name": "dog"}], "two categories have one id"),
    ],
)
def test_coco_categories_that_contradict(categories, message, photos, tmp_path):
    train, val = ([image(0)], [annotation(0)]), ([image(3)], [annotation(3)], categories)
    reading = reader(resolve(str(coco(photos, tmp_path, train=train, val=val))))
    assert reading.roots("train")
    with pytest.raises(SourceError, match=message):
        reading.roots("test")


def test_coco_categories_of_one_name_in_the_training_file(photos, tmp_path):
    named = [{"id": 1, "name": "cat"}, {"id": 2, "name": "cat"}]
    coco(photos, tmp_path, all=([image(0)], [annotation(0)], named))
    with pytest.raises(SourceError, match="the categories 1, 2 are all called 'cat'"):
        reader(resolve(str(tmp_path)))


def test_coco_boxes_that_are_shares_of_the_sides(photos, tmp_path):
    annotations = [annotation(0, bbox=[0.1, 0.1, 0.4, 0.9]), annotation(1, bbox=[0, 0, 0.5, 20])]
    source = resolve(str(coco(photos, tmp_path, all=([image(0), image(1)], annotations))))
    records, letters = loaded(source, "all")
    assert set(records) == {"all/1.jpg"}
    assert letters == {
        "all/0.jpg": "its boxes lie within 0..1, and the image has 80 x 60 pixels: boxes are "
        "expected in pixels, these seem to be shares of the image's sides"
    }


def test_coco_files_in_another_case(photos, tmp_path):
    files = {"Instances_Train2017": ([image(0)], []), "instances_VAL2017": ([image(1)], [])}
    coco(photos, tmp_path, **files, Captions_val2017=([], []))
    (tmp_path / "Train2017").rename(tmp_path / "train2017")
    source = resolve(str(tmp_path))
    assert set(loaded(source, "train")[0]) == {"train2017/0.jpg"}
    assert set(loaded(source, "test")[0]) == {"VAL2017/1.jpg"}


# Pairs


def test_pairs_of_input_and_target(photos, tmp_path):
    copied(photos, tmp_path / "input", "a.jpg", "b.jpg", "only.jpg")
    copied(photos, tmp_path / "target", "b.jpg", "a.jpg", "alone.jpg")
    source = resolve(str(tmp_path))
    assert (source.kind, source.task) == ("pairs", "restoration")
    records, letters = loaded(source, "all")
    assert set(records) == {"a.jpg", "b.jpg"}
    assert records["a.jpg"]["image/encoded"] == (photos / "0.jpg").read_bytes()
    assert records["a.jpg"]["target/encoded"] == (photos / "1.jpg").read_bytes()
    assert letters == {
        "only.jpg": "no partner: it is in input/ and not in target/",
        "alone.jpg": "no partner: it is in target/ and not in input/",
    }


def test_names_that_are_no_utf8(photos, tmp_path):
    name = os.fsdecode("käfer.jpg".encode("latin-1"))
    copied(photos, tmp_path / "input", name, "b.jpg")
    copied(photos, tmp_path / "target", name, "b.jpg")
    found = list(_load(reader(resolve(str(tmp_path))), "all"))
    features = [to_example(each, Encoding()).features.feature for each in found]
    names = {each["image/id"].bytes_list.value[0].decode() for each in features}
    assert names == {"k\N{REPLACEMENT CHARACTER}fer.jpg", "b.jpg"}
