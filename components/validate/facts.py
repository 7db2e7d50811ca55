"""The facts that ingestion leaves beside examples, as one table."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

import pandas as pd
from tfx.dsl.io import fileio

from components import examples
from components.globs import escape

# What of an example's line in `facts/*.jsonl` is looked at.
COLUMNS = ("id", "split", "label", "classes", "sha256", "likeness", "height", "width", "brightness")


def read(uri: str) -> pd.DataFrame:
    """The facts of an Examples artifact, a row an example.

    Returns:
      The columns `COLUMNS`: texts, but `height`, `width` (pixels) and `brightness` (mean grey
      level, 0 to 255) are numbers and `likeness` a hash of 256 bits. `label` is the name of
      the class, or None throughout where the task has none; `classes`, a tuple, are the names of
      the classes of an image's objects or pixels, or None throughout.
    """
    names = examples.label_names(uri)
    rows = []
    for path in sorted(fileio.glob(os.path.join(escape(uri), "facts", "*.jsonl"))):
        with fileio.open(path, "rb") as file:
            for line in file.read().decode("utf-8").splitlines():
                fact = json.loads(line)
                rows.append([fact.get(column) for column in COLUMNS])
    table = pd.DataFrame(rows, columns=COLUMNS, dtype=object)
    table["label"] = [None if label is None else names[label] for label in table["label"]]
    table["classes"] = [_names(classes, names) for classes in table["classes"]]
    return table.astype({"height": int, "width": int, "brightness": float})


def _names(classes: Sequence[int] | None, names: Sequence[str]) -> tuple[str, ...] | None:
    """Numbers without a name, such as VOC's 255 of pixels that are not counted, are no classes."""
    if classes is None:
        return None
    if not names:
        return tuple(map(str, classes))
    return tuple(names[number] for number in classes if number < len(names))


def window(newest: pd.DataFrame, others: Sequence[str]) -> pd.DataFrame:
    """The facts of a window of spans: all training, and the newest's test.

    Args:
      newest: the facts of the newest span.
      others: the Examples artifacts of the others.
    """
    tables = (read(uri) for uri in others)
    return pd.concat([newest, *(table[table["split"] == "train"] for table in tables)])
