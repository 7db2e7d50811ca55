"""What reads each kind of source.

A reader finds small texts that each name one file or a range of records, and loads what such a text
names. `components.ingest.engine` does the rest: it spreads the texts over Beam's workers, where the
records are loaded, checked, encoded and written. So a reader must be picklable and cheap to
make, and its module must not import TensorFlow: that would triple a worker's start.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from components.ingest import labels
from components.ingest.contract import DeadLetter, Record
from components.ingest.readers.box_table import BoxTableReader
from components.ingest.readers.coco import CocoReader
from components.ingest.readers.csv_table import CsvReader
from components.ingest.readers.digit_scenes import DigitScenesReader
from components.ingest.readers.folder import FolderReader
from components.ingest.readers.idx import IdxReader
from components.ingest.readers.pairs import PairReader
from components.ingest.readers.people import LfwReader, PeopleReader
from components.ingest.readers.rooms import RoomsReader
from components.ingest.readers.split_folders import SplitFolderReader
from components.ingest.readers.tfds import TfdsReader
from components.ingest.readers.tfrecord import TfrecordReader
from components.ingest.readers.video import VideoReader
from components.ingest.readers.voc import VocReader
from components.ingest.sources import Source


class Reader(Protocol):
    """Reads one kind of source.

    Attributes:
      labels: class names in the order of the label numbers; empty where the task has none.
      piece_records: how many records a piece holds, about.
    """

    labels: list[str]
    piece_records: int

    def __init__(self, source: Source) -> None: ...

    def roots(self, split: str) -> list[str]:
        """A few texts from which the pieces of a split are listed; called where the run starts.

        Raises:
          SourceError: a file that names pieces is wrong as a whole. `pieces` and `load` run on
            workers, from which no such sentence would come back as one.
        """

    def pieces(self, root: str) -> Iterator[str]:
        """Texts that each name one file or a range of 1,000 records at most."""

    def load(self, piece: str) -> Iterator[Record | DeadLetter]:
        """What a piece names, images as they were found."""


READERS: dict[str, type[Reader]] = {
    "boxes": BoxTableReader,
    "coco": CocoReader,
    "csv": CsvReader,
    "digit-scenes": DigitScenesReader,
    "folder": FolderReader,
    "idx": IdxReader,
    "lfw": LfwReader,
    "pairs": PairReader,
    "people": PeopleReader,
    "rooms": RoomsReader,
    "splits": SplitFolderReader,
    "tfds": TfdsReader,
    "tfrecord": TfrecordReader,
    "video": VideoReader,
    "voc": VocReader,
}
# Kinds whose classes folders or the rows of a table name, and a labels.txt may list.
_NAMED_BY_HAND = ("boxes", "csv", "folder", "people", "splits", "video", "voc")
# Records of a file, where they take so long that a few thousand should be more than one file's.
SHARD_RECORDS = {"rooms": 128}
# Those whose records TensorFlow reads, which does not survive a fork.
USE_TENSORFLOW = ("tfds",)


def reader(source: Source) -> Reader:
    """The reader of a source.

    Raises:
      SourceError: a file that describes the data is wrong, or classes have names that cannot be
        used.
    """
    found = READERS[source.kind](source)
    labels.check(found.labels, source.base)
    if source.kind in _NAMED_BY_HAND and "://" not in source.base:
        labels.check_alike(found.labels, source.base)
    return found
