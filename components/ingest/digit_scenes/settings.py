"""What `digit-scenes` and `digit-scenes:KEY=VALUE,...` name: how many pictures, from which seed.

Imports nothing heavy, so that the command line can refuse a wrong name at once.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from components.ingest.generated_set import GeneratedSet

CLASSES = tuple("0123456789")
SIDE = 128


@dataclass(frozen=True)
class DigitScenes(GeneratedSet):
    """A set of pictures of `SIDE` x `SIDE` pixels."""

    NAME: ClassVar[str] = "digit-scenes"
    FEATURES: ClassVar[tuple[str, ...]] = ("objects/bbox", "objects/label", "objects/mask")

    @property
    def pixels(self) -> int:
        """How many a picture has."""
        return SIDE * SIDE

    def made_of(self) -> Iterable[Path]:
        """Textures and MNIST's files."""
        return [*super().made_of(), *mnist().glob("*-ubyte*")]


def mnist() -> Path:
    """The folder of the MNIST that is in the box."""
    return Path(str(importlib.resources.files("convnets_data"))) / "mnist"
