"""What a folder of images is: recognised by the files in it, and checked before a run starts.

Imports nothing heavy, so that the command line can refuse bad data at once.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components import extras
from components.ingest import class_folders, features, lfw, people, regular_files, table
from components.ingest.class_folders import IMAGE_SUFFIXES
from components.ingest.labels import LABELS_FILE, listed_labels
from components.ingest.regular_files import SourceError
from components.ingest.walk import is_system

VIDEO_SUFFIXES = (".avi", ".mkv", ".mov", ".mp4", ".mpg", ".webm")
SPLITS = ("train", "test")
# The names under which the MNIST site published its files; Fashion-MNIST and others keep them.
IDX_PATTERNS = {"train": "train-*-ubyte*", "test": "t10k-*-ubyte*"}
CSV_FILE = "labels.csv"
# Says what a folder's files are where they do not say it themselves.
DESCRIPTION = "dataset.json"
# VOC's lists of what is for training and for the test, the first pair that is there.
_VOC_LISTS = (("trainval", "test"), ("train", "test"), ("train", "val"))
# What a folder of people is for: to tell them apart, and to compare them.
PEOPLE = ("classification", "verification")
# COCO's other files tell of the same images other things.
_COCO_OTHERS = ("captions_", "person_keypoints_", "image_info_", "panoptic_", "stuff_")


@dataclass(frozen=True)
class Source:
    """One data set.

    Attributes:
      kind: names the reader (`components.ingest.readers`).
      base: the folder that holds the files; for TFDS the prepared builder's folder, empty until
        `prepare` has run.
      patterns: file pattern below `base` by split; one pattern called `all` is split by content.
      name: the TFDS name.
      task: what its examples are for, one of `features.known_tasks()`;
        empty for a TFDS name until `prepare`.
      pattern: of one span of many, the path with {SPAN} and its like; `base` is the span's folder.
      span: its number; None for the newest there is when the pipeline runs.
    """

    kind: str
    base: str
    patterns: tuple[tuple[str, str], ...]
    name: str = ""
    task: str = "classification"
    pattern: str = ""
    span: int | None = None


def recognised(folder: Path) -> tuple[Source, tuple[str, ...]]:
    """The source in a folder, and every task that it serves, the source's own first.

    Raises:
      SourceError: the folder holds none, or one that cannot be used.
    """
    _check_case(folder)
    for kind, present, patterns, tasks_of in _LAYOUTS:
        if present(folder):
            served = tasks_of(folder)
            return Source(kind, str(folder), patterns(folder), task=served[0]), served
    raise SourceError(
        f"{folder}: no images; expected a folder per class that holds {', '.join(IMAGE_SUFFIXES)} "
        "files, or another layout of docs/data.md"
    )


def _check_case(folder: Path) -> None:
    """Checks that what is called as a file that we read is that file: Labels.csv is passed over.

    Raises:
      SourceError: a name in another case.
    """
    wanted = {
        name.lower(): name for name in (CSV_FILE, LABELS_FILE, DESCRIPTION, lfw.PAIRS, lfw.PEOPLE)
    }
    with os.scandir(folder) as entries:
        found = {entry.name for entry in entries if entry.name.lower() in wanted}
    for name in sorted(found):
        if (right := wanted[name.lower()]) not in found:
            raise SourceError(f"{folder / name}: not read under this name: call it {right}")


# A folder per class.


def _class_folders(folder: Path) -> tuple[tuple[str, str], ...]:
    class_folders.check(folder, IMAGE_SUFFIXES)
    return (("all", "*/*"),)


def _split_folders(folder: Path) -> tuple[tuple[str, str], ...]:
    found = class_folders.splits(folder)
    for name in (name for each in found.values() for name in each):
        _check_case(folder / name)
    class_folders.check_splits(folder, found)
    return class_folders.patterns(found)


def _video_folders(folder: Path) -> tuple[tuple[str, str], ...]:
    if importlib.util.find_spec("av") is None:
        raise SourceError(f"{folder}: reading videos needs {extras.command('video')}")
    class_folders.check(folder, VIDEO_SUFFIXES)
    description(folder, "video")
    return (("all", "*/*"),)


# IDX, as MNIST.


def idx_patterns(folder: Path) -> tuple[tuple[str, str], ...]:
    """The patterns of the two splits.

    Raises:
      SourceError: a file is missing.
    """
    for split, pattern in IDX_PATTERNS.items():
        found = [path.name for path in folder.glob(pattern)]
        for part in ("images-idx", "labels-idx"):
            if not any(part in name for name in found):
                raise SourceError(f"{folder}: no {part} file of the {split} split ({pattern})")
    return tuple(IDX_PATTERNS.items())


# A table of paths and labels.


def _csv_table(folder: Path) -> tuple[tuple[str, str], ...]:
    path = folder / CSV_FILE
    rows = _rows(path)
    classes = (row["label"] for row in rows if row["label"])
    class_folders.check_several(path, classes, listed_labels(folder))
    return _splits_of_rows(path, rows)


def _box_table(folder: Path) -> tuple[tuple[str, str], ...]:
    path = folder / CSV_FILE
    rows = _rows(path)
    if not any(row["label"] for row in rows) and not listed_labels(folder):
        raise SourceError(f"{path}: no row has a label")
    description(folder, "boxes")
    return _splits_of_rows(path, rows)


def _has_boxes(folder: Path) -> bool:
    return (folder / CSV_FILE).is_file() and table.has_boxes(folder / CSV_FILE)


def _rows(path: Path) -> list[Mapping[str, str]]:
    """The rows of a table; raises SourceError where there are none."""
    found = list(table.rows(path))
    rows = [row.values for row in found if not row.fault]
    if not rows:
        first = f"; line {found[0].line}: {found[0].fault}" if found else ""
        raise SourceError(f"{path}: no rows{first}")
    return rows


def _splits_of_rows(path: Path, rows: Sequence[Mapping[str, str]]) -> tuple[tuple[str, str], ...]:
    if "split" not in rows[0]:
        return (("all", CSV_FILE),)
    named = {row["split"] for row in rows}
    found = class_folders.split_names(named)
    for value in sorted(named.difference(*found.values())):
        if not class_folders.is_split_name(value):
            raise SourceError(
                f"{path}: the column split may hold train and test, or what folders of splits may "
                f"be called, not {value!r}"
            )
    if not found:
        raise SourceError(
            f"{path}: no row of the split train, or none of test; seen are "
            f"{', '.join(sorted(named))}"
        )
    return tuple((split, CSV_FILE) for split in SPLITS)


# What dataset.json says.


def description(folder: Path | str, kind: str) -> Any:
    """What a folder's `dataset.json` says, a model of `components.ingest.schemas`.

    Of a folder that has no such file, the defaults.

    Raises:
      SourceError: it is no JSON, has a key that this kind of source does not know, or a value that
        is not what its key takes.
    """
    from pydantic import ValidationError

    from components.ingest import schemas

    model = schemas.DESCRIPTIONS[kind]
    path = Path(folder) / DESCRIPTION
    if not os.path.lexists(path):
        return model()
    values = schemas.json_file(path)
    allowed = ", ".join(model.model_fields)
    if not isinstance(values, Mapping):
        raise SourceError(f"{path}: an object is expected, with {allowed}")
    for key in values:
        if key not in model.model_fields:
            raise SourceError(f"{path}: unknown key {key!r}; allowed are {allowed}")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise SourceError(f"{path}: {schemas.fault(error)}") from error


def _is_tfrecord(folder: Path) -> bool:
    return any(not is_system(path.name) for path in folder.glob("*.tfrecord*")) or (
        (folder / DESCRIPTION).is_file() and b"features" in (folder / DESCRIPTION).read_bytes()
    )


def _tfrecord_patterns(folder: Path) -> tuple[tuple[str, str], ...]:
    path = folder / DESCRIPTION
    values = description(folder, "tfrecord")
    if not values.features:
        raise SourceError(
            f"{folder}: TFRecords need a {DESCRIPTION} beside them that says what their features "
            'are called, such as {"files": {"all": "*.tfrecord"}, "features": {"image/encoded": '
            '"jpeg", "label": "class"}, "labels": ["cat", "dog"]}'
        )
    if set(values.files) not in ({"all"}, set(SPLITS)):
        raise SourceError(f"{path}: files must name a pattern for all, or for train and test")
    for split, pattern in values.files.items():
        if not tfrecord_files(folder, pattern):
            raise SourceError(f"{path}: no file of {split} matches {pattern}")
    known = features.known_tasks()
    if values.task not in known:
        raise SourceError(f"{path}: unknown task {values.task!r}; allowed are {', '.join(known)}")
    return tuple(
        (split, values.files[split]) for split in ("all", *SPLITS) if split in values.files
    )


def tfrecord_files(folder: Path | str, pattern: str) -> list[str]:
    """The files that a pattern of `dataset.json` matches, as paths below the folder.

    Raises:
      SourceError: it is no pattern, or one that leads out of the folder.
    """
    where = Path(folder) / DESCRIPTION
    if os.pardir in Path(pattern).parts or os.path.isabs(pattern):
        raise SourceError(f"{where}: a pattern out of the folder of the data: {pattern}")
    try:
        found = [path.relative_to(folder) for path in Path(folder).glob(pattern)]
    except (ValueError, NotImplementedError, IndexError, OSError) as error:
        raise SourceError(f"{where}: no pattern of files: {pattern!r}: {error}") from error
    found = [path for path in found if not any(map(is_system, path.parts))]
    return sorted(str(path) for path in found if str(path) != DESCRIPTION)


def _tfrecord_tasks(folder: Path) -> tuple[str, ...]:
    return (description(folder, "tfrecord").task,)


# People.


def _is_people(folder: Path) -> bool:
    path = folder / DESCRIPTION
    if not os.path.lexists(path):
        return False
    try:
        return b'"people"' in regular_files.read(path)
    except OSError as error:
        # Passed over, it would let a training see those who are for the test.
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error


def _people_patterns(folder: Path) -> tuple[tuple[str, str], ...]:
    said = description(folder, "people").people
    class_folders.check(folder, IMAGE_SUFFIXES)
    people.divided(class_folders.with_files(folder, IMAGE_SUFFIXES), said, str(folder))
    return tuple((split, "*/*") for split in SPLITS)


def _people_tasks(folder: Path) -> tuple[str, ...]:
    del folder
    return features.served(*(features.TRUTHS[each] for each in PEOPLE))


# VOC, COCO, pairs.


# What VOC's folders give, read in one of two ways.
_VOC_OBJECTS = ("objects/bbox", "objects/label")
_VOC_CLASS_MAPS = ("segmentation/encoded",)


def has_class_maps(task: str) -> bool:
    """Whether a task needs VOC's pictures of classes, and not its objects."""
    return set(_VOC_CLASS_MAPS) <= {*features.needed(task)}


