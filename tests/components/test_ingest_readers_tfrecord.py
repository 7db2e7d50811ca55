"""TFRecord files as TensorFlow writes them, with names of features of their own."""

import io
import json
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import tensorflow as tf
from PIL import Image

from components.ingest.contract import DeadLetter, Encoding, checked, to_example
from components.ingest.images import ImageError
from components.ingest.readers import reader
from components.ingest.readers.records import read, starts
from components.ingest.sources import Source, SourceError, resolve
from components.ingest.tfrecord import checksum

COUNT = 230
CLASSES = {"features": {"image/encoded": "jpeg", "label": "class"}, "labels": ["cat", "dog"]}


@pytest.fixture(scope="module")
def photo() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(skimage.data.chelsea()).resize((32, 24)).save(buffer, "JPEG")
    return buffer.getvalue()


def feature(value) -> tf.train.Feature:
    values = value if isinstance(value, list) else [value]
    if isinstance(values[0], bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    if isinstance(values[0], float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def written(path: Path, examples: list[dict], compression: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for each in examples:
            features = {name: feature(value) for name, value in each.items()}
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    return path


def described(folder: Path, **values) -> Path:
    (folder / "dataset.json").write_text(json.dumps(values))
    return folder


def loaded(source: Source, split: str) -> tuple[dict, dict]:
    reading = pickle.loads(pickle.dumps(reader(source)))
    pieces = [piece for root in reading.roots(split) for piece in reading.pieces(root)]
    found = [each for piece in pieces for each in reading.load(piece)]
    letters = {each.identifier: each.reason for each in found if isinstance(each, DeadLetter)}
    return {each.identifier: each for each in found if not isinstance(each, DeadLetter)}, letters


def labelled(photo: bytes, labels: list) -> list[dict]:
    return [{"jpeg": photo, "class": label} for label in labels]


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_records_of_all_pieces(photo, tmp_path, compression):
    numbers = [number % 2 for number in range(COUNT)]
    written(tmp_path / "a.tfrecord", labelled(photo, numbers), compression)
    source = resolve(str(described(tmp_path, **CLASSES)))
    assert (source.kind, source.task) == ("tfrecord", "classification")
    reading = reader(source)
    pieces = [piece for root in reading.roots("all") for piece in reading.pieces(root)]
    assert len(pieces) == (1 if compression else 3)
    records, letters = loaded(source, "all")
    assert letters == {}
    # Each record once, under its own number.
    assert list(records) == [f"a.tfrecord#{number}" for number in range(COUNT)]
    assert [each.features["label"] for each in records.values()] == numbers
    assert records["a.tfrecord#1"].features["label/text"] == "dog"
    features = to_example(records["a.tfrecord#7"], Encoding()).features.feature
    assert features["image/encoded"].bytes_list.value[0] == photo


def test_labels_that_are_texts_and_files_for_each_split(photo, tmp_path):
    written(tmp_path / "train-0.tfrecord", labelled(photo, [b"dog", b"cat"]))
    written(tmp_path / "val-0.tfrecord", labelled(photo, [b"dog", b"cow"]))
    files = {"train": "train-*.tfrecord", "test": "val-*.tfrecord"}
    source = resolve(str(described(tmp_path, **CLASSES, files=files)))
    records, _ = loaded(source, "train")
    assert [each.features["label"] for each in records.values()] == [1, 0]
    records, letters = loaded(source, "test")
    assert list(records) == ["val-0.tfrecord#0"]
    assert letters == {"val-0.tfrecord#1": "unknown label: 'cow'"}


def test_boxes_whose_sides_are_features_of_their_own(photo, tmp_path):
    """As the TensorFlow Object Detection API writes them."""
    sides = {"ymin": [0.0, 0.25], "xmin": [0.5, 0.0], "ymax": [1.0, 0.5], "xmax": [0.75, 0.25]}
    example = {f"image/object/bbox/{side}": values for side, values in sides.items()}
    example |= {"image/encoded": photo, "image/object/class/text": [b"dog", b"cat"]}
    shorter = {**example, "image/object/bbox/xmax": [0.75]}
    written(tmp_path / "a.tfrecord", [example, shorter])
    features = {
        "image/encoded": "image/encoded",
        "objects/bbox": [f"image/object/bbox/{side}" for side in sides],
        "objects/label": "image/object/class/text",
    }
    described(tmp_path, task="detection", features=features, labels=["cat", "dog"])
    source = resolve(str(tmp_path))
    assert source.task == "detection"
    records, letters = loaded(source, "all")
    made = to_example(records["a.tfrecord#0"], Encoding()).features.feature
    assert list(made["objects/bbox"].float_list.value) == [0, 0.5, 1, 0.75, 0.25, 0, 0.5, 0.25]
    assert list(made["objects/label"].int64_list.value) == [1, 0]
    assert list(made["objects/label/text"].bytes_list.value) == [b"dog", b"cat"]
    assert "not as many of each of" in letters["a.tfrecord#1"]


def test_lists_of_frames_and_of_names(photo, tmp_path):
    example = {"jpegs": [photo, photo], "class": 1, "name": b"dog"}
    unreadable = {"jpegs": [photo], "class": 0, "name": b"\xff"}
    written(tmp_path / "a.tfrecord", [example, unreadable])
    features = {"frames/encoded": "jpegs", "label": "class", "label/text": "name"}
    described(tmp_path, task="video", features=features, labels=["cat", "dog"])
    records, _ = loaded(resolve(str(tmp_path)), "all")
    made = to_example(records["a.tfrecord#0"], Encoding()).features.feature
    assert list(made["frames/encoded"].bytes_list.value) == [photo, photo]
    with pytest.raises(ImageError, match="label/text should be text in UTF-8, not"):
        to_example(records["a.tfrecord#1"], Encoding())


def test_records_that_give_no_example(photo, tmp_path):
    written(
        tmp_path / "a.tfrecord",
        [
            {"jpeg": photo, "class": 0},
            {"jpeg": photo, "class": 2},
            {"png": photo, "class": 0},
            {"jpeg": [photo, photo], "class": 0},
            {"jpeg": photo, "class": 0.5},
        ],
    )
    with tf.io.TFRecordWriter(str(tmp_path / "b.tfrecord")) as writer:
        writer.write(b"\xff\xff no example")
    records, letters = loaded(resolve(str(described(tmp_path, **CLASSES))), "all")
    assert list(records) == ["a.tfrecord#0"]
    assert letters.pop("b.tfrecord#0").startswith("no tf.Example: ")
    assert letters == {
        "a.tfrecord#1": "unknown label: 2, and there are 2 classes",
        "a.tfrecord#2": "no feature 'jpeg' in the tf.Example",
        "a.tfrecord#3": "2 values of 'jpeg', one is needed",
        "a.tfrecord#4": "unknown label: 0.5, and there are 2 classes",
    }


def flipped(part: float):
    """A byte in a record, or of the length of one: records are of equal size."""

    def damage(content: bytes) -> bytes:
        place = int(len(content) // COUNT * (COUNT // 2 + part))
        return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]

    return damage


def overwritten(content: bytes) -> bytes:
    """Fifty of the records, as a disk's lost block is read: zeros."""
    size = len(content) // COUNT
    return content[: 120 * size + 7] + bytes(50 * size) + content[170 * size + 7 :]


def torn(content: bytes) -> bytes:
    """Two hundred bytes in the middle."""
    place = len(content) // 2
    return content[:place] + b"\xff" * 200 + content[place + 200 :]


def endless(content: bytes) -> bytes:
    """The length of a record is 2^40, and its checksum is right."""
    place = len(content) // COUNT * (COUNT // 2)
    header = struct.pack("<Q", 1 << 40)
    return content[:place] + header + checksum(header) + content[place + 12 :]


@pytest.mark.parametrize(
    ("compression", "damage", "reason", "lost"),
    [
        ("", lambda content: content[:-10], "ends inside a record", 1),
        ("", flipped(0.5), "a record's checksum is wrong", 1),
        ("", flipped(0.0), "no record of a TFRecord file", 1),
        ("", overwritten, "no record of a TFRecord file; about 51 records are lost", 51),
        ("", endless, "ends inside a record", 1),
        ("GZIP", lambda content: content[:-10], "Compressed file ended", 1),
        ("GZIP", torn, "about 1", COUNT // 2),
    ],
)
def test_what_is_lost_of_a_damaged_file_is_counted(tmp_path, compression, damage, reason, lost):
    noise = np.random.default_rng(7)
    # Six bits a byte, so that packing has something to pack.
    contents = [bytes(noise.integers(0, 64, 900, np.uint8)) for _ in range(COUNT)]
    examples = [{"jpeg": content, "class": 0} for content in contents]
    whole = written(tmp_path / "whole" / "a.tfrecord", examples, compression)
    (tmp_path / "a.tfrecord").write_bytes(damage(whole.read_bytes()))
    reading = reader(resolve(str(described(tmp_path, **CLASSES))))
    found = [each for piece in reading.pieces("a.tfrecord") for each in reading.load(piece)]
    letters = [each for each in found if isinstance(each, DeadLetter)]
    records = [each.features["image/encoded"] for each in found if each not in letters]
    assert all(letter.reason.startswith("damaged file: ") for letter in letters)
    assert reason in letters[-1].reason
    # All that comes before the damage and, where the next record can be found, all after it. How
    # many a packed file still had is told from how much of it is left.
    assert set(records) <= set(contents)
    slack = 0.1 * COUNT if compression else 0
    assert abs(len(records) + lost - COUNT) <= slack
    assert abs(sum(letter.count for letter in letters) - lost) <= slack


@pytest.mark.parametrize("compression", ["", "GZIP"])
@pytest.mark.parametrize(
    ("there", "missing", "lost"),
    [
        ((0, 1, 2, 3), None, 0),
        ((1, 2, 3, 4), None, 0),
        ((0, 2, 3), "a-00001-of-00004.tfrecord", 5),
        ((0, 1), "a-00002-of-00004.tfrecord", 10),
        ((2, 4), "a-00001-of-00004.tfrecord", 10),
    ],
)
def test_files_that_others_say_there_are_count_as_lost(
    photo, tmp_path, compression, there, missing, lost
):
    for number in there:
        path = tmp_path / f"a-{number:05d}-of-00004.tfrecord"
        written(path, labelled(photo, [0, 1, 0, 1, 0]), compression)
    # A browser's copy is no set of its own.
    copy = tmp_path / f"a-{there[0]:05d}-of-00004.tfrecord (1)"
    written(copy, labelled(photo, [0]), compression)
    source = resolve(str(described(tmp_path, **CLASSES, files={"all": "*.tfrecord*"})))
    reading = reader(source)
    pieces = [piece for root in reading.roots("all") for piece in reading.pieces(root)]
    found = [each for piece in pieces for each in reading.load(piece)]
    letters = [each for each in found if isinstance(each, DeadLetter)]
    assert len(found) - len(letters) == 5 * len(there) + 1
    assert [each.identifier for each in letters] == [missing] * (missing is not None)
    assert sum(each.count for each in letters) == lost
    assert all("of the 4 files" in each.reason for each in letters)


def test_files_of_a_set_that_splits_share_or_nobody_asks_for_are_not_lost(photo, tmp_path):
    for number in (0, 1, 3):
        path = tmp_path / "parts" / f"{number}-of-4.tfrecord"
        written(path, labelled(photo, [0, 1]))
    files = {"train": "parts/[01]-*", "test": "parts/3-*"}
    source = resolve(str(described(tmp_path, **CLASSES, files=files)))
    assert loaded(source, "train")[1].keys() == {"parts/2-of-4.tfrecord"}
    assert not loaded(source, "test")[1]
    (tmp_path / "parts" / "3-of-4.tfrecord").rename(tmp_path / "parts" / "2-of-4.tfrecord")
    written(tmp_path / "parts" / "3-of-4.tfrecord", labelled(photo, [0]))
    assert not loaded(source, "train")[1]


def test_what_is_no_tfrecord_file(photo, tmp_path):
    """Of one that gives no record at all nobody knows how many are lost with it."""
    written(tmp_path / "a.tfrecord", labelled(photo, [0, 1] * 99))
    (tmp_path / "empty.tfrecord").write_bytes(b"")
    source = resolve(str(described(tmp_path, **CLASSES)))
    assert reader(source).roots("all") == ["a.tfrecord", "empty.tfrecord"]
    for content in (b"no records at all, only some text", b"\x1f\x8b no gzip", bytes(99)):
        (tmp_path / "b.tfrecord").write_bytes(content)
        with pytest.raises(SourceError, match=r"/b.tfrecord"):
            reader(source).roots("all")
    (tmp_path / "b.tfrecord").unlink()
    os.mkfifo(tmp_path / "b.tfrecord")
    with pytest.raises(SourceError, match=r"/b.tfrecord cannot be read: it is a named pipe"):
        reader(source).roots("all")


def test_files_in_folders_below(photo, tmp_path):
    written(tmp_path / "deep" / "a.tfrecord", labelled(photo, [0, 1]))
    source = resolve(str(described(tmp_path, **CLASSES, files={"all": "*/*.tfrecord"})))
    assert list(loaded(source, "all")[0]) == ["deep/a.tfrecord#0", "deep/a.tfrecord#1"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"features": {}}, "TFRecords need a dataset.json beside them"),
        ({"files": {"val": "*"}}, "files must name a pattern for all, or for train and test"),
        ({"files": {"all": "b*"}}, r"no file of all matches b\*"),
        ({"task": "sorting"}, "unknown task 'sorting'; allowed are classification"),
        ({"feature": {}}, "unknown key 'feature'; allowed are task, files, features, labels"),
        ({"features": {"picture": "jpeg"}}, "unknown feature 'picture'; there are image/encoded"),
        ({"features": {"label": ["a"]}}, "label must be the name of a feature"),
        ({"features": "image/encoded"}, "features: Input should be a valid dictionary, not 'image"),
        ({"features": {"label": None}}, r"features.label.str: Input should be a valid string, not"),
        ({"labels": []}, "no names of the classes"),
        ({"labels": "cat"}, "labels: Input should be a valid list, not 'cat'"),
        ({"labels": ["cat", 1]}, "labels.1: Input should be a valid string, not 1"),
        ({"labels": ["cat", "cat"]}, "labels: 'cat' occurs twice"),
        ({"files": "*.tfrecord"}, "files: Input should be a valid dictionary"),
        ({"files": {"all": "../*"}}, r"a pattern out of the folder of the data: ../\*"),
        ({"files": {"all": "/etc/*"}}, r"a pattern out of the folder of the data: /etc/\*"),
        ({"files": {"all": "**.tfrecord"}}, r"no (pattern of files|file of all)"),
        ({"task": ["classification"]}, "task: Input should be a valid string"),
    ],
)
def test_descriptions_that_cannot_be_used(photo, tmp_path, changed, message):
    written(tmp_path / "a.tfrecord", labelled(photo, [0]))
    with pytest.raises(SourceError, match=message):
        reader(resolve(str(described(tmp_path, **{**CLASSES, **changed}))))


CAMERA = {"size": [64, 48], "focal": [50.0, 50.0], "centre": [32.0, 24.0]}
DEPTHS = {
    "task": "normals",
    "features": {"image/encoded": "jpeg", "depth/encoded": "depth"},
    "camera": CAMERA,
}


@pytest.fixture
def depths(photo, tmp_path):
    """A record of a wall straight ahead at 2 metres, without a description."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((24, 32), 2000, np.uint16)).save(buffer, "PNG")
    written(tmp_path / "a.tfrecord", [{"jpeg": photo, "depth": buffer.getvalue()}])
    return tmp_path


def test_depths_and_a_camera_give_normals(depths):
    found, letters = loaded(resolve(str(described(depths, **DEPTHS))), "all")
    assert letters == {}
    features, _ = checked(found["a.tfrecord#0"], Encoding())
    normals = np.asarray(Image.open(io.BytesIO(features["normals/encoded"])))
    assert normals.shape == (24, 32, 3) and (normals == (128, 128, 0)).all()
    # What no task needs is not computed.
    found, _ = loaded(resolve(str(described(depths, **{**DEPTHS, "task": "depth"}))), "all")
    assert set(found["a.tfrecord#0"].features) == {"image/encoded", "depth/encoded"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"camera": None}, "lack normals/encoded, which normals needs; of depths and a camera nor"),
        ({"features": {"image/encoded": "jpeg"}}, "features lack normals/encoded, which normals"),
        ({"task": "depth", "features": {"image/encoded": "jpeg"}}, "lack depth/encoded, which dep"),
        (
            {"camera": {**CAMERA, "focal": [50.0]}},
            "camera.focal: List should have at least 2 items",
        ),
        ({"camera": {**CAMERA, "focal": [50.0, 0.0]}}, "camera.focal.1: Input should be greater"),
        ({"camera": {"size": [64, 48]}}, "no camera.focal"),
        ({"camera": {**CAMERA, "zoom": 2}}, "camera.zoom: Extra inputs are not permitted"),
    ],
)
def test_depths_without_what_gives_normals(depths, changed, message):
    with pytest.raises(SourceError, match=message):
        reader(resolve(str(described(depths, **{**DEPTHS, **changed}))))


def test_where_records_begin(photo, tmp_path):
    content = written(tmp_path / "a.tfrecord", labelled(photo, [0, 1])).read_bytes()
    assert list(starts(io.BytesIO(content))) == [0, len(content) // 2]
    file = io.BytesIO(content)
    file.seek(len(content) // 2)
    assert len(list(read(file))) == 1
