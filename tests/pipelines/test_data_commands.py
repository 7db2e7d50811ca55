"""`convnets data` on real images."""

import hashlib
import importlib.resources
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from components.ingest import engine
from pipelines import cli, inspection
from tests.photos import PHOTOS

SIDE = 40
RED, BLUE, ORANGE = (214, 39, 40), (31, 119, 180), (255, 127, 14)
GREY = 100


def convnets(*arguments: str):
    return CliRunner().invoke(cli.main, ["data", *arguments], env={"COLUMNS": "200"})


def piece(label: str, number: int) -> Image.Image:
    photo = PHOTOS[label]()
    y, x = divmod(number * 7919, photo.shape[1] - SIDE)
    y = y * 37 % (photo.shape[0] - SIDE)
    return Image.fromarray(photo[y : y + SIDE, x : x + SIDE])


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for label in PHOTOS:
        (folder / label).mkdir()
        for number in range(40):
            piece(label, number).save(folder / label / f"{number:02d}.png")
    return folder


def voc(folder: Path) -> Path:
    """Twenty plain images with a box and a mask of the same place."""
    for name in ("JPEGImages", "Annotations", "SegmentationClass"):
        (folder / name).mkdir(parents=True)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[10:30, 10:30] = 1
    for number in range(20):
        name = f"{number:02d}"
        plain = Image.new("RGB", (SIDE, SIDE), (GREY + number,) * 3)
        plain.save(folder / "JPEGImages" / f"{name}.jpg", quality=95)
        Image.fromarray(mask).save(folder / "SegmentationClass" / f"{name}.png")
        (folder / "Annotations" / f"{name}.xml").write_text(
            f"<annotation><size><width>{SIDE}</width><height>{SIDE}</height></size><object>"
            "<name>eye</name><bndbox><xmin>11</xmin><ymin>11</ymin><xmax>30</xmax><ymax>30</ymax>"
            "</bndbox></object></annotation>"
        )
    return folder


def has_colour(sheet: Path, colour: tuple[int, ...]) -> bool:
    pixels = np.asarray(Image.open(sheet).convert("RGB"), int)
    return bool((abs(pixels - colour).max(axis=2) < 3).any())


def counted(output: str, *names: str) -> dict[str, list[int]]:
    """The numbers of these rows, of the training and of the test split."""
    return {
        cells[0]: [int(count) for count in cells[1:]]
        for cells in map(str.split, output.splitlines())
        if len(cells) == 3 and cells[0] in names
    }


def test_inspect_shows_what_is_in_the_images(photos, tmp_path):
    folder = tmp_path / "photos"
    shutil.copytree(photos, folder)
    (folder / "cat" / "broken.png").write_bytes((folder / "cat" / "00.png").read_bytes()[:300])
    shutil.copy(folder / "cat" / "01.png", folder / "coffee" / "wrong.png")
    for number in (2, 3):
        path = folder / "cat" / f"0{number}.png"
        Image.open(path).convert("CMYK").save(path, "JPEG")
    sheet = tmp_path / "new" / "sheet.png"
    answer = convnets("inspect", str(folder), "--sheet", str(sheet))
    assert answer.exit_code == 0, answer.output
    for text in (
        f"{folder} (folder, classification)",
        "1 of 82 could not be used",
        "Converted to 8-bit grey or colour: 2 CMYK",
        "cat/broken.png",
        "the file ends before its last chunk",
        "contradicting labels",
        f"Contact sheet: {sheet}",
    ):
        assert text in answer.output
    counts = counted(answer.output, "cat", "coffee", "images")
    assert sum(counts["cat"]) == 40
    assert sum(counts["coffee"]) == 41
    assert sum(counts["images"]) == 81
    image = Image.open(sheet)
    assert image.width > image.height > 2 * 80


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("photos/", "photos.png"),
        ("/data/my photos (1)", "my-photos-1.png"),
        ("photos/span-{SPAN}", "span-SPAN.png"),
        ("tfds:voc/2012:4.0.0", "2012-4.0.0.png"),
        ("..", "data.png"),
    ],
)
def test_the_contact_sheet_has_a_place_below_the_root(source, name):
    assert inspection.sheet_of(source, Path("runs")) == Path("runs/inspected", name)


