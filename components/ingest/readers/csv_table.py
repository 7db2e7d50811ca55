"""A table of image files and their labels."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

from components.ingest.contract import DeadLetter, Record
from components.ingest.images import ImageError
from components.ingest.layouts import CSV_FILE, csv_rows
from components.ingest.readers import files
from components.ingest.sources import Source


class CsvReader:
    """Reads the files that BASE/labels.csv names, relative to BASE.

    A piece is a row: JSON of its line, path and label.
    """

    piece_records = 1

    def __init__(self, source: Source) -> None:
        self._base = source.base
        self._table = os.path.join(source.base, CSV_FILE)
        self.labels = files.listed_labels(source.base) or files.in_order(
            {row["label"] for row in csv_rows(self._table) if row["label"]}
        )
        self._numbers = {name: number for number, name in enumerate(self.labels)}

    def roots(self, split: str) -> list[str]:
        return [split]

    def pieces(self, root: str) -> Iterator[str]:
        for number, row in enumerate(csv_rows(self._table), 1):
            if row.get("split", root) == root:
                yield json.dumps([number, row["path"], row["label"]])

    def load(self, piece: str) -> Iterator[Record | DeadLetter]:
        number, path, label = json.loads(piece)
        identifier = path or f"{CSV_FILE}, row {number}"
        try:
            self._check(path, label)
            image = files.content(self._base, path)
        except ImageError as error:
            yield DeadLetter(identifier, str(error))
            return
        features = {"image/encoded": image, "label": self._numbers[label], "label/text": label}
        yield Record(identifier, features)

    def _check(self, path: str, label: str) -> None:
        if not path:
            raise ImageError("no path in the row")
        if os.path.isabs(path):
            raise ImageError(f"an absolute path: paths start where {CSV_FILE} is")
        if not label:
            raise ImageError("no label in the row")
        if label not in self._numbers:
            raise ImageError(f"unknown label: labels.txt has no {label!r}")
