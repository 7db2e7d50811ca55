"""Data are known by names and contents: what changes a label changes what they are known by."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.ingest import generated, identity
from components.ingest.component import ImageExampleGen
from components.ingest.driver import Driver
from components.ingest.layouts import Source
from components.ingest.readers import READERS
from components.ingest.sources import window

# Files of each kind of source, all of one size and time, as an archive leaves them.
LAYOUTS = {
    "boxes": ("labels.csv", "1.png", ".scans/2.png"),
    "coco": ("annotations/a.json", "images/1.png", "images/2.png"),
    "csv": ("labels.csv", "1.png", ".scans/2.png"),
    "folder": ("cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png"),
    "idx": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "labels.txt"),
    "lfw": ("pairs.txt", "A/A_0001.jpg", "B/B_0001.jpg"),
    "people": ("dataset.json", "a/1.png", "b/1.png"),
    "pairs": ("input/1.png", "target/1.png", "input/2.png"),
    "splits": ("train/cat/1.png", "train/dog/1.png", "test/cat/1.png", "test/dog/1.png"),
    "tfds": ("a-train.tfrecord", "a-test.tfrecord", "labels.txt"),
    "tfrecord": ("dataset.json", "a.tfrecord", "b.tfrecord"),
    "video": ("run/1.mp4", "walk/1.mp4"),
    "voc": ("Annotations/1.xml", "Annotations/2.xml", "JPEGImages/1.jpg"),
}


@pytest.fixture(params=LAYOUTS)
def source(request, tmp_path) -> Source:
    for number, name in enumerate(LAYOUTS[request.param]):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([number]) * 64)
    # Of all in one go: their times of change may be one.
    for name in LAYOUTS[request.param]:
        os.utime(tmp_path / "data" / name, ns=(1, 1))
    return Source(request.param, str(tmp_path / "data"), ())


def known(source: Source) -> str:
    return identity.of_source(source).sha256


def exchange(one: Path, other: Path) -> None:
    between = one.with_name("between")
    one.rename(between)
    other.rename(one)
    between.rename(other)


def test_every_kind_of_source_has_a_layout_here():
    assert LAYOUTS.keys() == READERS.keys() - generated.SETS.keys()  # They have no files.


def test_what_has_not_changed_is_known(source):
    assert known(source) == known(source)
    assert identity.of_source(source).files == len(LAYOUTS[source.kind])
    assert identity.of_source(source).size == 64 * len(LAYOUTS[source.kind])


def test_exchanged_files_are_seen(source):
    before = known(source)
    paths = [Path(source.base, name) for name in LAYOUTS[source.kind]]
    exchange(paths[0], paths[-1])
    after = known(source)
    assert after != before
    exchange(*paths[-2:])
    assert known(source) not in (before, after)


def test_a_renamed_file_is_seen(source):
    before = known(source)
    path = Path(source.base, LAYOUTS[source.kind][-1])
    path.rename(path.with_name(f"other-{path.name}"))
    assert known(source) != before


def test_a_file_of_other_content_is_seen(source):
    before = known(source)
    path = Path(source.base, LAYOUTS[source.kind][-1])
    path.write_bytes(b"x" * 64)
    os.utime(path, ns=(1, 1))
    assert known(source) != before


@pytest.fixture
def classes(tmp_path) -> Path:
    """Two classes whose files have the same names, sizes and times."""
    folder = tmp_path / "classes"
    for label, value in (("cat", b"c"), ("dog", b"d")):
        (folder / label).mkdir(parents=True)
        for number in range(3):
            (folder / label / f"{number}.png").write_bytes(value * 10)
    for path in folder.glob("*/*"):
        os.utime(path, ns=(1, 1))
    return folder


def retarget(folder: Path) -> None:
    (folder / "more").unlink()
    (folder / "more").symlink_to(folder.parent / "second")


CHANGES = {
    "a file moved": lambda f: (f / "cat/0.png").rename(f / "dog/cat-0.png"),
    "all files moved": lambda f: [
        p.rename(f / "cat" / f"d{p.name}") for p in (f / "dog").iterdir()
    ],
    "a class renamed": lambda f: (f / "cat").rename(f / "wolf"),
    "classes exchanged": lambda f: exchange(f / "cat", f / "dog"),
    "an empty class": lambda f: (f / "emu").mkdir(),
    "a class that is a link leads elsewhere": retarget,
    "what a link leads to": lambda f: (f.parent / "first/a.png").write_bytes(b"changed"),
    "a deeper folder renamed": lambda f: (f / "cat/deep").rename(f / "dog/deep"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_relabelled_data_are_other_data(change, classes):
    for name in ("first", "second"):
        (classes.parent / name).mkdir()
        (classes.parent / name / "a.png").touch()
    (classes / "more").symlink_to(classes.parent / "first")
    (classes / "cat" / "deep").mkdir()
    source = Source("folder", str(classes), ())
    before = known(source)
    change(classes)
    assert known(source) != before


def test_what_systems_leave_in_a_folder_changes_nothing(classes):
    source = Source("folder", str(classes), ())
    before = known(source)
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "@eaDir/x.png", "__MACOSX/cat/._0.png"):
        (classes / "cat" / name).parent.mkdir(parents=True, exist_ok=True)
        (classes / "cat" / name).touch()
    assert known(source) == before


def test_links_without_an_end_have_one(classes):
    (classes / "cat" / "up").symlink_to(classes)
    (classes / "cat" / "itself").symlink_to("itself")
    (classes / "cat" / "nowhere").symlink_to("gone")
    os.mkfifo(classes / "cat" / "pipe")
    assert identity.of_folder(str(classes)).files == 6 + 3


def test_a_bucket_is_known_by_names_sizes_and_times():
    def write(name: str, content: bytes) -> None:
        tf.io.gfile.makedirs(os.path.dirname(f"ram://known/{name}"))
        with tf.io.gfile.GFile(f"ram://known/{name}", "wb") as file:
            file.write(content)

    source = Source("folder", "ram://known", ())
    write("cat/1.png", b"one")
    write("dog/2.png", b"two")
    before = identity.of_source(source)
    assert (before.files, before.size) == (2, 6)
    assert identity.of_source(source) == before
    write("cat/.hidden", b"x")
    assert identity.of_source(source) == before
    tf.io.gfile.rename("ram://known/cat/1.png", "ram://known/dog/1.png")
    assert identity.of_source(source) != before


def decided(source: Source) -> dict:
    properties = dict(ImageExampleGen(source).exec_properties)
    return Driver(None).resolve_exec_properties(properties, None, None)


def photos(folder: Path) -> None:
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        image = np.full((8, 8), ord(label[0]), np.uint8)
        (folder / label / "1.png").write_bytes(tf.io.encode_png(image[..., None]).numpy())


def test_the_driver_knows_a_span_by_its_own_files(tmp_path):
    for name in ("span-1/v1", "span-2/v1", "span-2/v2"):
        photos(tmp_path / name)
    pattern = str(tmp_path / "span-{SPAN}" / "v{VERSION}")
    newest, earlier = window(pattern, 2)
    before, older = decided(newest), decided(earlier)
    assert (before["span"], before["version"]) == (2, 2)
    assert (older["span"], older["version"]) == (1, 1)
    shutil.rmtree(tmp_path / "span-2" / "v1")
    (tmp_path / "span-3").mkdir()
    assert decided(newest) == before
    exchange(tmp_path / "span-2/v2/cat", tmp_path / "span-2/v2/dog")
    assert decided(newest)["input_fingerprint"] != before["input_fingerprint"]
    assert decided(earlier) == older
