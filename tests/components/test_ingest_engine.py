"""The ingestion engine on real files: nothing is lost, whatever lies among them, on any runner."""

import functools
import hashlib
import io
import itertools
import json
import os
import struct
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
import skimage.data
import tensorflow as tf
from PIL import Image

from components import examples
from components.ingest import engine, forking_runner, readers
from components.ingest.contract import Encoding
from components.ingest.executor import direct_arguments
from components.ingest.readers import records
from components.ingest.sources import resolve
from pipelines.beam import Beam

BUNDLES = "apache_beam.runners.direct.direct_runner.BundleBasedDirectRunner"
FORKING = "components.ingest.forking_runner.ForkingRunner"
CLASSES = ("cat", "coffee")
AS_FOUND = Encoding()


def ingest(reader, uri: Path, arguments=None, encoding=AS_FOUND, shard_records=2000) -> Counter:
    with (
        forking_runner.forked(),
        beam.Pipeline(argv=arguments or Beam().ingest()) as pipeline,
    ):
        _ = pipeline | engine.Ingest(reader, "all", encoding, str(uri), shard_records)
    return engine.total_counts(str(uri))


def on_two_cores(mode: str) -> list[str]:
    mode = f"--direct_running_mode=multi_{mode}"
    return Beam(arguments=("--direct_num_workers=2", mode)).ingest()


def folder_reader(folder: Path) -> readers.Reader:
    return readers.reader(resolve(str(folder)))


def written(uri: Path) -> dict[str, bytes]:
    """Every file of an artifact."""
    return {
        str(path.relative_to(uri)): path.read_bytes()
        for path in sorted(uri.rglob("*"))
        if path.is_file()
    }


def features_of(uri: Path) -> dict[str, dict]:
    """The features of each example, and its split, by its id."""
    found = {}
    for split in ("train", "test"):
        files = sorted(map(str, uri.glob(f"Split-{split}/*")))
        for record in tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator():
            features = tf.train.Example.FromString(record).features.feature
            row = {
                name: (value.bytes_list.value or value.int64_list.value)[0]
                for name, value in features.items()
            }
            row["split"] = split
            assert row["image/id"].decode() not in found
            found[row["image/id"].decode()] = row
    return found


def lines(uri: Path, kind: str) -> dict[str, dict]:
    """The lines of JSON of a kind by id."""
    rows = [
        json.loads(line)
        for path in uri.glob(f"{kind}/*.jsonl")
        for line in path.read_text().splitlines()
    ]
    found = {row["id"]: row for row in rows}
    assert len(found) == len(rows)
    return found


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@functools.cache
def _photos() -> tuple[np.ndarray, np.ndarray]:
    return skimage.data.chelsea(), skimage.data.coffee()


def crop(number: int) -> Image.Image:
    photo = _photos()[number % 2]
    top, left = 3 * (number % 80), 5 * (number % 70)
    return Image.fromarray(photo[top : top + 30, left : left + 40])


