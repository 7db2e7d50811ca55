"""Folders of people, and Labeled Faces in the Wild by its lists: who is seen, and who is not."""

import io
import json
import math
import pickle
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.ingest import lfw, people
from components.ingest.contract import DeadLetter, Encoding, to_example
from components.ingest.images import ImageError
from components.ingest.readers import reader
from components.ingest.sources import Source, SourceError, resolve
from components.preprocess import alignment

NAMES = ("Ann_Lee", "Bo", "Cy", "Di", "Ed", "Flo", "Gus", "Hal")
COUNT = 4


def photo(number: int) -> Image.Image:
    shades = np.random.default_rng(number).integers(0, 256, (12, 10), np.uint8)
    return Image.fromarray(shades)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    """LFW's folders: eight people, four pictures each."""
    folder = tmp_path_factory.mktemp("faces")
    for number in range(len(NAMES) * COUNT):
        name = NAMES[number // COUNT]
        (folder / name).mkdir(exist_ok=True)
        photo(number).save(folder / name / f"{name}_{number % COUNT + 1:04d}.jpg")
    return folder


@pytest.fixture
def faces(photographs, tmp_path) -> Path:
    """The same people, with room for lists beside them."""
    for name in NAMES:
        (tmp_path / name).symlink_to(photographs / name)
    return tmp_path


def loaded(source: Source, split: str) -> tuple[dict[str, dict], dict[str, str]]:
    """Examples by id, and the reasons of the dead letters by id; as a worker would read them."""
    records: dict[str, dict] = {}
    letters: dict[str, str] = {}
    read = pickle.loads(pickle.dumps(reader(source)))
    for root in read.roots(split):
        for piece in read.pieces(root):
            for found in read.load(piece):
                if isinstance(found, DeadLetter):
                    letters[found.identifier] = found.reason
                else:
                    to_example(found, Encoding())
                    assert found.identifier not in records
                    records[found.identifier] = dict(found.features)
    return records, letters


def people_in(identifier: str) -> set[str]:
    """Of a pair of paths."""
    return {path.partition("/")[0] for path in identifier.split(" ")}


def describe(folder: Path, **said) -> Path:
    (folder / "dataset.json").write_text(json.dumps({"people": said}))
    return folder


# Pairs that are made.


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("counts", [(4, 4), (1, 1, 5), (10,) * 10, (30, 1, 1, 2, 7)])
@pytest.mark.parametrize("most", [3, 40, 10_000])
def test_pairs_are_what_they_are_said_to_be(counts, most, seed):
    pictures = {
        name: [f"{name}/{k}" for k in range(count)]
        for name, count in zip("abcdefghij", counts, strict=False)
    }
    found = people.pairs(pictures, most, seed)
    of_one = sum(math.comb(count, 2) for count in counts)
    of_two = math.comb(sum(counts), 2) - of_one
    wanted = min(most, of_one, of_two)
    assert Counter(pair.same for pair in found) == {True: wanted, False: wanted}
    assert len({frozenset((pair.first, pair.second)) for pair in found}) == len(found)
    for pair in found:
        assert pair.first != pair.second
        assert pair.same == (pair.first[0] == pair.second[0])
    by_fold = Counter((pair.fold, pair.same) for pair in found)
    assert max(by_fold.values()) - min(by_fold.values()) <= 1
    assert {fold for fold, _ in by_fold} == set(range(min(wanted, people.FOLDS)))
    assert found == people.pairs(pictures, most, seed)


def test_another_seed_makes_other_pairs_and_any_pair_is_as_likely():
    pictures = {name: [f"{name}/{k}" for k in range(4)] for name in "abcde"}
    drawn = Counter()
    for seed in range(400):
        drawn.update(frozenset((p.first, p.second)) for p in people.pairs(pictures, 10, seed))
    of_one = [number for pair, number in drawn.items() if len({each[0] for each in pair}) == 1]
    of_two = [number for pair, number in drawn.items() if len({each[0] for each in pair}) == 2]
    assert (len(of_one), len(of_two)) == (5 * 6, 10 * 16)
    # 400 draws of 10: of 30 pairs each 133 times, of 160 each 25 times, give or take.
    for numbers, mean in ((of_one, 4000 / 30), (of_two, 4000 / 160)):
        assert np.abs(np.array(numbers) - mean).max() < 5 * mean**0.5


@pytest.mark.parametrize(
    ("pictures", "words"),
    [({"a": ["a/1"], "b": ["b/1"]}, "nobody has two"), ({"a": ["a/1", "a/2"]}, "one person only")],
)
def test_people_without_pairs(pictures, words):
    with pytest.raises(SourceError, match=words):
        people.pairs(pictures, 10, 0)


# Folders of people.


def test_nobody_of_the_test_is_seen_in_training(faces):
    describe(faces, test=["Bo", "Gus", "Hal"])
    source = resolve(str(faces), "verification")
    assert source.kind == "people" and resolve(str(faces)).task == "classification"
    seen = {}
    for split, of_each in (("train", 5), ("test", 3)):
        records, letters = loaded(source, split)
        assert letters == {}
        assert Counter(each["same"] for each in records.values()) == dict.fromkeys(
            (0, 1), of_each * math.comb(COUNT, 2)
        )
        seen[split] = set().union(*map(people_in, records))
        for name, each in records.items():
            assert each["same"] == (len(people_in(name)) == 1)
            first, second = name.split(" ")
            assert each["image/encoded"] == (faces / first).read_bytes()
            assert each["pair/encoded"] == (faces / second).read_bytes()
            assert 0 <= each["fold"] < people.FOLDS
    assert seen["test"] == {"Bo", "Gus", "Hal"} and seen["train"] == set(NAMES) - seen["test"]


def test_the_others_are_told_apart_by_pictures_of_their_own(faces):
    describe(faces, test=["Bo", "Gus", "Hal"])
    source = resolve(str(faces), "classification")
    assert reader(source).labels == ["Ann_Lee", "Cy", "Di", "Ed", "Flo"]
    train, test = (loaded(source, split)[0] for split in ("train", "test"))
    assert not set(train) & set(test)
    for records, number in ((train, COUNT - 1), (test, 1)):
        names = Counter(each["label/text"] for each in records.values())
        assert names == dict.fromkeys(reader(source).labels, number)


def test_who_is_tested_is_drawn_by_the_seed(faces):
    def drawn(**said) -> list[str]:
        return reader(resolve(str(describe(faces, **said)), "classification")).labels

    assert len(drawn()) == 6, "a quarter is for the test"
    assert len(drawn(test=0.5)) == 4
    others = {tuple(drawn(seed=seed)) for seed in range(5)}
    assert len(others) > 1 and drawn(seed=1) == drawn(seed=1)


def test_the_training_of_pairs_may_have_people_of_its_own(faces):
    """As in the paper, whose pairs are of people whom the net has not learnt to tell apart."""
    describe(faces, test=["Bo", "Cy"], paired=["Di", "Ed"])
    assert reader(resolve(str(faces))).labels == ["Ann_Lee", "Flo", "Gus", "Hal"]
    source = resolve(str(faces), "verification")
    for split, names in (("train", {"Di", "Ed"}), ("test", {"Bo", "Cy"})):
        assert set().union(*map(people_in, loaded(source, split)[0])) == names


def test_so_many_pairs_at_most(faces):
    source = resolve(str(describe(faces, train_pairs=5, test_pairs=2)), "verification")
    assert [len(loaded(source, split)[0]) for split in ("train", "test")] == [10, 4]


def test_what_is_no_picture_is_a_dead_letter(photographs, tmp_path):
    for name in NAMES:
        (tmp_path / name).mkdir()
        for path in (photographs / name).iterdir():
            (tmp_path / name / path.name).write_bytes(path.read_bytes())
    (tmp_path / "Ann_Lee" / "notes.txt").write_text("hers")
    describe(tmp_path, test=["Bo", "Cy"])
    records, letters = loaded(resolve(str(tmp_path), "verification"), "train")
    assert len(records) == 2 * 6 * math.comb(COUNT, 2)
    assert letters == {"Ann_Lee/notes.txt": "in no pair: no .png, .jpg, .jpeg, .jpe, .jfif file"}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"test": ["Anne_Lee", "Bo"]}, "nobody is called 'Anne_Lee': did you mean Ann_Lee"),
        ({"test": ["Bo"]}, "1 people set apart of 8; needed are two"),
        ({"test": [*NAMES[:7]]}, "1 people left of 8"),
        ({"test": ["Bo", "Bo"]}, "'Bo' occurs twice"),
        ({"test": ["Bo", "Cy"], "paired": ["Bo", "Di"]}, "nobody is called 'Bo'"),
        ({"test": 1.5}, "a list of names, or a share above 0 and below 1, not 1.5"),
        ({"tset": 0.5}, "tset"),
        ({"seed": -1}, "greater than or equal to 0"),
    ],
)
def test_a_description_that_is_wrong(faces, said, words):
    with pytest.raises(SourceError, match=words):
        resolve(str(describe(faces, **said)))


