"""A table of boxes: a row for each object, and one for each image without any."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from typing import Any

from components.ingest import images, table
from components.ingest.class_folders import split_names
from components.ingest.contract import DeadLetter, Record
from components.ingest.images import ImageError
from components.ingest.labels import in_order, listed_labels
from components.ingest.layouts import CSV_FILE, description
from components.ingest.readers import files
from components.ingest.sources import Source


class BoxTableReader:
    """Reads the images that the rows of BASE/labels.csv name, each with the boxes of its rows.

    A piece is an image: JSON of its path and of its rows, a line with label and box each; or a line
    that is no row, with what is wrong with it. A row without label and box is one of an image
    without objects.
    """

    piece_records = 1

    def __init__(self, source: Source) -> None:
        self._base = source.base
        self._table = os.path.join(source.base, CSV_FILE)
        self._first_split = source.patterns[0][0]
        self._fractions = description(source.base, "boxes").boxes == "fractions"
        rows = [row.values for row in table.rows(self._table) if not row.fault]
        self.labels = listed_labels(source.base) or in_order({row["label"] for row in rows} - {""})
        found = split_names({row.get("split", "") for row in rows})
        self._splits = {value: split for split, values in found.items() for value in values}
        self._numbers = {name: number for number, name in enumerate(self.labels)}

    def roots(self, split: str) -> list[str]:
        return [split]

    def pieces(self, root: str) -> Iterator[str]:
        found: dict[str, list[list[Any]]] = {}
        splits: dict[str, str] = {}
        for row in table.rows(self._table):
            values = row.values
            path = "" if row.fault else values["path"]
            # Of a line that is no row nobody knows the split, nor the image.
            split = values.get("split", "") if path else self._first_split
            split = self._splits.get(split, split)
            fault = row.fault or ("" if path else "no path in the row")
            if path and splits.setdefault(path, split) != split:
                fault = f"line {row.line}: the image is of another split before"
            if fault and not path:
                if split in (root, ""):
                    yield json.dumps({"line": row.line, "fault": fault})
                continue
            box = [values[side] for side in table.BOX]
            found.setdefault(path, []).append([row.line, values["label"], box, fault])
        for path, rows in found.items():
            if splits[path] in (root, ""):
                yield json.dumps({"path": path, "rows": rows})

    def load(self, piece: str) -> Iterator[Record | DeadLetter]:
        found = json.loads(piece)
        if "fault" in found:
            yield DeadLetter(f"{CSV_FILE}, line {found['line']}", found["fault"])
            return
        path = found["path"]
        try:
            features = self._features(path, found["rows"])
        except ImageError as error:
            yield DeadLetter(path, str(error))
            return
        yield Record(path, features)

    def _features(self, path: str, rows: list[list[Any]]) -> dict[str, Any]:
        image = files.content(self._base, path)
        found = [each for row in rows if (each := self._object(*row))]
        if found and len(found) < len(rows):
            raise ImageError("one of its rows says that it has no objects, and others have some")
        boxes, labels = [box for box, _ in found], [label for _, label in found]
        if not self._fractions:
            width, height = images.opened(image).size
            files.check_pixels([(right, bottom) for _, _, bottom, right in boxes], width, height)
            boxes = [
                (top / height, left / width, bottom / height, right / width)
                for top, left, bottom, right in boxes
            ]
        return {
            "image/encoded": image,
            "objects/bbox": [side for box in boxes for side in box],
            "objects/label": labels,
            "objects/label/text": [self.labels[label] for label in labels],
        }

    def _object(
        self, line: int, label: str, box: list[str], fault: str
    ) -> tuple[tuple[float, ...], int] | None:
        """Box and class of a row; None of one that says that there is no object."""
        if fault:
            raise ImageError(fault)
        if not label and not any(box):
            return None
        if label not in self._numbers:
            named = f"unknown label: labels.txt has no {label!r}" if label else "no label"
            raise ImageError(f"line {line}: {named}")
        return tuple(_number(line, *each) for each in zip(table.BOX, box, strict=True)), (
            self._numbers[label]
        )


def _number(line: int, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ImageError(f"line {line}: {name} should be a number, not {text!r}")
    return value
