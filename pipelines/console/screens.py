"""The tables that the command line prints: recipes, published figures, what a run came to."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from components import tasks
from components.judge import benchmarks
from components.judge.results import (
    COUNTS,
    METRICS,
    SCALES,
    figure_text,
    judged_table,
    needed_line,
    row_text,
)
from pipelines import paths
from pipelines.console.display import duration, table_of, work
from pipelines.recipe import IDENTITY, Recipe

if TYPE_CHECKING:
    from pipelines.costs import NetworkCost, PublishedCount

_FLOAT32_BYTES = 4
# The column that has the most to say keeps its width on a narrow terminal.
_PUBLISHED_WIDTH = 22
_HOW = "protocol, data"
_RUN_COLUMNS = ("paper", _HOW, "ours", "difference", "run")
_NUMBERS = ("paper", "ours", "difference")
_TRAINED_ALREADY = (
    "Trained already, for classes of your own: keras:NAME, any network of keras.applications "
    "(keras:EfficientNetV2B0), or the path of a .keras file"
)
# Others are not squeezed below this, so that words stay whole.
_LEAST_WIDTH = 10


def nearby(path: str | Path) -> str:
    """A path as it is shortest to type: relative to the current folder where it lies below."""
    path = paths.shown(path)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def recipes_screen(recipes: Mapping[str, Mapping[str, Recipe]]) -> Group:
    """All recipes, a row each below their paper, the oldest paper first."""
    papers: dict[str, list[Mapping[str, Recipe]]] = {}
    for sizes in recipes.values():
        papers.setdefault(_published_or_only(sizes).paper, []).append(sizes)
    parts: list[RenderableType] = []
    for paper in sorted(papers, key=_year):
        table = Table.grid(padding=(0, 2))
        table.add_column(width=max(map(len, recipes)), no_wrap=True, style="bold")
        table.add_column()
        for sizes in papers[paper]:
            shown = _published_or_only(sizes)
            data = dict.fromkeys(
                sizes[size].dataset for size in ("small", "paper") if size in sizes
            )
            about = Text(shown.summary).append(f"  {', '.join(data)}", style="dim")
            table.add_row(shown.name, about)
        head = paper or "of no paper"
        parts += [Text(f"\n{head}", style="dim"), Padding(table, (0, 0, 0, 2))]
    return Group(*parts, Text(f"\n{_TRAINED_ALREADY}"))


def _published_or_only(sizes: Mapping[str, Recipe]) -> Recipe:
    """The recipe in the published size; those of installed packages may have one size alone."""
    return sizes["paper"] if "paper" in sizes else next(iter(sizes.values()))


def _year(paper: str) -> str:
    """Of a paper without a year what comes after all years: a package may name any."""
    found = re.search(r"\d{4}", paper)
    return found[0] if found else "none"


def recipe_screen(recipe: Recipe) -> Group:
    """One recipe in full, with the published figures that its result is set beside."""
    values = table_of("key", "value")
    for key, value in recipe.settings().items():
        if key.partition(".")[0] not in (*IDENTITY, "benchmarks"):
            values.add_row(key, _value(value))
    figures = table_of("published", "where", "protocol", "metric", "value", "note")
    rows = [row for row in benchmarks.find(recipe.benchmarks) if row.metric not in COUNTS]
    for row in rows:
        figures.add_row(
            row.model,
            row.table,
            row.protocol,
            METRICS[row.metric],
            figure_text(row.value, row.unit),
            row.note,
        )
    return Group(
        Text(f"{recipe.name} ({recipe.size}): {recipe.summary}", style="bold"),
        Text(f"{recipe.paper}\nData: {recipe.dataset}"),
        Text("\nWhat runs (each key can be changed with --set key=value)"),
        values,
        Text("The published figures it will be set beside"),
        figures if rows else Text("  none"),
    )


def _value(value: Any) -> Text:
    return Text(value if isinstance(value, str) else json.dumps(value))


def layers_table(cost: NetworkCost) -> Table:
    """A network's costs, a line a layer: the values of its output, and how many pixels a unit
    sees, with how many from one unit to the next."""
    table = table_of("layer", "output", "parameters", "mult-adds", "values", "sees /step")
    for column in table.columns:
        column.justify = "right"
        column.no_wrap = True
    table.columns[0].justify = "left"
    for layer in cost.layers:
        field = layer.receptive_field and f"{_sides(layer.receptive_field)} /{_sides(layer.stride)}"
        table.add_row(
            layer.name,
            "x".join(map(str, layer.shape)),
            f"{layer.parameters:,}" if layer.parameters else "",
            _short(layer.multiply_adds),
            _short(layer.activations),
            field or "",
        )
    return table


def cost_screen(cost: NetworkCost, published: Sequence[PublishedCount]) -> Group:
    """What a network costs in total, and the paper's own counts beside it."""
    total = cost.total
    values = table_of("count", "")
    values.show_header = False
    values.add_row("parameters", f"{total.parameters:,}")
    if cost.auxiliary_parameters:
        values.add_row("", f"and {cost.auxiliary_parameters:,} of classifiers for training alone")
    values.add_row("multiply-adds", f"{total.multiply_adds:,}")
    values.add_row("connections", f"{total.connections:,}")
    values.add_row("units", f"{cost.units:,}")
    megabytes = total.activations * _FLOAT32_BYTES / 1e6
    values.add_row("activations", f"{total.activations:,} ({megabytes:.3g} MB in float32)")
    if total.receptive_field:
        field = f"{_by(total.receptive_field)} pixels, in steps of {_sides(total.stride)}"
        values.add_row("a unit of the last maps sees", field)
    heading = f"What the network costs, for one picture of {_by(cost.input_shape)}"
    if cost.classes is not None:
        heading += f" and {cost.classes:,} classes"
    parts: list[RenderableType] = [Text(heading), values]
    if published:
        parts += [Text("The papers' own counts"), _counts(published)]
    return Group(*parts)


