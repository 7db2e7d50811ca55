"""Data sets of TFDS whose classes are people, as folders of people.

TFDS gives pictures in an order of its own, and pairs want any two of them at a time: so the
pictures, encoded as they are, are written once into the user's cache, a folder a person. A number
in a file's name is the place among the person's pictures in TFDS, not the one of the authors.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from components import user_cache
from components.ingest import images
from components.ingest.images import ImageError
from components.ingest.layouts import DESCRIPTION

# By the name of the builder, the features of the picture and of the person's name.
BUILDERS = {"lfw": ("image", "label")}
_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png"}


def folder_of(builder: Any) -> Path:
    """The folder of people of a prepared builder, one of `BUILDERS`; written where it is not there.

    Args:
      builder: tfds.core.DatasetBuilder.
    """
    folder = user_cache.folder("data") / f"{builder.name}-{builder.version}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as work:
            # Made whole beside its place: what is interrupted leaves nothing behind.
            made = Path(work) / folder.name
            made.mkdir()
            _write(builder, made)
            os.replace(made, folder)
    return folder


def _write(builder: Any, folder: Path) -> None:
    import tensorflow_datasets as tfds

    picture, person = BUILDERS[builder.name]
    decoders = {picture: tfds.decode.SkipDecoding()}
    dataset = builder.as_dataset(split="train", decoders=decoders, shuffle_files=False)
    numbers: Counter[str] = Counter()
    for found in tfds.as_numpy(dataset):
        name = found[person].decode().replace(os.sep, "_")
        numbers[name] += 1
        (folder / name).mkdir(exist_ok=True)
        path = folder / name / f"{name}_{numbers[name]:04d}{_suffix(found[picture])}"
        path.write_bytes(found[picture])
    (folder / DESCRIPTION).write_text(json.dumps({"people": {}}))


def _suffix(content: bytes) -> str:
    """That of the picture's format; of what is no picture that of JPEG: ingestion tells of it."""
    try:
        return _SUFFIXES[images.opened(content).format]
    except (ImageError, KeyError):
        return ".jpg"
