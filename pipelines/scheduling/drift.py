"""Measures how far new data lie from those that a model was trained on.

`python -m pipelines.scheduling.drift REQUEST.json`, in a process of its own because of TensorFlow.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
from pathlib import Path

from components.ingest import sources
from components.validate import checks, facts, verdict
from pipelines import inspection
from pipelines.recipe import Recipe


def main(request_path: str) -> int:
    """Answers a request, see `pipelines.scheduling.looks.measured`; returns the exit code."""
    request = json.loads(Path(request_path).read_text(encoding="utf-8"))
    recipe = Recipe.from_json(request["recipe"])
    before = verdict.Training.read(str(Path(request["verdict"]).parent))
    source, *_ = sources.window(recipe.dataset, 1, recipe.task)
    with tempfile.TemporaryDirectory() as folder:
        inspection.ingest(sources.prepare(source), folder, recipe.encoding)
        found = facts.read(folder)
    latest = verdict.Training.of(found)
    distances = verdict.drift(latest, before, recipe.data_checks, checks.has_several(found))
    answer = [dataclasses.asdict(each) for each in distances]
    Path(request["answer"]).write_text(json.dumps(answer), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
