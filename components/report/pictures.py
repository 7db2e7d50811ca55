"""The pictures of the report, as text that stands inside the page.

Drawings are SVG whose colours are the page's own (CSS variables), so that they follow it from light
to dark; photographs and filters are PNG or JPEG in data URIs.
"""

import base64
import io
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

# What a drawing is drawn in, and what the page puts in its place.
_INK, _LINE, _TRAIN, _TEST, RIGHT, WRONG = (
    "#000001",
    "#000002",
    "#000003",
    "#000004",
    "#000005",
    "#000006",
)
_PAGE_COLOURS = {
    _INK: "currentColor",
    _LINE: "var(--line)",
    _TRAIN: "var(--train)",
    _TEST: "var(--test)",
    RIGHT: "var(--right)",
    WRONG: "var(--wrong)",
}
STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK,
    "axes.edgecolor": _LINE,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _LINE,
    "ytick.color": _LINE,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": _LINE,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
}
# Lines of one drawing, told apart without their colours too.
_LOOKS = [
    {"color": colour, "linestyle": style}
    for style in ("-", "--")
    for colour in (_TEST, _TRAIN, RIGHT, WRONG)
]
# Lines of more points are drawn without their points.
_MARKED = 12
_THUMBNAIL = 160
_PIXELATED = 64


@dataclass(frozen=True)
class Picture:
    """One picture: a heading, what it shows in words, and the markup that shows it."""

    title: str
    alt: str
    markup: str


@dataclass(frozen=True)
class Series:
    """A value an epoch, or None, of the training images and of those that were held out of them."""

    train: Sequence[float | None]
    validation: Sequence[float | None] = ()


@dataclass(frozen=True)
class Thumbnail:
    """A small image as a data URI; `pixelated` where it is so small that its pixels should show."""

    uri: str
    pixelated: bool


def curves(
    history: Sequence[Mapping[str, float]], further: Mapping[str, Series] | None = None
) -> list[Picture]:
    """Loss, what a task shows beside it, and learning rate against the epoch.

    Args:
      history: one mapping an epoch with epoch, loss, val_loss and learning_rate.
      further: by title the values of each epoch.

    Returns:
      A picture each. A line without any value is left out, and a picture without any line.
    """
    epochs = [row["epoch"] for row in history]

    def of(*keys: str) -> Series:
        return Series(*([row.get(key) for row in history] for key in keys))

    parts = {
        "Loss": of("loss", "val_loss"),
        **(further or {}),
        "Learning rate": of("learning_rate"),
    }
    drawn = (_curve(epochs, title, series) for title, series in parts.items())
    return [picture for picture in drawn if picture]


def _curve(epochs: Sequence[int], title: str, series: Series) -> Picture | None:
    parts = (("train", _TRAIN, series.train), ("validation", _TEST, series.validation))
    present = [
        (name, colour, points)
        for name, colour, values in parts
        if (points := [at for at in zip(epochs, values, strict=False) if at[1] is not None])
    ]
    if not present:
        return None
    said, drawn = [], []
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.6, 2.5), layout="constrained")
        axes = figure.add_subplot()
        for name, colour, points in present:
            places, values = zip(*points, strict=True)
            drawn += axes.plot(
                places, values, color=colour, linewidth=1.8, marker="o", markersize=3
            )
            said.append(
                f"{name if series.validation else ''} from {values[0]:.4g} to {values[-1]:.4g}"
            )
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        axes.set_ylim(bottom=0)
        if len(present) > 1:
            names = [name for name, _, _ in present]
            axes.legend(drawn, names, frameon=False, borderpad=0, loc="upper right")
        alt = f"{title} by epoch, {len(epochs)} in all: {', '.join(map(str.strip, said))}"
        return Picture(title, alt, svg(figure, alt))