def voc_lists(folder: Path | str, task: str) -> dict[str, str]:
    """The list of image names of each split, as paths below the folder; none where none is there.

    Training is on `trainval` where a labelled `test` is there, as in the papers on VOC 2007.
    """
    lists = os.path.join("ImageSets", "Segmentation" if has_class_maps(task) else "Main")
    for names in _VOC_LISTS:
        paths = [os.path.join(lists, f"{name}.txt") for name in names]
        if all((Path(folder) / path).is_file() for path in paths):
            return dict(zip(SPLITS, paths, strict=True))
    return {}


def _voc_patterns(folder: Path) -> tuple[tuple[str, str], ...]:
    if not (folder / "JPEGImages").is_dir():
        raise SourceError(f"{folder}: VOC annotations, and no folder JPEGImages beside them")
    if not any((folder / "Annotations").glob("*.xml")):
        raise SourceError(f"{folder / 'Annotations'}: no .xml file")
    if voc_lists(folder, "detection"):
        return tuple((split, "*/*") for split in SPLITS)
    return (("all", "*/*"),)


def _voc_tasks(folder: Path) -> tuple[str, ...]:
    has_classes = (folder / "SegmentationClass").is_dir()
    return features.served(_VOC_OBJECTS, *[_VOC_CLASS_MAPS] * has_classes)


