"""The IDX format of the MNIST files."""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from components.ingest import regular_files
from components.ingest.regular_files import SourceError

_UNSIGNED_BYTE = 0x08
_MOST_DIMENSIONS = 4
# A gzipped file is unpacked into memory, whatever a few bytes of it unpack to.
_MOST_UNPACKED = 1 << 31


def read_idx(path: str | Path) -> np.ndarray:
    """Reads an IDX file of unsigned bytes, gzipped or not.

    The header is two zero bytes, the type, the number of dimensions, and each dimension as a
    big-endian 32-bit integer (Appendix of the MNIST page, "the IDX file format").

    Args:
      path: the file.

    Returns:
      uint8 array with the dimensions that the header gives.

    Raises:
      SourceError: the file cannot be read, is no IDX file of unsigned bytes, or is not as long as
        its header says; it is named.
    """
    try:
        with regular_files.opened(path) as file:
            is_packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if is_packed:
                with gzip.GzipFile(fileobj=file) as unpacked:
                    return _unpacked(path, unpacked)
            return _mapped(path, file)
    except (OSError, EOFError, zlib.error) as error:
        # An OSError's own text names the file once more.
        text = getattr(error, "strerror", None) or error
        raise SourceError(f"{path} cannot be read: {text}") from error


def _shape(path: str | Path, file: BinaryIO) -> tuple[int, ...]:
    """The dimensions; the file stands behind its header then."""
    header = file.read(4)
    if len(header) < 4 or header[:2] != b"\0\0" or header[2] != _UNSIGNED_BYTE:
        raise SourceError(f"{path}: no IDX file of unsigned bytes")
    dimensions = header[3]
    if not 1 <= dimensions <= _MOST_DIMENSIONS:
        raise SourceError(f"{path}: {dimensions} dimensions, 1 to {_MOST_DIMENSIONS} are read")
    sizes = file.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise SourceError(f"{path}: ends inside its header")
    return struct.unpack(f">{dimensions}I", sizes)


def _mapped(path: str | Path, file: BinaryIO) -> np.ndarray:
    """Not read, but mapped: only the parts that are used take memory."""
    shape = _shape(path, file)
    size = os.fstat(file.fileno()).st_size - file.tell()
    if size != math.prod(shape):
        raise SourceError(f"{path}: {size} values where the header says {shape}")
    return np.memmap(file, np.uint8, "r", file.tell(), shape) if size else np.empty(shape, np.uint8)


def _unpacked(path: str | Path, file: BinaryIO) -> np.ndarray:
    shape = _shape(path, file)
    size = math.prod(shape)
    if size > _MOST_UNPACKED:
        raise SourceError(
            f"{path}: {size:,} bytes when unpacked, more than {_MOST_UNPACKED:,}: unpack it "
            "(gunzip), then it is not read into memory as a whole"
        )
    values = np.empty(size, np.uint8)
    found = 0
    while found < size and (count := file.readinto(memoryview(values)[found:])):
        found += count
    if found < size or file.read(1):
        more = "more" if found == size else found
        raise SourceError(f"{path}: {more} values where the header says {shape}")
    return values.reshape(shape)


def write_idx(path: str | Path, values: np.ndarray) -> None:
    """Writes uint8 values as an IDX file, not gzipped."""
    header = struct.pack(f">4B{values.ndim}I", 0, 0, _UNSIGNED_BYTE, values.ndim, *values.shape)
    with open(path, "wb") as file:
        file.write(header)
        file.write(np.ascontiguousarray(values, np.uint8).tobytes())


def read_split(folder: str | Path, pattern: str) -> tuple[np.ndarray, np.ndarray]:
    """The split whose files match `pattern`.

    Returns:
      images uint8 [N, H, W] or [N, H, W, 3], and labels uint8 [N].

    Raises:
      SourceError: a file is missing or damaged, is of other dimensions or without values, or the
        two differ in number.
    """
    files = {path.name: path for path in sorted(Path(folder).glob(pattern))}
    images = _checked(_only(files, "images-idx", folder), "[N, H, W] or [N, H, W, 3]", _is_images)
    labels = _checked(_only(files, "labels-idx", folder), "[N]", _is_labels)
    if len(images) != len(labels):
        raise SourceError(f"{folder}: {len(images)} images and {len(labels)} labels ({pattern})")
    return images, labels


def _checked(path: Path, what: str, fits: Callable[[tuple[int, ...]], bool]) -> np.ndarray:
    """The array of a file, of a shape that fits."""
    values = read_idx(path)
    if not values.size:
        raise SourceError(f"{path}: no values: its dimensions are {values.shape}")
    if not fits(values.shape):
        raise SourceError(f"{path}: {what} is expected, and its dimensions are {values.shape}")
    return values


def _is_images(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)


def _is_labels(shape: tuple[int, ...]) -> bool:
    return len(shape) == 1


def _only(files: dict[str, Path], part: str, folder: str | Path) -> Path:
    for name, path in files.items():
        if part in name:
            return path
    raise SourceError(f"{folder}: no {part} file")
