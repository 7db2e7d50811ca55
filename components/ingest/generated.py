"""Data sets that are computed while they are read, and what their names say. Imports nothing heavy.

`NAME` and `NAME:KEY=VALUE,...` name one; what a name leaves out has its default.
"""

from __future__ import annotations

from components.ingest.digit_scenes.settings import DigitScenes
from components.ingest.generated_set import GeneratedSet
from components.ingest.rooms.settings import Rooms

SETS: dict[str, type[GeneratedSet]] = {each.NAME: each for each in (Rooms, DigitScenes)}


def is_named(dataset: str) -> bool:
    """Whether a name is one of a generated set."""
    return kind(dataset) in SETS


def kind(dataset: str) -> str:
    """What stands before the values in a name."""
    return dataset.partition(":")[0]


def parse(dataset: str) -> GeneratedSet:
    """What the name of a generated set says.

    Raises:
      SourceError: an unknown key (near matches named), one that is given twice, or a value that is
        no whole number or out of its range.
    """
    return SETS[kind(dataset)].parse(dataset)