def coco_files(folder: Path) -> dict[str, str]:
    """The annotation file of each split, or of `all`, as paths below the folder.

    Raises:
      SourceError: several files for one split.
    """
    names = sorted(path.name for path in (folder / "annotations").glob("*.json"))
    lower = {name: name.lower() for name in names if not is_system(name)}
    names = [name for name in lower if not lower[name].startswith(_COCO_OTHERS)]
    by_split = {
        "train": [name for name in names if "train" in lower[name]],
        "test": [name for name in names if "val" in lower[name] or "test" in lower[name]],
    }
    if len(names) == 1:
        by_split = {"all": names}
    for split, found in by_split.items():
        if len(found) != 1:
            raise SourceError(
                f"{folder / 'annotations'}: one .json file is expected for {split}, "
                f"found {', '.join(found) or 'none'}"
            )
    return {split: os.path.join("annotations", found[0]) for split, found in by_split.items()}


def _coco_patterns(folder: Path) -> tuple[tuple[str, str], ...]:
    return tuple((split, "*/*") for split in coco_files(folder))


def _lfw_patterns(folder: Path) -> tuple[tuple[str, str], ...]:
    return tuple(lfw.splits(folder).items())


def _lfw_tasks(folder: Path) -> tuple[str, ...]:
    del folder
    return features.served(*(features.TRUTHS[each] for each in reversed(PEOPLE)))


