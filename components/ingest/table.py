"""The table of image files and their labels, `labels.csv`.

A row is a line: an unclosed quote would else take the rows that follow it into one field, without
a word. What is no row is given all the same, with what is wrong with it. Imports nothing heavy.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from components.ingest import regular_files
from components.ingest.regular_files import SourceError

_MOST_CHARACTERS = 1 << 20  # of a line
# Of a table of boxes, a row for each.
BOX = ("ymin", "xmin", "ymax", "xmax")
_KNOWN = ("path", "label", "split", *BOX)


@dataclass(frozen=True)
class Row:
    """A line of the table after the first, blank ones left out.

    Attributes:
      line: its number in the file, counted from 1.
      values: by column; "" where the line has none.
      fault: why it is no row, "" where it is one.
    """

    line: int
    values: Mapping[str, str]
    fault: str = ""


def rows(path: Path | str) -> Iterator[Row]:
    """The rows of a `labels.csv`: `path`, `label` and, where the file has them, `split` and `BOX`.

    Args:
      path: the file; its first line names the columns.

    Raises:
      SourceError: it cannot be read, a column is missing or there twice, or it is no UTF-8 text.
    """
    try:
        with regular_files.opened(path) as file, io.TextIOWrapper(file, "utf-8-sig") as text:
            lines = _lines(text)
            columns = _columns(path, next(lines, (1, ""))[1])
            for number, line in lines:
                yield _row(number, line, columns)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: no UTF-8 text: {error}") from error


def has_boxes(path: Path | str) -> bool:
    """Whether a table has the columns of boxes.

    Raises:
      SourceError: as `rows`; or it has some of them only.
    """
    try:
        with regular_files.opened(path) as file, io.TextIOWrapper(file, "utf-8-sig") as text:
            columns = _columns(path, next(_lines(text), (1, ""))[1])
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: no UTF-8 text: {error}") from error
    missing = [name for name in BOX if name not in columns]
    if 0 < len(missing) < len(BOX):
        raise SourceError(
            f"{path}: no column {' and '.join(missing)}; a table of boxes has "
            f"path,label,{','.join(BOX)}"
        )
    return not missing


def _lines(text: io.TextIOBase) -> Iterator[tuple[int, str | None]]:
    """Number and text of each line that is not blank; None for one that is far too long."""
    number = 0
    while line := text.readline(_MOST_CHARACTERS):
        number += 1
        is_whole = len(line) < _MOST_CHARACTERS or line.endswith("\n")
        while len(line) == _MOST_CHARACTERS and not line.endswith("\n"):
            line = text.readline(_MOST_CHARACTERS)
        if not is_whole:
            yield number, None
        elif line.strip():
            yield number, line


def _columns(path: Path | str, line: str | None) -> list[str]:
    fields, fault = _fields(line)
    if fault:
        raise SourceError(f"{path}: the first line names no columns: {fault}")
    columns = [name.strip() for name in fields]
    found = ", ".join(columns) or "nothing"
    if missing := {"path", "label"} - set(columns):
        raise SourceError(
            f"{path}: no column {' and '.join(sorted(missing))}; the first line must be "
            f"path,label or path,label,split, and has {found}"
        )
    if any(columns.count(name) > 1 for name in _KNOWN):
        raise SourceError(f"{path}: the first line names a column twice: {found}")
    return columns


def _row(number: int, line: str | None, columns: list[str]) -> Row:
    fields, fault = _fields(line)
    if not fault and any(field.strip() for field in fields[len(columns) :]):
        fault = (
            f"{len(fields)} fields, and the first line names {len(columns)}: a field with a comma "
            'stands in quotes, as "a, b.png"'
        )
    fields += [""] * (len(columns) - len(fields))
    values = {name: field.strip() for name, field in zip(columns, fields, strict=False)}
    return Row(number, values, fault)


def _fields(line: str | None) -> tuple[list[str], str]:
    """The fields of one line, or what is wrong with it."""
    if line is None:
        return [], f"more than {_MOST_CHARACTERS:,} characters"
    if "\0" in line:
        return [], "a zero byte"
    try:
        # A quote after ", " opens a field, too: else it would be a part of the label.
        return next(csv.reader([line.rstrip("\n")], strict=True, skipinitialspace=True), []), ""
    except csv.Error as error:
        is_open = "unexpected end" in str(error)
        return [], "a quote that is not closed in its line" if is_open else str(error)