def _bomb(number: int) -> bytes:
    header = struct.pack(">IIBBBBB", 50_000 + number, 50_000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n"
    for name, content in ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")):
        checksum = struct.pack(">I", zlib.crc32(name + content))
        data += struct.pack(">I", len(content)) + name + content + checksum
    return data


def _turned(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(image, "JPEG", exif=exif)


def _cut(data: bytes, number: int) -> bytes:
    """A file without half of its pixels, or only without some of its last chunk, which Pillow does
    not need and TensorFlow does.
    """
    count = number // len(FAULTS)
    return data[:900] if count % 2 else data[: -1 - count % 22]


def _noise(data: bytes, number: int) -> bytes:
    """A file with the middle of its pixels overwritten."""
    random = np.random.default_rng(number)
    middle = len(data) // 2
    return data[:middle] + random.bytes(len(data) // 4) + data[middle + len(data) // 4 :]


def _sixteen(image: Image.Image) -> bytes:
    return encoded(Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257), "PNG")


def _animated(image: Image.Image) -> bytes:
    more = [image.rotate(90), image.rotate(180)]
    return encoded(image, "PNG", save_all=True, append_images=more)


# Content by the number and the image, file suffix, and why there is no example ("" where there is
# one, None where the decoder may take either way).
FAULTS = {
    "truncated-jpeg": (lambda i, n: encoded(i, "JPEG")[:400], "jpg", "cannot be decoded"),
    "truncated-png": (lambda i, n: _cut(encoded(i, "PNG"), n), "png", "cannot be decoded"),
    "corrupt-jpeg": (lambda i, n: _noise(encoded(i, "JPEG"), n), "jpg", None),
    "corrupt-png": (lambda i, n: _noise(encoded(i, "PNG"), n), "png", None),
    "png-called-jpg": (lambda i, n: encoded(i, "PNG"), "jpg", ""),
    "text-called-png": (lambda i, n: b"no image: %d" % n, "png", "neither PNG nor JPEG"),
    "bmp-called-png": (lambda i, n: encoded(i, "BMP"), "png", "neither PNG nor JPEG"),
    "gif-called-jpg": (lambda i, n: encoded(i, "GIF"), "jpg", "neither PNG nor JPEG"),
    "cmyk": (lambda i, n: encoded(i.convert("CMYK"), "JPEG"), "jpg", ""),
    "sixteen-bit": (lambda i, n: _sixteen(i), "png", ""),
    "palette": (lambda i, n: encoded(i.quantize(16), "PNG"), "png", ""),
    "alpha": (lambda i, n: encoded(i.convert("RGBA"), "PNG"), "png", ""),
    "one-bit": (lambda i, n: encoded(i.convert("1"), "PNG"), "png", ""),
    "animated": (lambda i, n: _animated(i), "png", ""),
    "turned": (lambda i, n: _turned(i), "jpg", ""),
    "empty": (lambda i, n: b"", "png", "empty file"),
    "bomb": (lambda i, n: _bomb(n), "png", "more than 100,000,000"),
    "duplicate": (lambda i, n: encoded(crop(0), "PNG"), "png", ""),
}
PLANTED, GOOD = 1000, 200


@pytest.fixture(scope="module")
def flawed(tmp_path_factory) -> Path:
    """1,000 files with faults among 200 good ones."""
    folder = tmp_path_factory.mktemp("flawed")
    for name in CLASSES:
        (folder / name).mkdir()
    kinds = list(FAULTS)
    for number in range(PLANTED):
        kind = kinds[number % len(kinds)]
        make, suffix, _ = FAULTS[kind]
        path = folder / CLASSES[number % 2] / f"{kind}-{number:04d}.{suffix}"
        path.write_bytes(make(crop(number), number))
    for number in range(GOOD):
        suffix = ("png", "jpeg")[number // 2 % 2]
        path = folder / CLASSES[number % 2] / f"good-{number:04d}.{suffix}"
        path.write_bytes(encoded(crop(number), suffix.upper()))
    # Names that no encoding has, and one with what many tools split at.
    (folder / "cat" / os.fsdecode(b"good-\xff.png")).write_bytes(encoded(crop(1), "PNG"))
    (folder / "cat" / "good\nand odd.png").write_bytes(encoded(crop(3), "PNG"))
    return folder


@pytest.fixture(scope="module")
def survived(flawed, tmp_path_factory) -> tuple[Path, Counter]:
    """What became of them, and the counts."""
    uri = tmp_path_factory.mktemp("survived")
    return uri, ingest(folder_reader(flawed), uri, shard_records=300)


def test_what_goes_in_comes_out_or_is_a_dead_letter(flawed, survived):
    uri, counts = survived
    examples, dead = features_of(uri), lines(uri, "dead_letters")
    assert counts["read"] == PLANTED + GOOD + 2
    assert len(examples) + len(dead) == counts["read"]
    assert not examples.keys() & dead.keys()
    assert counts["train"] + counts["test"] == len(examples)
    assert counts["dead_letters"] == len(dead)
    reasons = {name: count for name, count in counts.items() if name.startswith("dead letter: ")}
    assert sum(reasons.values()) == len(dead)
    assert reasons["dead letter: empty file"] == PLANTED // len(FAULTS)
    assert counts["bytes"] > 0
    # Five would do, and two processes would share them unevenly.
    assert len(list(uri.glob("Split-train/*.gz"))) == 6


def test_conversions_are_counted(survived):
    found = {name.removeprefix(engine.CONVERTED): count for name, count in survived[1].items()}
    each = {PLANTED // len(FAULTS), PLANTED // len(FAULTS) + 1}
    for kind in ("CMYK", "16-bit", "palette", "transparent", "1-bit", "turned upright"):
        assert found[kind] in each, kind


def test_all_good_images_are_there_unchanged(flawed, survived):
    examples = features_of(survived[0])
    for name in CLASSES:
        for path in (flawed / name).glob("good-0*"):
            row = examples[f"{name}/{path.name}"]
            assert row["image/encoded"] == path.read_bytes()
            assert row["label"] == CLASSES.index(name)
            assert (row["image/height"], row["image/width"]) == (30, 40)
    assert "cat/good\nand odd.png" in examples
    assert "cat/good-\N{REPLACEMENT CHARACTER}.png" in examples


def test_each_kind_of_fault_ends_as_it_should(survived):
    uri, _ = survived
    examples, dead = features_of(uri), lines(uri, "dead_letters")
    for identifier in [*examples, *dead]:
        kind = identifier.partition("/")[2].rpartition("-")[0]
        reason = FAULTS[kind][2] if kind in FAULTS else ""
        if reason == "":
            assert identifier in examples, dead[identifier]
        elif reason is not None:
            assert reason in dead[identifier]["reason"]


def test_training_can_read_every_example(survived):
    """Whatever Pillow lets through, TensorFlow decodes, and to the size that stands beside it."""
    for identifier, row in features_of(survived[0]).items():
        pixels = tf.io.decode_image(row["image/encoded"], expand_animations=False).numpy()
        assert pixels.shape[:2] == (row["image/height"], row["image/width"]), identifier
        assert pixels.dtype == np.uint8
        assert pixels.shape[2] in (1, 3)
        if "turned-" in identifier:
            assert pixels.shape[:2] == (40, 30)


def test_of_an_animated_image_the_first_frame_is_taken(flawed, survived):
    examples = features_of(survived[0])
    paths = list(flawed.glob("*/animated-*"))
    assert len(paths) == PLANTED // len(FAULTS)
    for path in paths:
        row = examples[f"{path.parent.name}/{path.name}"]
        pixels = tf.io.decode_image(row["image/encoded"], expand_animations=False).numpy()
        first = crop(int(path.stem.rpartition("-")[2]))
        np.testing.assert_array_equal(pixels, np.asarray(first))


def test_equal_files_lie_on_one_side(survived):
    examples = features_of(survived[0])
    copies = [row for name, row in examples.items() if "/duplicate-" in name]
    assert len(copies) == PLANTED // len(FAULTS)
    assert len({row["split"] for row in copies}) == 1
    assert len({row["image/sha256"] for row in copies}) == 1


def test_facts_are_those_of_the_examples(survived):
    uri, _ = survived
    examples, facts = features_of(uri), lines(uri, "facts")
    assert facts.keys() == examples.keys()
    for identifier, row in examples.items():
        fact = facts[identifier]
        assert fact["sha256"] == row["image/sha256"].decode()
        assert (fact["split"], fact["label"]) == (row["split"], row["label"])
        assert (fact["height"], fact["width"]) == (row["image/height"], row["image/width"])
        assert fact["bytes"] == len(row["image/encoded"])


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for number in range(60):
        path = folder / CLASSES[number % 2] / f"{number:02d}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encoded(crop(number), "PNG"))
    (folder / "cat" / "broken.png").write_bytes(b"broken")
    return folder


@pytest.fixture(scope="module")
def in_memory(photos, tmp_path_factory) -> dict[str, bytes]:
    """The files that Beam's default runner leaves."""
    uri = tmp_path_factory.mktemp("in-memory")
    ingest(folder_reader(photos), uri, shard_records=20)
    return written(uri)


def test_ingesting_twice_gives_the_same_files(photos, in_memory, tmp_path):
    ingest(folder_reader(photos), tmp_path, shard_records=20)
    assert written(tmp_path) == in_memory
    assert sorted(in_memory)[:2] == [
        "Split-test/data_tfrecord-00000-of-00004.gz",
        "Split-test/data_tfrecord-00001-of-00004.gz",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        [f"--runner={BUNDLES}"],
        on_two_cores("threading"),
        on_two_cores("processing"),
        [*on_two_cores("processing"), f"--runner={FORKING}"],
    ],
    ids=["bundles", "threads", "processes", "forked"],
)
def test_every_runner_writes_the_same_files(photos, in_memory, tmp_path, arguments):
    ingest(folder_reader(photos), tmp_path, arguments, shard_records=20)
    assert written(tmp_path) == in_memory


def test_dask_writes_the_same_files(photos, in_memory, tmp_path):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    ) as cluster:
        beam_on_dask = Beam("dask", (f"--dask_client_address={cluster.scheduler_address}",))
        beam_on_dask.check()
        ingest(folder_reader(photos), tmp_path, beam_on_dask.ingest(), shard_records=20)
    assert written(tmp_path) == in_memory


def test_the_order_is_not_that_of_the_names(in_memory, tmp_path):
    for name, content in in_memory.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    names = list(features_of(tmp_path))
    assert names != sorted(names)
    labels = [name.partition("/")[0] for name in names]
    changes = sum(a != b for a, b in itertools.pairwise(labels))
    assert changes > 15  # About half of 59; 1 if classes came one after the other.


class FailsOnce:
    """A reader of a folder that fails once, when one shard is whole."""

    piece_records = 1

    def __init__(self, reader, marker: Path, uri: Path):
        self._reader, self._marker, self._counts = reader, marker, uri / "counts"
        self.labels = reader.labels

    def roots(self, split):
        return self._reader.roots(split)

    def pieces(self, root):
        return self._reader.pieces(root)

    def load(self, piece):
        if not self._marker.exists() and any(self._counts.glob("*.json")):
            self._marker.touch()
            raise RuntimeError("the machine goes down")
        return self._reader.load(piece)


def test_a_shard_that_fails_leaves_nothing_and_is_written_again(photos, in_memory, tmp_path):
    uri = tmp_path / "written"
    reader = FailsOnce(folder_reader(photos), tmp_path / "failed", uri)
    with pytest.raises(RuntimeError, match="goes down"):
        ingest(reader, uri, shard_records=20)
    whole = written(uri)
    assert all(in_memory[name] == whole[name] for name in whole if "unfinished" not in name)
    with pytest.raises(ValueError, match=r"of 4 shards of all were written"):
        engine.total_counts(str(uri))
    ingest(reader, uri, shard_records=20)
    found = {name: data for name, data in written(uri).items() if "unfinished" not in name}
    assert found == in_memory


@pytest.mark.parametrize(
    ("encoding", "kind", "size"),
    [
        (Encoding(shorter_side=15), "PNG", (20, 15)),
        (Encoding(shorter_side=60, format="jpeg"), "JPEG", (80, 60)),
        (Encoding(format="jpeg", quality=50), "JPEG", (40, 30)),
    ],
)
def test_images_are_stored_as_asked(photos, tmp_path, encoding, kind, size):
    counts = ingest(folder_reader(photos), tmp_path, encoding=encoding)
    assert counts["re-encoded"] == 60
    for identifier, row in features_of(tmp_path).items():
        image = Image.open(io.BytesIO(row["image/encoded"]))
        assert (image.format, image.size) == (kind, size)
        assert (row["image/width"], row["image/height"]) == size
        # The split and the name of the content do not change with how it is stored.
        content = (photos / identifier).read_bytes()
        assert row["image/sha256"].decode() == hashlib.sha256(content).hexdigest()


def test_counters_of_beam(photos, tmp_path):
    pipeline = beam.Pipeline(argv=Beam().ingest())
    _ = pipeline | engine.Ingest(folder_reader(photos), "all", Encoding(), str(tmp_path))
    result = pipeline.run()
    result.wait_until_finish()
    counters = {
        counter.key.metric.name: counter.committed
        for counter in result.metrics().query()["counters"]
        if counter.key.metric.namespace == engine.STAGE
    }
    assert counters["read"] == 61
    assert counters["dead_letters"] == counters["dead letter: neither PNG nor JPEG"] == 1
    assert counters["train"] + counters["test"] == 60


def test_a_fifth_is_test():
    sides = Counter(engine.split_of(b"%064x" % number) for number in range(5000))
    assert 900 < sides["test"] < 1100


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("50000 x 50000 pixels, more than 100,000,000 in all", "N x N pixels, more than N in all"),
        ("cannot be decoded: image file is truncated (12 bytes)", "cannot be decoded"),
        ("empty file", "empty file"),
    ],
)
def test_reasons_are_counted_by_kind(reason, kind):
    assert engine.reason_class(reason) == kind


