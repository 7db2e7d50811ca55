"""Every reader on data of which something is wrong: a record, a dead letter, or one sentence."""

import copy
import gzip
import io
import json
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tensorflow_datasets.proto import tf_example_pb2

from components.ingest.contract import DeadLetter, Encoding, to_example
from components.ingest.idx import write_idx
from components.ingest.images import ImageError
from components.ingest.readers import reader
from components.ingest.sources import SourceError, prepare, resolve
from components.ingest.tfrecord import Writer, checksum

# In each run of the tests, and in `make soak`.
CHEAP, MANY = 20, 2000
SIDE = 8
VALUES = st.sampled_from(
    [
        None, True, 0, -1, 1, 2, 7.0, 0.5, 10**400, -(10**30), float("inf"), float("nan"), "", "0",
        "x", "1.jpg", "../1.jpg", "/1.jpg", "a\0b", "\ud800", "\u2028", "é" * 5000, [], [1],
        [[1, 2, 3, 4]], ["x"], {}, {"id": 1}, [None] * 4, [1e308] * 4, list(range(4)), [[[[[]]]]],
    ]
)  # fmt: skip


def photo(number: int, kind: str = "PNG") -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def read(folder: Path) -> tuple[int, int]:
    """How many examples and dead letters data give; 0 and 0 where a sentence refuses them."""
    try:
        source = prepare(resolve(str(folder)))
        reading = pickle.loads(pickle.dumps(reader(source)))
        roots = [root for split, _ in source.patterns for root in reading.roots(split)]
    except SourceError as error:
        assert str(folder) in str(error)
        assert "Traceback" not in str(error)
        return 0, 0
    # What follows runs on workers, and stops at nothing.
    records = letters = 0
    pieces = (piece for root in roots for piece in reading.pieces(root))
    for found in (found for piece in pieces for found in reading.load(piece)):
        try:
            if isinstance(found, DeadLetter):
                raise ImageError(found.reason)
            to_example(found, Encoding()).SerializeToString()
            records += 1
        except ImageError as error:
            assert str(error) and found.identifier
            letters += 1
    return records, letters


@st.composite
def spoilt_bytes(draw: st.DrawFn, whole: bytes) -> bytes:
    """Cut, changed, filled or repeated in up to four places."""
    content = whole
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(content)))
        piece = draw(
            st.binary(max_size=4)
            | st.sampled_from([b"\0" * 20, b"\xff" * 20, b'"', b"\n", b"9" * 400])
        )
        kept = draw(st.sampled_from([0, 1, len(piece), len(content)]))
        content = content[:place] + piece + content[place + kept :]
    return content


def nodes(tree: Any, path: tuple = ()) -> list[tuple]:
    """The paths of all that a JSON value holds."""
    inner = tree.items() if isinstance(tree, dict) else ()
    inner = enumerate(tree) if isinstance(tree, list) else inner
    return [path, *(each for key, value in inner for each in nodes(value, (*path, key)))]


@st.composite
def spoilt_tree(draw: st.DrawFn, whole: Any) -> Any:
    """Up to three values are others, gone, or there twice."""
    tree = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(nodes(tree)))
        if not path:
            return copy.deepcopy(draw(VALUES))
        parent = tree
        for key in path[:-1]:
            parent = parent[key]
        how = draw(st.sampled_from(["other", "gone", "twice"]))
        if how == "other":
            parent[path[-1]] = copy.deepcopy(draw(VALUES))
        elif how == "gone":
            del parent[path[-1]]
        elif isinstance(parent, list):
            parent.append(copy.deepcopy(parent[path[-1]]))
    return tree


# What is right, file by file; `SPOILT` says what is spoilt of it, and how.

COCO = {
    "images": [{"id": n, "file_name": f"{n}.png", "width": SIDE, "height": SIDE} for n in range(4)],
    "annotations": [
        {"image_id": n, "category_id": 1 + n % 2, "bbox": [1, 1, 3, 3], "iscrowd": 0}
        for n in range(4)
    ],
    "categories": [{"id": 2, "name": "cat"}, {"id": 1, "name": "dog"}],
}
VOC = (
    '<?xml version="1.0" encoding="utf-8"?><annotation><filename>%d.png</filename>'
    "<size><width>8</width><height>8</height></size><object><name>cat</name>"
    "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>4</xmax><ymax>4</ymax></bndbox></object>"
    "</annotation>"
)
DESCRIPTION = {
    "task": "classification",
    "files": {"all": "*.tfrecord"},
    "features": {"image/encoded": "jpeg", "label": "class"},
    "labels": ["cat", "dog"],
}
PEOPLE = {"people": {"test": ["a", "b"], "seed": 0, "train_pairs": 9, "test_pairs": 9}}
TABLE = "path,label\n" + "".join(f"{n}.png,{'cat' if n % 2 else 'dog'}\n" for n in range(8))


def coco(folder: Path) -> None:
    for number in range(4):
        write(folder / "all" / f"{number}.png", photo(number))
    write(folder / "annotations" / "instances_all.json", json.dumps(COCO).encode())


def voc(folder: Path) -> None:
    for number in range(3):
        write(folder / "JPEGImages" / f"{number}.png", photo(number))
        write(folder / "Annotations" / f"{number}.xml", (VOC % number).encode())
    for name in ("train", "test"):
        write(folder / "ImageSets" / "Main" / f"{name}.txt", b"0\n1\n2\n")