def parts_screen(parts: Sequence[PublishedCount]) -> Group:
    """What a paper counts of the parts of its network, beside ours; empty where it does not."""
    return Group(Text("The paper's counts, part by part"), _counts(parts)) if parts else Group()


def _counts(published: Iterable[PublishedCount]) -> Table:
    table = table_of("published", "count", "paper", "ours", "where", "note")
    for row in published:
        figure = row.figure
        table.add_row(
            figure.model,
            METRICS[figure.metric],
            _in_unit(figure.value, figure.unit),
            _in_unit(row.ours, figure.unit),
            figure.table,
            Text(figure.note)
            .append("; " * bool(figure.note and row.other))
            .append(row.other, "yellow"),
        )
    return table


def _in_unit(value: float, unit: str) -> str:
    return f"{value:.4g} {unit}" if unit else f"{value:,.0f}"


def _short(value: int) -> str:
    """Four digits: 1.850 G."""
    unit = next((unit for unit in "GMk" if value * SCALES[unit] >= 1), "")
    return _in_unit(value * SCALES[unit], unit) if value else ""


def _sides(sides: Sequence[int]) -> str:
    """One number where all sides are the same."""
    return "x".join(map(str, sides if len(set(sides)) > 1 else sides[:1]))


def _by(sides: Sequence[int]) -> str:
    return " x ".join(map(str, sides))


def judged(judgements: Iterable[Mapping[str, Any]]) -> RenderableType:
    """Published figures beside ours, a table a paper, from the contents of `judgement.json`."""
    tables: dict[str, Table] = {}
    for row in judged_table(judgements):
        if row["paper"] not in tables:
            columns = ("paper", "ours", "difference", "comparable")
            tables[row["paper"]] = _figures(row["paper"], *columns)
        verdict = Text("yes", "green") if row["comparable"] else Text(f"no: {row['why']}", "yellow")
        tables[row["paper"]].add_row(_published(row), *_beside(row), verdict)
    if not tables:
        return Text("no published figures belong to this recipe", style="dim")
    return Group(*tables.values())


def _figures(paper: str, *columns: str) -> Table:
    """A table of one paper's figures beside others."""
    table = _titled(paper, *columns)
    table.columns[0].width = _PUBLISHED_WIDTH
    return table


def _titled(paper: str, *columns: str) -> Table:
    table = table_of("published", *columns)
    table.title = Text(f"\n{paper}", style="not italic")
    table.title_justify = "left"
    for column in table.columns:
        if column.header in _NUMBERS:
            column.justify = "right"
            column.no_wrap = True
        else:
            column.min_width = _LEAST_WIDTH
    return table


