"""Verdicts kept in a folder, where an orchestrator's metadata cannot be asked for them.

`FOLDER/TIME/` holds `verdict.json` and `statistics.pb` of a verdict, and `about.json`, written
last: an entry without it is not whole.
"""

from __future__ import annotations

import json
import os
import time

from tfx.dsl.io import fileio

_FILES = ("verdict.json", "statistics.pb")
_ABOUT = "about.json"


def keep(folder: str, dataset: str, examples: str, verdict: str) -> None:
    """Adds a verdict.

    Args:
      folder: of the verdicts of a recipe.
      dataset: what `DataValidator` was told.
      examples: URI of the examples that the verdict is about.
      verdict: folder of the verdict.
    """
    entry = os.path.join(folder, str(time.time_ns()))
    fileio.makedirs(entry)
    for name in _FILES:
        fileio.copy(os.path.join(verdict, name), os.path.join(entry, name))
    with fileio.open(os.path.join(entry, _ABOUT), "w") as file:
        file.write(json.dumps({"dataset": dataset, "examples": examples}))


def newest(folder: str, dataset: str, examples: str) -> str | None:
    """The newest verdict on an earlier ingestion of the same data set; None where there is none.

    Args:
      folder, dataset, examples: as for `keep`; a verdict on these very examples is not earlier.
    """
    if not fileio.exists(folder):
        return None
    # On a bucket, folders are listed with a slash.
    times = {int(name.strip("/")) for name in fileio.listdir(folder)}
    for entry in (os.path.join(folder, str(each)) for each in sorted(times, reverse=True)):
        about = _about(entry)
        if about and about["dataset"] == dataset and about["examples"] != examples:
            return entry
    return None


def dataset(folder: str) -> str | None:
    """The data set of the newest verdict, as `DataValidator` was told; None where there is none."""
    if not fileio.exists(folder):
        return None
    times = sorted(int(name.strip("/")) for name in fileio.listdir(folder))
    found = (_about(os.path.join(folder, str(each))) for each in reversed(times))
    return next((about["dataset"] for about in found if about), None)


def _about(entry: str) -> dict[str, str] | None:
    path = os.path.join(entry, _ABOUT)
    if not fileio.exists(path):
        return None
    with fileio.open(path, "r") as file:
        return json.loads(file.read())