def test_inspect_leaves_the_working_folder_alone(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = convnets("inspect", str(photos), "--root", "elsewhere")
    assert answer.exit_code == 0, answer.output
    assert "elsewhere/inspected/photos" in answer.output
    written = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert [file.relative_to(tmp_path).parts[:2] for file in written] == [
        ("elsewhere", "inspected")
    ]


def test_inspect_says_what_would_stop_a_run(tmp_path):
    for label, count in (("cat", 40), ("coffee", 1)):
        (tmp_path / label).mkdir()
        for number in range(count):
            piece(label, number).save(tmp_path / label / f"{number}.png")
    for number in range(3):
        (tmp_path / "cat" / f"empty-{number}.png").write_bytes(b"")
    answer = convnets("inspect", str(tmp_path), "--sheet", str(tmp_path / "sheet.png"))
    assert answer.exit_code == 0, answer.output
    assert "A run would stop: class coffee is missing in the" in answer.output
    assert "--set data_checks.missing_classes=1 lets it pass" in answer.output
    assert "A run would stop: 3 of 44 cannot be used, more than 5%" in answer.output
    assert "images: not fit to train on" in answer.output


def test_inspect_of_dead_letters_alone_has_one_verdict(tmp_path, photos):
    folder = tmp_path / "photos"
    shutil.copytree(photos, folder)
    for number in range(9):
        (folder / "cat" / f"empty-{number}.png").write_bytes(b"")
    answer = convnets("inspect", str(folder), "--sheet", str(tmp_path / "sheet.png"))
    assert answer.exit_code == 0, answer.output
    assert "test images: not fit to train on" in answer.output
    assert "9 of 89 cannot be used, more than 5%\nContact sheet" in answer.output


def test_inspect_shows_two_images_too(tmp_path):
    for label in PHOTOS:
        (tmp_path / label).mkdir()
        file = tmp_path / label / "0.png"
        for number in range(40):
            piece(label, number).save(file)
            if engine.split_of(hashlib.sha256(file.read_bytes()).hexdigest().encode()) == "train":
                break
    answer = convnets("inspect", str(tmp_path), "--sheet", str(tmp_path / "sheet.png"))
    assert answer.exit_code == 0, answer.output
    assert "2 train and 0 test images: not fit to train on" in answer.output
    assert "A run would stop: the test split has no images (2 in all)" in answer.output
    assert Image.open(tmp_path / "sheet.png").height > 2 * SIDE


@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_inspect_draws_what_is_known_of_the_images(tmp_path, task):
    folder = voc(tmp_path / "voc")
    sheet = tmp_path / "sheet.png"
    answer = convnets("inspect", str(folder), "--task", task, "--sheet", str(sheet))
    assert answer.exit_code == 0, answer.output
    assert f"(voc, {task})" in answer.output
    counts = counted(answer.output, "background", "eye", "images")
    assert sum(counts["images"]) == 20
    assert counts["eye"] == counts["images"]
    assert counts.get("background") == (counts["images"] if task == "segmentation" else None)
    masks = [tuple((GREY + number + part) / 2 for part in ORANGE) for number in range(20)]
    assert has_colour(sheet, BLUE) == (task == "detection")
    assert any(has_colour(sheet, mask) for mask in masks) == (task == "segmentation")


def test_inspect_finds_a_class_that_no_object_of_a_split_has(tmp_path):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "images").mkdir()
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "cup"}]
    for split, numbers in (("train", range(12)), ("val", range(12, 16))):
        for number in numbers:
            piece("coffee", number).save(tmp_path / "images" / f"{number}.png")
        content = {
            "categories": categories,
            "images": [
                {"id": number, "file_name": f"{number}.png", "height": SIDE, "width": SIDE}
                for number in numbers
            ],
            "annotations": [
                {"id": 3 * number, "image_id": number, "category_id": 1, "bbox": [1, 1, 9, 9]}
                for number in numbers
            ],
        }
        if split == "train":
            # Two cups in each third image.
            content["annotations"] += [
                {
                    "id": 3 * number + each,
                    "image_id": number,
                    "category_id": 2,
                    "bbox": [9, 9, 9, 9],
                }
                for number in range(0, 12, 3)
                for each in (1, 2)
            ]
        (tmp_path / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    answer = convnets("inspect", str(tmp_path), "--sheet", str(tmp_path / "sheet.png"))
    assert answer.exit_code == 0, answer.output
    assert "12 train and 4 test images: not fit to train on" in answer.output
    assert counted(answer.output, "cat", "cup") == {"cat": [12, 4], "cup": [4, 0]}
    missing = "class cup is missing in the test split: none of its 4 images"
    assert f"A run would stop: {missing}" in answer.output


def test_inspect_of_pairs_shows_both(tmp_path):
    for part in ("input", "target"):
        (tmp_path / "pairs" / part).mkdir(parents=True)
    for number in range(20):
        piece("coffee", number).save(tmp_path / "pairs" / "input" / f"{number}.png")
        Image.new("RGB", (SIDE, SIDE), RED).save(tmp_path / "pairs" / "target" / f"{number}.png")
    sheet = tmp_path / "sheet.png"
    answer = convnets("inspect", str(tmp_path / "pairs"), "--sheet", str(sheet))
    assert answer.exit_code == 0, answer.output
    assert has_colour(sheet, RED)
    assert "class" not in answer.output


def test_inspect_refuses_what_is_not_there(tmp_path):
    answer = convnets("inspect", str(tmp_path / "nowhere"))
    assert answer.exit_code == 1
    assert f"{tmp_path / 'nowhere'}: no such folder" in answer.output


def test_get_verifies_mnist():
    answer = convnets("get", "mnist")
    assert answer.exit_code == 0, answer.output
    assert "CC BY-SA 3.0" in answer.output
    assert "SHA-256 of 4 files" in answer.output


def test_get_refuses_damaged_mnist(tmp_path, monkeypatch):
    box = Path(str(importlib.resources.files("convnets_data")))
    shutil.copytree(box / "mnist", tmp_path / "mnist")
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz").write_bytes(b"damaged")
    monkeypatch.setattr(inspection.importlib.resources, "files", lambda name: tmp_path)
    with pytest.raises(
        inspection.SourceError, match=r"t10k-labels.*SHA-256 is .* should be b91679"
    ):
        inspection.get("mnist")


@pytest.mark.parametrize("name", ["rooms:seed=1", "digit-scenes"])
def test_get_says_that_generated_pictures_are_made_where_they_are_read(name):
    answer = convnets("get", name)
    assert answer.exit_code == 1
    assert "made by each run that reads it: there is nothing to fetch" in answer.output


def test_get_names_what_there_is():
    answer = convnets("get", "cifar1")
    assert answer.exit_code == 1
    assert "unknown data 'cifar1': did you mean cifar10?" in answer.output
