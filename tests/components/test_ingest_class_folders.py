"""Which folders are classes, which are splits, and what is refused because it may be either."""

import re
import subprocess
from pathlib import Path

import pytest
import tensorflow as tf

from components.ingest.contract import DeadLetter
from components.ingest.layouts import coco_files, tfrecord_files
from components.ingest.readers import reader
from components.ingest.sources import SourceError, prepare, resolve

PICTURE = tf.io.encode_png(tf.zeros((4, 4, 1), tf.uint8)).numpy()


def make(folder: Path, *names: str) -> str:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PICTURE)
    return str(folder)


def read(source) -> dict[str, dict[str, str]]:
    """What is read, by split: the class of each picture, or why it has none."""
    reading = reader(source)
    return {
        split: {
            found.identifier: found.reason
            if isinstance(found, DeadLetter)
            else found.features["label/text"]
            for root in reading.roots(split)
            for piece in reading.pieces(root)
            for found in reading.load(piece)
        }
        for split, _ in source.patterns
    }


LAYOUTS = {
    "nested": (
        ("cat/1.png", "cat/a/2.png", "cat/a/b/3.png", "dog/c/4.jpg"),
        {
            "all": {
                "cat/1.png": "cat",
                "cat/a/2.png": "cat",
                "cat/a/b/3.png": "cat",
                "dog/c/4.jpg": "dog",
            }
        },
    ),
    "other suffixes": (
        ("cat/1.jfif", "dog/2.JPE"),
        {"all": {"cat/1.jfif": "cat", "dog/2.JPE": "dog"}},
    ),
    "left by systems": (
        ("cat/1.png", "dog/2.png", "@eaDir/cat/1.png", "__MACOSX/dog/2.png", "cat/Thumbs.db"),
        {"all": {"cat/1.png": "cat", "dog/2.png": "dog"}},
    ),
    "a picture without a class": (
        ("cat/1.png", "dog/2.png", "3.png"),
        {
            "all": {
                "cat/1.png": "cat",
                "dog/2.png": "dog",
                "3.png": "no class: it lies beside the class folders",
            }
        },
    ),
    "training and testing": (
        ("Training/cat/1.png", "Training/dog/2.png", "TESTING/dog/3.png"),
        {
            "train": {"Training/cat/1.png": "cat", "Training/dog/2.png": "dog"},
            "test": {"TESTING/dog/3.png": "dog"},
        },
    ),
    "train, valid, test": (
        ("train/cat/1.png", "valid/dog/2.png", "test/dog/3.png", "train/dog/deep/4.png"),
        {
            "train": {
                "train/cat/1.png": "cat",
                "valid/dog/2.png": "dog",
                "train/dog/deep/4.png": "dog",
            },
            "test": {"test/dog/3.png": "dog"},
        },
    ),
    "as archives unpack": (
        (
            "seg_train/seg_train/cat/1.png",
            "seg_train/seg_train/dog/2.png",
            "seg_test/seg_test/dog/3.png",
        ),
        {
            "train": {
                "seg_train/seg_train/cat/1.png": "cat",
                "seg_train/seg_train/dog/2.png": "dog",
            },
            "test": {"seg_test/seg_test/dog/3.png": "dog"},
        },
    ),
    "splits with a year": (
        ("train2017/cat/1.png", "train2017/dog/2.png", "val2017/cat/3.png"),
        {
            "train": {"train2017/cat/1.png": "cat", "train2017/dog/2.png": "dog"},
            "test": {"val2017/cat/3.png": "cat"},
        },
    ),
    "classes called after trains and tests": (
        ("train station/1.png", "bus station/2.png", "test-tube/3.png", "dev/1.txt"),
        {
            "all": {
                "train station/1.png": "train station",
                "bus station/2.png": "bus station",
                "test-tube/3.png": "test-tube",
                "dev/1.txt": "dev",
            }
        },
    ),
    "classes with folders of one name, and others": (
        ("cat/images/1.png", "dog/images/2.png", "dog/more/3.png", "emu/other/4.png"),
        {
            "all": {
                "cat/images/1.png": "cat",
                "dog/images/2.png": "dog",
                "dog/more/3.png": "dog",
                "emu/other/4.png": "emu",
            }
        },
    ),
    "a picture beside the splits": (
        ("train/cat/1.png", "train/dog/2.png", "test/cat/3.png", "4.png", "5.txt"),
        {
            "train": {
                "train/cat/1.png": "cat",
                "train/dog/2.png": "dog",
                "4.png": "no class: it lies beside the folders of the splits",
            },
            "test": {"test/cat/3.png": "cat"},
        },
    ),
    "train and validation": (
        ("train/cat/1.png", "train/dog/2.png", "Validation/cat/3.png"),
        {
            "train": {"train/cat/1.png": "cat", "train/dog/2.png": "dog"},
            "test": {"Validation/cat/3.png": "cat"},
        },
    ),
}


