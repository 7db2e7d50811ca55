"""The runs that a root remembers: `ROOT/runs/*.json` and the judgements that they point to.

Judgements of other models are in `ROOT/judged/`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.paths import Paths


def summaries(root: Path, recipe: str | None = None) -> list[Mapping[str, Any]]:
    """The summaries of the runs (of one recipe), oldest first; a damaged file is passed over."""
    paths = Path(Paths(str(root)).runs).glob("*.json")
    found = [summary for path in paths if (summary := _read(path))]
    wanted = [each for each in found if recipe in (None, each["recipe"])]
    return sorted(wanted, key=lambda summary: summary["started"])


def of_model(root: Path, name: str) -> list[Mapping[str, Any]]:
    """The summaries of the runs whose model is served as `name`, oldest first."""
    # Earlier versions served a model by its recipe's name, and did not note it.
    return [each for each in summaries(root) if each.get("served_name", each["recipe"]) == name]


def judgements(root: Path, recipe: str | None = None) -> Iterator[Mapping[str, Any]]:
    """The distinct judgements of the runs, oldest first; a run from the cache adds none."""
    paths = (summary.get("judgement") for summary in summaries(root, recipe))
    for path in dict.fromkeys(filter(None, paths)):
        judgement = _read(Path(path))
        if judgement:
            yield judgement


def judged_folder(root: Path) -> Path:
    """Where `convnets judge --model` keeps what it found."""
    return root / "judged"


def judged(root: Path) -> list[Mapping[str, Any]]:
    """The judgements of models that no run has made, oldest first."""
    paths = sorted(judged_folder(root).glob("*.json"), key=lambda path: path.stat().st_mtime)
    return [judgement for path in paths if (judgement := _read(path))]


def _read(path: Path) -> Mapping[str, Any] | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return None
