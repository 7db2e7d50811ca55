"""TFDS builders by name: each is written to disk with the features that it has, of crops of a
photograph, and then found, mapped and read as the published one is."""

import io
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.core import features as kinds
from tensorflow_datasets.core.dataset_builders.adhoc_builder import AdhocBuilder

from components.ingest import normals, tfds_roles
from components.ingest.contract import DeadLetter, Encoding, Record, to_example
from components.ingest.images import ImageError
from components.ingest.readers import reader
from components.ingest.sources import Source, SourceError, prepare, resolve, tfds_splits
from pipelines import inspection

COUNT = 3
# Name, its splits, task, how many classes, and what an example has beside the image.
BUILDERS = {
    "imagenet2012": (("train", "validation", "test"), "classification", 1000, {"label"}),
    "cifar10": (("train", "test"), "classification", 10, {"label"}),
    "cifar100": (("train", "test"), "classification", 100, {"label"}),
    "mnist": (("train", "test"), "classification", 10, {"label"}),
    "fashion_mnist": (("train", "test"), "classification", 10, {"label"}),
    "svhn_cropped": (("train", "test", "extra"), "classification", 10, {"label"}),
    "caltech101": (("train", "test"), "classification", 102, {"label"}),
    "visual_domain_decathlon/gtsrb": (
        ("train", "validation", "test"),
        "classification",
        43,
        {"label"},
    ),
    "voc/2007": (
        ("train", "validation", "test"),
        "detection",
        20,
        {"objects/bbox", "objects/label", "objects/label/text", "objects/difficult"},
    ),
    "voc/2012": (
        ("train", "validation", "test"),
        "detection",
        20,
        {"objects/bbox", "objects/label", "objects/label/text", "objects/difficult"},
    ),
    "coco/2017": (
        ("train", "validation", "test"),
        "detection",
        80,
        {"objects/bbox", "objects/label", "objects/label/text", "objects/crowd", "objects/area"},
    ),
    "nyu_depth_v2": (("train", "validation"), "depth", 0, {"depth/encoded"}),
    "ucf101": (("train", "test"), "video", 101, {"frames/encoded", "label"}),
    # Beyond those that the recipes name: one of each kind that the mapping tells.
    "oxford_iiit_pet": (("train", "test"), "classification", 37, {"label"}),
    "div2k": (("train", "validation"), "restoration", 0, {"target/encoded"}),
    "kitti": (("train", "test"), "detection", 8, {"objects/bbox", "objects/label"}),
    "wider_face": (("train", "validation"), "detection", 1, {"objects/bbox", "objects/label"}),
    "flic": (("train", "test"), "pose", 0, {"keypoints", "keypoints/visible", "torso"}),
    "smallnorb": (("train", "test"), "classification", 5, {"label"}),
}


def photo(shape: tuple, number: int) -> np.ndarray:
    height, width, channels = (given or 40 for given in shape)
    crop = Image.fromarray(skimage.data.astronaut()).crop((number, 0, 400 + number, 400))
    image = np.asarray(crop.resize((width, height)))
    return image if channels == 3 else image[..., :1]


def value(feature, number: int):
    """A value of a feature's kind; images are crops, boxes lie inside."""
    if isinstance(feature, kinds.Video):
        return [photo(feature.feature.shape, number + step) for step in range(2)]
    if isinstance(feature, kinds.Image):
        return photo(feature.shape, number)
    if isinstance(feature, kinds.ClassLabel):
        return number % feature.num_classes
    if isinstance(feature, kinds.BBoxFeature):
        return tfds.features.BBox(ymin=0.25, xmin=0.125, ymax=0.5, xmax=0.75)
    if isinstance(feature, kinds.Sequence):
        return [value(feature.feature, number)] * 2
    if isinstance(feature, kinds.FeaturesDict):
        return {key: value(inner, number) for key, inner in feature.items()}
    if isinstance(feature, kinds.Text):
        return f"name {number}"
    if len(feature.shape) == 2:  # A depth.
        metres = np.linspace(0.5, 9.5, np.prod(feature.shape)).reshape(feature.shape)
        return metres.astype(feature.np_dtype)
    return np.zeros(feature.shape, feature.np_dtype)


