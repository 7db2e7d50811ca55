"""What the report says and shows of depths and normals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from components.maps import pages
from components.report import pictures
from components.report.evidence import Evidence, Headline, Section
from components.tasks.depth import pictures as depth
from components.tasks.depth_normals import TASK
from components.tasks.normals import pictures as normals


def headline(evidence: Evidence) -> Headline:
    """The absolute relative error and the mean angle."""
    return pages.headline(evidence, TASK)


def facts(evidence: Evidence) -> list[tuple[str, str]]:
    """All other figures."""
    return pages.facts(evidence, TASK)


def curves(history: Sequence[Mapping[str, float]]) -> dict[str, pictures.Series]:
    """None: the losses say it."""
    del history
    return {}


def sections(evidence: Evidence) -> list[Section]:
    """The pictures with the highest errors of depth: a row of depths and one of normals each."""
    return pages.worst(evidence, TASK, {", depth": _depth, ", normals": _normals})


def _depth(
    title: str, picture: np.ndarray, truth: Mapping[str, Any], answer: Mapping[str, np.ndarray]
) -> pictures.Picture:
    return depth.row(title, picture, truth["depth"], answer)


def _normals(
    title: str, picture: np.ndarray, truth: Mapping[str, Any], answer: Mapping[str, np.ndarray]
) -> pictures.Picture:
    return normals.row(title, picture, truth["normals"], answer)
