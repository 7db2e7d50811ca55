"""The IDX format of the MNIST files."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

_UNSIGNED_BYTE = 0x08


def read_idx(path: str | Path) -> np.ndarray:
    """Reads an IDX file of unsigned bytes, gzipped or not.

    The header is two zero bytes, the type, the number of dimensions, and each dimension as a
    big-endian 32-bit integer (Appendix of the MNIST page, "the IDX file format").

    Args:
      path: the file.

    Returns:
      uint8 array with the dimensions that the header gives.

    Raises:
      ValueError: the file is no IDX file of unsigned bytes, or not as long as its header says.
    """
    data = _content(Path(path))
    header = bytes(data[:4])
    if len(header) < 4 or header[:2] != b"\0\0" or header[2] != _UNSIGNED_BYTE:
        raise ValueError(f"{path}: no IDX file of unsigned bytes")
    dimensions = header[3]
    offset = 4 + 4 * dimensions
    shape = struct.unpack(f">{dimensions}I", bytes(data[4:offset]))
    values = np.frombuffer(data, np.uint8, offset=offset)
    if values.size != np.prod(shape):
        raise ValueError(f"{path}: {values.size} values where the header says {shape}")
    return values.reshape(shape)


def _content(path: Path) -> bytes | np.ndarray:
    with path.open("rb") as file:
        if file.read(2) == b"\x1f\x8b":
            return gzip.decompress(path.read_bytes())
    # Not read, but mapped: only the parts that are used take memory.
    return np.memmap(path, np.uint8, "r") if path.stat().st_size else b""


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
      ValueError: a file is missing or damaged, or the two differ in number.
    """
    files = {path.name: path for path in sorted(Path(folder).glob(pattern))}
    images = read_idx(_only(files, "images-idx", folder))
    labels = read_idx(_only(files, "labels-idx", folder))
    if len(images) != len(labels):
        raise ValueError(f"{folder}: {len(images)} images and {len(labels)} labels ({pattern})")
    return images, labels


def _only(files: dict[str, Path], part: str, folder: str | Path) -> Path:
    for name, path in files.items():
        if part in name:
            return path
    raise ValueError(f"{folder}: no {part} file")