def test_a_folder_that_does_not_say_that_it_is_of_people(faces):
    with pytest.raises(SourceError, match=r'people, say so: echo .\{"people": \{\}\}. > .*json'):
        resolve(str(faces), "verification")


# Points that are marked.

ALIGN = {"size": [16, 14], "anchors": [[0.4, 0.3], [0.4, 0.7], [0.7, 0.5]]}


def marked(folder: Path, shift: int = 0) -> Path:
    """Three points in each picture, at places of its own."""
    lines = ["path,y1,x1,y2,x2,y3,x3"]
    for number, path in enumerate(sorted(folder.glob("*/*.jpg"))):
        points = np.array([[4, 2.5], [4, 7], [8.5, 5]]) + (number + shift) % 3 * 0.5
        lines.append(",".join([str(path.relative_to(folder)), *map(str, points.reshape(-1))]))
    (folder / "keypoints.csv").write_text("\n".join(lines))
    return folder


@pytest.mark.parametrize("task", ["classification", "verification"])
def test_faces_are_aligned_by_the_points_in_them(faces, task):
    describe(marked(faces), test=["Bo", "Cy"])
    source = resolve(str(faces), task)
    read = reader(source)
    piece = next(piece for root in read.roots("train") for piece in read.pieces(root))
    (record,) = read.load(piece)
    plain = to_example(record, Encoding()).features.feature
    assert plain["image/width"].int64_list.value[0] == 10
    features = to_example(record, Encoding(align=ALIGN)).features.feature
    names = [("image/encoded", "keypoints")]
    names += [("pair/encoded", "pair/keypoints")] * (task == "verification")
    for name, points in names:
        content = features[name].bytes_list.value[0]
        crop = Image.open(io.BytesIO(content))
        assert crop.size == (14, 16)
        pixels = np.asarray(Image.open(io.BytesIO(record.features[name])))
        given = np.reshape(record.features[points], (-1, 2))
        wanted, placed = alignment.aligned(pixels, given, ALIGN)
        np.testing.assert_array_equal(np.asarray(crop), wanted)
        found = features[points].float_list.value
        np.testing.assert_allclose(found, placed.reshape(-1), rtol=1e-5)
    assert features["image/width"].int64_list.value[0] == 14


