"""Digit scenes: what is drawn, what is said of it, and the way through ingestion."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import standard_artifacts

from components.ingest import generated, identity
from components.ingest.component import ImageExampleGen
from components.ingest.digit_scenes import drawing, settings
from components.ingest.digit_scenes.settings import SIDE, DigitScenes
from components.ingest.executor import Executor
from components.ingest.readers import reader
from components.ingest.sources import SourceError, prepare, resolve

FEW = "digit-scenes:train=8,test=4"
RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"


@pytest.fixture(scope="module")
def scenes() -> list[drawing.Scene]:
    return [drawing.scene(DigitScenes(), "train", index) for index in range(60)]


def test_boxes_are_those_of_the_masks(scenes):
    for scene in scenes:
        assert len(scene.digits) == len(scene.masks) == len(scene.boxes) > 0
        assert scene.image.shape == (SIDE, SIDE, 3) and scene.image.dtype == np.uint8
        # What is seen of one digit is nothing of another.
        assert scene.masks.sum(axis=0).max() == 1
        for mask, box in zip(scene.masks, scene.boxes * SIDE, strict=True):
            assert (box == np.rint(box)).all()
            ymin, xmin, ymax, xmax = box.astype(int)
            inside = mask[ymin:ymax, xmin:xmax]
            assert inside.sum() == mask.sum() > 0
            assert inside[[0, -1]].any(axis=1).all() and inside[:, [0, -1]].any(axis=0).all()


def test_digits_differ_in_number_class_and_size(scenes):
    numbers = [len(scene.digits) for scene in scenes]
    assert min(numbers) == 1 and max(numbers) >= 5
    assert {*np.concatenate([scene.digits for scene in scenes])} == {*range(10)}
    boxes = np.concatenate([scene.boxes for scene in scenes]) * SIDE
    heights = boxes[:, 2] - boxes[:, 0]
    assert heights.min() < 18 and heights.max() > 55
    assert len({scene.image.tobytes() for scene in scenes}) == len(scenes)


def test_digits_can_be_told_from_the_ground(scenes):
    for scene in scenes[:20]:
        light = scene.image @ [0.299, 0.587, 0.114]
        ground = light[~scene.masks.any(axis=0)].mean()
        for mask in scene.masks:
            assert abs(light[mask].mean() - ground) > 25


def test_equal_names_give_equal_pictures_and_others_others():
    def digest(scenes: DigitScenes, split: str, index: int) -> str:
        found = drawing.scene(scenes, split, index)
        return hashlib.sha256(found.image.tobytes() + found.boxes.tobytes()).hexdigest()

    places = [(split, index) for split in ("train", "test") for index in range(3)]
    found = [digest(DigitScenes(), *place) for place in places]
    more = DigitScenes(train=100)
    assert [digest(more, *place) for place in reversed(places)] == found[::-1]
    others = [digest(DigitScenes(seed=1), *place) for place in places]
    assert len({*found, *others}) == len(found) + len(others)


def test_names():
    assert generated.parse("digit-scenes") == DigitScenes()
    assert generated.parse("digit-scenes:test=5,seed=3") == DigitScenes(seed=3, test=5)
    source = resolve(FEW)
    assert (source.kind, source.base) == ("digit-scenes", DigitScenes(train=8, test=4).name)
    assert source.task == "detection"
    assert reader(source).labels == [*settings.CLASSES]
    with pytest.raises(SourceError, match="is data for detection; needed is classification"):
        resolve(FEW, "classification")
    with pytest.raises(SourceError, match="digit-scenes: train must be 1 to"):
        resolve("digit-scenes:train=0")
    with pytest.raises(SourceError, match="did you mean digit-scenes"):
        resolve("digit-scene")


def test_identity_is_that_of_the_pictures():
    known = identity.of_source(resolve(FEW))
    assert (known.files, known.size) == (12, 12 * SIDE * SIDE)
    assert known == identity.of_source(resolve("digit-scenes:test=4,train=8"))
    others = [f"{FEW},seed=1", "rooms:train=8,test=4"]
    assert len({known.sha256, *(identity.of_source(resolve(each)).sha256 for each in others)}) == 3


def test_ingestion_of_a_dozen(tmp_path):
    component = ImageExampleGen(prepare(resolve(FEW)))
    artifact = standard_artifacts.Examples()
    artifact.uri = str(tmp_path / "examples")
    context = BaseBeamExecutor.Context(
        beam_pipeline_args=[f"--runner={RUNNER}"], tmp_dir=str(tmp_path / "tmp")
    )
    Executor(context).Do({}, {"examples": [artifact]}, dict(component.exec_properties))
    assert Path(artifact.uri, "labels.txt").read_text().split() == [*settings.CLASSES]
    assert not list(Path(artifact.uri).glob("dead_letters/*"))
    for split, count in (("train", 8), ("test", 4)):
        paths = tf.io.gfile.glob(f"{artifact.uri}/Split-{split}/*")
        records = tf.data.TFRecordDataset(paths, compression_type="GZIP").as_numpy_iterator()
        examples = [tf.train.Example.FromString(each).features.feature for each in records]
        found = {each["image/id"].bytes_list.value[0].decode(): each for each in examples}
        assert found.keys() == {f"{split}#{index}" for index in range(count)}
        for index in range(count):
            expected = drawing.scene(DigitScenes(), split, index)
            example = found[f"{split}#{index}"]
            np.testing.assert_array_equal(_png(example["image/encoded"]), expected.image)
            assert [*example["objects/label"].int64_list.value] == expected.digits.tolist()
            boxes = np.reshape(example["objects/bbox"].float_list.value, (-1, 4))
            np.testing.assert_allclose(boxes, expected.boxes, rtol=1e-6)
            areas = [*example["objects/area"].float_list.value]
            assert areas == expected.masks.sum(axis=(1, 2)).tolist()
            for place, mask in enumerate(expected.masks):
                shown = _png(example["objects/mask"], place)
                np.testing.assert_array_equal(shown, np.where(mask, 255, 0))


def _png(feature, place: int = 0) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(feature.bytes_list.value[place])))
