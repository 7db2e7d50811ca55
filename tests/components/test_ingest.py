"""ImageExampleGen's executor on real files, in a real Beam pipeline."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import tensorflow as tf
from PIL import Image
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import standard_artifacts

from components.ingest.component import ImageExampleGen
from components.ingest.executor import Executor
from components.ingest.idx import write_idx
from components.ingest.sources import SourceError, prepare, resolve
from pipelines.beam import Beam
from tests.photos import PHOTOS, write_crops

DEFAULT = tuple(Beam().stages())


def ingest(source, folder: Path, arguments=DEFAULT) -> standard_artifacts.Examples:
    component = ImageExampleGen(source)
    artifact = standard_artifacts.Examples()
    artifact.uri = str(folder / "examples")
    context = BaseBeamExecutor.Context(
        beam_pipeline_args=list(arguments), tmp_dir=str(folder / "tmp")
    )
    Executor(context).Do({}, {"examples": [artifact]}, dict(component.exec_properties))
    return artifact


def read(artifact, split: str) -> list[dict]:
    paths = tf.io.gfile.glob(f"{artifact.uri}/Split-{split}/*")
    records = tf.data.TFRecordDataset(paths, compression_type="GZIP")
    return [
        {
            name: (feature.bytes_list.value or feature.int64_list.value)[0]
            for name, feature in tf.train.Example.FromString(record).features.feature.items()
        }
        for record in records.as_numpy_iterator()
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Twenty crops of photographs in each of two classes."""
    return write_crops(tmp_path_factory.mktemp("photos"), 20, 60, kinds=("jpg", "png"))


@pytest.fixture(scope="module")
def examples(folder, tmp_path_factory):
    return ingest(resolve(str(folder)), tmp_path_factory.mktemp("ingested"))


def test_every_image_becomes_an_example(examples, folder):
    rows = read(examples, "train") + read(examples, "test")
    assert len(rows) == 40
    assert Counter(row["label/text"] for row in rows) == {b"cat": 20, b"coffee": 20}
    for row in rows:
        content = (folder / row["image/id"].decode()).read_bytes()
        assert row["image/encoded"] == content
        pixels = tf.io.decode_image(content)
        assert (row["image/height"], row["image/width"]) == pixels.shape[:2]
        assert row["label"] == ["cat", "coffee"].index(row["label/text"].decode())
    assert Path(examples.uri, "labels.txt").read_text() == "cat\ncoffee\n"
    assert examples.get_int_custom_property("dead_letters") == 0
    assert examples.get_int_custom_property("train_examples") == len(read(examples, "train"))


def test_the_split_follows_the_content(examples, folder, tmp_path):
    """Names and new files move no image to the other side."""
    before = {row["image/sha256"] for row in read(examples, "test")}
    renamed = tmp_path / "renamed"
    for path in sorted(folder.glob("*/*")):
        target = renamed / path.parent.name / f"other-{path.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    Image.fromarray(skimage.data.coffee()[:100, :100]).save(renamed / "coffee" / "new.png")
    after = ingest(resolve(str(renamed)), tmp_path)
    train = {row["image/sha256"] for row in read(after, "train")}
    assert before and not before & train


def test_unusable_files_are_counted_dead_letters(folder, tmp_path):
    data = tmp_path / "data"
    for path in folder.glob("*/*"):
        target = data / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (data / "cat" / "broken.jpg").write_bytes((folder / "cat" / "00.jpg").read_bytes()[:900])
    (data / "cat" / ".hidden").write_bytes(b"")
    artifact = ingest(resolve(str(data)), tmp_path)
    assert artifact.get_int_custom_property("dead_letters") == 1
    assert len(read(artifact, "train") + read(artifact, "test")) == 40
    (path,) = Path(artifact.uri, "dead_letters").glob("*.jsonl")
    (line,) = path.read_text().splitlines()
    assert json.loads(line)["id"] == "cat/broken.jpg"
    assert "truncated" in json.loads(line)["reason"]


def test_too_many_dead_letters_stop_the_run_with_the_list(folder, tmp_path):
    data = tmp_path / "data"
    for name in PHOTOS:
        (data / name).mkdir(parents=True)
        for path in list((folder / name).iterdir())[:5]:
            (data / name / path.name).write_bytes(path.read_bytes())
    (data / "cat" / "empty.png").write_bytes(b"")
    with pytest.raises(SourceError, match=r"1 of 11 images.*\n  cat/empty.png: empty file"):
        ingest(resolve(str(data)), tmp_path)


