"""What served normals must never be: pure NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

# Of a length that float32 has rounded a few times.
_CLOSE = 1e-3


def objections(answers: Mapping[str, np.ndarray], names: Sequence[str]) -> list[str]:
    """The first of these objections.

    Args:
      answers: `normals` [N, H, W, 3], finite.
      names: of classes; there are none.
    """
    del names
    normals = answers["normals"]
    if normals.ndim != 4 or normals.shape[-1] != 3:
        return [f"normals of shape {list(normals.shape)}, not a map of vectors for each picture"]
    lengths = np.linalg.norm(normals.astype(np.float64), axis=-1)
    wrong = np.abs(lengths - 1)
    if (wrong > _CLOSE).any():
        return [f"a normal of length {lengths.flat[wrong.argmax()]:.4g}"]
    return []


def check(
    answers: Mapping[str, np.ndarray], truths: Sequence[np.ndarray], names: Sequence[str]
) -> None:
    """Refuses what is no map of vectors for each picture.

    Raises:
      ValueError: it is not.
    """
    del names
    normals = answers["normals"]
    if normals.ndim != 4 or normals.shape[-1] != 3 or len(normals) != len(truths):
        raise ValueError(f"normals of shape {list(normals.shape)} for {len(truths)} pictures")
