"""Which images show the same: perceptual hashes, and the search for those that lie close.

Equal files have equal SHA-256 sums; a file that was stored anew, in another size or quality, has
not, but its perceptual hash stays within a few bits.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

# ITU-R BT.601, as Pillow makes grey of colour.
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_GRID = 32
# Zauner's 64 bits tell photographs apart, and not digits: of MNIST's 10,000 test images 6 % have
# all 64 in common with a training image. Four times as many do.
_SIDE = 16
# Coefficients closer than this many grey levels are equal: below it lies rounding alone.
_DECIMALS = 3
_BAND_BITS = 16
_BANDS = _SIDE * _SIDE // _BAND_BITS
# Two hashes no further apart than this are equal in one band at least. Storing an image anew (JPEG
# of quality 75, half the size, a tenth brighter) turns 0 to 3 bits of a photograph's, and fewer
# than this of nearly all of CIFAR-10 and MNIST.
NEAR = _BANDS - 1
_CANDIDATES = 1_000_000
_ONES = np.array([bin(value).count("1") for value in range(1 << _BAND_BITS)], np.uint8)


def look(image: bytes | np.ndarray) -> tuple[int, float]:
    """The perceptual hash and the mean grey level (0 to 255) of an image.

    Args:
      image: a PNG or JPEG file that can be decoded, or its pixels as `perceptual_hash` takes them.
    """
    if isinstance(image, bytes):
        opened = Image.open(io.BytesIO(image), formats=("PNG", "JPEG"))
        # A large JPEG is decoded at a half, a quarter or an eighth of its size.
        opened.draft("L", (4 * _GRID, 4 * _GRID))
        image = np.asarray(opened if opened.mode == "L" else opened.convert("L"))
    low = _low_frequencies(image)
    # The first coefficient is the mean of the grid's cells, each of the same area.
    return _bits(low), float(low[0])


def perceptual_hash(pixels: np.ndarray) -> int:
    """The DCT hash of an image: which of its 256 lowest frequencies are above their median.

    Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010, section
    3.2.1: the image in grey on a grid of 32 x 32, its cosine transform, a bit a coefficient; here
    of 16 x 16 coefficients in the place of 8 x 8.

    Args:
      pixels: uint8 [H, W], [H, W, 1] or [H, W, 3].

    Returns:
      256 bits; those of two images of the same differ in a few, those of others in about half.

    Raises:
      ValueError: no image of one or three channels.
    """
    return _bits(_low_frequencies(pixels))


def _low_frequencies(pixels: np.ndarray) -> np.ndarray:
    """The 256 coefficients [256] float32; the first is the mean grey level."""
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if not pixels.size or (pixels.ndim != 2 and pixels.shape[2:] != (3,)):
        raise ValueError(f"pixels must be [H, W] or [H, W, 3], not {list(pixels.shape)}")
    rows, columns = _frequencies(pixels.shape[0]), _frequencies(pixels.shape[1])
    if pixels.ndim == 3:
        # The rows shrink first, so that colours are mixed in few of them.
        shrunk = rows @ pixels.reshape(len(pixels), -1).astype(np.float32)
        low = shrunk.reshape(len(rows), -1, 3) @ _LUMA
    else:
        low = rows @ pixels.astype(np.float32)
    return (low @ columns.T).round(_DECIMALS).ravel()


def _bits(low: np.ndarray) -> int:
    ordered = np.sort(low)
    median = (ordered[low.size // 2 - 1] + ordered[low.size // 2]) / 2
    return int.from_bytes(np.packbits(low > median).tobytes(), "big")


@functools.lru_cache(maxsize=4096)
def _frequencies(length: int) -> np.ndarray:
    """[16, length]: means on the grid, then the lowest cosines of the DCT-II, as one product."""
    edges = np.arange(_GRID + 1) * length / _GRID
    places = np.arange(length)
    covered = np.minimum(edges[1:, None], places + 1) - np.maximum(edges[:-1, None], places)
    means = np.clip(covered, 0, None) * _GRID / length
    angles = np.pi / _GRID * (np.arange(_GRID) + 0.5) * np.arange(_SIDE)[:, None]
    return (np.cos(angles) @ means / _GRID).astype(np.float32)


def near_duplicates(
    hashes_a: Sequence[int], hashes_b: Sequence[int], distance: int = NEAR
) -> list[tuple[int, int, int]]:
    """For each hash of `a` its nearest in `b`, where that differs in `distance` bits at most.

    Multi-index hashing (Norouzi, Punjani, Fleet, Fast Search in Hamming Space with Multi-Index
    Hashing, 2012): hashes are cut into 16 bands, of which one at least is equal in those so close,
    so that only hashes that share a band are compared, and not all with all.

    Args:
      hashes_a, hashes_b: of `perceptual_hash`.
      distance: bits, 0 to `NEAR`.

    Returns:
      (place in `a`, place in `b`, bits apart), in the order of `a`, one for each that has a match.

    Raises:
      ValueError: a distance above `NEAR`.
    """
    if not 0 <= distance <= NEAR:
        raise ValueError(f"distance must be 0 to {NEAR} bits, not {distance}")
    bands_a, places_a = _unique(hashes_a)
    bands_b, places_b = _unique(hashes_b)
    nearest = np.full(len(bands_a), distance + 1)
    match = np.zeros(len(bands_a), np.int64)
    for queries, found in _candidates(bands_a, bands_b):
        apart = _ONES[bands_a[queries] ^ bands_b[found]].sum(axis=1, dtype=np.int64)
        close = np.flatnonzero(apart < nearest[queries])
        close = close[np.lexsort((found[close], apart[close], queries[close]))]
        changed, first = np.unique(queries[close], return_index=True)
        nearest[changed], match[changed] = apart[close[first]], found[close[first]]
    pairs = [
        (place, places_b[match[unique]][0], int(nearest[unique]))
        for unique in np.flatnonzero(nearest <= distance)
        for place in places_a[unique]
    ]
    return sorted(pairs)


def _unique(hashes: Sequence[int]) -> tuple[np.ndarray, list[list[int]]]:
    """The distinct hashes as uint16 [N, 16], and the places of each.

    A thousand black images would otherwise be compared with a thousand others.
    """
    places: dict[int, list[int]] = {}
    for place, value in enumerate(hashes):
        places.setdefault(value, []).append(place)
    data = b"".join(value.to_bytes(2 * _BANDS, "big") for value in places)
    return np.frombuffer(data, ">u2").astype(np.uint16).reshape(-1, _BANDS), list(places.values())


def _candidates(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of `a` and rows of `b` that have a band in common, some at a time."""
    values = np.arange((1 << _BAND_BITS) + 1)
    for band in range(_BANDS):
        order = np.argsort(b[:, band], kind="stable")
        bounds = np.searchsorted(b[order, band], values)
        wanted = a[:, band].astype(np.int64)
        begin, sizes = bounds[wanted], bounds[wanted + 1] - bounds[wanted]
        for part in _parts(sizes):
            queries = np.repeat(np.arange(part.start, part.stop), sizes[part])
            skipped = np.cumsum(sizes[part]) - sizes[part]
            offsets = np.arange(len(queries)) - np.repeat(skipped, sizes[part])
            yield queries, order[np.repeat(begin[part], sizes[part]) + offsets]


def _parts(sizes: np.ndarray) -> Iterator[slice]:
    """Runs of queries with about `_CANDIDATES` candidates together, to bound the memory."""
    ends = np.cumsum(sizes)
    start = 0
    while start < len(sizes):
        reached = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, reached + _CANDIDATES, "right")), start + 1)
        if ends[stop - 1] > reached:
            yield slice(start, stop)
        start = stop