def test_records_that_are_lost_together_stop_the_run(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    path = data / "a.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for number in range(40):
            crop = skimage.data.coffee()[number : number + 20, :30]
            values = {
                "jpeg": tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=[tf.io.encode_png(crop).numpy()])
                ),
                "class": tf.train.Feature(int64_list=tf.train.Int64List(value=[number % 2])),
            }
            features = tf.train.Features(feature=values)
            writer.write(tf.train.Example(features=features).SerializeToString())
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + bytes(len(content) // 4))
    description = {"features": {"image/encoded": "jpeg", "label": "class"}, "labels": list(PHOTOS)}
    (data / "dataset.json").write_text(json.dumps(description))
    with pytest.raises(SourceError, match=r"(?s)10 of 30 images .* about 9 records are lost"):
        ingest(resolve(str(data)), tmp_path)


def test_a_split_without_images_is_an_error(folder, tmp_path):
    data = tmp_path / "data"
    for name in PHOTOS:
        (data / name).mkdir(parents=True)
        source = next((folder / name).iterdir())
        (data / name / source.name).write_bytes((folder / "cat" / "00.jpg").read_bytes())
    with pytest.raises(SourceError, match="split has no images"):
        ingest(resolve(str(data)), tmp_path)


def test_mnist(tmp_path):
    artifact = ingest(resolve("mnist"), tmp_path)
    assert artifact.get_int_custom_property("train_examples") == 60_000
    assert artifact.get_int_custom_property("test_examples") == 10_000
    assert Path(artifact.uri, "labels.txt").read_text().split() == [str(n) for n in range(10)]
    rows = {row["image/id"]: row for row in read(artifact, "test")}
    assert len(rows) == 10_000
    assert rows[b"t10k#0"]["label"] == 7
    pixels = tf.io.decode_png(rows[b"t10k#0"]["image/encoded"]).numpy()
    from components.ingest.idx import read_split

    images, _ = read_split(resolve("mnist").base, "t10k-*")
    np.testing.assert_array_equal(pixels[..., 0], images[0])


def test_tfds(tmp_path, monkeypatch):
    """A builder of TFDS' own kind, prepared and read as any other."""
    import tensorflow_datasets as tfds

    class TinyPhotos(tfds.core.GeneratorBasedBuilder):
        """Ten crops of each photograph."""

        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            label = tfds.features.ClassLabel(names=sorted(PHOTOS, reverse=True))
            return self.dataset_info_from_configs(
                features=tfds.features.FeaturesDict(
                    {"image": tfds.features.Image(shape=(None, None, 3)), "label": label}
                )
            )

        def _split_generators(self, dl_manager):
            return {"train": self._crops(range(8)), "validation": self._crops(range(8, 10))}

        def _generate_examples(self):
            raise NotImplementedError("the splits bring their own")

        def _crops(self, numbers):
            for name, load in PHOTOS.items():
                for number in numbers:
                    crop = load()[number : number + 40, :50]
                    yield f"{name}-{number}", {"image": crop, "label": name}

    monkeypatch.setattr("tensorflow_datasets.core.constants.DATA_DIR", str(tmp_path / "tfds"))
    artifact = ingest(prepare(resolve("tfds:tiny_photos")), tmp_path)
    assert artifact.get_int_custom_property("train_examples") == 16
    rows = read(artifact, "test")
    assert Counter(row["label/text"] for row in rows) == {b"coffee": 2, b"cat": 2}
    assert {row["label"] for row in rows if row["label/text"] == b"cat"} == {1}
    # The order of TFDS, not of the alphabet: published label numbers keep their meaning.
    assert Path(artifact.uri, "labels.txt").read_text() == "coffee\ncat\n"


def test_a_file_that_cannot_be_opened_is_a_dead_letter(folder, tmp_path):
    data = tmp_path / "data"
    for path in folder.glob("*/*"):
        target = data / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(path)
    (data / "cat" / "gone.png").symlink_to(tmp_path / "no-such-file.png")
    (data / "coffee" / "locked.png").symlink_to("locked.png")
    artifact = ingest(resolve(str(data)), tmp_path)
    assert len(read(artifact, "train") + read(artifact, "test")) == 40
    assert artifact.get_int_custom_property("dead_letters") == 2


@pytest.fixture(scope="module")
def two_splits(mnist_subset, tmp_path_factory) -> Path:
    """IDX files of 600 training and 200 test images."""
    folder = tmp_path_factory.mktemp("idx")
    for prefix, split in (("train", "train"), ("t10k", "test")):
        images, labels = mnist_subset[split]
        write_idx(folder / f"{prefix}-images-idx3-ubyte", images)
        write_idx(folder / f"{prefix}-labels-idx1-ubyte", labels)
    return folder


def test_dask_under_tfx(two_splits, tmp_path):
    """The arguments of the pipeline come first, as TFX hands them; both splits are computed."""
    distributed = pytest.importorskip("distributed")
    usual = ingest(resolve(str(two_splits)), tmp_path / "usual")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    ) as cluster:
        on_dask = Beam("dask", (f"--dask_client_address={cluster.scheduler_address}",))
        arguments = [*on_dask.stages(), *on_dask.ingest()]
        artifact = ingest(resolve(str(two_splits)), tmp_path / "dask", arguments)
    for split, count in (("train", 600), ("test", 200)):
        assert artifact.get_int_custom_property(f"{split}_examples") == count
        assert read(artifact, split) == read(usual, split)
