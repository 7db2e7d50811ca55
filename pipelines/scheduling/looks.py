"""Whether there is something to train: a new span, or data that have drifted."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.ingest import identity, spans
from components.ingest.sources import SourceError
from pipelines import process, served
from pipelines.history import names, runs
from pipelines.recipe import Recipe
from pipelines.scheduling.definition import Definition

_LAST_LINES = 5


@dataclass(frozen=True)
class Look:
    """What was found.

    Attributes:
      run: whether to train.
      text: why, or why not.
      seen: which data were looked at; equal texts mean equal data.
      again_after: of data that are still being written, the seconds until they are looked at again.
    """

    run: bool
    text: str
    seen: str | None
    again_after: float | None = None


def look(definition: Definition, seen: str | None, root: Path, now: datetime.datetime) -> Look:
    """Looks at the data of a schedule.

    Args:
      definition: of the schedule.
      seen: the data that were trained on last.
      root: where the runs are.
      now: the time.

    Raises:
      SourceError, OSError: the data cannot be looked at.
    """
    recipe = definition.build()
    if not definition.new_span and definition.drift is None:
        return Look(True, "due", None)
    try:
        found, text, folder = _identity(recipe)
    except spans.SpanError as error:
        return Look(False, str(error), seen)
    if found == seen:
        return Look(False, f"nothing new: {text}", found)
    if (fresh := _seconds_since_change(folder, now)) is not None and fresh < definition.settle:
        return Look(False, f"{text} is being written", seen, definition.settle - fresh)
    if definition.new_span and found is not None:
        return Look(True, text, found)
    return _drifted(definition, recipe, root, found, text)


def _identity(recipe: Recipe) -> tuple[str | None, str, str]:
    """Which data there are now, the same in words, and their folder."""
    dataset = recipe.dataset
    if spans.is_pattern(dataset):
        newest = spans.find(dataset)[-1]
        version = f" version {newest.version}" if newest.version is not None else ""
        known = identity.of_folder(newest.folder)
        seen = json.dumps([newest.number, newest.version, known.sha256])
        return seen, f"span {newest.number}{version}", newest.folder
    folder = dataset if "://" in dataset else os.path.expanduser(dataset)
    if "://" not in dataset and not os.path.isdir(folder):
        return None, dataset, dataset
    known = identity.of_folder(folder)
    return known.sha256, f"{known.files:,} files in {dataset}", folder


def _seconds_since_change(folder: str, now: datetime.datetime) -> float | None:
    """Since a file of this machine changed; None in a bucket, whose files appear whole."""
    if "://" in folder or not os.path.isdir(folder):
        return None
    paths = (os.path.join(place, name) for place, _, names in os.walk(folder) for name in names)
    newest = max(map(os.path.getmtime, paths), default=os.path.getmtime(folder))
    return now.timestamp() - newest


def _drifted(
    definition: Definition, recipe: Recipe, root: Path, found: str | None, text: str
) -> Look:
    trained_on = served_verdict(names.in_root(recipe, root).model_name, root)
    if trained_on is None:
        return Look(True, f"{text}; nothing is served yet", found)
    distances = measured(recipe, trained_on, definition.timeout)
    limits = {each["feature"]: max(definition.drift, each["chance"]) for each in distances}
    shown = ", ".join(f"{each['feature']} {each['value']:.3f}" for each in distances)
    if any(each["value"] > limits[each["feature"]] for each in distances):
        return Look(True, f"drift of {text}: {shown}", found)
    return Look(False, f"little drift of {text}: {shown}", found)


def served_verdict(model: str, root: Path) -> Path | None:
    """The verdict on the data that the served version was trained on, where it is known."""
    try:
        folder = Path(served.pushed(root, [model])[model])
    except ValueError:
        return None
    version = max(int(each.name) for each in folder.iterdir() if each.name.isdigit())
    for run in reversed(runs.of_model(root, model)):
        if run.get("version") == str(version) and run.get("data_verdict"):
            path = Path(run["data_verdict"])
            return path if path.exists() else None
    return None


def measured(recipe: Recipe, trained_on: Path, timeout: float | None) -> list[dict[str, Any]]:
    """How far a recipe's data lie from others, measured in a process of its own.

    Args:
      recipe: its newest data are read as a run reads them.
      trained_on: `verdict.json` on the others.
      timeout: seconds that this may take.

    Returns:
      `{"feature", "value", "chance"}` each, as `components.validate.checks.Distance` has them.

    Raises:
      SourceError: the data cannot be read.
      OSError: it took too long.
    """
    with tempfile.TemporaryDirectory() as folder:
        request, answer = Path(folder, "request.json"), Path(folder, "answer.json")
        values = {"recipe": recipe.to_json(), "verdict": str(trained_on), "answer": str(answer)}
        request.write_text(json.dumps(values), encoding="utf-8")
        command = [sys.executable, "-m", "pipelines.scheduling.drift", str(request)]
        try:
            done = subprocess.run(
                command,
                env={**process.environment(), "TMPDIR": folder},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
            )
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"the drift was not measured in {timeout:g} seconds") from error
        if done.returncode:
            last = "\n".join(done.stderr.strip().splitlines()[-_LAST_LINES:])
            raise SourceError(f"the drift cannot be measured: {last}")
        return json.loads(answer.read_text(encoding="utf-8"))
