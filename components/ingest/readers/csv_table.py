"""A table of image files and their labels."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

from components.ingest import table
from components.ingest.class_folders import split_names
from components.ingest.contract import DeadLetter, Record
from components.ingest.images import ImageError
from components.ingest.labels import in_order, listed_labels
from components.ingest.layouts import CSV_FILE
from components.ingest.readers import files
from components.ingest.sources import Source


class CsvReader:
    """Reads the files that BASE/labels.csv names, relative to BASE.

    A piece is a row: JSON of its line, path, label, and what is wrong with it.
    """

    piece_records = 1

    def __init__(self, source: Source) -> None:
        self._base = source.base
        self._table = os.path.join(source.base, CSV_FILE)
        self._first_split = source.patterns[0][0]
        rows = [row.values for row in table.rows(self._table) if not row.fault]
        self.labels = listed_labels(source.base) or in_order({row["label"] for row in rows} - {""})
        found = split_names({row.get("split", "") for row in rows})
        self._splits = {value: split for split, values in found.items() for value in values}
        self._numbers = {name: number for number, name in enumerate(self.labels)}

    def roots(self, split: str) -> list[str]:
        return [split]

    def pieces(self, root: str) -> Iterator[str]:
        for row in table.rows(self._table):
            # Of a line that is no row nobody knows the split.
            split = self._first_split if row.fault else row.values.get("split", "")
            if self._splits.get(split, split) in (root, ""):
                yield json.dumps([row.line, row.values["path"], row.values["label"], row.fault])

    def load(self, piece: str) -> Iterator[Record | DeadLetter]:
        line, path, label, fault = json.loads(piece)
        place = f"{CSV_FILE}, line {line}"
        try:
            if fault:
                raise ImageError(fault)
            self._check(path, label)
            image = files.content(self._base, path)
        except ImageError as error:
            yield DeadLetter(place if fault or not path else path, str(error))
            return
        features = {"image/encoded": image, "label": self._numbers[label], "label/text": label}
        yield Record(path, features)

    def _check(self, path: str, label: str) -> None:
        if not path:
            raise ImageError("no path in the row")
        if not label:
            raise ImageError("no label in the row")
        if label not in self._numbers:
            raise ImageError(f"unknown label: labels.txt has no {label!r}")
