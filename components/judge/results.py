"""Paper beside ours: the rows of a judgement as plain data, for tables on any surface."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from components import tasks
from components.ingest.sources import HELD_OUT
from components.judge import protocols
from components.judge.benchmarks import Benchmark

# What papers count of a network; `keras_models.analysis.cost` counts it of ours.
COUNTS = {
    "parameters": "parameters",
    "multiply_adds": "multiply-adds",
    "connections": "connections",
    "units": "units",
    "layers": "layers",
}
# What the metrics are called in a table.
METRICS = {
    **{
        metric.name: metric.title
        for task in map(tasks.find, tasks.names())
        for metric in (*task.metrics, *task.blessing, *task.training_metrics)
    },
    "pixel_accuracy": "share of the pixels of the right class",
    "error_increase": "increase of the error",
    "diverges": "training diverges (1: yes)",
    "mean_iou": "mean intersection over union of the classes",
    "images_per_second": "images a second",
    "seconds_per_image": "seconds an image",
    "training_hours": "hours of training",
    "training_speedup": "times as fast in training",
    "test_speedup": "times as fast in test",
    "speedup": "times as fast as a CPU",
    **COUNTS,
}
# Those that are taken while a network is trained.
_OF_TRAINING = {
    metric.name for task in map(tasks.find, tasks.names()) for metric in task.training_metrics
}
# What the archives of data that TFDS does not have unpack to.
_FOLDERS = {"256_ObjectCategories": "caltech256", "lfw": "lfw"}
# What TFDS has otherwise than the papers: the pictures of LFW, and not its pairs.
_OF_TFDS = {"lfw": "tfds-lfw"}
# What a metric is multiplied by to be in a figure's unit: rates are measured as fractions.
SCALES = {
    "": 1.0,
    "1": 1.0,
    "%": 100.0,
    "points": 100.0,
    "nats": 1.0,
    "1/s": 1.0,
    "s": 1.0,
    "h": 1.0,
    "degrees": 1.0,
    "k": 1e-3,
    "m": 1.0,
    "M": 1e-6,
    "G": 1e-9,
}
COLUMNS = (
    *("id", "paper", "table", "model", "data", "split", "protocol", "metric", "unit", "note"),
    *("verified", "paper_value", "ours", "difference", "comparable", "why"),
)


def compare(
    benchmark: Benchmark,
    metrics: Mapping[str, float | None],
    recipe: Mapping[str, Any],
    protocol: str,
) -> dict[str, Any]:
    """One published figure beside ours.

    Args:
      benchmark: the published figure.
      metrics: what was measured on the test split.
      recipe: `dataset`, `size` and `full_data` of the recipe that was run; `deviations`, how its
        network or that one's input differ from the figure's, where they do.
      protocol: how `metrics` was measured.

    Returns:
      the values of `COLUMNS`: those of the figure; paper_value; ours and difference (ours - paper),
      in the figure's unit, None where there is no figure of ours; comparable; why (empty where
      comparable).
    """
    split = HELD_OUT.get(data_name(recipe["dataset"]), "test")
    ours = metrics.get(benchmark.metric) if split == benchmark.split else None
    if ours is not None:
        ours *= SCALES[benchmark.unit]
    why = "; ".join(_objections(benchmark, ours, recipe, protocol))
    row = {name: value for name, value in asdict(benchmark).items() if name in COLUMNS}
    return row | {
        "paper_value": benchmark.value,
        "ours": ours,
        "difference": None if ours is None else ours - benchmark.value,
        "comparable": not why,
        "why": why,
    }


def data_name(dataset: str) -> str:
    """The name in the tables of what a recipe calls `dataset`: that TFDS has it, or where it was
    unpacked, is no matter."""
    if not dataset.startswith("tfds:"):
        return _FOLDERS.get(os.path.basename(dataset.rstrip("/")), dataset)
    name = dataset.removeprefix("tfds:").partition(":")[0]
    return _OF_TFDS.get(name, name)


def _objections(
    benchmark: Benchmark, ours: float | None, recipe: Mapping[str, Any], protocol: str
) -> Iterable[str]:
    if data_name(recipe["dataset"]) != benchmark.data:
        yield f"other data: the paper's is {benchmark.data}, ours {recipe['dataset']}"
    elif not recipe.get("full_data", recipe["size"] == "paper"):
        yield f"the {recipe['size']} size uses a part of {recipe['dataset']} only"
    if recipe.get("deviations"):
        yield f"another network or input than the figure's: {', '.join(recipe['deviations'])}"
    if benchmark.protocol == protocols.OTHER:
        yield "the paper's protocol is none of ours"
    elif protocol != benchmark.protocol:
        yield f"other protocol: the paper's is {benchmark.protocol}, ours {protocol}"
    if benchmark.metric in _OF_TRAINING:
        yield "ours is of held-out training images, on which the training is validated"
    if ours is None:
        yield f"{METRICS[benchmark.metric]} was not measured on the {benchmark.split} split"


def judged_table(judgements: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of several judgements (the content of `judgement.json`), in one table.

    Each row is as `compare` returns it, and carries `recipe`, `size`, `dataset` and `examples` of
    the run that it is from. Rows of one published figure stand together, in the order of the
    judgements.
    """
    rows = [
        {**row, **{key: judgement[key] for key in ("recipe", "size", "dataset", "examples")}}
        for judgement in judgements
        for row in judgement["rows"]
    ]
    first_seen = {row["id"]: place for place, row in reversed(list(enumerate(rows)))}
    return sorted(rows, key=lambda row: first_seen[row["id"]])


def row_text(row: Mapping[str, Any]) -> dict[str, str]:
    """A row as it is printed: `metric`, and the figures `paper`, `ours` and `difference`.

    There is no difference between figures that do not compare.
    """
    dash = "–"
    compared = row["comparable"] and row["difference"] is not None
    ours = row["ours"]
    # Shares and relative errors are published with three decimals where they are no percentages.
    digits = 3 if row["unit"] in ("", "1", "m") and row["paper_value"] < 10 else 2
    return {
        "metric": METRICS[row["metric"]],
        "paper": figure_text(row["paper_value"], row["unit"]),
        "ours": dash if ours is None else _with_unit(f"{ours:.{digits}f}", row["unit"]),
        "difference": f"{row['difference']:+.{digits}f}" if compared else dash,
    }


def needed_line(judgement: Mapping[str, Any]) -> str:
    """What a model has to reach on these data, and whether it does; "" where nothing is asked."""
    # Judgements of earlier versions do not say.
    least = judgement.get("needed")
    if not least:
        return ""
    task = tasks.find(judgement.get("task", tasks.EARLIEST))
    metric = next(each for each in task.blessing if each.name == least["metric"])
    figure = least["figure"]
    shown = "is not defined" if figure is None else metric.text(figure)
    return metric.enough(figure, shown, least)


def figure_text(value: float, unit: str) -> str:
    """A published figure with all its digits: `0.95 %`, `60,965,224`."""
    return _with_unit(f"{value:,.12g}", unit)


def _with_unit(figure: str, unit: str) -> str:
    return f"{figure} {unit}".rstrip()


def read_judgement(folder: str | Path) -> dict[str, Any]:
    """`judgement.json` of a Judgement artifact on this machine."""
    return json.loads((Path(folder) / "judgement.json").read_text(encoding="utf-8"))
