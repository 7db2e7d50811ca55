"""Files that readers open."""

from __future__ import annotations

import os
from collections.abc import Sequence

from components.ingest import regular_files
from components.ingest.images import ImageError


def content(base: str, path: str) -> bytes:
    """The bytes of a file below a folder.

    Raises:
      ImageError: it cannot be read, or its name leads out of the folder. A link that lies in the
        folder may lead anywhere: whoever has the folder has put it there.
    """
    try:
        return regular_files.read(inside(base, path))
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}") from error


def inside(base: str, path: str) -> str:
    """Where a file is that a table, a list or an annotation names, relative to its folder.

    Raises:
      ImageError: it is no name of a file, or one outside of the folder.
    """
    if "\0" in path or not _is_encodable(path):
        raise ImageError(f"no name of a file: {path!r}")
    if os.path.isabs(path):
        raise ImageError(f"an absolute path: {path}: paths start at the folder of the data")
    plain = os.path.normpath(path)
    if plain.split(os.sep, 1)[0] == os.pardir:
        raise ImageError(
            f"a path out of the folder of the data: {path}: put the files, or a link to their "
            "folder, into it"
        )
    return os.path.join(base, plain)


def check_pixels(corners: Sequence[tuple[float, float]], width: int, height: int) -> None:
    """Checks that the boxes of an image are in pixels, not in shares of its sides.

    Args:
      corners: x and y of each box's right lower corner, in pixels.
      width: that of the image, in pixels.
      height: likewise.

    Raises:
      ImageError: all boxes lie within the first pixel of an image that has more.
    """
    if corners and max(map(max, corners)) <= 1 < min(width, height):
        raise ImageError(
            f"its boxes lie within 0..1, and the image has {width} x {height} pixels: boxes are "
            "expected in pixels, these seem to be shares of the image's sides"
        )


def _is_encodable(path: str) -> bool:
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return False
    return True