def test_a_worker_starts_without_tensorflow():
    code = "import sys, components.ingest.engine; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code]).returncode == 0


FINGERPRINT = "split:all,num_files:{},total_bytes:{},xor_checksum:1,sum_checksum:2"


@pytest.mark.parametrize(
    ("files", "size", "arguments", "kind", "more"),
    [
        (100, 10**6, (), "folder", False),
        (1_000_000, 10**9, (), "folder", True),
        (20_000, 10**8, (), "folder", True),
        (20_000, 10**8, (), "tfds", False),
        (50_000, 6 * 10**9, (), "tfds", True),
        # MNIST, as it comes and not compressed; a hundredth of it.
        (4, 11_594_722, (), "idx", True),
        (4, 54_950_048, (), "idx", True),
        (4, 549_552, (), "idx", False),
        (1_000_000, 10**9, ("--direct_num_workers=1",), "folder", False),
    ],
)
def test_more_processes_where_they_pay(files, size, arguments, kind, more):
    fingerprint = FINGERPRINT.format(files, size)
    found = direct_arguments(Beam("direct", arguments).ingest(), fingerprint, kind)
    processes = "--direct_running_mode=multi_processing" in found
    assert processes == (more and len(os.sched_getaffinity(0)) > 1)
    assert any("ForkingRunner" in argument for argument in found) == (kind != "tfds")


