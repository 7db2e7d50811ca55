"""Maps of a picture, such as depths and normals, beside it in the report."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from PIL import Image

from components.report import pictures

# Even to the eye, in the dark too, and of other hues than the page's.
_COLOURS = "viridis"
_ERROR_COLOURS = "magma"
_SIDE = 256


def row(
    title: str,
    unit: str,
    picture: np.ndarray,
    rasters: Mapping[str, np.ndarray],
    errors: Mapping[str, np.ndarray] | None = None,
    colours: Mapping[str, np.ndarray] | None = None,
) -> pictures.Picture:
    """A picture and maps of it in one row, the maps with one scale of colours and its bar.

    Args:
      title: what they are of.
      unit: of the maps' values; "" for none.
      picture: uint8 [H, W] or [H, W, 3].
      rasters: maps by name, float [h, w] each, of any size; what is not finite is left blank.
      errors: further maps, none below 0, with a scale of their own, from 0, and a bar beside it:
        errors are smaller than what they are errors of, and on its scale would all look alike.
      colours: maps that are colours already, uint8 [h, w, 3], or [h, w, 4] with 0 in the last where
        nothing is known; shown before the others.
    """
    groups = [(rasters, _COLOURS, _limits(rasters))] if rasters else []
    if errors:
        groups.append((errors, _ERROR_COLOURS, (0.0, _limits(errors)[1])))
    colours = colours or {}
    said = ["picture", *colours]
    for members, _, (low, high) in groups:
        said += [f"{name} {_range_text(values, unit)}" for name, values in members.items()]
        said.append(f"colours from {low:.4g} to {high:.4g} {unit}".rstrip())
    alt = f"{title}: {'; '.join(said)}"
    number = len(colours) + sum(len(members) for members, *_ in groups)
    with matplotlib.rc_context({**pictures.STYLE, "axes.grid": False}):
        tall = picture.shape[0] / picture.shape[1]
        width = 2.2 * (1 + number) + 0.7 * len(groups)
        figure = Figure(figsize=(width, 2.2 * tall + 0.4), layout="constrained")
        first, *panels = figure.subplots(1, 1 + number, squeeze=False)[0]
        _panel(first, "picture", _reduced(picture), cmap="gray", vmin=0, vmax=255)
        for axes, (name, pixels) in zip(panels, colours.items(), strict=False):
            _panel(axes, name, _thinned(pixels))
        panels = panels[len(colours) :]
        for members, scale, limits in groups:
            own, panels = panels[: len(members)], panels[len(members) :]
            _group(figure, own, members, unit, scale, limits)
        return pictures.Picture(title, alt, pictures.svg(figure, alt))


def _group(
    figure: Figure,
    panels: Sequence[Axes],
    members: Mapping[str, np.ndarray],
    unit: str,
    colours: str,
    limits: tuple[float, float],
) -> None:
    low, high = limits
    for axes, (name, values) in zip(panels, members.items(), strict=True):
        wild = np.ma.masked_invalid(_thinned(values))
        drawn = _panel(axes, name, wild, cmap=colours, vmin=low, vmax=high)
    bar = figure.colorbar(drawn, ax=panels[-1], fraction=0.06, pad=0.02)
    bar.set_label(unit)
    bar.outline.set_visible(False)
    # Else it is hundreds of rectangles.
    bar.solids.set_rasterized(True)


def _limits(rasters: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """The least and the largest of all values that are known; 0 to 1 without any."""
    every = np.concatenate([values[np.isfinite(values)] for values in rasters.values()])
    return (float(every.min()), float(every.max())) if len(every) else (0.0, 1.0)


def _panel(axes: Axes, name: str, pixels: np.ndarray, **colours: Any) -> AxesImage:
    axes.set_title(name, fontsize=10)
    axes.axis("off")
    # Not resampled: the browser scales the pixels as they are.
    return axes.imshow(pixels, interpolation="none", aspect="auto", **colours)


def _range_text(values: np.ndarray, unit: str) -> str:
    values = values[np.isfinite(values)]
    if not len(values):
        return "without values"
    return f"{values.min():.4g} to {values.max():.4g} {unit}, mean {values.mean():.4g}"


def _reduced(picture: np.ndarray) -> np.ndarray:
    shown = Image.fromarray(picture)
    shown.thumbnail((_SIDE, _SIDE))
    return np.asarray(shown)


def _thinned(values: np.ndarray) -> np.ndarray:
    """Each n-th value: a mean would blur what is not known into what is."""
    step = -(-max(values.shape[:2]) // _SIDE)
    return values[::step, ::step]