def test_a_face_without_points_cannot_be_aligned(faces):
    describe(faces, test=["Bo", "Cy"])
    read = reader(resolve(str(faces), "classification"))
    (record,) = read.load("Ann_Lee/Ann_Lee_0001.jpg")
    with pytest.raises(ImageError, match="not aligned: keypoints that are marked are needed"):
        to_example(record, Encoding(align=ALIGN))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("1,2,x,4", "a point of .*0001.jpg is no number"),
        ("1,2,3", "has 3 numbers"),
        ("1,nan", "has 2 numbers, which are no points"),
    ],
)
def test_a_row_that_is_none_of_points(faces, row, words):
    describe(faces, test=["Bo", "Cy"])
    path = "Ann_Lee/Ann_Lee_0001.jpg"
    (faces / "keypoints.csv").write_text(f"path,y1,x1\n{path},{row}\n")
    (found,) = reader(resolve(str(faces), "classification")).load(path)
    assert isinstance(found, DeadLetter) and re.search(words, found.reason)


def test_a_table_that_is_none(faces):
    describe(faces, test=["Bo", "Cy"])
    (faces / "keypoints.csv").write_text("file,y1,x1\n")
    with pytest.raises(SourceError, match=r"keypoints.csv: the first line must be path,y1,x1"):
        reader(resolve(str(faces)))


# Labeled Faces in the Wild.


