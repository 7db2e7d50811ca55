"""The verdict on data, on what real ingestion says of real photographs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tfx.components import SchemaGen, StatisticsGen
from tfx.components.schema_gen.executor import Executor as SchemaExecutor
from tfx.components.statistics_gen.executor import Executor as StatisticsExecutor
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import Channel, standard_artifacts

from components import artifacts
from components.ingest.component import ImageExampleGen
from components.ingest.executor import Executor as IngestExecutor
from components.ingest.sources import resolve
from components.validate import checks, executor, facts, history, verdict
from components.validate.component import DataValidator
from components.validate.previous import PreviousData
from tests.photos import PHOTOS, pieces

RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
LIMITS = {"missing_classes": 0, "skew": 0.1, "drift": 0.1, "image_drift": 0.3, "anomalies": 0}
SIDE = 24


def add(folder: Path, label: str, count: int, seed: int = 0) -> list[Path]:
    """Cuts so many pieces out of a photograph."""
    (folder / label).mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    paths = []
    for number, piece in enumerate(pieces(PHOTOS[label](), count, SIDE, random)):
        paths.append(folder / label / f"{seed}-{number:03d}.png")
        Image.fromarray(piece).save(paths[-1])
    return paths


def beam() -> BaseBeamExecutor.Context:
    return BaseBeamExecutor.Context(beam_pipeline_args=[f"--runner={RUNNER}"])


def ingest(folder: Path, to: Path) -> standard_artifacts.Examples:
    artifact = standard_artifacts.Examples()
    artifact.uri = str(to)
    properties = dict(ImageExampleGen(resolve(str(folder))).exec_properties)
    IngestExecutor(beam()).Do({}, {"examples": [artifact]}, properties)
    return artifact


training = verdict.Training.of


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for label in PHOTOS:
        add(folder, label, 60)
    return folder


@pytest.fixture(scope="module")
def examples(photos, tmp_path_factory) -> standard_artifacts.Examples:
    return ingest(photos, tmp_path_factory.mktemp("examples"))


@pytest.fixture(scope="module")
def table(examples):
    return facts.read(examples.uri)


def judge(table, names=("cat", "coffee"), before=None, **limits) -> verdict.Verdict:
    return verdict.judge(table, list(names), {**LIMITS, **limits}, before)


def test_the_facts_are_those_of_the_images(table, photos):
    assert len(table) == 120
    assert set(table["split"]) == {"train", "test"}
    row = table[table["id"] == "cat/0-007.png"].iloc[0]
    pixels = np.asarray(Image.open(photos / "cat" / "0-007.png").convert("L"))
    assert (row["height"], row["width"], row["label"]) == (SIDE, SIDE, "cat")
    assert row["brightness"] == pytest.approx(pixels.mean(), abs=1.0)


def test_good_data_pass(table):
    found = judge(table, before=training(table))
    assert found.problems == []
    assert {(each.check, each.feature) for each in found.distances} == {
        ("skew", "label"),
        ("drift", "label"),
        ("drift", "height"),
        ("drift", "width"),
        ("drift", "brightness"),
    }
    assert all(each.value == 0 for each in found.distances if each.check == "drift")
    assert found.line.endswith("fit to train on; drift 0.000 at most")
    found.check()


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_class_without_images_in_a_split_stops(table, split):
    cut = table[(table["label"] != "cat") | (table["split"] != split)]
    images = int((cut["split"] == split).sum())
    with pytest.raises(
        verdict.UnfitData,
        match=rf"class cat is missing in the {split} split: none of its {images} images, 0 such"
        r"(.|\n)*go on anyway: --set data_checks.missing_classes=1",
    ):
        judge(cut, skew=1.0).check()
    judge(cut, skew=1.0, missing_classes=1).check()


def test_a_class_that_the_data_before_had_is_missed(table):
    now = table[table["label"] == "cat"]
    (problem,) = judge(now, ["cat"], training(table), drift=1.0, image_drift=1.0).problems
    cut = table[(table["split"] == "train") & (table["label"] == "coffee")]
    assert f"class coffee is gone: the data before had {len(cut)} training images" in problem.text


def repeated(table, label: str, split: str, times: int):
    """More of one class, as if so many had come."""
    more = table[(table["label"] == label) & (table["split"] == split)]
    return pd.concat([table, *[more] * times])


def test_skewed_splits_stop_with_class_and_figures(table):
    skewed = repeated(table, "cat", "test", 20)
    (problem,) = judge(skewed).problems
    assert "class cat is" in problem.text
    assert "test images" in problem.text
    assert "0.1 allowed" in problem.text
    key, _, value = problem.setting.partition("=")
    assert key == "data_checks.skew"
    assert judge(skewed, skew=float(value)).problems == []


def test_a_difference_that_chance_explains_stops_nothing(table):
    """Of eight test images, five may well be of one class."""
    few = table.groupby("split").head(8)
    assert all(not each.too_far for each in judge(few, missing_classes=2).distances)


def test_drift_of_labels_and_images_stops(table):
    now = repeated(table, "coffee", "train", 20)
    now = now.assign(brightness=now["brightness"] / 2, height=SIDE * 2)
    found = judge(now, before=training(table), skew=1.0)
    texts = " / ".join(problem.text for problem in found.problems)
    assert "the labels have drifted: class c" in texts
    assert "the height of the images has drifted: 48 pixels in the mean" in texts
    assert "the brightness of the images has drifted" in texts
    assert "the width" not in texts
    settings = dict(each.split("=") for each in found.settings)
    assert settings.keys() == {"data_checks.drift", "data_checks.image_drift"}
    limits = {key.partition(".")[2]: float(value) for key, value in settings.items()}
    assert judge(now, before=training(table), skew=1.0, **limits).problems == []


def test_data_without_classes_are_judged_by_their_images(table):
    found = judge(table.assign(label=None), [], training(table.assign(label=None)))
    assert {each.feature for each in found.distances} == {"height", "width", "brightness"}
    found.check()


def with_objects(table):
    """The photographs as if an eye were in each third of them, and a cup in each second."""
    held = [("eye",) * (row % 3 == 0) + ("cup",) * (row % 2 == 0) for row in range(len(table))]
    return table.assign(label=None, classes=held)


def test_images_that_hold_several_classes_are_counted_by_class(table):
    several = with_objects(table)
    found = judge(several, ["cup", "eye"], training(several))
    counts = [found.splits[split]["classes"] for split in ("train", "test")]
    assert {name: sum(each[name] for each in counts) for name in ("cup", "eye")} == {
        "cup": 60,
        "eye": 40,
    }
    measured = {(each.check, each.feature): each.value for each in found.distances}
    shares = [
        [each["classes"][name] / each["images"] for name in ("cup", "eye")]
        for each in found.splits.values()
    ]
    assert measured["skew", "classes"] == pytest.approx(np.abs(np.subtract(*shares)).max())
    assert measured["drift", "classes"] == 0
    found.check()


def test_an_object_that_a_split_lacks_stops(table):
    several = with_objects(table)
    is_test = several["split"] == "test"
    several["classes"] = [
        tuple(name for name in classes if name != "eye") if tested else classes
        for classes, tested in zip(several["classes"], is_test, strict=True)
    ]
    (problem,) = judge(several, ["cup", "eye"], skew=1.0).problems
    assert "class eye is missing in the test split: none of its" in problem.text
    # Nor is a split fit whose images hold nothing at all.
    several["classes"] = [
        () if tested else held for held, tested in zip(several["classes"], is_test, strict=True)
    ]
    (problem,) = judge(several, ["cup", "eye"], skew=1.0).problems
    assert "2 classes (cup, eye) are missing in the test split" in problem.text


def test_shares_of_images_that_hold_a_class_skew_and_drift(table):
    several = with_objects(table)
    more = several.assign(
        classes=[
            ("cup", "eye") if tested else classes
            for classes, tested in zip(several["classes"], several["split"] == "test", strict=True)
        ]
    )
    more = pd.concat([more] * 4)
    (problem,) = judge(more, ["cup", "eye"]).problems
    assert "the splits are skewed: class eye is in 3" in problem.text
    assert "and in 100.0% of the" in problem.text
    eyes = several.assign(classes=[("cup", "eye")] * len(several))
    now = pd.concat([eyes] * 4)
    (problem,) = judge(now, ["cup", "eye"], training(pd.concat([several] * 4))).problems
    assert "the labels have drifted: class eye is in 100.0% of the" in problem.text
    assert "and was in 3" in problem.text
    assert problem.setting.startswith("data_checks.drift=")


def test_classes_are_named_and_pixels_that_are_not_counted_are_none(tmp_path):
    (tmp_path / "facts").mkdir()
    (tmp_path / "labels.txt").write_text("background\neye\n")
    fact = {"id": "1", "split": "train", "height": 9, "width": 9, "brightness": 1.0}
    lines = [fact | {"classes": classes} for classes in ([0, 1, 255], [0], [])]
    (tmp_path / "facts" / "all.jsonl").write_text("\n".join(map(json.dumps, lines)))
    read = facts.read(str(tmp_path))
    assert list(read["classes"]) == [("background", "eye"), ("background",), ()]
    assert checks.summary(read)["classes"] == {"background": 2, "eye": 1}


def test_a_split_without_images_is_a_problem_that_no_setting_solves(table):
    found = judge(table[table["split"] == "train"], before=training(table))
    (problem,) = found.problems
    assert problem.text.startswith("the test split has no images (")
    with pytest.raises(verdict.UnfitData) as raised:
        found.check()
    assert "go on anyway" not in str(raised.value)
    assert found.settings == []


def test_duplicates_and_leaks_are_told_with_their_ids(photos, tmp_path):
    folder = tmp_path / "photos"
    shutil.copytree(photos, folder)
    (folder / "cat" / "again.png").write_bytes((folder / "cat" / "0-000.png").read_bytes())
    (folder / "coffee" / "wrong.png").write_bytes((folder / "cat" / "0-001.png").read_bytes())
    for number in range(10):
        # Equal pixels in other bytes, whose hash may deal them to the other split.
        image = Image.open(folder / "coffee" / f"0-{number:03d}.png")
        image.save(folder / "coffee" / f"anew-{number:03d}.png", compress_level=0)
    table = facts.read(ingest(folder, tmp_path / "examples").uri)
    found = judge(table, skew=1.0)
    assert [sorted(group["ids"]) for group in found.duplicates] == [
        ["cat/0-001.png", "coffee/wrong.png"],
        ["cat/0-000.png", "cat/again.png"],
    ]
    assert [group["contradicting"] for group in found.duplicates] == [True, False]
    splits = dict(zip(table["id"], table["split"], strict=True))
    apart = {
        (f"coffee/0-{number:03d}.png", f"coffee/anew-{number:03d}.png")
        for number in range(10)
        if splits[f"coffee/0-{number:03d}.png"] != splits[f"coffee/anew-{number:03d}.png"]
    }
    exact = {
        tuple(sorted((leak["test"], leak["train"]))) for leak in found.leaks if not leak["bits"]
    }
    assert apart
    assert apart == exact
    assert all(splits[leak["test"]] == "test" for leak in found.leaks)
    assert "2 images more than once, 1 with contradicting labels" in found.line
    found.check()


@pytest.fixture(scope="module")
def described(examples, tmp_path_factory) -> dict[str, list]:
    """Statistics and schema of the examples, as TFX makes them."""
    folder = tmp_path_factory.mktemp("described")
    inputs = {"examples": [examples]}
    channel = Channel(type=standard_artifacts.Examples).set_artifacts([examples])
    for component, work, key, kind in (
        (StatisticsGen(channel), StatisticsExecutor(beam()), "statistics", "ExampleStatistics"),
        (
            SchemaGen(Channel(type=standard_artifacts.ExampleStatistics)),
            SchemaExecutor(),
            "schema",
            "Schema",
        ),
    ):
        artifact = getattr(standard_artifacts, kind)()
        artifact.uri = str(folder / key)
        work.Do(inputs, {key: [artifact]}, dict(component.exec_properties))
        inputs[key] = [artifact]
    return inputs


def validated(
    described, folder: Path, previous=(), spans=None, kept_in=None, served=None, limits=LIMITS
) -> artifacts.DataVerdict:
    """What the component writes."""
    channels = {
        "examples": Channel(type=standard_artifacts.Examples),
        "statistics": Channel(type=standard_artifacts.ExampleStatistics),
        "schema": Channel(type=standard_artifacts.Schema),
    }
    component = DataValidator(
        **channels, data_checks=limits, dataset="photos", history=kept_in, served=served
    )
    outputs = {
        "anomalies": standard_artifacts.ExampleAnomalies(),
        "verdict": artifacts.DataVerdict(),
    }
    for key, artifact in outputs.items():
        artifact.uri = str(folder / key)
        Path(artifact.uri).mkdir(parents=True)
    inputs = {**described, "previous": list(previous)}
    if spans:
        inputs["examples"] = spans
    executor.Executor().Do(
        inputs,
        {key: [artifact] for key, artifact in outputs.items()},
        dict(component.exec_properties),
    )
    return outputs["verdict"]


def test_the_component_keeps_the_verdict_and_tfx_anomalies(described, tmp_path):
    first = validated(described, tmp_path / "first")
    kept = json.loads(Path(first.uri, "verdict.json").read_text())
    assert kept["problems"] == []
    assert kept["before"] is None
    assert kept["splits"]["train"]["classes"].keys() == {"cat", "coffee"}
    assert list((tmp_path / "first" / "anomalies" / "Split-train").iterdir())
    second = validated(described, tmp_path / "second", [first])
    compared = json.loads(Path(second.uri, "verdict.json").read_text())
    assert compared["before"] == kept["splits"]["train"]


def test_other_classes_than_the_served_models_stop_a_run_before_it_trains(described, tmp_path):
    served = tmp_path / "serving" / "lenet-relu"
    validated(described, tmp_path / "nothing-served", served=str(served))
    assets = served / "17" / "assets"
    assets.mkdir(parents=True)
    (assets.parent / "saved_model.pb").touch()
    (assets / "labels.txt").write_text("cat\ncoffee\n")
    validated(described, tmp_path / "the-same", served=str(served))
    (assets / "labels.txt").write_text("cat\nowl\n")
    with pytest.raises(
        verdict.UnfitData,
        match=r"lenet-relu is served with other classes \(version 17\); apart are coffee, owl\. "
        r"To keep both, give this one another name: --name lenet-relu-2"
        r"(.|\n)*go on anyway: --set data_checks.other_classes=2",
    ):
        validated(described, tmp_path / "others", served=str(served))
    limits = {**LIMITS, "other_classes": 2}
    validated(described, tmp_path / "asked-for", served=str(served), limits=limits)


def test_where_no_metadata_can_be_asked_a_folder_keeps_the_verdicts(described, tmp_path):
    def compared(name: str, examples: str) -> bool:
        (found,) = described["examples"]
        now = standard_artifacts.Examples()
        now.copy_from(found)
        folder = tmp_path / name
        folder.mkdir()
        now.uri = str(folder / examples)
        Path(now.uri).symlink_to(found.uri)
        verdict = validated(described, folder, spans=[now], kept_in=str(tmp_path / "history"))
        return json.loads(Path(verdict.uri, "verdict.json").read_text())["before"] is not None

    assert not compared("first", "examples")
    assert compared("second", "examples")
    # A step that Kubeflow tries again is about the same examples: it has no past in itself.
    uri = str(tmp_path / "second" / "examples")
    newest = history.newest(str(tmp_path / "history"), "photos", uri)
    about = json.loads(Path(newest, "about.json").read_text())
    assert about["examples"] == str(tmp_path / "first" / "examples")
    assert history.newest(str(tmp_path / "history"), "digits", uri) is None


def test_a_window_is_trained_on_whole_and_its_newest_span_is_compared(table):
    older = table.assign(brightness=table["brightness"] / 3)
    train = older[older["split"] == "train"]
    found = verdict.judge(
        pd.concat([table, train]),
        ["cat", "coffee"],
        LIMITS,
        training(older),
        newest=table,
    )
    assert found.splits["train"]["images"] == 2 * len(train)
    assert found.newest.summary["images"] == len(train)
    (problem,) = found.problems
    assert "the brightness of the images has drifted" in problem.text


def test_spans_of_other_classes_do_not_go_into_one_window(described, examples, tmp_path):
    other = standard_artifacts.Examples()
    other.uri = str(tmp_path / "other")
    other.set_int_custom_property("span", 1)
    shutil.copytree(examples.uri, other.uri)
    Path(other.uri, "labels.txt").write_text("cat\ndog\n")
    newest = standard_artifacts.Examples()
    newest.uri = examples.uri
    newest.set_int_custom_property("span", 2)
    with pytest.raises(verdict.UnfitData, match=r"spans 2 and 1 .* classes: coffee, dog in one"):
        validated(described, tmp_path, spans=[other, newest])


def test_only_an_earlier_ingestion_of_the_same_data_is_compared_with(examples):
    def verdict_on(number: int, examples_id: int, dataset: str) -> artifacts.DataVerdict:
        made = artifacts.DataVerdict()
        made.id = number
        made.set_int_custom_property("examples_id", examples_id)
        made.set_string_custom_property("dataset", dataset)
        return made

    known = [
        verdict_on(11, 10, "photos"),
        verdict_on(21, 20, "photos"),
        verdict_on(31, 30, "digits"),
        verdict_on(41, 40, "photos"),
        verdict_on(51, 50, "photos"),
    ]

    def previous(examples_id: int) -> list[int]:
        now = standard_artifacts.Examples()
        now.id = examples_id
        inputs = {"verdict": known, "examples": [now]}
        resolved = PreviousData("photos").resolve_artifacts(None, inputs)
        return [each.id for each in resolved["verdict"]]

    assert previous(40) == [21]
    assert previous(10) == []
    assert previous(60) == [51]