class Written(AdhocBuilder, skip_registration=True):
    """A builder of given examples that says of itself what another one does."""

    def __init__(self, like, **given):
        self._like = like
        super().__init__(**given)

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=self._like.info.features,
            supervised_keys=self._like.info.supervised_keys,
        )


def written(name: str, splits: dict[str, list], folder) -> None:
    """The builder, prepared in a folder as `download_and_prepare` leaves it."""
    like = tfds.builder(name, data_dir=folder)
    Written(
        like,
        name=like.name,
        version=like.version,
        config=like.builder_config.name if like.builder_config else None,
        features=like.info.features,
        split_datasets={
            split: [(str(number), value) for number, value in enumerate(values)]
            for split, values in splits.items()
        },
        data_dir=folder,
    ).download_and_prepare()


def examples_of(name: str, count: int = COUNT) -> list:
    features = tfds.builder(name).info.features
    return [value(features, number) for number in range(count)]


@pytest.fixture
def data(tmp_path, monkeypatch):
    """The folder of TFDS."""
    monkeypatch.setattr("tensorflow_datasets.core.constants.DATA_DIR", str(tmp_path))
    return tmp_path


def records_of(source: Source, split: str) -> list[Record]:
    read = reader(source)
    pieces = [piece for root in read.roots(split) for piece in read.pieces(root)]
    return [record for piece in pieces for record in read.load(piece)]


@pytest.mark.parametrize("name", BUILDERS)
def test_a_builder_by_name(data, name):
    splits, task, classes, expected = BUILDERS[name]
    written(name, dict.fromkeys(splits, examples_of(name)), data)
    source = prepare(resolve(f"tfds:{name}"))
    assert source.task == task
    read = reader(source)
    assert len(read.labels) == classes
    split = source.patterns[0][0]
    assert split == ("train" if len(splits) > 1 else "all")
    records = records_of(source, split)
    assert len(records) == COUNT * len(read.roots(split))
    for record in records:
        assert expected <= set(record.features)
        features = to_example(record, Encoding()).features.feature
        if expected == {"label"}:
            label = features["label"].int64_list.value[0]
            assert features["label/text"].bytes_list.value[0].decode() == read.labels[label]
        # As TFDS stored it, neither decoded nor encoded once more.
        images = record.features.get("frames/encoded", [record.features.get("image/encoded")])
        assert all(isinstance(image, bytes) for image in images)
        assert features["image/encoded"].bytes_list.value[0] == images[0]


def test_records_behind_damage_are_counted_as_lost(data):
    written("mnist", dict.fromkeys(("train", "test"), examples_of("mnist", 20)), data)
    source = prepare(resolve("tfds:mnist"))
    (path,) = data.rglob("*-train.tfrecord-*")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    *records, letter = records_of(source, "train")
    assert isinstance(letter, DeadLetter)
    assert len(records) + letter.count == 20
    assert letter.count > 5
    assert letter.reason.startswith("damaged file: ")


def test_voc_2007_is_trained_on_trainval_and_judged_on_test(data):
    """As Fast and Faster R-CNN are."""
    written(
        "voc/2007", dict.fromkeys(("train", "validation", "test"), examples_of("voc/2007")), data
    )
    source = prepare(resolve("tfds:voc/2007"))
    assert {each.identifier.partition("#")[0] for each in records_of(source, "train")} == {
        "train",
        "validation",
    }
    (first, *_) = records_of(source, "test")
    assert first.identifier == "test#0"
    features = to_example(first, Encoding()).features.feature
    assert list(features["objects/bbox"].float_list.value) == [0.25, 0.125, 0.5, 0.75] * 2
    assert list(features["objects/difficult"].int64_list.value) == [0, 0]
    label = features["objects/label"].int64_list.value[0]
    names = [b"aeroplane", b"bicycle", b"bird"]
    assert features["objects/label/text"].bytes_list.value[0] == names[label]


