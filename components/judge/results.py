"""Paper beside ours: the rows of a judgement as plain data, for tables on any surface."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from components.judge.benchmarks import Benchmark

# What the metrics are called in a table.
METRICS = {
    "error": "error",
    "top5_error": "top-5 error",
    "cross_entropy": "cross-entropy",
    "rejected_at_0.5_error": "rejected for 0.5 % error",
}
# Metrics are fractions; a figure in per cent is a hundred times as large.
_SCALE = {"%": 100.0, "": 1.0, "nats": 1.0}


def compare(
    benchmark: Benchmark,
    metrics: Mapping[str, float | None],
    recipe: Mapping[str, Any],
    protocol: str,
    split: str = "test",
) -> dict[str, Any]:
    """One published figure beside ours.

    Args:
      benchmark: the published figure.
      metrics: what was measured, fractions.
      recipe: `dataset`, `size` and `full_data` of the recipe that was run.
      protocol, split: how and on what `metrics` was measured.

    Returns:
      id, paper, table, model, data, split, protocol, metric, unit, note, paper_value, ours,
      difference (ours - paper, in the unit; None where there is no figure of ours), comparable,
      why (empty where comparable).
    """
    ours = metrics.get(benchmark.metric) if split == benchmark.split else None
    if ours is not None:
        ours *= _SCALE[benchmark.unit]
    why = "; ".join(_objections(benchmark, ours, recipe, protocol))
    return {
        "id": benchmark.id,
        "paper": benchmark.paper,
        "table": benchmark.table,
        "model": benchmark.model,
        "data": benchmark.data,
        "split": benchmark.split,
        "protocol": benchmark.protocol,
        "metric": benchmark.metric,
        "unit": benchmark.unit,
        "note": benchmark.note,
        "paper_value": benchmark.value,
        "ours": ours,
        "difference": None if ours is None else ours - benchmark.value,
        "comparable": not why,
        "why": why,
    }


def _objections(
    benchmark: Benchmark, ours: float | None, recipe: Mapping[str, Any], protocol: str
) -> Iterable[str]:
    if recipe["dataset"] != benchmark.data:
        yield f"other data: the paper's is {benchmark.data}, ours {recipe['dataset']}"
    elif not recipe.get("full_data", recipe["size"] == "paper"):
        yield f"the {recipe['size']} size uses a part of {recipe['dataset']} only"
    if protocol != benchmark.protocol:
        yield f"other protocol: the paper's is {benchmark.protocol}, ours {protocol}"
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
    """A row as it is printed: `metric`, and the figures `paper`, `ours` and `difference`."""
    unit = f" {row['unit']}" if row["unit"] else ""
    dash = "–"
    return {
        "metric": METRICS[row["metric"]],
        "paper": f"{row['paper_value']:g}{unit}",
        "ours": dash if row["ours"] is None else f"{row['ours']:.2f}{unit}",
        "difference": dash if row["difference"] is None else f"{row['difference']:+.2f}",
    }


def read_judgement(folder: str | Path) -> dict[str, Any]:
    """`judgement.json` of a Judgement artifact on this machine."""
    return json.loads((Path(folder) / "judgement.json").read_text(encoding="utf-8"))