def _published(row: Mapping[str, Any], separator: str = "\n") -> Text:
    """What was published, where, and whether nobody has seen it there."""
    # Judgements of earlier versions do not say.
    unverified = "not verified" if row.get("verified") == "no" else ""
    about = ", ".join(filter(None, (row["table"], row["note"], unverified)))
    what = Text(f"{row['model']}, {METRICS[row['metric']]}")
    return what.append(f"{separator}{about}", style="dim")


def _beside(row: Mapping[str, Any]) -> tuple[str, str, str]:
    texts = row_text(row)
    return texts["paper"], texts["ours"], texts["difference"]


def judgement_screen(judgement: Mapping[str, Any]) -> Group:
    """One judgement: what was measured, and the published figures beside it."""
    task = tasks.find(judgement.get("task", tasks.EARLIEST))
    texts = {metric.name: metric.text for metric in (*task.blessing, *task.metrics)}
    # The others are counts: of steps until a figure was reached.
    measured = ", ".join(
        f"{METRICS[name]} {texts.get(name, '{:,}'.format)(value)}"
        for name, value in judgement["metrics"].items()
        if value is not None
    )
    size = f" ({judgement['size']})" if judgement["size"] else ""
    heading = (
        f"{judgement['recipe']}{size} on {judgement['examples']:,} test images "
        f"of {judgement['dataset']}, protocol {judgement['protocol']}"
    )
    parts = [Text(heading, style="bold"), Text(measured)]
    if line := needed_line(judgement):
        parts.append(Text(line))
    return Group(*parts, judged([judgement]))


def figures_about(words: Iterable[str]) -> list[benchmarks.Benchmark]:
    """The published figures whose data set, paper, model or id holds every one of the words.

    Raises:
      ValueError: there is none; the data sets and the papers are named.
    """
    every = benchmarks.all_benchmarks().values()
    wanted = [word.casefold() for word in words]
    found = [
        figure
        for figure in every
        if all(
            word in f"{figure.data} {figure.paper} {figure.model} {figure.id}".casefold()
            for word in wanted
        )
    ]
    if not found:
        data = ", ".join(sorted({figure.data for figure in every}))
        papers = "; ".join(sorted({figure.paper for figure in every}))
        raise ValueError(
            f"no published figure is about {' '.join(words)}\ndata sets: {data}\npapers: {papers}"
        )
    return found


def papers_screen(
    figures: Iterable[benchmarks.Benchmark], judgements: Iterable[Mapping[str, Any]]
) -> Group:
    """Published figures: first those beside results of ours, then the others, a line each."""
    ours: dict[str, list[Mapping[str, Any]]] = {}
    for row in judged_table(judgements):
        ours.setdefault(row["id"], []).append(row)
    beside: dict[str, Table] = {}
    others: dict[str, Table] = {}
    for figure in figures:
        if figure.id in ours:
            table = beside.setdefault(figure.paper, _figures(figure.paper, *_RUN_COLUMNS))
            for row in ours[figure.id]:
                _add_run(table, figure, row)
        else:
            table = others.setdefault(figure.paper, _titled(figure.paper, "paper", _HOW))
            published = _published(dataclasses.asdict(figure), "  ")
            table.add_row(published, figure_text(figure.value, figure.unit), _how(figure, ", "))
    return Group(
        *beside.values(),
        *([Text("\nWithout a run of ours", style="bold")] if beside and others else []),
        *others.values(),
    )


def _add_run(table: Table, figure: benchmarks.Benchmark, row: Mapping[str, Any]) -> None:
    run = Text(f"{row['recipe']} ({row['size']})")
    if not row["comparable"]:
        run.append(f"\nnot comparable: {row['why']}", style="yellow")
    paper, ours, difference = _beside(row)
    table.add_row(_published(row), paper, _how(figure, "\n"), ours, difference, run)


def _how(figure: benchmarks.Benchmark, separator: str) -> str:
    """By which protocol a figure was measured, and on which data."""
    return separator.join(filter(None, (figure.protocol, figure.data)))