def test_points_of_flic_that_nobody_has_marked_are_not_visible(data):
    found = examples_of("flic", 1)
    found[0] |= {"xcoords": [180.0, np.nan, 360.0], "ycoords": [120.0, np.nan, 480.0]}
    written("flic", dict.fromkeys(("train", "test"), found), data)
    (record,) = records_of(prepare(resolve("tfds:flic")), "train")
    features = to_example(record, Encoding()).features.feature
    # Of images of 720 x 480 pixels.
    places = [0.25, 0.25, 0.0, 0.0, 1.0, 0.5]
    assert list(features["keypoints"].float_list.value) == places
    assert list(features["keypoints/visible"].int64_list.value) == [2, 0, 2]
    assert list(features["torso"].float_list.value) == [0.25, 0.125, 0.5, 0.75]


@pytest.mark.parametrize("name", ["imagenet2012", "voc/2012", "coco/2017"])
def test_test_images_without_labels_are_not_the_test(name):
    found = ("train", "validation", "test")
    assert tfds_splits(name, found) == {"train": ("train",), "test": ("validation",)}


def test_a_pinned_version_leaves_the_splits_as_they_are():
    found = ("train", "validation", "test")
    for name in ("voc/2012:4.0.0", "coco/2017:1.1.0", "imagenet2012:5.1.0"):
        assert tfds_splits(name, found) == {"train": ("train",), "test": ("validation",)}
    for name in ("voc:4.0.0", "voc/2007:4.0.0"):
        assert tfds_splits(name, found) == {"train": ("train", "validation"), "test": ("test",)}


def test_a_pinned_version_is_the_one_that_is_read(data):
    splits = dict.fromkeys(("train", "validation", "test"), examples_of("voc/2012"))
    written("voc/2012", splits, data)
    source = prepare(resolve("tfds:voc/2012:5.0.0"))
    assert source.base == str(data / "voc" / "2012" / "5.0.0")
    assert records_of(source, "test")[0].identifier == "validation#0"
    with pytest.raises(SourceError, match=r"voc/2012:1.0.0: .* cannot be loaded at version 1.0.0"):
        prepare(resolve("tfds:voc/2012:1.0.0"))


def test_get_claims_no_comparison_of_what_was_prepared_before(data):
    written("voc/2012", {"train": examples_of("voc/2012")}, data)
    found = inspection.get("tfds:voc/2012")
    assert found.folder == data / "voc" / "2012" / "5.0.0"
    assert found.checked.startswith("nothing: TFDS prepared the data before")


def test_only_a_train_split_is_split_by_content():
    assert tfds_splits("oxford_flowers", ("train",)) == {"all": ("train",)}
    with pytest.raises(SourceError, match="tfds:x: needs a train split, has test, unlabelled"):
        tfds_splits("x", ("unlabelled", "test"))


def test_nyus_depths_give_normals_where_a_task_needs_them(data):
    splits = dict.fromkeys(("train", "validation"), examples_of("nyu_depth_v2", 1))
    written("nyu_depth_v2", splits, data)
    source = prepare(resolve("tfds:nyu_depth_v2", "normals"))
    (first,) = records_of(source, "test")
    assert set(first.features) == {"image/encoded", "normals/encoded"}
    example = to_example(first, Encoding()).features.feature
    stored = np.asarray(Image.open(io.BytesIO(example["normals/encoded"].bytes_list.value[0])))
    metres = examples_of("nyu_depth_v2", 1)[0]["depth"].astype(np.float64)
    expected = normals.of_depths(np.rint(1000 * metres) / 1000, normals.NYU)
    np.testing.assert_array_equal(stored, normals.encoded(expected))
    with pytest.raises(SourceError, match="needed is normals"):
        resolve("tfds:cifar10", "normals")