def idx(folder: Path) -> None:
    for prefix in ("train", "t10k"):
        write_idx(folder / f"{prefix}-images-idx3-ubyte", np.zeros((6, SIDE, SIDE)))
        write_idx(folder / f"{prefix}-labels-idx1-ubyte", np.arange(6) % 3)
    write(folder / "labels.txt", b"a\nb\nc\n")
    packed = gzip.compress((folder / "train-images-idx3-ubyte").read_bytes())
    (folder / "train-images-idx3-ubyte").unlink()
    write(folder / "train-images-idx3-ubyte.gz", packed)


def tfrecord(folder: Path) -> None:
    packed, plain = io.BytesIO(), io.BytesIO()
    writer = Writer(packed)
    for number in range(6):
        example = tf_example_pb2.Example()
        example.features.feature["jpeg"].bytes_list.value.append(photo(number))
        example.features.feature["class"].int64_list.value.append(number % 2)
        content = example.SerializeToString()
        writer.write(content)
        length = struct.pack("<Q", len(content))
        plain.write(length + checksum(length) + content + checksum(content))
    writer.finish()
    write(folder / "packed.tfrecord", packed.getvalue())
    write(folder / "plain.tfrecord", plain.getvalue())
    write(folder / "dataset.json", json.dumps(DESCRIPTION).encode())


def table(folder: Path) -> None:
    for number in range(8):
        write(folder / f"{number}.png", photo(number))
    write(folder / "labels.csv", TABLE.encode())
    write(folder / "labels.txt", b"cat\ndog\n")


def lfw(folder: Path) -> None:
    for number in range(1, 4):
        write(folder / "Bo" / f"Bo_{number:04d}.png", photo(number))
    write(folder / "pairs.txt", b"1\t1\nBo\t1\t2\nBo\t2\tBo\t3\n")


def people(folder: Path) -> None:
    for number in range(8):
        write(folder / "abcd"[number % 4] / f"{number}.png", photo(number))
    write(folder / "dataset.json", json.dumps(PEOPLE).encode())


def pairs(folder: Path) -> None:
    for number in range(3):
        write(folder / "input" / f"{number}.png", photo(number))
        write(folder / "target" / f"{number}.png", photo(number + 9))


def folders(folder: Path) -> None:
    for number in range(6):
        kind = ("PNG", "JPEG")[number % 2]
        write(folder / "abc"[number % 3] / f"{number}.{kind.lower()}", photo(number, kind))


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


SPOILT = [
    (coco, "annotations/instances_all.json", COCO),
    (coco, "annotations/instances_all.json", None),
    (coco, "all/1.png", None),
    (voc, "Annotations/1.xml", None),
    (voc, "ImageSets/Main/train.txt", None),
    (idx, "train-images-idx3-ubyte.gz", None),
    (idx, "t10k-images-idx3-ubyte", None),
    (idx, "train-labels-idx1-ubyte", None),
    (idx, "labels.txt", None),
    (tfrecord, "plain.tfrecord", None),
    (tfrecord, "packed.tfrecord", None),
    (tfrecord, "dataset.json", DESCRIPTION),
    (tfrecord, "dataset.json", None),
    (table, "labels.csv", None),
    (table, "labels.txt", None),
    (lfw, "pairs.txt", None),
    (people, "dataset.json", PEOPLE),
    (people, "dataset.json", None),
    (people, "c/2.png", None),
    (pairs, "input/1.png", None),
    (folders, "b/1.jpeg", None),
    (folders, "a/0.png", None),
]


def spoil(folder: Path, name: str, tree: Any, examples: int) -> None:
    path = folder / name
    whole = path.read_bytes()

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def spoilt(data: st.DataObject) -> None:
        if tree is None:
            path.write_bytes(data.draw(spoilt_bytes(whole)))
        else:
            path.write_text(json.dumps(data.draw(spoilt_tree(tree))))
        read(folder)

    spoilt()


@pytest.mark.parametrize(("make", "name", "tree"), SPOILT)
def test_spoilt_files(tmp_path, make, name, tree):
    make(tmp_path)
    records, letters = read(tmp_path)
    assert records and not letters
    spoil(tmp_path, name, tree, CHEAP)


@pytest.mark.soak
@pytest.mark.parametrize(("make", "name", "tree"), SPOILT)
def test_many_spoilt_files(tmp_path, make, name, tree):
    make(tmp_path)
    spoil(tmp_path, name, tree, MANY)


@pytest.mark.parametrize(("make", "name", "tree"), SPOILT)
@pytest.mark.parametrize("kind", ["pipe", "zero", "folder", "gone"])
def test_files_that_are_none(tmp_path, make, name, tree, kind):
    """A named pipe, a device without an end, a folder, a link that leads nowhere."""
    make(tmp_path)
    path = tmp_path / name
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to({"zero": "/dev/zero", "gone": tmp_path / "nothing"}[kind])
    records, letters = read(tmp_path)
    # Without its lists VOC is split by content, and a folder in a class has no files to lose.
    in_a_class = kind == "folder" and make in (folders, people) and name.endswith("g")
    nothing_lost = name == "ImageSets/Main/train.txt" or in_a_class
    assert letters or not records or nothing_lost
