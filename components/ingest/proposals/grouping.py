"""Hierarchical grouping of the regions of a segmentation (Uijlings et al. 2013, section 3.1)."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage


@dataclass(frozen=True)
class Regions:
    """The R regions of a segmentation.

    Attributes:
      histograms: float32 [R, B], the features whose intersections are compared, of each kind the
        bins of a region add up to 1.
      sizes: float64 [R], in pixels.
      boxes: int64 [R, 4], ymin, xmin, ymax, xmax in pixels, the last two exclusive.
      neighbours: int64 [P, 2], the pairs of regions that touch, each once.
      pixels: of the whole picture.
    """

    histograms: np.ndarray
    sizes: np.ndarray
    boxes: np.ndarray
    neighbours: np.ndarray
    pixels: int


def boxes_of(labels: np.ndarray) -> np.ndarray:
    """The box of each region of int64 [H, W] with numbers 0..R-1: int64 [R, 4]."""
    found = ndimage.find_objects(labels + 1)
    return np.array([(y.start, x.start, y.stop, x.stop) for y, x in found], np.int64)


def neighbours_of(labels: np.ndarray) -> np.ndarray:
    """The pairs of regions that share a side of a pixel: int64 [P, 2], ascending."""
    count = labels.max() + 1
    keys = []
    for one, other in ((labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])):
        differ = one != other
        low, high = np.minimum(one, other)[differ], np.maximum(one, other)[differ]
        keys.append(low * count + high)
    return np.stack(np.divmod(np.unique(np.concatenate(keys)), count), axis=1)


def grouped(regions: Regions) -> np.ndarray:
    """Merges the two most similar neighbours until one region is left.

    The similarity of two regions is the sum of the intersections of their histograms (equations 1
    and 3), of how small both are (4) and of how well they fit into each other (5).

    Returns:
      int64 [R - 1, 4], the box of each merged region in the order of merging.
    """
    count = len(regions.sizes)
    merged = _Merged(regions)
    pairs = regions.neighbours
    values = merged.similarity(pairs[:, 0], pairs[:, 1])
    heap = [(-value, *pair) for value, pair in zip(values.tolist(), pairs.tolist(), strict=True)]
    heapq.heapify(heap)
    near: list[set[int]] = [set() for _ in range(2 * count - 1)]
    for one, other in pairs.tolist():
        near[one].add(other)
        near[other].add(one)
    alive = [True] * count + [False] * (count - 1)
    for new in range(count, 2 * count - 1):
        _, one, other = heapq.heappop(heap)
        while not (alive[one] and alive[other]):
            _, one, other = heapq.heappop(heap)
        merged.merge(one, other, new)
        alive[one] = alive[other] = False
        alive[new] = True
        around = (near[one] | near[other]) - {one, other}
        near[new] = around
        for each in around:
            near[each] -= {one, other}
            near[each].add(new)
        # In this order equal similarities are found in the same order on every machine.
        others = sorted(around)
        for value, each in zip(merged.similarity_to(new, others), others, strict=True):
            heapq.heappush(heap, (-value, each, new))
    return merged.boxes[count:]


class _Merged:
    """The regions with room for those that are made of them, by their numbers."""

    def __init__(self, regions: Regions) -> None:
        count = len(regions.sizes)
        room = 2 * count - 1
        self.histograms = np.zeros((room, regions.histograms.shape[1]), np.float32)
        self.histograms[:count] = regions.histograms
        self.sizes = np.zeros(room)
        self.sizes[:count] = regions.sizes
        self.boxes = np.zeros((room, 4), np.int64)
        self.boxes[:count] = regions.boxes
        self.pixels = regions.pixels

    def similarity(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Of each pair, float64 [P]."""
        common = np.minimum(self.histograms[one], self.histograms[other]).sum(axis=1)
        boxes, others = self.boxes[one], self.boxes[other]
        low = np.minimum(boxes[..., :2], others[..., :2])
        high = np.maximum(boxes[..., 2:], others[..., 2:])
        area = np.prod(high - low, axis=-1)
        # Of (1 - sizes / pixels) + (1 - (area - sizes) / pixels) the sizes cancel.
        return common.astype(np.float64) + 2 - area / self.pixels

    def similarity_to(self, one: int, others: Sequence[int]) -> list[float]:
        """Of one region to each of the others."""
        return self.similarity(one, np.array(others, np.int64)).tolist()

    def merge(self, one: int, other: int, new: int) -> None:
        """The features of a merged region follow from those of its parts (section 3.2)."""
        self.sizes[new] = self.sizes[one] + self.sizes[other]
        share = np.float32(self.sizes[one] / self.sizes[new])
        parts = self.histograms[one], self.histograms[other]
        self.histograms[new] = share * parts[0] + (1 - share) * parts[1]
        self.boxes[new, :2] = np.minimum(self.boxes[one, :2], self.boxes[other, :2])
        self.boxes[new, 2:] = np.maximum(self.boxes[one, 2:], self.boxes[other, 2:])
