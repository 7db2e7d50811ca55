"""What served depths and normals must never be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from components.tasks.depth import checks as depth
from components.tasks.normals import checks as normals


def objections(answers: Mapping[str, np.ndarray], names: Sequence[str]) -> list[str]:
    """The first objection to the depths, and the first to the normals.

    Args:
      answers: `depth` [N, H, W] and `normals` [N, H, W, 3], finite.
      names: of classes; there are none.
    """
    return [*depth.objections(answers, names), *normals.objections(answers, names)]


def check(answers: Mapping[str, np.ndarray], truths: Sequence[Any], names: Sequence[str]) -> None:
    """Refuses what are no maps for each picture.

    Raises:
      ValueError: they are not.
    """
    depth.check(answers, truths, names)
    normals.check(answers, truths, names)
