"""What `rooms` and `rooms:KEY=VALUE,...` name: how many pictures, of what size, from which seed.

Imports nothing heavy, so that the command line can refuse a wrong name at once.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

from components.ingest.regular_files import SourceError
from components.settings import near_matches

NAME = "rooms"
FEATURES = ("depth/encoded", "normals/encoded", "segmentation/encoded")
# NYU Depth V2's four classes of structure (Silberman et al. 2012, section 1), by their numbers.
CLASSES = ("floor", "structure", "furniture", "props")
FLOOR, STRUCTURE, FURNITURE, PROPS = range(len(CLASSES))
# The focal length of NYU Depth V2's colour camera, 518.9 pixels, over its width of 640.
_FOCAL_BY_WIDTH = 518.9 / 640
_MOST = 1_000_000
_LEAST_SIDE, _MOST_SIDE = 8, 2048


@dataclass(frozen=True)
class Rooms:
    """A set of rendered pictures.

    Attributes:
      seed: another one gives other pictures throughout.
      train, test: how many pictures each split has; more of them leave the first as they are.
      width, height: of each picture, in pixels.

    Raises:
      SourceError: a value that is out of its range.
    """

    seed: int = 0
    train: int = 2000
    test: int = 500
    width: int = 80
    height: int = 60

    def __post_init__(self) -> None:
        limits = {"train": (1, _MOST), "test": (1, _MOST), "seed": (0, 2**32 - 1)}
        limits |= dict.fromkeys(("width", "height"), (_LEAST_SIDE, _MOST_SIDE))
        for key, (least, most) in limits.items():
            if not least <= getattr(self, key) <= most:
                raise SourceError(
                    f"{NAME}: {key} must be {least} to {most}, not {getattr(self, key)}"
                )

    @property
    def name(self) -> str:
        """With every value, in one order: equal for equal pictures."""
        return f"{NAME}:" + ",".join(f"{key}={number}" for key, number in vars(self).items())

    @property
    def pictures(self) -> int:
        """How many there are in both splits."""
        return self.train + self.test

    @property
    def pixels(self) -> int:
        """How many a picture has."""
        return self.width * self.height

    @property
    def focal(self) -> float:
        """The focal length in pixels, of both axes; 64.9 for a width of 80.

        A point (x, y, z) of the camera's frame (metres; x to the right, y down, z into the scene)
        is seen at column focal x / z + width / 2 and row focal y / z + height / 2, where the first
        pixel's centre is at 0.5.
        """
        return _FOCAL_BY_WIDTH * self.width


def is_named(dataset: str) -> bool:
    """Whether a name is one of rendered rooms."""
    return dataset.partition(":")[0] == NAME


def parse(dataset: str) -> Rooms:
    """What a name says; what it leaves out has its default.

    Args:
      dataset: `rooms`, or `rooms:` and KEY=VALUE pairs with commas between them.

    Raises:
      SourceError: an unknown key (near matches named), one that is given twice, or a value that is
        no whole number or out of its range.
    """
    keys = [field.name for field in dataclasses.fields(Rooms)]
    values: dict[str, int] = {}
    pairs = dataset.partition(":")[2]
    for pair in pairs.split(",") if pairs else ():
        key, _, number = pair.partition("=")
        if key not in keys:
            raise SourceError(f"{dataset}: unknown key {key!r}: {near_matches(key, keys)}")
        if key in values:
            raise SourceError(f"{dataset}: {key} is given twice")
        # Of Unicode's digits `int` takes all, and a name has one spelling.
        if not (number.isascii() and number.isdecimal()) or len(number) > len(str(2**32)):
            raise SourceError(f"{dataset}: {key} must be a whole number, not {number!r}")
        values[key] = int(number)
    return Rooms(**values)


def sha256(rooms: Rooms) -> str:
    """What the pictures are known by: their name, the code that makes them, and the photographs."""
    digest = hashlib.sha256(rooms.name.encode())
    digest.update(importlib.metadata.version("scikit-image").encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
