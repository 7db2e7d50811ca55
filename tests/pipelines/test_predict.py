"""`convnets predict` on folders of real pictures, and its engine, with small real SavedModels."""

import csv
import io
import itertools
import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from components import tasks
from components.ingest import images
from components.ingest.walk import walk
from pipelines import cli, models, served
from pipelines.predictions import answerers, engine, in_memory, pictures, tables
from pipelines.predictions.tables import Form

NAMES = ("dark", "grey", "light")
REFUSED_WIDTH = 13


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A pushed model that tells shades apart, and refuses whole batches with a picture 13 wide."""
    import tensorflow as tf

    class Shades(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def __call__(self, examples):
            def light(encoded):
                image = tf.io.decode_image(encoded, channels=1, expand_animations=False)
                tf.debugging.assert_none_equal(tf.shape(image)[1], REFUSED_WIDTH)
                return tf.reduce_mean(tf.cast(image, tf.float32)) / 255.0

            share = tf.map_fn(light, examples, fn_output_signature=tf.float32)
            apart = -8.0 * tf.abs(share[:, tf.newaxis] - tf.constant([[0.0, 0.5, 1.0]]))
            names = tf.constant(NAMES)
            scores = tf.nn.softmax(apart)
            return {"scores": scores, "classes": tf.gather(names, tf.argmax(scores, axis=1))}

    root = tmp_path_factory.mktemp("runs")
    version = root / "serving" / "shades" / "3"
    module = Shades()
    tf.saved_model.save(module, str(version), module.__call__)
    (version / "assets").mkdir(exist_ok=True)
    (version / "assets" / "labels.txt").write_text("".join(f"{name}\n" for name in NAMES))
    (root / "runs").mkdir()
    run = {"run_id": "shades-1", "recipe": "shades", "started": "2026", "pushed": str(version)}
    (root / "runs" / "shades-1.json").write_text(json.dumps(run))
    return root


@pytest.fixture
def convnets(root, tmp_path, monkeypatch):
    """Runs the command in a folder of its own, without any server."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    # Whatever listens on this machine's port 8500 is not this test's.
    monkeypatch.setattr(served, "listens", lambda address: False)

    def run(*arguments, code=0):
        command = ["predict", *map(str, arguments), "--root", str(root)]
        result = CliRunner().invoke(cli.main, command)
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def photos(tmp_path):
    """Pictures in folders, among them what is none."""
    folder = tmp_path / "photos"
    for name, shade in (("b/x.png", 0), ("a.jpg", 255), ("b/deep/x.PNG", 128), ("c/x.jpeg", 0)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with (folder / name).open("wb") as file:
            kind = "PNG" if name.lower().endswith("png") else "JPEG"
            Image.new("L", (20, 10), shade).save(file, kind)
    whole = (folder / "a.jpg").read_bytes()
    (folder / "half.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "b" / "old.gif").write_bytes(b"GIF89a")
    Image.new("L", (REFUSED_WIDTH, 10), 255).save(folder / "c" / "refused.png")
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden.png").write_text("")
    return folder


ANSWERS = {
    "a.jpg": "light",
    "half.jpg": "truncated",
    "b/old.gif": "neither PNG nor JPEG",
    "b/x.png": "dark",
    "b/deep/x.PNG": "grey",
    "c/refused.png": "refused by the model: INVALID_ARGUMENT: assertion",
    "c/x.jpeg": "dark",
}


def rows(path):
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_becomes_a_table_and_nothing_stops_the_rest(convnets, photos):
    result = convnets(photos, "--csv", "out/table.csv", code=1)
    found = rows("out/table.csv")
    assert [Path(row["file"]).relative_to(photos).as_posix() for row in found] == [*ANSWERS]
    assert list(found[0]) == ["file", "class", "score", "error"]
    for row, expected in zip(found, ANSWERS.values(), strict=True):
        if row["error"]:
            assert (
                expected.casefold() in row["error"].casefold() and not row["class"] + row["score"]
            )
            assert "{{" not in row["error"]
        else:
            assert row["class"] == expected and 0.9 < float(row["score"]) < 1
    assert "4 answers are in out/table.csv" in result.stdout
    first, *message = result.stderr.splitlines()
    assert first == "Error: no answer about 3 of 7:"
    assert [line.split(":")[0] for line in message] == [
        f"  {photos}/{name}" for name in ("half.jpg", "b/old.gif", "c/refused.png")
    ]


def test_files_and_folders_mixed_as_lines_of_json(convnets, photos):
    result = convnets(photos / "c" / "x.jpeg", "gone.png", photos / "b", "--json", code=1)
    one, gone, old, *others = map(json.loads, result.stdout.splitlines())
    assert gone == {"file": "gone.png", "error": "cannot be read: No such file or directory"}
    assert one["file"] == str(photos / "c" / "x.jpeg") and len(one["scores"]) == 3
    assert old == {"file": str(photos / "b" / "old.gif"), "error": "neither PNG nor JPEG"}
    assert [each["classes"] for each in others] == ["dark", "grey"]


def test_the_best_of_a_ranking(convnets, photos):
    arguments = (photos / "b" / "deep", "--top-k", 2)
    assert convnets(*arguments, "--csv", "t.csv").exit_code == 0
    (row,) = rows("t.csv")
    assert list(row) == ["file", "class", "score", "class_2", "score_2", "error"]
    assert (row["class"], row["class_2"]) == ("grey", "light")
    (line,) = convnets(*arguments, "--json").stdout.splitlines()
    answer = json.loads(line)
    assert (answer["class_2"], answer["score_2"]) == ("light", float(row["score_2"]))
    shown = convnets(*arguments).stdout.split()
    assert shown[:5] == ["image", "class", "score", "class_2", "score_2"]


def test_there_are_no_more_candidates_than_classes_and_names_have_to_fit():
    words = tasks.find("classification").part("words")
    answer = {"scores": np.array([0.1, 0.2, 0.7]), "classes": "light"}
    assert len(words.fields(NAMES, 5)) == 6
    assert words.values(answer, NAMES, 5)[::2] == ("light", "grey", "dark")
    # Of classes that are another model's the numbers are told, and what there is not is empty.
    assert words.values(answer, ("a", "b", "c"), 2)[::2] == ("light", "1")
    assert words.values(answer, (), 5)[::2] == ("light", "1", "0", None, None)


def test_what_ranks_nothing_has_no_best(convnets, photos, root):
    with pytest.raises(ValueError, match="depth ranks nothing: leave --top-k out"):
        Form(tasks.find("depth"), top=2).check()
    Form(tasks.find("depth")).check()


def test_a_table_that_is_there_is_replaced_at_the_end_alone(convnets, photos):
    Path("t.csv").write_text("mine")
    result = convnets(photos / "a.jpg", "--csv", "t.csv", code=1)
    assert result.output == "Error: t.csv is there already; --overwrite replaces it\n"
    assert Path("t.csv").read_text() == "mine"
    convnets(photos / "a.jpg", "--csv", "t.csv", "--overwrite")
    assert rows("t.csv")[0]["class"] == "light"
    assert sorted(os.listdir()) == ["photos", "t.csv"]


def test_what_was_answered_before_an_error_is_left(convnets, photos, tmp_path, root):
    """The folder to draw into cannot be made: the first answer is written, the old table stays."""
    Path("t.csv").write_text("mine")
    Path("blocked").mkdir()
    Path("blocked", "deep").write_text("a file")
    arguments = (photos / "a.jpg", photos / "b", "--csv", "t.csv", "--overwrite")
    result = convnets(*arguments, "--draw", "blocked", code=1)
    assert "what was answered is in t.csv.partial" in result.stderr
    assert Path("t.csv").read_text() == "mine"
    assert rows("t.csv.partial")[0]["class"] == "light"


def test_drawings_lie_as_their_pictures_do_and_are_not_looked_at(convnets, photos):
    (photos / "a.png").write_bytes((photos / "b" / "x.png").read_bytes())
    drawn = photos / "drawn"
    arguments = (photos, "--draw", drawn, "--json")
    convnets(*arguments, code=1)
    names = sorted(each.relative_to(drawn).as_posix() for each in drawn.rglob("*.png"))
    assert names == ["a-2.png", "a.png", "b/deep/x.png", "b/x.png", "c/x.png"]
    assert f"{drawn}/a.png is there already" in convnets(*arguments, code=1).stderr


def test_names_that_are_no_text(convnets, tmp_path):
    folder = os.fsencode(tmp_path / "odd")
    os.mkdir(folder)
    Image.new("L", (9, 9)).save(tmp_path / "x.png")
    os.rename(tmp_path / "x.png", os.path.join(folder, b"\xff.png"))
    convnets(tmp_path / "odd", "--csv", "t.csv")
    assert os.fsencode(rows("t.csv")[0]["file"]).endswith(b"odd/\xff.png")
    assert "odd/\ufffd.png" in convnets(tmp_path / "odd").stdout


def test_a_folder_without_pictures_is_refused_before_anything_is_loaded(convnets, tmp_path):
    (tmp_path / "empty").mkdir()
    result = convnets("empty", "--model", "none", code=1)
    assert result.output.startswith("Error: empty: no .png, .jpg")


@pytest.mark.parametrize("named", ["shades", "shades-1", "serving/shades", "serving/shades/3"])
def test_a_model_is_named_in_many_ways(named, root):
    path = root / named if "/" in named else named
    assert models.find(str(path), root) == root / "serving" / "shades" / "3"


def test_a_model_that_is_not_there(convnets, photos, tmp_path):
    text = convnets(photos, "--model", "shads", code=1).output
    assert text == "Error: no model 'shads': did you mean shades or shades-1?\n"
    text = convnets(photos, "--model", photos, code=1).output
    assert "no SavedModel, no folder of versions of one, and no .keras" in text


def test_a_damaged_model_is_told_in_words(convnets, photos, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"no graph")
    text = convnets(photos, "--model", tmp_path / "model", code=1).output
    assert text.startswith(f"Error: {tmp_path}/model cannot be loaded: ")


def test_pictures_as_python_has_them(root):
    grey = np.full((5, 6, 1), 255, np.uint8)
    shown = [grey, grey[..., 0], Image.new("RGB", (4, 4)), "no such file.png", b"no picture"]
    with answerers.of_saved_model(root / "serving" / "shades" / "3") as model:
        asked = (pictures.of(image, number) for number, image in enumerate(shown))
        found = list(engine.predict(model, asked, batch_size=2))
    answers = [each.answer["classes"].decode() for each in found[:3]]
    assert answers == ["light", "light", "dark"]
    assert [each.message for each in found[3:]] == [
        "no such file.png: cannot be read: No such file or directory",
        "image 4: neither PNG nor JPEG",
    ]


def transparent(image: Image.Image) -> Image.Image:
    image.putalpha(0)
    return image


def turned(size: tuple[int, int]) -> Image.Image:
    """Dark on its left, where it is shown as its EXIF data say; dark on top as it lies."""
    image = Image.new("L", size, 255)
    image.paste(0, (0, 0, size[0], size[1] // 2))
    exif = Image.Exif()
    exif[0x0112] = 8
    file = io.BytesIO()
    image.save(file, "JPEG", exif=exif)
    return Image.open(file)


COLOURS = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
SIXTEEN = (COLOURS[..., 0].astype(np.uint16) << 8) + 77


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (COLOURS, COLOURS),
        (COLOURS[..., :1], COLOURS[..., 0]),
        (COLOURS[:, ::2], COLOURS[:, ::2]),
        (COLOURS.astype(np.float32), COLOURS),
        (COLOURS.astype(np.int64), COLOURS),
        (SIXTEEN, COLOURS[..., 0]),
        (COLOURS[..., 0] > 20, 255 * (COLOURS[..., 0] > 20)),
        (np.zeros((2, 2)), np.zeros((2, 2))),
        (Image.fromarray(COLOURS), COLOURS),
        (Image.fromarray(COLOURS[..., 0]), COLOURS[..., 0]),
        (Image.fromarray(SIXTEEN), COLOURS[..., 0]),
        (Image.fromarray(SIXTEEN.astype(np.int32)), COLOURS[..., 0]),
        (Image.fromarray(COLOURS).convert("RGBA"), COLOURS),
        (Image.fromarray(COLOURS).quantize(16), COLOURS),
        (Image.new("1", (2, 3), 1), np.full((3, 2), 255)),
        (Image.new("CMYK", (2, 3), (0, 255, 0, 0)), np.tile([255, 0, 255], (3, 2, 1))),
        (Image.new("YCbCr", (2, 3), (255, 128, 128)), np.full((3, 2, 3), 255)),
        (transparent(Image.new("RGB", (2, 3))), np.full((3, 2, 3), 255)),
        (transparent(Image.new("L", (2, 3))), np.full((3, 2, 3), 255)),
        (np.zeros((3, 2, 4), np.uint8), np.full((3, 2, 3), 255)),
    ],
)
def test_a_picture_in_memory_is_sent_as_the_file_that_would_hold_it(given, wanted):
    found = np.asarray(images.decoded(in_memory.file_of(given)).image)
    assert np.array_equal(found, wanted)


def test_pillows_images_are_turned_as_their_files_are():
    found = np.asarray(images.decoded(in_memory.file_of(turned((8, 16)))).image)
    assert found.shape == (8, 16) and found[:, 0].mean() < 20 and found[:, -1].mean() > 235


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (COLOURS / 255, r"floats from 0 to 1: \(255 \* pixels\)\.round"),
        (COLOURS * 1.5, "whole numbers from 0 to 255"),
        (COLOURS.astype(int) - 9, "int64 from -9 to 38"),
        (np.full((2, 2), np.nan), "finite"),
        (np.moveaxis(np.zeros((5, 6, 3), np.uint8), 2, 0), r"channels last; .*not \[3, 5, 6\]"),
        (np.zeros((0, 4, 3), np.uint8), "not \\[0, 4, 3\\]"),
        (np.array(["a", "b"]), "channels last"),
        (np.array([["a", "b"]]), "not an array of <U1"),
        (Image.new("F", (2, 2)), "floats"),
        (Image.fromarray(np.full((2, 2), 70000, np.int32)), "from 0 to 65535"),
        (7, "not of type int"),
        (None, "not of type NoneType"),
    ],
)
def test_what_is_no_picture_in_memory(given, message):
    with pytest.raises(ValueError, match=message):
        in_memory.file_of(given)


