"""Points that are marked in pictures, in a table beside them: `keypoints.csv`.

    path,y1,x1,y2,x2
    Ann_Lee/Ann_Lee_0001.jpg,110.5,98,111,140.2

Rows and columns are in pixels, the first pixel's corner at 0. Imports nothing heavy.
"""

from __future__ import annotations

import csv
import functools
import math
import os
from typing import TYPE_CHECKING

from components.ingest import regular_files
from components.ingest.images import ImageError

if TYPE_CHECKING:
    from PIL import Image

FILE = "keypoints.csv"
_FIRST = "path"


def is_there(base: str) -> bool:
    """Whether a folder has a table."""
    return bool(_table(base))


def of(base: str, path: str, image: Image.Image) -> list[float] | None:
    """The points in a picture, y and x of each in 0..1; None where none are marked.

    Args:
      base: the folder with the table, if there is one.
      path: the picture's, below the folder.
      image: the picture.

    Raises:
      ImageError: its row is no row of points.
    """
    fields = _table(base).get(path)
    if fields is None:
        return None
    try:
        numbers = [float(each) for each in fields]
    except ValueError as error:
        raise ImageError(f"{FILE}: a point of {path} is no number") from error
    if len(numbers) % 2 or not all(map(math.isfinite, numbers)):
        raise ImageError(f"{FILE}: {path} has {len(numbers)} numbers, which are no points y, x")
    sides = (image.height, image.width) * (len(numbers) // 2)
    return [number / side for number, side in zip(numbers, sides, strict=True)]


@functools.lru_cache(maxsize=2)
def _table(base: str) -> dict[str, list[str]]:
    """The numbers of each row by its path; none without a table.

    Raises:
      SourceError: it cannot be read, or its first column is not `path`.
    """
    where = os.path.join(base, FILE)
    if not os.path.lexists(where):
        return {}
    rows = [row for row in csv.reader(regular_files.text_lines(where)) if row]
    if not rows or rows[0][0].strip() != _FIRST:
        raise regular_files.SourceError(f"{where}: the first line must be path,y1,x1,y2,x2,...")
    return {row[0].strip(): row[1:] for row in rows[1:]}


def check(base: str) -> None:
    """Reads the table, so that what is wrong with it is told before a run starts.

    Raises:
      SourceError: as of the table.
    """
    _table(base)