@pytest.mark.parametrize(("names", "wanted"), LAYOUTS.values(), ids=LAYOUTS)
def test_every_picture_is_read_in_its_class_and_split(names, wanted, tmp_path):
    found = read(prepare(resolve(make(tmp_path, *names))))
    assert {split: dict(sorted(each.items())) for split, each in found.items()} == {
        split: dict(sorted(each.items())) for split, each in wanted.items()
    }


REFUSED = {
    "splits of loose pictures": (
        ("train/1.png", "test/2.png"),
        r"test, train may be splits or classes: seen are test \(pictures\), train \(pictures\)\. "
        r".*printf .* test train > .*if not, put the pictures into a folder per class",
    ),
    "a test without classes": (
        ("train/cat/1.png", "train/dog/2.png", "test/3.png"),
        r"train \(2 folders of pictures\).*if not, --data \S+/train reads the classes in it alone",
    ),
    "classes beside a test": (
        ("cat/1.png", "dog/2.png", "Test/3.png"),
        r"Test may be splits or classes.*mkdir -p \S+/train && mv \S+/cat \S+/dog \S+/train",
    ),
    "a folder too many": (
        ("photos/cat/1.png", "photos/dog/2.png"),
        r"one folder only, photos, and cat \(pictures\), dog \(pict.*--data \S+/photos$",
    ),
    "only a training split": (
        ("train/cat/1.png", "train/dog/2.png"),
        r"one folder only, train, .*--data \S+/train$",
    ),
    "splits a folder too deep": (
        ("photos/train/cat/1.png", "photos/train/dog/2.png", "photos/test/cat/3.png"),
        r"one folder only, photos, and test \(1 folder of pictures\), train .*--data \S+/photos$",
    ),
    "all in one folder": (
        ("1.png", "2.jpg"),
        "all pictures lie in this one folder; expected are a folder per class, or a labels.csv",
    ),
    "classes below days": (
        ("monday/cat/1.png", "monday/dog/2.png", "sunday/cat/3.png", "sunday/dog/4.png"),
        r"most pictures of monday, sunday lie in folders that these share, cat, dog: .*"
        r"If monday, sunday are the classes, say so: printf",
    ),
    "splits below classes": (
        ("cat/train/1.png", "cat/test/2.png", "dog/train/3.png", "dog/test/4.png"),
        r"that these share, test, train",
    ),
    "splits below classes, one missing": (
        ("cat/train/1.png", "cat/test/2.png", "dog/train/3.png"),
        r"that these share, test, train",
    ),
    "classes below days, and a picture": (
        ("1/cat/1.png", "1/dog/2.png", "2/cat/3.png", "2/dog/4.png", "1/cover.png"),
        r"most pictures of 1, 2 lie in folders that these share, cat, dog: ",
    ),
    "classes below days, one missing": (
        ("1/cat/1.png", "1/dog/2.png", "2/cat/3.png", "2/dog/4.png", "3/cat/5.png"),
        r"most pictures of 1, 2, 3 lie in folders that these share, cat, dog: ",
    ),
    "two folders too many": (
        ("x/photos/cat/1.png", "x/photos/dog/2.png"),
        r"one folder only, x/photos, and cat \(pictures\), dog \(pict.*--data \S+/x/photos$",
    ),
    "a folder too many in the splits": (
        ("train/images/cat/1.png", "train/images/dog/2.png", "test/images/cat/3.png"),
        r"one folder only in train, images, and cat \(pictures\), dog \(pictures\) in it; if these "
        "are the classes, put them into train itself",
    ),
    "splits with an ending, and something else": (
        ("a_train/cat/1.png", "a_train/dog/2.png", "a_test/cat/3.png", "a_more/4.png"),
        r"a_test, a_train may be splits or classes: .*--data \S+/a_train reads the classes in it",
    ),
    "a test of other files": (
        ("train/cat/1.png", "train/dog/2.png", "val/cat/3.png", "test/cat/4.webp"),
        r"/test: no \.png, .* files in it, and others, such as cat/4\.webp: convert them",
    ),
    "a test of other files alone": (
        ("train/cat/1.png", "train/dog/2.png", "Testing/4.gif"),
        r"/Testing: no \.png, .* such as 4\.gif: convert them",
    ),
    "one class": (("cat/1.png", "cat/2.png"), r"one class only \(cat\)"),
}


