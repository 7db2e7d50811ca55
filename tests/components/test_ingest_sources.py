import gzip
import hashlib
import importlib.resources
import itertools
import re
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import tensorflow as tf
from PIL import Image

from components.ingest.contract import Record
from components.ingest.idx import read_idx, read_split, write_idx
from components.ingest.readers import reader
from components.ingest.sources import SourceError, prepare, resolve

MNIST = Path(str(importlib.resources.files("convnets_data"))) / "mnist"


def test_mnist_in_the_box_is_the_published_data():
    source = resolve("mnist")
    assert source.kind == "idx"
    assert [split for split, _ in source.patterns] == ["train", "test"]
    sums = dict(
        reversed(line.split(maxsplit=1))
        for line in (MNIST / "SHA256SUMS").read_text().splitlines()
        if line and not line.startswith("#")
    )
    for path in MNIST.glob("*.gz"):
        assert sums[path.name] == hashlib.sha256(path.read_bytes()).hexdigest()
    images, labels = read_split(source.base, "t10k-*")
    assert images.shape == (10_000, 28, 28)
    assert labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    images, labels = read_split(source.base, "train-*")
    assert images.shape == (60_000, 28, 28)
    # Section III.A of the paper: the training set has about 6,000 examples of each digit.
    assert np.bincount(labels).min() > 5_400


def test_idx_files_of_ones_own(tmp_path):
    for path in MNIST.glob("*.gz"):
        shutil.copy(path, tmp_path)
    assert resolve(str(tmp_path)).kind == "idx"
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(SourceError, match="no labels-idx file of the test split"):
        resolve(str(tmp_path))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x00\x00\x0d\x01" + struct.pack(">I", 1) + b"\0\0\0\0", "no IDX file of unsigned"),
        (b"\x00\x00\x08\x01" + struct.pack(">I", 5) + b"abc", "3 values where the header says"),
        (b"", "no IDX file"),
        (b"\0\0\x08\x02" + struct.pack(">I", 5), "ends inside its header"),
        (b"\0\0\x08\x00a", "0 dimensions, 1 to 4 are read"),
        (b"\0\0\x08\xff" + bytes(999), "255 dimensions"),
        (b"\0\0\x08\x01" + struct.pack(">I", 2) + b"abc", "more|3 values where the header says"),
        (b"\0\0\x08\x04" + b"\0\x01\0\0" * 4, "values where the header says|when unpacked, more"),
    ],
)
@pytest.mark.parametrize("packed", [True, False])
def test_damaged_idx(tmp_path, data, message, packed):
    path = tmp_path / "damaged"
    path.write_bytes(gzip.compress(data) if packed else data)
    with pytest.raises(SourceError, match=f"damaged: .*({message})"):
        read_idx(path)


def test_packed_idx_files_that_are_damaged_or_grow(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    # A gigabyte of zeros where the header says four bytes: no more than those are unpacked.
    packer = zlib.compressobj(wbits=31)
    header = b"\0\0\x08\x01" + struct.pack(">I", 4)
    content = packer.compress(header) + b"".join(packer.compress(bytes(1 << 20)) for _ in range(64))
    path.write_bytes(content + packer.flush())
    with pytest.raises(SourceError, match="more values where the header says"):
        read_idx(path)
    whole = gzip.compress(header + b"abcd")
    for damaged in (whole[:-9], whole[:15] + b"\xff" * 9 + whole[24:], whole[:-8] + bytes(8)):
        path.write_bytes(damaged)
        with pytest.raises(SourceError, match=f"{path.name} cannot be read: "):
            read_idx(path)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        ((4,), (4,), r"images-idx3-ubyte: \[N, H, W\] or \[N, H, W, 3\] is expected"),
        ((4, 2, 2, 4), (4,), "is expected, and its dimensions are"),
        ((4, 2, 2), (4, 1), r"labels-idx1-ubyte: \[N\] is expected"),
        ((0, 2, 2), (0,), "images-idx3-ubyte: no values"),
        ((4, 2, 2), (3,), "4 images and 3 labels"),
    ],
)
def test_idx_files_that_are_no_images_and_labels(tmp_path, images, labels, message):
    write_idx(tmp_path / "train-images-idx3-ubyte", np.zeros(images))
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.zeros(labels))
    with pytest.raises(SourceError, match=message):
        read_split(tmp_path, "train-*")


def test_idx_files_that_have_changed_are_read_anew(tmp_path):
    for prefix in ("train", "t10k"):
        write_idx(tmp_path / f"{prefix}-images-idx3-ubyte", np.zeros((4, 2, 2)))
        write_idx(tmp_path / f"{prefix}-labels-idx1-ubyte", np.arange(4) % 2)
    source = resolve(str(tmp_path))
    assert reader(source).labels == ["0", "1"]
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.arange(4))
    assert reader(source).labels == ["0", "1", "2", "3"]