@pytest.mark.parametrize("name", ["flink", "dask"])
def test_a_cluster_has_its_own_workers(name):
    arguments = [*Beam().stages(), *Beam(name).ingest()]
    assert not direct_arguments(arguments, FINGERPRINT.format(10**6, 10**9), "folder")


def test_a_dead_letter_of_many_records_counts_as_many(tmp_path):
    """Two hundred records in a file, and zeros in the place of thirty."""
    data = tmp_path / "data"
    data.mkdir()
    path = data / "a.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for number in range(200):
            features = {
                "jpeg": tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=[encoded(crop(number), "PNG")])
                ),
                "hash": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"%064x" % number])),
                "class": tf.train.Feature(int64_list=tf.train.Int64List(value=[number % 2])),
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    content = path.read_bytes()
    with open(path, "rb") as file:
        starts = list(records.starts(file))
    hole = slice(starts[60], starts[90])
    path.write_bytes(content[: hole.start] + bytes(hole.stop - hole.start) + content[hole.stop :])
    description = {
        "features": {"image/encoded": "jpeg", "image/sha256": "hash", "label": "class"},
        "labels": CLASSES,
    }
    (data / "dataset.json").write_text(json.dumps(description))
    counts = ingest(folder_reader(data), tmp_path / "out")
    assert counts["train"] + counts["test"] == 170
    assert counts["read"] == 170 + counts["dead_letters"]
    assert 27 <= counts["dead_letters"] <= 33
    (letter,) = lines(tmp_path / "out", "dead_letters").values()
    assert (letter["id"], letter["count"]) == ("a.tfrecord#60", counts["dead_letters"])
    assert f"about {letter['count']} records are lost" in letter["reason"]


def test_originals_of_what_is_stored_otherwise_are_kept(tmp_path):
    folder = tmp_path / "photos" / "cat"
    folder.mkdir(parents=True)
    (tmp_path / "photos" / "dog").mkdir()
    photo, exif = Image.fromarray(skimage.data.chelsea()).resize((30, 20)), Image.Exif()
    exif[0x0112] = 6
    for number in range(6):
        photo.rotate(number).save(folder / f"turned{number}.jpg", exif=exif)
        photo.rotate(number).save(folder / f"plain{number}.jpg")
    photo.convert("RGBA").save(tmp_path / "photos" / "dog" / "clear.png")
    counts = ingest(folder_reader(tmp_path / "photos"), tmp_path / "out")
    assert counts["re-encoded"] == 7
    kept = Counter()
    for record in examples.originals(str(tmp_path / "out")).as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        name, kind, original, encoded = (
            features[f"image/{key}"].bytes_list.value[0]
            for key in ("id", "converted", "original", "encoded")
        )
        assert original == (tmp_path / "photos" / name.decode()).read_bytes() != encoded
        kept[kind] += 1
    assert kept == {b"turned upright": 4, b"transparent": 1}