def test_only_a_few_pictures_are_held(root):
    """Of pictures without end so many are taken as wait to be read and asked."""
    taken = 0
    pixels = np.zeros((4, 4), np.uint8)

    def endless():
        nonlocal taken
        for taken in itertools.count(1):
            yield pictures.Picture(str(taken), pixels, str(taken))

    before = threading.active_count()
    with answerers.of_saved_model(root / "serving" / "shades" / "3") as model:
        predictions = engine.predict(model, endless(), batch_size=8)
        names = [next(predictions).names[0] for _ in range(500)]
        assert names == [str(number) for number in range(1, 501)]
        assert taken < 500 + 8 * (os.cpu_count() + 3) + engine.AHEAD
        predictions.close()
    assert threading.active_count() == before


def test_large_pictures_go_in_small_batches(root):
    sizes = []

    def ask(asked):
        sizes.append(len(asked))
        return [{"scores": np.ones(1)} for _ in asked]

    model = answerers.Answerer("", ask, None, ())
    large = np.zeros((4000, 5000), np.uint8)
    shown = [pictures.of(large, number) for number in range(3)]
    assert len(list(engine.predict(model, shown))) == 3 and sizes == [1, 1, 1]


def test_a_server_that_is_away_ends_it(convnets, photos):
    text = convnets(photos, "--server", "127.0.0.1:1", "--csv", "t.csv", code=1).output
    assert text.startswith("Error: 127.0.0.1:1: no server answers there")
    assert os.listdir() == ["photos"]


def test_a_table_of_errors_alone_has_its_columns(tmp_path):
    missed = engine.Prediction((pictures.of("a.png"),), None, "gone")
    with tables.csv_file(tmp_path / "t.csv", Form(None)) as take:
        take(missed)
    assert (tmp_path / "t.csv").read_text() == "file,error\na.png,gone\n"


def test_a_folder_that_cannot_be_listed_is_told(tmp_path):
    message = []
    assert list(walk(str(tmp_path / "gone"), missed=lambda *each: message.append(each))) == []
    ((below, error),) = message
    assert below == "" and isinstance(error, FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        next(walk(str(tmp_path / "gone")))