def end_screen(
    summary: Mapping[str, Any],
    next_commands: Iterable[str],
    log: Path,
    tracked: str | None = None,
) -> Group:
    """What a run came to.

    Args:
      summary: the content of `ROOT/runs/RUN.json`.
      next_commands: what the user may want to type now.
      log: the libraries' log of the run.
      tracked: where the run was noted besides.
    """
    head = Text(f"{summary['recipe']} ({summary['size']}) on {summary['dataset']}", style="bold")
    head.append(f", {duration(summary['seconds'])}", style="not bold")
    parts: list[RenderableType] = [head, Padding(_stages(summary["stages"]), (1, 0, 0, 0))]
    if summary.get("error"):
        failed = next((s["stage"] for s in summary["stages"] if s["state"] == "failed"), None)
        where = f" in {failed}" if failed else ""
        # Addresses and paths stay whole, so that they can be copied.
        text = Text(f"\nFailed{where}: ", "bold red", overflow="ignore")
        parts += [text.append(summary["error"], "not bold red")]
    elif summary.get("blessed") is not None:
        word = Text("\nBlessed", "bold green") if summary["blessed"] else _refused()
        parts += [word.append(f": {'; '.join(summary['why'])}", style="not bold default")]
    if summary.get("judgement"):
        judgement = json.loads(Path(summary["judgement"]).read_text(encoding="utf-8"))
        parts += [Text(), judgement_screen(judgement)]
    parts += [_places(summary, log, tracked)]
    commands = list(next_commands)
    if commands:
        parts += [Text("\nNext"), *(Text(f"  {command}", style="bold") for command in commands)]
    return Group(*parts)


def _refused() -> Text:
    return Text("\nNot blessed, so not pushed", "bold yellow")


def _stages(stages: Iterable[Mapping[str, Any]]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for stage in stages:
        cached = stage["state"] == "cached"
        took = {"cached": "cached", "waiting": "not run"}.get(
            stage["state"], duration(stage["seconds"])
        )
        style = {"failed": "bold red", "cached": "cyan", "waiting": "dim"}.get(stage["state"], "")
        table.add_row(
            Text(f"  {stage['stage']}"),
            Text(work(stage["stage"]), style="dim"),
            Text(took if cached or stage["state"] != "failed" else f"failed after {took}", style),
        )
    return table


def _places(summary: Mapping[str, Any], log: Path, tracked: str | None) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    if number := summary.get("dead_letters"):
        letters = f"{number:,} {'image' if number == 1 else 'images'} could not be used"
        if summary.get("examples"):
            letters += f"; why: {nearby(summary['examples'])}/dead_letters"
        table.add_row("Dead letters", letters)
    if tuned := summary.get("tuned"):
        values = ", ".join(f"{key}={json.dumps(value)}" for key, value in tuned["values"].items())
        table.add_row("Tuned", f"{values}; the best of {tuned['trials']:,} trials")
    for note in summary.get("notes", ()):
        table.add_row("Training", note)
    if summary.get("data_verdict"):
        verdict = json.loads(Path(summary["data_verdict"]).read_text(encoding="utf-8"))
        table.add_row("Data", verdict["line"])
    if summary.get("report"):
        table.add_row("Report", nearby(summary["report"]))
    if summary.get("judgement"):
        predictions = Path(summary["judgement"]).with_name("predictions.npz")
        table.add_row("Predictions", nearby(predictions))
    if summary.get("model_run"):
        table.add_row("Model", nearby(f"{summary['model_run']}/model.keras"))
        table.add_row("TensorBoard", nearby(f"{summary['model_run']}/tensorboard"))
    if summary.get("pushed"):
        version = f"version {summary['version']} in {nearby(summary['pushed'])}"
        table.add_row("Served as", f"{summary.get('served_name', summary['recipe'])}, {version}")
    table.add_row("Log", nearby(log))
    if tracked:
        table.add_row("Noted", tracked)
    return table


def answers_table(
    images: Sequence[str],
    columns: Sequence[str],
    by_grpc: Sequence[Sequence[str]],
    by_rest: Sequence[Sequence[str]] | None = None,
) -> Table:
    """What the server answers about each image, in the words of `columns`; over one API or both."""
    others = ("over REST", *columns[1:]) if by_rest else ()
    table = table_of("image", *columns, *others)
    for image, *answers in zip(images, by_grpc, *([by_rest] if by_rest else []), strict=True):
        cells = [(Text(first, "bold"), *map(Text, rest)) for first, *rest in answers]
        table.add_row(Text(image), *chain.from_iterable(cells))
    return table