def test_no_folder(tmp_path):
    with pytest.raises(SourceError, match="no such folder"):
        resolve(str(tmp_path / "missing"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("photos/labels.csv", "photos/labels.csv: a table is named by its folder: photos"),
        ("photos/cat.png", "photos/cat.png: a file, and data are a folder: one that holds"),
        ("fashion_mnist", "no such folder; did you mean tfds:fashion_mnist?"),
        ("fashion-mnist", "no such folder; did you mean tfds:fashion_mnist?"),
        ("voc/2012:4.0.0", "no such folder; did you mean tfds:voc/2012:4.0.0?"),
        ("cifar1", "no such folder; did you mean cifar10?"),
        ("hwdb1.1", "from its makers; name the folder that holds train/CLASS"),
        ("eurosat", "no such folder; tfds:eurosat asks TFDS for data of this name"),
    ],
)
def test_what_is_no_folder_has_a_hint(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for file in ("labels.csv", "cat.png"):
        (tmp_path / "photos" / file).touch()
    with pytest.raises(SourceError, match=re.escape(message)):
        resolve(name)


def test_a_folder_without_images(tmp_path):
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "notes.txt").write_text("none")
    with pytest.raises(SourceError, match="no images; expected a folder per class"):
        resolve(str(tmp_path))


def test_one_class(tmp_path):
    (tmp_path / "cats").mkdir()
    Image.fromarray(skimage.data.chelsea()).save(tmp_path / "cats" / "1.png")
    with pytest.raises(SourceError, match=r"one class only \(cats\)"):
        resolve(str(tmp_path))


@pytest.mark.parametrize("held_out", ["test", "val"])
def test_folders_of_splits_are_the_published_splits(tmp_path, held_out):
    for path in ("train/cat/1", "train/dog/2", f"{held_out}/dog/3", f"{held_out}/emu/4"):
        file = tmp_path / f"{path}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(skimage.data.chelsea()).save(file)
    (tmp_path / "train" / "cat" / "gone.png").symlink_to("nowhere.png")
    source = prepare(resolve(str(tmp_path)))
    assert source.patterns == (("train", "train/*/*"), ("test", f"{held_out}/*/*"))
    read = reader(source)
    assert read.labels == ["cat", "dog", "emu"]
    found = {
        each.identifier: each.features["label"] if isinstance(each, Record) else each.reason
        for split in ("train", "test")
        for root in read.roots(split)
        for piece in read.pieces(root)
        for each in read.load(piece)
    }
    assert found == {
        "train/cat/1.png": 0,
        "train/cat/gone.png": "cannot be read: No such file or directory",
        "train/dog/2.png": 1,
        f"{held_out}/dog/3.png": 1,
        f"{held_out}/emu/4.png": 2,
    }


def test_unknown_tfds_name():
    with pytest.raises(SourceError, match="did you mean mnist"):
        prepare(resolve("tfds:mnits"))


def test_data_of_another_task_are_refused():
    with pytest.raises(SourceError, match="mnist is data for classification; needed is detection"):
        resolve("mnist", "detection")
    with pytest.raises(SourceError, match="_v2 is data for depth and depth_normals and norm"):
        resolve("tfds:nyu_depth_v2", "classification")
    # What TFDS has to be asked about is found out when the data are prepared.
    assert resolve("tfds:oxford_iiit_pet", "segmentation").task == "segmentation"


def test_a_bucket_is_a_folder_per_class():
    source = resolve("gs://bucket/photos/", "classification")
    assert (source.kind, source.base) == ("folder", "gs://bucket/photos")


@pytest.mark.parametrize("test", ["test", "val"])
def test_a_bucket_may_hold_a_folder_per_split(test):
    bucket = f"ram://splits-{test}/photos"
    for split, name in itertools.product(("train", test), ("cats", "dogs")):
        tf.io.gfile.makedirs(f"{bucket}/{split}/{name}")
        tf.io.gfile.GFile(f"{bucket}/{split}/{name}/1.png", "wb").write(b"a file")
    tf.io.gfile.GFile(f"{bucket}/README.txt", "w").write("no folder")
    source = prepare(resolve(bucket))
    assert source.kind == "splits"
    assert source.patterns == (("train", "train/*/*"), ("test", f"{test}/*/*"))
    assert reader(source).labels == ["cats", "dogs"]


def test_classes_in_a_bucket_may_be_called_as_splits():
    for name in ("train", "test"):
        tf.io.gfile.makedirs(f"ram://vehicles/{name}")
        tf.io.gfile.GFile(f"ram://vehicles/{name}/1.png", "wb").write(b"a file")
    source = resolve("ram://vehicles")
    assert prepare(source) == source


@pytest.mark.parametrize("bucket", ["ram://nowhere/photos", "nocloud://bucket/photos"])
def test_a_bucket_that_cannot_be_read_is_named_with_the_reason(bucket):
    scheme = bucket.partition(":")[0]
    reason = "NotFound" if scheme == "ram" else f"File system scheme '{scheme}' not implemented"
    with pytest.raises(OSError, match=f"^{bucket} cannot be read: .*{reason}"):
        prepare(resolve(bucket))


def test_an_idx_label_above_the_training_labels_is_a_dead_letter(tmp_path):
    def write(name: str, array: np.ndarray) -> None:
        magic = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
        (tmp_path / name).write_bytes(magic + array.astype(np.uint8).tobytes())

    for prefix, labels in (("train", [0, 1]), ("t10k", [1, 2])):
        write(f"{prefix}-images-idx3-ubyte", np.zeros((2, 8, 8)))
        write(f"{prefix}-labels-idx1-ubyte", np.array(labels))
    reading = reader(resolve(str(tmp_path)))
    (root,) = reading.roots("test")
    good, bad = (each for piece in reading.pieces(root) for each in reading.load(piece))
    assert good.features["label"] == 1
    assert bad.reason == "unknown label: 2, and there are 2 classes"
