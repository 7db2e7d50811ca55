"""The table of `convnets history`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from components import tasks
from components.tasks import Metric
from pipelines.console.display import table_of
from pipelines.history.lineage import Data, Version, changes

_STYLES = {"served": "green", "taken back": "yellow", "gone": "dim"}
_CHANGES = 8


def history_screen(versions: Sequence[Version]) -> Table:
    """A row a version, with what its recipe changed in the one before.

    Args:
      versions: of one model, one or more, the newest first.
    """
    task = tasks.find(versions[0].recipe.get("task", tasks.EARLIEST))
    metric = task.metrics[0]
    table = table_of("version", "pushed", "data", "recipe", "code", f"test {metric.title}")
    for version, before in zip(versions, [*versions[1:], None], strict=True):
        table.add_row(
            Text.assemble(version.version, "\n", (version.state, _STYLES.get(version.state, ""))),
            f"{version.pushed_at.astimezone():%Y-%m-%d %H:%M}",
            "\n".join([version.dataset or "", *map(_data, version.data)]),
            _recipe(version, before),
            (version.code or "not noted").replace(", ", "\n"),
            _figure(version, metric),
        )
    return table


def plain(versions: Sequence[Version]) -> list[dict[str, Any]]:
    """The same as data that JSON can have."""
    return [
        {**dataclasses.asdict(version), "pushed_at": version.pushed_at.isoformat()}
        for version in versions
    ]


def _data(data: Data) -> str:
    images = f"{data.images:,} images"
    if not data.span:
        return images
    version = f" version {data.version}" if data.version is not None else ""
    return f"span {data.span}{version}, {images}"


def _recipe(version: Version, before: Version | None) -> str:
    if before is None:
        return f"{version.recipe.get('name')}, {version.recipe.get('size')}"
    found = changes(version.recipe, before.recipe)
    more = [f"and {len(found) - _CHANGES} more"] if len(found) > _CHANGES else []
    return "\n".join([*found[:_CHANGES], *more]) or "as before"


def _figure(version: Version, metric: Metric) -> str:
    value = version.figures.get(metric.name)
    return "" if value is None else metric.text(value)