def percents(
    title: str, axis: str, places: Sequence[str], series: Mapping[str, Sequence[float]]
) -> Picture:
    """Shares in percent at named places, a curve a series (two at most).

    Args:
      title, axis: what is drawn, and what the places are.
      places: names in order, at even distances.
      series: shares in 0..1 by name, as many as places.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.6, 2.9), layout="constrained")
        axes = figure.add_subplot()
        drawn = []
        for values, colour in zip(series.values(), (_TEST, _TRAIN), strict=False):
            percent = [100.0 * value for value in values]
            drawn += axes.plot(
                places, percent, color=colour, linewidth=1.8, marker="o", markersize=3
            )
        axes.tick_params(axis="x", rotation=60 if sum(map(len, places)) > 30 else 0)
        axes.set_xlabel(axis)
        axes.legend(drawn, list(series), frameon=False, borderpad=0, loc="best")
        said = [
            f"{name} {', '.join(f'{100 * value:.1f}' for value in values)}"
            for name, values in series.items()
        ]
        alt = f"{title} at {', '.join(places)}: {'; '.join(said)}"
        return Picture(title, alt, svg(figure, alt))


def scatter(
    title: str,
    axis: str,
    points: Sequence[tuple[float | str, float]],
    line: Sequence[float] | None = None,
    log: bool = False,
    less_is_better: bool = False,
) -> Picture:
    """Points, the best of them marked.

    Args:
      title, axis: what is drawn, and what lies along the horizontal axis.
      points: places (numbers, or names in the order in which they first come) and heights.
      line: heights above the same places, drawn as steps.
      log: whether the places are numbers above 0 on a logarithmic axis.
      less_is_better: whether the best point is the lowest, not the highest.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.6, 2.5), layout="constrained")
        axes = figure.add_subplot()
        if log:
            axes.set_xscale("log")
        places, heights = zip(*points, strict=True)
        if line is not None:
            axes.step(places, line, where="post", color=_TRAIN, linewidth=1.2)
        axes.plot(places, heights, "o", color=_TEST, markersize=4)
        best = (min if less_is_better else max)(points, key=lambda point: point[1])
        axes.plot(*([value] for value in best), "o", color=RIGHT, markersize=8)
        if all(isinstance(place, int) for place in places):
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        elif any(isinstance(place, str) for place in places):
            axes.tick_params(axis="x", rotation=60 if sum(map(len, set(places))) > 30 else 0)
        axes.set_xlabel(axis)
        shown = best[0] if isinstance(best[0], str) else f"{best[0]:.4g}"
        which = "lowest" if less_is_better else "highest"
        alt = f"{title}, {len(points)} points; the {which}, {best[1]:.4g}, at {axis} {shown}"
        return Picture(title, alt, svg(figure, alt))


def lines(
    title: str,
    axis: str,
    series: Mapping[str, Sequence[tuple[float, Sequence[float]]]],
    log: bool = False,
) -> Picture:
    """Lines through the means at each place, in a band from the lowest to the highest value.

    Args:
      title, axis: what is drawn, and what lies along the horizontal axis.
      series: by name the places, ascending, and one value or more at each.
      log: whether the places are numbers above 0 on a logarithmic axis.
    """
    said, drawn = [], []
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.6, 2.9), layout="constrained")
        axes = figure.add_subplot()
        if log:
            axes.set_xscale("log")
        for (name, points), look in zip(series.items(), itertools.cycle(_LOOKS)):
            places = [place for place, _ in points]
            means = [float(np.mean(values)) for _, values in points]
            marker = "o" if len(points) <= _MARKED else None
            drawn += axes.plot(places, means, **look, linewidth=1.6, marker=marker, markersize=3)
            low, high = zip(*((min(values), max(values)) for _, values in points), strict=True)
            axes.fill_between(places, low, high, color=look["color"], alpha=0.15, linewidth=0)
            said.append(f"{name} from {means[0]:.4g} to {means[-1]:.4g}")
        axes.set_xlabel(axis)
        marked = sorted({place for points in series.values() for place, _ in points})
        if log and len(marked) <= _MARKED:
            axes.set_xticks(marked, [f"{place:g}" for place in marked])
            axes.minorticks_off()
        if len(series) > 1:
            axes.legend(drawn, list(series), frameon=False, borderpad=0, loc="best", fontsize=8)
        alt = f"{title} by {axis}: {'; '.join(said)}"
        return Picture(title, alt, svg(figure, alt))