def _pair_patterns(folder: Path) -> tuple[tuple[str, str], ...]:
    for name in ("input", "target"):
        if not class_folders.holds(folder / name, IMAGE_SUFFIXES):
            raise SourceError(f"{folder / name}: no {', '.join(IMAGE_SUFFIXES)} files")
    return (("all", "*/*"),)


def _gives(*names: str) -> Callable[[Path], tuple[str, ...]]:
    """The tasks that examples with these features serve, whatever the folder."""
    return lambda folder: features.served(names)


# Kind; whether a folder is of it; its patterns, checked; what it is for. The first that fits.
_LAYOUTS: tuple[tuple[str, Callable, Callable, Callable], ...] = (
    ("idx", lambda f: any(f.glob(IDX_PATTERNS["train"])), idx_patterns, _gives("label")),
    ("tfrecord", _is_tfrecord, _tfrecord_patterns, _tfrecord_tasks),
    ("boxes", _has_boxes, _box_table, _gives("objects/bbox", "objects/label")),
    ("csv", lambda f: (f / CSV_FILE).is_file(), _csv_table, _gives("label")),
    ("voc", lambda f: any(f.glob("Annotations/*.xml")), _voc_patterns, _voc_tasks),
    (
        "coco",
        lambda f: any(f.glob("annotations/*.json")),
        _coco_patterns,
        _gives("objects/bbox", "objects/label", "objects/mask"),
    ),
    (
        "pairs",
        lambda f: (f / "input").is_dir() and (f / "target").is_dir(),
        _pair_patterns,
        _gives("target/encoded"),
    ),
    ("people", _is_people, _people_patterns, _people_tasks),
    ("lfw", lfw.is_there, _lfw_patterns, _lfw_tasks),
    (
        "splits",
        lambda f: bool(class_folders.splits(f)),
        _split_folders,
        _gives("label"),
    ),
    (
        "folder",
        lambda f: class_folders.holds(f, IMAGE_SUFFIXES),
        _class_folders,
        _gives("label"),
    ),
    (
        "video",
        lambda f: class_folders.holds(f, VIDEO_SUFFIXES),
        _video_folders,
        _gives("frames/encoded", "label"),
    ),
)
