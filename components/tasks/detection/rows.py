"""The columns of the metrics' rows: of a picture, of an object, and of a detection.

| | 0 | 1 | 2 | 3 | 4 | 5 to 8 | 9 to 12 |
|---|---|---|---|---|---|---|---|
| picture | 0 | its quality, 0..1 | error of localisation | | | | |
| object | 1 | class | not counted (1) | found (1) | COCO's sizes that it is no object of | | |
| detection | 2 | class | score | place in picture and class | VOC's rules | found | not counted |

and the last of a detection how it is wrong. Sizes and overlaps are bits of whole numbers: of an
object the bit 2^a is that of COCO's size a; of a detection column 5 + a is of size a, 9 + a the
same of not being counted, and their bit 2^t is that of the overlap t. The rows of a picture follow
the picture's own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from components.tasks.detection.matching import COCO_AREAS, COCO_OVERLAPS

KIND = 0
PICTURE, TRUTH, DETECTION = 0, 1, 2
WIDTH = 14
AREA_NAMES = ("all", "small", "medium", "large")
# How a detection is wrong.
RIGHT, LOCALIZATION, CONFUSION, BACKGROUND = range(4)
_FOUND, _NOT_COUNTED, _HOW = 5, 9, 13
_SIZES = len(COCO_AREAS)


def bits(flags: np.ndarray) -> np.ndarray:
    """Whole numbers of flags, bool [B, ...], the first of them the lowest bit: int64 [...]."""
    powers = 2 ** np.arange(len(flags), dtype=np.int64)
    return np.tensordot(powers, flags.astype(np.int64), 1)


class Truths:
    """Rows of objects, by what their columns mean.

    Attributes:
      rows: float64 [G, WIDTH].
    """

    def __init__(self, rows: np.ndarray, places: np.ndarray | None = None):
        """
        Args:
          rows: of objects.
          places: which of them are filled; None for all.
        """
        self.rows = rows
        self._places = slice(None) if places is None else places

    def fill(
        self, label: int, not_counted: np.ndarray, found: np.ndarray, ignored: np.ndarray
    ) -> None:
        """Writes the columns of the objects of a class."""
        for column, values in enumerate((label, not_counted, found, ignored), 1):
            self.rows[self._places, column] = values

    @property
    def label(self) -> np.ndarray:
        """Classes."""
        return self.rows[:, 1].astype(np.int64)

    @property
    def not_counted(self) -> np.ndarray:
        """Whether an object is difficult, or a crowd."""
        return self.rows[:, 2] > 0

    @property
    def found(self) -> np.ndarray:
        """Whether an object is found by VOC's rules."""
        return self.rows[:, 3] > 0

    def ignored(self, area: int) -> np.ndarray:
        """Whether COCO does not count an object among those of a size."""
        return (self.rows[:, 4].astype(np.int64) >> area) & 1 > 0


class Detections:
    """Rows of detections, by what their columns mean.

    Attributes:
      rows: float64 [D, WIDTH].
    """

    def __init__(self, rows: np.ndarray, places: np.ndarray | None = None):
        """
        Args:
          rows: of detections.
          places: which of them are filled; None for all.
        """
        self.rows = rows
        self._places = slice(None) if places is None else places

    def fill(
        self,
        label: int,
        score: np.ndarray,
        rank: np.ndarray,
        voc: np.ndarray,
        coco: np.ndarray,
        coco_ignored: np.ndarray,
    ) -> None:
        """Writes the columns of the detections of a class.

        Args:
          label: the class.
          score, rank, voc: [D].
          coco, coco_ignored: [4, D], by size, of bits by overlap.
        """
        for column, values in enumerate((label, score, rank, voc), 1):
            self.rows[self._places, column] = values
        for first, values in ((_FOUND, coco), (_NOT_COUNTED, coco_ignored)):
            for area in range(_SIZES):
                self.rows[self._places, first + area] = values[area]

    @property
    def label(self) -> np.ndarray:
        """Classes."""
        return self.rows[:, 1].astype(np.int64)

    @property
    def score(self) -> np.ndarray:
        """Scores; infinite where they were no numbers."""
        return self.rows[:, 2]

    @property
    def rank(self) -> np.ndarray:
        """The place among the detections of the class in the picture, the surest first."""
        return self.rows[:, 3].astype(np.int64)

    @property
    def voc(self) -> np.ndarray:
        """By VOC's rules: `matching.FOUND`, `FALSE` or `NOT_COUNTED`."""
        return self.rows[:, 4].astype(np.int64)

    @property
    def kind(self) -> np.ndarray:
        """How a detection is wrong; a view of the column."""
        return self.rows[:, _HOW]

    def coco(self, area: int) -> np.ndarray:
        """Whether an object of a size was found, bool [10, D] by overlap."""
        return self._flags(_FOUND + area)

    def coco_ignored(self, area: int) -> np.ndarray:
        """Whether a detection is not counted among those of a size, bool [10, D] by overlap."""
        return self._flags(_NOT_COUNTED + area)

    def _flags(self, column: int) -> np.ndarray:
        values = self.rows[:, column].astype(np.int64)
        return (values[None] >> np.arange(len(COCO_OVERLAPS))[:, None]) & 1 > 0


class Divided(NamedTuple):
    """Rows by their kind; those of pictures as they are."""

    pictures: np.ndarray
    truths: Truths
    found: Detections


def divided(rows: np.ndarray) -> Divided:
    """Rows of all kinds, apart."""
    table = np.asarray(rows, np.float64).reshape(-1, WIDTH)
    parts = [table[table[:, KIND] == kind] for kind in (PICTURE, TRUTH, DETECTION)]
    return Divided(parts[0], Truths(parts[1]), Detections(parts[2]))


def by_picture(rows: np.ndarray) -> list[np.ndarray]:
    """The rows of each picture, in the order in which the pictures were asked about."""
    first = np.flatnonzero(rows[:, KIND] == PICTURE)
    return np.split(rows, first[1:])
