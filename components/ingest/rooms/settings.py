"""What `rooms` and `rooms:KEY=VALUE,...` name: how many pictures, of what size, from which seed.

Imports nothing heavy, so that the command line can refuse a wrong name at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from components.ingest.generated_set import GeneratedSet

# NYU Depth V2's four classes of structure (Silberman et al. 2012, section 1), by their numbers.
CLASSES = ("floor", "structure", "furniture", "props")
FLOOR, STRUCTURE, FURNITURE, PROPS = range(len(CLASSES))
# The focal length of NYU Depth V2's colour camera, 518.9 pixels, over its width of 640.
_FOCAL_BY_WIDTH = 518.9 / 640
_SIDES = 8, 2048


@dataclass(frozen=True)
class Rooms(GeneratedSet):
    """A set of rendered pictures.

    Attributes:
      width, height: of each picture, in pixels.
    """

    NAME: ClassVar[str] = "rooms"
    FEATURES: ClassVar[tuple[str, ...]] = (
        "depth/encoded",
        "normals/encoded",
        "segmentation/encoded",
    )
    LIMITS: ClassVar[dict[str, tuple[int, int]]] = {"width": _SIDES, "height": _SIDES}
    width: int = 80
    height: int = 60

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
