"""What the report says and shows of depths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from components.maps import arrays, pages
from components.report import maps, pictures
from components.report.evidence import Evidence, Headline, Section
from components.tasks.depth import TASK, metrics


def headline(evidence: Evidence) -> Headline:
    """The absolute relative error."""
    return pages.headline(evidence, TASK)


def facts(evidence: Evidence) -> list[tuple[str, str]]:
    """All other figures."""
    return pages.facts(evidence, TASK)


def curves(history: Sequence[Mapping[str, float]]) -> dict[str, pictures.Series]:
    """None: the loss says it."""
    del history
    return {}


def sections(evidence: Evidence) -> list[Section]:
    """The pictures with the highest errors: predicted and true depths, and the error."""
    return pages.worst(evidence, TASK, {"": row})


def row(
    title: str, picture: np.ndarray, truth: np.ndarray, answer: Mapping[str, np.ndarray]
) -> pictures.Picture:
    """A picture with its predicted and its true depths, and the difference of the two.

    Args:
      title: what it is called.
      picture: uint8 [H, W, 3].
      truth: in metres, [H, W].
      answer: `depth`, [h, w].
    """
    measured = np.where(metrics.is_valid(truth), truth, np.nan)
    predicted = arrays.resized(answer["depth"], truth.shape)
    shown = {"predicted": predicted, "true": measured}
    return maps.row(title, "m", picture, shown, {"error": np.abs(predicted - measured)})
