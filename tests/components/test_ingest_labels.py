"""The names of classes and of files, as people write them."""

import os
from pathlib import Path

import apache_beam as beam
import pytest
import tensorflow as tf

from components.ingest import engine, labels
from components.ingest.contract import Encoding
from components.ingest.readers import reader
from components.ingest.sources import SourceError, resolve
from components.validate import facts
from pipelines.beam import Beam


def make(folder: Path, *classes: str | bytes, pictures: int = 4) -> str:
    for place, name in enumerate(classes):
        path = os.path.join(os.fsencode(folder), os.fsencode(name))
        os.makedirs(path)
        for number in range(pictures):
            grey = tf.fill((4, 4, 1), tf.constant(16 * place + number, tf.uint8))
            with open(os.path.join(path, b"%d.png" % number), "wb") as file:
                file.write(tf.io.encode_png(grey).numpy())
    return str(folder)


@pytest.mark.parametrize("name", ["a\nb", "a\u2028b", "a\x85b", "a\rb", "a\x1cb", b"caf\xe9"])
def test_a_class_name_that_is_no_line_of_text_is_refused_by_its_name(name, tmp_path):
    with pytest.raises(SourceError, match=r"class name '(a|caf)\S+' does not fit into a line"):
        reader(resolve(make(tmp_path, name, "dog")))


@pytest.mark.parametrize(
    ("name", "character"),
    [
        ("\u200bcat", "ZERO WIDTH SPACE"),
        ("\ufeffcat", "ZERO WIDTH NO-BREAK SPACE"),
        ("cat\u202egpj", "RIGHT-TO-LEFT OVERRIDE"),
        ("ca\u00adt", "SOFT HYPHEN"),
    ],
)
def test_a_class_name_with_a_character_that_nobody_sees_is_refused(name, character, tmp_path):
    with pytest.raises(SourceError, match=f"has a character that nobody sees, {character}: ren"):
        reader(resolve(make(tmp_path, name, "dog")))


def test_joiners_that_writing_needs_stay(tmp_path):
    names = ["\u06a9\u062a\u0627\u0628\u200c\u0647\u0627", "\U0001f468\u200d\U0001f33e"]
    assert reader(resolve(make(tmp_path, *names))).labels == sorted(names)


ALIKE = {
    "case": ("Cat", "cat"),
    "composed and not": ("caf\u00e9", "cafe\u0301"),
    "a space at the end": ("cat", "cat "),
    "a space that does not break": ("big cat", "big\u00a0cat"),
    "two spaces": ("big cat", "big  cat"),
    "a joiner": ("cat", "c\u200dat"),
    "a variant of a sign": ("\u2764", "\u2764\ufe0f"),
    "a zero before a number": ("7", "07"),
    "a number written as a real one": ("10", "10.0"),
}


@pytest.mark.parametrize("names", ALIKE.values(), ids=ALIKE)
def test_one_name_written_in_two_ways_is_refused_unless_both_are_listed(names, tmp_path):
    folder = make(tmp_path, *names, "dog")
    with pytest.raises(SourceError, match="are one name written in two ways"):
        reader(resolve(folder))
    (tmp_path / "labels.txt").write_text("\n".join([*names, "dog"]), encoding="utf-8")
    assert reader(resolve(folder)).labels == [*names, "dog"]


def test_letters_in_two_cases_are_two_classes(tmp_path):
    assert reader(resolve(make(tmp_path, "a", "A"))).labels == ["A", "a"]


def test_names_that_are_numbers_have_one_order_everywhere(tmp_path):
    wanted = ["0", "1", "2", "10"]
    for split in ("train", "test"):
        make(tmp_path / "splits" / split, *reversed(wanted))
    make(tmp_path / "folder", *reversed(wanted))
    assert reader(resolve(str(tmp_path / "folder"))).labels == wanted
    assert reader(resolve(str(tmp_path / "splits"))).labels == wanted
    rows = "".join(f"folder/{name}/0.png,{name}\n" for name in reversed(wanted))
    (tmp_path / "labels.csv").write_text(f"path,label\n{rows}")
    assert reader(resolve(str(tmp_path))).labels == wanted
    assert labels.in_order({"10", "9", "a"}) == ["10", "9", "a"]


