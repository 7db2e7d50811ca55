"""Data of each task through the whole of ingestion: recognised, read by Beam, stored, counted."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import tensorflow as tf
from PIL import Image
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import standard_artifacts

from components.ingest.component import ImageExampleGen
from components.ingest.contract import Encoding
from components.ingest.executor import Executor
from components.ingest.sources import prepare, resolve

RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
COUNT = 24
HALF = Encoding(shorter_side=30)


def ingested(data: Path, folder: Path, task: str) -> tuple[standard_artifacts.Examples, list]:
    """The artifact and the features of its examples."""
    component = ImageExampleGen(prepare(resolve(str(data), task)), HALF)
    artifact = standard_artifacts.Examples()
    artifact.uri = str(folder / "examples")
    context = BaseBeamExecutor.Context(
        beam_pipeline_args=[f"--runner={RUNNER}"], tmp_dir=str(folder / "tmp")
    )
    Executor(context).Do({}, {"examples": [artifact]}, dict(component.exec_properties))
    paths = tf.io.gfile.glob(f"{artifact.uri}/Split-*/*")
    records = tf.data.TFRecordDataset(paths, compression_type="GZIP").as_numpy_iterator()
    return artifact, [tf.train.Example.FromString(each).features.feature for each in records]


@pytest.fixture(scope="module")
def crops() -> list[np.ndarray]:
    photo = np.asarray(Image.fromarray(skimage.data.astronaut()).resize((200, 200)))
    return [photo[4 * n : 4 * n + 60, 3 * n : 3 * n + 80] for n in range(COUNT)]


def save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def pixels(feature) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(feature.bytes_list.value[0])))


def classes_told(artifact: standard_artifacts.Examples) -> list[list[int]]:
    """Of each example, as its facts have them."""
    paths = Path(artifact.uri, "facts").glob("*.jsonl")
    lines = (line for path in paths for line in path.read_text().splitlines())
    return [json.loads(line)["classes"] for line in lines]


def test_detection(crops, tmp_path):
    images, annotations = [], []
    for number, crop in enumerate(crops):
        save(crop, tmp_path / "coco" / "images" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": 80, "height": 60})
        annotations.append({"image_id": number, "category_id": 1, "bbox": [20, 15, 40, 30]})
    annotations[-1]["bbox"] = [70, 15, 40, 30]
    (tmp_path / "coco" / "annotations").mkdir()
    content = {"images": images, "annotations": annotations}
    content["categories"] = [{"id": 1, "name": "woman"}]
    (tmp_path / "coco" / "annotations" / "a.json").write_text(json.dumps(content))
    artifact, examples = ingested(tmp_path / "coco", tmp_path, "detection")
    assert len(examples) == COUNT - 1
    for features in examples:
        assert list(features["objects/bbox"].float_list.value) == [0.25, 0.25, 0.75, 0.75]
        assert pixels(features["image/encoded"]).shape == (30, 40, 3)
    assert Path(artifact.uri, "labels.txt").read_text() == "woman\n"
    assert classes_told(artifact) == [[0]] * len(examples)
    (letters,) = Path(artifact.uri, "dead_letters").glob("*.jsonl")
    letter = json.loads(letters.read_text())
    assert letter["id"] == f"images/{COUNT - 1}.png"
    assert "lies outside the image" in letter["reason"]


def test_segmentation(crops, tmp_path):
    for number, crop in enumerate(crops):
        save(crop, tmp_path / "voc" / "JPEGImages" / f"{number}.png")
        classes = (crop[..., 0] > 99).astype(np.uint8)
        classes[:2] = 255  # not counted
        classes[5:8, 5:8] = 77 if number == 0 else 0
        save(classes, tmp_path / "voc" / "SegmentationClass" / f"{number}.png")
        (tmp_path / "voc" / "Annotations").mkdir(exist_ok=True)
        (tmp_path / "voc" / "Annotations" / f"{number}.xml").write_text(
            "<annotation><object><name>woman</name></object></annotation>"
        )
    artifact, examples = ingested(tmp_path / "voc", tmp_path, "segmentation")
    assert len(examples) == COUNT - 1
    assert all(found in ([0], [0, 1]) for found in classes_told(artifact))
    (letters,) = Path(artifact.uri, "dead_letters").glob("*.jsonl")
    assert "unknown label: 77, and there are 2 classes" in letters.read_text()
    for features in examples:
        number = int(features["image/id"].bytes_list.value[0])
        classes = (crops[number][..., 0] > 99).astype(np.uint8)
        classes[:2] = 255
        classes[5:8, 5:8] = 0
        # The nearest pixel of each two by two.
        stored = pixels(features["segmentation/encoded"])
        assert stored.shape == (30, 40)
        assert any(
            np.array_equal(stored, classes[top::2, left::2]) for top in (0, 1) for left in (0, 1)
        )
    assert Path(artifact.uri, "labels.txt").read_text() == "background\nwoman\n"


def test_restoration(crops, tmp_path):
    for number, crop in enumerate(crops):
        save(crop[::2, ::2], tmp_path / "pairs" / "input" / f"{number}.png")
        save(crop, tmp_path / "pairs" / "target" / f"{number}.png")
    save(crops[0], tmp_path / "pairs" / "target" / "alone.png")
    artifact, examples = ingested(tmp_path / "pairs", tmp_path, "restoration")
    assert len(examples) == COUNT
    assert artifact.get_int_custom_property("dead_letters") == 1
    for features in examples:
        number = int(features["image/id"].bytes_list.value[0].removesuffix(b".png"))
        # 30 rows are the wanted size already, and the target stays twice as large.
        np.testing.assert_array_equal(pixels(features["image/encoded"]), crops[number][::2, ::2])
        np.testing.assert_array_equal(pixels(features["target/encoded"]), crops[number])


def test_verification(crops, tmp_path):
    for number, crop in enumerate(crops):
        save(crop, tmp_path / "faces" / "Ann" / f"Ann_{number:04d}.png")
    lines = [f"Ann\t{number}\t{(number + 1) % COUNT}" for number in range(COUNT)]
    (tmp_path / "faces" / "pairs.txt").write_text("\n".join(lines))
    artifact, examples = ingested(tmp_path / "faces", tmp_path, "verification")
    assert len(examples) == COUNT
    assert {features["same"].int64_list.value[0] for features in examples} == {1}
    assert {pixels(features["pair/encoded"]).shape for features in examples} == {(30, 40, 3)}
    assert Path(artifact.uri, "labels.txt").read_text() == ""
