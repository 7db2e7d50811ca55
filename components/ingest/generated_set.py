"""What every generated set of pictures has: a seed, two splits, and a name that says them."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from components.ingest.regular_files import SourceError
from components.settings import near_matches

if TYPE_CHECKING:
    from typing_extensions import Self

_MOST = 1_000_000


@dataclass(frozen=True)
class GeneratedSet:
    """A set of pictures that are computed.

    A kind of set has a `NAME`, the `FEATURES` of the example contract that its pictures bring, and
    `LIMITS`, the least and the largest value of what it adds to the attributes.

    Attributes:
      seed: another one gives other pictures throughout.
      train, test: how many pictures each split has; more of them leave the first as they are.

    Raises:
      SourceError: a value that is out of its range.
    """

    NAME: ClassVar[str]
    FEATURES: ClassVar[tuple[str, ...]]
    LIMITS: ClassVar[dict[str, tuple[int, int]]] = {}
    seed: int = 0
    train: int = 2000
    test: int = 500

    def __post_init__(self) -> None:
        limits = {"train": (1, _MOST), "test": (1, _MOST), "seed": (0, 2**32 - 1), **self.LIMITS}
        for key, (least, most) in limits.items():
            if not least <= getattr(self, key) <= most:
                raise SourceError(
                    f"{self.NAME}: {key} must be {least} to {most}, not {getattr(self, key)}"
                )

    @classmethod
    def parse(cls, dataset: str) -> Self:
        """The set of a name: `NAME`, or `NAME:` and KEY=VALUE pairs with commas between them.

        Raises:
          SourceError: see `components.ingest.generated.parse`.
        """
        keys = [field.name for field in dataclasses.fields(cls)]
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
        return cls(**values)

    @property
    def name(self) -> str:
        """With every value, in one order: equal for equal pictures."""
        return f"{self.NAME}:" + ",".join(f"{key}={number}" for key, number in vars(self).items())

    @property
    def pictures(self) -> int:
        """How many there are in both splits."""
        return self.train + self.test

    @property
    def pixels(self) -> int:
        """How many a picture has."""
        raise NotImplementedError

    def made_of(self) -> Iterable[Path]:
        """The files that the pictures depend on, beside their set's own code."""
        return [Path(__file__).with_name("textures.py")]

    def sha256(self) -> str:
        """What the pictures are known by: their name, what makes them, and the photographs."""
        digest = hashlib.sha256(self.name.encode())
        digest.update(importlib.metadata.version("scikit-image").encode())
        own = Path(inspect.getfile(type(self))).parent.glob("*.py")
        for path in sorted([*own, *self.made_of()]):
            digest.update(path.read_bytes())
        return digest.hexdigest()
