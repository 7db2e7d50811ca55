"""The drawing of what is taken for what."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from components.report import pictures

_READABLE = 30


def drawing(matrix: np.ndarray, names: Sequence[str]) -> pictures.Picture:
    """The confusion matrix [C, C]: true labels in rows, given labels in columns.

    Up to thirty classes each cell is numbered; beyond that only the shade is left. The shade of
    the mistakes is relative to the most frequent mistake: the diagonal would drown them.
    """
    classes = len(matrix)
    mistakes = matrix * (1 - np.eye(classes, dtype=np.int64))
    alt = (
        f"Confusion matrix of {classes} classes: {int(np.trace(matrix)):,} right, "
        f"{int(mistakes.sum()):,} wrong"
    )
    with matplotlib.rc_context({**pictures.STYLE, "axes.grid": False}):
        side = 4.2 if classes <= 12 else 6.4
        figure = Figure(figsize=(side, side), layout="constrained")
        axes = figure.add_subplot()
        if classes <= _READABLE:
            _numbered_cells(axes, matrix, mistakes, side)
            rotation = 0 if max(map(len, names)) * classes <= 40 else 90
            axes.set_xticks(range(classes), [_short(name) for name in names], rotation=rotation)
            axes.set_yticks(range(classes), [_short(name) for name in names])
        else:
            axes.imshow(_shades(matrix, mistakes), interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
        axes.set_xlabel("given")
        axes.set_ylabel("true")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_aspect("equal")
        return pictures.Picture("Confusion matrix", alt, pictures.svg(figure, alt))


def _short(name: str) -> str:
    return name if len(name) <= 14 else name[:13] + "…"


def _numbered_cells(axes: Axes, matrix: np.ndarray, mistakes: np.ndarray, side: float) -> None:
    classes, most = len(matrix), max(mistakes.max(), 1)
    size = min(10.0, 75 * side / classes / max(len(str(matrix.max())), 2))
    for i, j in np.ndindex(*matrix.shape):
        colour, shade = (
            (pictures.RIGHT, 0.22)
            if i == j
            else (pictures.WRONG, 0.75 * (mistakes[i, j] / most) ** 0.5)
        )
        axes.add_patch(
            matplotlib.patches.Rectangle(
                (j - 0.47, i - 0.47), 0.94, 0.94, facecolor=colour, alpha=shade, linewidth=0
            )
        )
        if matrix[i, j]:
            axes.text(j, i, str(matrix[i, j]), ha="center", va="center", fontsize=size)
    axes.set_xlim(-0.5, classes - 0.5)
    axes.set_ylim(classes - 0.5, -0.5)


def _shades(matrix: np.ndarray, mistakes: np.ndarray) -> np.ndarray:
    """RGBA [C, C, 4] in colours that can be seen on white and on black."""
    shades = np.zeros((*matrix.shape, 4))
    shades[..., :3] = (0.84, 0.33, 0.29)
    shades[..., 3] = (mistakes / max(mistakes.max(), 1)) ** 0.5
    right = np.arange(len(matrix))
    shades[right, right] = (0.30, 0.55, 0.75, 1.0)
    shades[right, right, 3] = np.diag(matrix) / np.maximum(matrix.sum(axis=1), 1) * 0.6
    return shades