def test_lfw(faces):
    lines = ["1\t2", "Ann_Lee\t1\t2", "Ann_Lee\t2\tBo\t1", "Bo\t1\t9", "Bo\tx\t1", "Bo"]
    (faces / "pairs.txt").write_text("\n".join(lines))
    source = resolve(str(faces))
    assert (source.kind, source.task) == ("lfw", "verification")
    records, letters = loaded(source, "all")
    assert {name: each["same"] for name, each in records.items()} == {
        "Ann_Lee 1 2": 1,
        "Ann_Lee 2 Bo 1": 0,
    }
    assert records["Ann_Lee 2 Bo 1"]["image/encoded"] == photo_of(faces, "Ann_Lee", 2)
    assert records["Ann_Lee 2 Bo 1"]["pair/encoded"] == photo_of(faces, "Bo", 1)
    assert letters == {
        "Bo 1 9": "Bo/Bo_0009.jpg cannot be read: No such file or directory",
        "Bo x 1": "no pair: 'x' is no number of an image",
        "Bo": "no pair: NAME I J or NAME I OTHER J is expected",
    }


def photo_of(faces: Path, name: str, number: int) -> bytes:
    return (faces / name / f"{name}_{number:04d}.jpg").read_bytes()


# Four sets of two people and one pair of each kind.
SETS = [NAMES[start : start + 2] for start in range(0, 8, 2)]


def view_2(folder: Path) -> None:
    lines = ["4\t1"]
    for one, other in SETS:
        lines += [f"{one}\t1\t2", f"{one}\t3\t{other}\t4"]
    (folder / "pairs.txt").write_text("\n".join(lines) + "\n")


def view_1(folder: Path) -> None:
    (folder / "pairsDevTrain.txt").write_text("1\nAnn_Lee\t1\t2\nBo\t1\tCy\t1\n")
    (folder / "pairsDevTest.txt").write_text("1\nDi\t1\t2\nAnn_Lee\t1\tBo\t1\n")


def test_lfw_for_development(faces):
    view_1(faces)
    source = resolve(str(faces))
    assert set(loaded(source, "train")[0]) == {"Ann_Lee 1 2", "Bo 1 Cy 1"}
    assert set(loaded(source, "test")[0]) == {"Di 1 2", "Ann_Lee 1 Bo 1"}


def test_lfw_is_trained_on_view_1_and_tested_on_all_of_view_2(faces):
    view_1(faces)
    view_2(faces)
    source = resolve(str(faces))
    assert set(loaded(source, "train")[0]) == {"Ann_Lee 1 2", "Bo 1 Cy 1"}
    test = loaded(source, "test")[0]
    assert [each["fold"] for each in test.values()] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [each["same"] for each in test.values()] == [1, 0] * 4


def test_without_view_1_the_last_set_is_the_test(faces):
    view_2(faces)
    source = resolve(str(faces))
    train, test = (loaded(source, split)[0] for split in ("train", "test"))
    assert [each["fold"] for each in train.values()] == [0, 0, 1, 1, 2, 2]
    assert set(test) == {"Gus 1 2", "Gus 3 Hal 4"}


def test_pairs_are_made_of_the_people_of_people_txt(faces):
    """The unrestricted setting: any pair of the people in the other sets."""
    view_2(faces)
    lines = ["4"]
    for names in SETS:
        lines += ["2", *(f"{name}\t{COUNT}" for name in names)]
    (faces / "people.txt").write_text("\n".join(lines))
    source = resolve(str(faces))
    train, test = (loaded(source, split)[0] for split in ("train", "test"))
    assert Counter(each["same"] for each in train.values()) == {1: 36, 0: 36}
    assert set().union(*map(people_in, train)) == set(NAMES) - {"Gus", "Hal"}
    assert set(test) == {"Gus 1 2", "Gus 3 Hal 4"}
    view_1(faces)
    assert lfw.people(faces) == [], "people.txt is of View 2"
    (faces / "peopleDevTrain.txt").write_text("3\nAnn_Lee\t4\nBo\t4\nCy\t4\n")
    assert lfw.people(faces) == ["Ann_Lee", "Bo", "Cy"]


def test_identification_on_lfw_is_of_people_in_no_pair_of_the_test(faces):
    view_2(faces)
    source = resolve(str(faces), "classification")
    assert reader(source).labels == [name for name in NAMES if name not in ("Gus", "Hal")]
    train, test = (loaded(source, split)[0] for split in ("train", "test"))
    assert (len(train), len(test)) == (18, 6)


def test_lists_in_another_case_are_told(faces):
    view_2(faces)
    (faces / "People.txt").write_text("4\n")
    with pytest.raises(SourceError, match=r"People.txt: not read under this name: call it people"):
        resolve(str(faces))
