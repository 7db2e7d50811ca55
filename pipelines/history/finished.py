"""What a finished run left behind, by which the same run once more is known before TFX is loaded.

A run is the same if nothing that could change its outcome has changed: recipe, Beam's arguments,
code, libraries, the files of the data (`components.ingest.identity`), ML Metadata's file, and the
files of all artifacts and pushed versions. Whatever cannot be known from here, a bucket for
instance, counts as changed: TFX then decides stage by stage.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from components.ingest import identity
from components.ingest.layouts import Source
from components.ingest.sources import resolve, window
from pipelines.beam import Beam
from pipelines.history import revision
from pipelines.paths import Paths
from pipelines.recipe import Recipe

_LIBRARIES = ("apache-beam", "keras", "ml-metadata", "numpy", "tensorflow", "tfx")
_LIBRARIES += ("tensorflow-datasets",)
_RECORD = "finished.json"


def sources(recipe: Recipe) -> list[Source]:
    """The sources of a recipe's data, the newest first, the fixed ones last; not prepared.

    Raises:
      SourceError: see `components.ingest.sources`.
    """
    found = window(recipe.dataset, recipe.window, recipe.task)
    return [*found, resolve(recipe.fixed, recipe.task)] if recipe.fixed is not None else found


def inputs(
    recipe: Recipe, beam: Beam, wanted: Sequence[Source], folders: Sequence[str]
) -> str | None:
    """A digest of all that a run is made from; None where that cannot be known.

    Args:
      recipe, beam: of the run.
      wanted: what `sources` says.
      folders: where they are, once prepared.

    Raises:
      OSError: a folder that cannot be read.
    """
    if recipe.strategy == "multi_worker" or any("://" in folder for folder in folders):
        return None
    versions = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    plain = json.loads(recipe.to_json())
    made_from = [
        plain,
        dataclasses.asdict(beam),
        [revision.version(), versions, revision.own_sources(plain)],
        [dataclasses.asdict(source) for source in wanted],
        [
            [folder, identity.of_source(dataclasses.replace(source, base=folder)).sha256]
            for source, folder in zip(wanted, folders, strict=True)
        ],
    ]
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()


def note(
    paths: Paths,
    summary: dict[str, Any],
    made_from: str | None,
    folders: Sequence[str],
    artifacts: Iterable[str],
) -> None:
    """Notes a run that has ended well; ML Metadata must be closed by now.

    Args:
      paths: of its root.
      summary: of the run.
      made_from: what `inputs` gave before the data were read.
      folders: as it was given them.
      artifacts: the folders of all artifacts.
    """
    record = Path(paths.pipeline(summary["served_name"]), _RECORD)
    record.unlink(missing_ok=True)
    if made_from is None:
        return
    left = sorted(artifacts)
    content = {
        "inputs": made_from,
        "folders": list(folders),
        "artifacts": left,
        "state": _state(paths, summary["served_name"], left),
        "summary": summary,
    }
    partial = record.with_name(f".{record.name}")
    partial.write_text(json.dumps(content), encoding="utf-8")
    partial.replace(record)


def find(paths: Paths, recipe: Recipe, beam: Beam) -> dict[str, Any] | None:
    """The summary of the last run of this recipe, if the same once more would change nothing."""
    record = Path(paths.pipeline(recipe.model_name), _RECORD)
    with contextlib.suppress(OSError, ValueError, KeyError):
        known = json.loads(record.read_text(encoding="utf-8"))
        same = known["inputs"] == inputs(recipe, beam, sources(recipe), known["folders"])
        if same and known["state"] == _state(paths, recipe.model_name, known["artifacts"]):
            return known["summary"]
    return None


def _state(paths: Paths, model: str, artifacts: Iterable[str]) -> list[str]:
    """Digests of the metadata, of each artifact and of what is served."""
    folders = [*artifacts, paths.served(model)]
    return [_file(paths.metadata), *map(_folder, folders)]


def _file(path: str) -> str:
    try:
        found = os.stat(path)
    except OSError:
        return "unreadable"
    # The time of the last change of any kind is set by no tool: by it a copy that keeps the other
    # time is told apart, and so are two files that have exchanged their names.
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"


def _folder(path: str) -> str:
    try:
        return identity.of_folder(path, everything=True).sha256
    except OSError:
        return "unreadable"