@pytest.mark.parametrize(("names", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_ambiguous_is_refused_with_what_was_seen(names, message, tmp_path):
    folder = make(tmp_path, *names)
    with pytest.raises(SourceError, match=message) as refusal:
        resolve(folder)
    if command := re.search(r"printf '.*?' .*? > [^;]*", str(refusal.value)):
        subprocess.run(command.group(), shell=True, check=True)
        found = read(prepare(resolve(folder)))["all"]
        classes = Path(folder, "labels.txt").read_text().split()
        assert {path: path.partition("/")[0] for path in found} == found
        assert sorted(set(found.values())) == classes
    if data := re.search(r"--data (\S+)", str(refusal.value)):
        assert read(prepare(resolve(data.group(1))))


def test_links_to_folders_above_do_not_make_pictures_many(tmp_path):
    make(tmp_path, "cat/1.png", "dog/2.png")
    (tmp_path / "cat" / "up").symlink_to(tmp_path / "cat")
    assert len(read(resolve(str(tmp_path)))["all"]) == 2


def test_videos_and_pairs_are_read_in_folders_too(tmp_path):
    pytest.importorskip("av")
    make(tmp_path / "videos", "run/a/1.mp4", "walk/2.mp4", "walk/Thumbs.db")
    reading = reader(resolve(str(tmp_path / "videos")))
    pieces = {piece for root in reading.roots("all") for piece in reading.pieces(root)}
    assert pieces == {"run/a/1.mp4", "walk/2.mp4"}
    make(tmp_path / "pairs", "input/a/1.png", "target/a/1.png", "input/desktop.ini")
    assert list(reader(resolve(str(tmp_path / "pairs"))).pieces("")) == ["a/1.png"]


SYSTEM = (
    *("Thumbs.db", "desktop.ini", "._1.png", ".DS_Store", "@eaDir/1.png", "__MACOSX/1.png"),
    *("@Recycle/1.png", "@__thumb/1.png", "1.png@SynoEAStream", "Picasa.ini", "RECYCLER/1.png"),
    "1.png:Zone.Identifier",
)


@pytest.mark.parametrize("place", ["", "cat/", "cat/deep/", "dog/"])
def test_what_systems_leave_is_no_data(place, tmp_path):
    make(tmp_path, "cat/1.png", "dog/2.png", "cat/deep/3.png")
    before = read(resolve(str(tmp_path)))
    make(tmp_path, *(place + name for name in SYSTEM))
    assert read(resolve(str(tmp_path))) == before


def test_what_systems_leave_beside_annotations_and_records_is_no_data(tmp_path):
    make(tmp_path / "coco", "annotations/a.json", "annotations/._a.json")
    assert coco_files(tmp_path / "coco") == {"all": "annotations/a.json"}
    make(tmp_path / "records", "a.tfrecord", "._a.tfrecord", "@eaDir/b.tfrecord")
    assert tfrecord_files(tmp_path / "records", "**/*.tfrecord") == ["a.tfrecord"]
    make(tmp_path / "voc", "JPEGImages/1.jpg")
    (tmp_path / "voc/Annotations").mkdir()
    for name in ("1.xml", "._1.xml", "Thumbs.db"):
        (tmp_path / "voc/Annotations" / name).write_text("<annotation/>")
    reading = reader(resolve(str(tmp_path / "voc")))
    assert [piece for root in reading.roots("all") for piece in reading.pieces(root)] == ["1"]
