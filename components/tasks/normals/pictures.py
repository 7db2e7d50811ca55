"""What the report says and shows of normals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from components.maps import arrays, pages
from components.report import maps, pictures
from components.report.evidence import Evidence, Headline, Section
from components.tasks.normals import TASK, metrics, words


def headline(evidence: Evidence) -> Headline:
    """The mean angle."""
    return pages.headline(evidence, TASK)


def facts(evidence: Evidence) -> list[tuple[str, str]]:
    """All other figures."""
    return pages.facts(evidence, TASK)


def curves(history: Sequence[Mapping[str, float]]) -> dict[str, pictures.Series]:
    """None: the loss says it."""
    del history
    return {}


def sections(evidence: Evidence) -> list[Section]:
    """The pictures with the largest angles: predicted and true normals, and the angle."""
    return pages.worst(evidence, TASK, {"": row})


def row(
    title: str, picture: np.ndarray, truth: np.ndarray, answer: Mapping[str, np.ndarray]
) -> pictures.Picture:
    """A picture with its predicted and its true normals in colours, and the angle between them.

    Args:
      title: what it is called.
      picture: uint8 [H, W, 3].
      truth: [H, W, 3].
      answer: `normals`, [h, w, 3].
    """
    valid = metrics.is_valid(truth)
    shown = np.where(valid, 255, 0).astype(np.uint8)[..., None]
    predicted = arrays.resized(answer["normals"], truth.shape)
    colours = {
        "predicted": words.colours({"normals": metrics.direction(predicted)}),
        "true": np.concatenate([words.colours({"normals": truth}), shown], axis=-1),
    }
    angle = np.where(valid, metrics.angles(predicted, truth), np.nan)
    return maps.row(title, "degrees", picture, {}, {"error": angle}, colours)