def dots(title: str, series: Mapping[str, Sequence[float]]) -> Picture:
    """The values of each name in a column of its own, their means marked."""
    names = list(series)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.6, 2.9), layout="constrained")
        axes = figure.add_subplot()
        for name, values in series.items():
            axes.plot([name] * len(values), values, "o", color=_TEST, markersize=4)
            axes.plot([name], [np.mean(values)], "_", color=_TRAIN, markersize=18)
        axes.set_xlim(-0.6, len(names) - 0.4)
        axes.tick_params(axis="x", rotation=60 if sum(map(len, names)) > 30 else 0)
        means = ", ".join(f"{name} {np.mean(values):.4g}" for name, values in series.items())
        alt = f"{title}, means: {means}"
        return Picture(title, alt, svg(figure, alt))


def filters(kernel: np.ndarray) -> Picture | None:
    """The filters of a first layer, each stretched to its own range; grey is zero.

    Args:
      kernel: [height, width, channels, filters]. None comes back where the channels are neither
        grey (1) nor colour (3): such a filter cannot be shown as an image.
    """
    height, width, channels, number = kernel.shape
    if channels not in (1, 3):
        return None
    # Few filters are shown large.
    scale, gap = max(1, (96 if number <= 8 else 48) // height), 6
    columns = min(number, 8 if number <= 32 else 16)
    rows = -(-number // columns)
    tall, wide = height * scale + gap, width * scale + gap
    mosaic = np.zeros((rows * tall - gap, columns * wide - gap, 4), np.uint8)
    for place in range(number):
        weights = kernel[..., place]
        grey = 127.5 + 127.5 * weights / max(np.abs(weights).max(), 1e-12)
        tile = np.repeat(np.repeat(grey, scale, axis=0), scale, axis=1).astype(np.uint8)
        top, left = place // columns * tall, place % columns * wide
        mosaic[top : top + tall - gap, left : left + wide - gap, :3] = tile
        mosaic[top : top + tall - gap, left : left + wide - gap, 3] = 255
    alt = f"The {number} filters of the first layer, {height} by {width} pixels each"
    return image("First-layer filters", alt, Image.fromarray(mosaic))


def image(title: str, alt: str, drawn: Image.Image, kind: str = "PNG") -> Picture:
    """A drawing made of pixels, as PNG; of photographs JPEG is smaller."""
    markup = (
        f'<img src="{_data_uri(drawn, kind)}" alt="{escape(alt)}" '
        f'width="{drawn.width}" height="{drawn.height}">'
    )
    return Picture(title, alt, markup)


def thumbnail(encoded: bytes) -> Thumbnail:
    """A PNG or JPEG made small enough for a page."""
    with Image.open(io.BytesIO(encoded)) as opened:
        image = opened.convert("L" if opened.mode in ("1", "L") else "RGB")
    pixelated = max(image.size) <= _PIXELATED
    image.thumbnail((_THUMBNAIL, _THUMBNAIL))
    return Thumbnail(_data_uri(image, "PNG" if pixelated else "JPEG"), pixelated)


def _data_uri(image: Image.Image, kind: str) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, **({"quality": 85} if kind == "JPEG" else {"optimize": True}))
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def svg(figure: Figure, alt: str) -> str:
    """A figure as an SVG element in the page's colours and letters."""
    buffer = io.StringIO()
    # The salt makes the ids inside the drawing its own: several stand on one page.
    with matplotlib.rc_context({"svg.hashsalt": alt}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    markup = buffer.getvalue()
    markup = markup[markup.index("<svg") :]
    markup = re.sub(r"<metadata>.*?</metadata>", "", markup, flags=re.DOTALL)
    markup = re.sub(r' id="[A-Za-z0-9.]+_\d+"', "", markup)
    markup = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", markup)
    for drawn, shown in _PAGE_COLOURS.items():
        markup = markup.replace(drawn, shown)
    return markup.replace("<svg ", f'<svg role="img" aria-label="{escape(alt)}" ', 1)