def test_lfw_is_a_folder_of_people(data, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(data / "cache"))
    features = tfds.builder("lfw").info.features
    people = [f"Name_{number % 6}" for number in range(18)]
    examples = [value(features, number) | {"label": name} for number, name in enumerate(people)]
    written("lfw", {"train": examples}, data)
    assert resolve("tfds:lfw").task == "classification"
    source = prepare(resolve("tfds:lfw", "verification"))
    assert (source.kind, source.task) == ("people", "verification")
    seen = {}
    for split in ("train", "test"):
        records = records_of(source, split)
        assert {record.features["same"] for record in records} == {0, 1}
        seen[split] = {
            path.partition("/")[0] for each in records for path in each.identifier.split()
        }
    assert seen["train"] | seen["test"] == set(people) and not seen["train"] & seen["test"]
    # Of the others each is a class.
    alone = prepare(resolve("tfds:lfw"))
    assert alone.base == source.base and set(reader(alone).labels) == seen["train"]
    (first, *_) = records_of(alone, "train")
    stored = Path(source.base, first.identifier)
    assert stored.suffix == ".png" and first.features["image/encoded"] == stored.read_bytes()


def test_depth_in_metres_becomes_millimetres(data):
    written(
        "nyu_depth_v2", dict.fromkeys(("train", "validation"), examples_of("nyu_depth_v2")), data
    )
    (first, *_) = records_of(prepare(resolve("tfds:nyu_depth_v2")), "test")
    stored = to_example(first, Encoding()).features.feature["depth/encoded"].bytes_list.value[0]
    depth = np.asarray(Image.open(io.BytesIO(stored)))
    assert depth.shape == (480, 640)
    # TFDS keeps 16-bit floats: a part in 2,048.
    expected = np.linspace(500, 9500, 480 * 640).reshape(480, 640)
    np.testing.assert_allclose(depth, expected, rtol=1 / 2048, atol=0.51)


def test_the_frames_of_a_video_stay_encoded_and_in_order(data):
    written("ucf101", dict.fromkeys(("train", "test"), examples_of("ucf101")), data)
    record = records_of(prepare(resolve("tfds:ucf101")), "train")[0]
    frames = [
        np.asarray(Image.open(io.BytesIO(each))) for each in record.features["frames/encoded"]
    ]
    assert len(frames) == 2
    number = record.features["label"]
    for step, frame in enumerate(frames):
        # The builder says JPEG.
        difference = frame.astype(int) - photo((256, 256, 3), number + step)
        assert np.abs(difference).mean() < 8


def test_the_wanted_task_chooses_what_is_read(data):
    name = "oxford_iiit_pet"
    written(name, dict.fromkeys(("train", "test"), examples_of(name)), data)
    record = records_of(prepare(resolve(f"tfds:{name}", "segmentation")), "train")[0]
    assert set(record.features) == {"image/encoded", "segmentation/encoded"}
    with pytest.raises(SourceError, match="is data for classification and segmentation; needed is"):
        prepare(resolve(f"tfds:{name}", "detection"))


def test_an_image_without_a_label_is_a_dead_letter(data):
    unlabelled = [{**each, "label": -1} for each in examples_of("svhn_cropped")]
    splits = {"train": unlabelled, "test": examples_of("svhn_cropped")}
    written("svhn_cropped", splits, data)
    record = records_of(prepare(resolve("tfds:svhn_cropped")), "train")[0]
    with pytest.raises(ImageError, match="unknown label"):
        to_example(record, Encoding())


def test_classes_of_pixels_that_a_table_names(data):
    """ADE20K's annotations are grey PNGs, whatever the builder says of channels."""
    name = "scene_parse150"
    grey = (photo((None, None, 1), 0) > 99).astype(np.uint8)
    file = data / "grey.png"
    Image.fromarray(grey[..., 0]).save(file)
    examples = [{**each, "annotation": str(file)} for each in examples_of(name)]
    written(name, {"train": examples, "test": examples}, data)
    source = prepare(resolve(f"tfds:{name}"))
    assert source.task == "segmentation"
    features = to_example(records_of(source, "test")[0], Encoding()).features.feature
    stored = features["segmentation/encoded"].bytes_list.value[0]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(stored))), grey[..., 0])


def test_a_builder_that_makes_no_example_names_its_features():
    info = tfds.builder("titanic").info
    with pytest.raises(SourceError, match="tfds:titanic has no images with labels") as raised:
        tfds_roles.roles("titanic", info)
    assert "age: Tensor(shape=(), dtype=float32)" in str(raised.value)
    assert "survived: ClassLabel" in str(raised.value)