def test_a_list_of_labels_beside_class_folders_fixes_their_order(tmp_path):
    make(tmp_path, "cat", "dog", "emu")
    (tmp_path / "labels.txt").write_text("dog\ncat\n")
    reading = reader(resolve(str(tmp_path)))
    assert reading.labels == ["dog", "cat"]
    (letter,) = reading.load("emu/1.png")
    assert letter.reason == "unknown label: labels.txt has no 'emu'"
    for split in ("train", "test"):
        make(tmp_path / "splits" / split, "cat", "dog")
    (tmp_path / "splits" / "labels.txt").write_text("dog\ncat\n")
    reading = reader(resolve(str(tmp_path / "splits")))
    assert [record.features["label"] for record in reading.load("test/cat/1.png")] == [1]


def test_a_list_of_labels_in_the_folder_of_a_split_fixes_their_order_too(tmp_path):
    for split in ("train", "test"):
        make(tmp_path / split, "cat", "dog", "emu")
    (tmp_path / "train" / "labels.txt").write_text("dog\ncat\n")
    reading = reader(resolve(str(tmp_path)))
    assert reading.labels == ["dog", "cat"]
    assert [record.features["label"] for record in reading.load("test/cat/1.png")] == [1]
    (letter,) = reading.load("test/emu/1.png")
    assert letter.reason == "unknown label: labels.txt has no 'emu'"
    (tmp_path / "test" / "labels.txt").write_text("cat\ndog\n")
    with pytest.raises(SourceError, match=r"labels\.txt in \w+ and \w+ differ: one beside these"):
        resolve(str(tmp_path))


@pytest.mark.parametrize("split", ["", "splits/train/"])
def test_a_list_of_one_class_is_refused(split, tmp_path):
    make(tmp_path / "splits" / "test", "cat", "dog")
    make(tmp_path / "splits" / "train", "cat", "dog")
    folder = tmp_path / "splits" if split else tmp_path / "splits" / "test"
    (tmp_path / split if split else folder).joinpath("labels.txt").write_text("dog\n")
    with pytest.raises(
        SourceError, match=r"one class only that labels\.txt lists, of 2 .* \(dog\)"
    ):
        resolve(str(folder))


def test_file_names_that_are_no_utf8_are_read_and_named(tmp_path):
    make(tmp_path / "data", "cat", "dog", pictures=30)
    cat = os.path.join(os.fsencode(tmp_path), b"data", b"cat")
    os.rename(os.path.join(cat, b"0.png"), os.path.join(cat, b"caf\xe9.png"))
    with open(os.path.join(cat, b"broken\xff.png"), "wb"):
        pass
    with beam.Pipeline(argv=Beam().ingest()) as pipeline:
        reading = reader(resolve(str(tmp_path / "data")))
        _ = pipeline | engine.Ingest(reading, "all", Encoding(), str(tmp_path))
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    assert "cat/caf\ufffd.png" in set(facts.read(str(tmp_path))["id"])
    assert engine.total_counts(str(tmp_path))["dead_letters"] == 1
    (path,) = (tmp_path / "dead_letters").iterdir()
    assert "cat/broken\\ufffd.png" in path.read_text()


def test_pairs_with_names_that_are_no_utf8(tmp_path):
    make(tmp_path, "input", "target")
    for folder in (b"input", b"target"):
        place = os.path.join(os.fsencode(tmp_path), folder)
        os.rename(os.path.join(place, b"0.png"), os.path.join(place, b"\xe9.png"))
    reading = reader(resolve(str(tmp_path)))
    found = [each for piece in reading.pieces("") for each in reading.load(piece)]
    assert sorted(each.identifier for each in found)[-1] == "\ufffd.png"
