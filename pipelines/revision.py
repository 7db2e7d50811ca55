"""Which code this is."""

from __future__ import annotations

import functools
import hashlib
import importlib.machinery
import importlib.metadata
import importlib.util
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

_ROOMS = ("components", "keras_models", "pipelines", "serving")
_SHOWN = 12
_OBJECT = re.compile(r"(\w+)[\w.]*:\w+")
# Whose version is known otherwise.
_LIBRARIES = {*_ROOMS, "keras", "tensorflow"}


@functools.cache
def version() -> str:
    """The package's version, the commit where it is a checkout, and a hash of its sources.

    Such as `0.1.0, commit 1a2b3c4d5e6f with changes, sources 6f5e4d3c2b1a`. Sources with the same
    hash are the same, wherever they lie.
    """
    place = Path(__file__).resolve().parents[1]
    try:
        package = importlib.metadata.version("convnets")
    except importlib.metadata.PackageNotFoundError:
        package = "not installed"
    return ", ".join([package, *_commit(place), f"sources {_digest(place)}"])


def own_modules(recipe: Mapping[str, Any]) -> dict[str, str]:
    """Hashes of the user's own modules and packages whose objects a recipe names.

    Args:
      recipe: as plain data.

    Returns:
      a hash of the sources by the name of the module, or of the package that it is in.
    """
    tops = {found[1] for text in _texts(recipe) if (found := _OBJECT.fullmatch(text))}
    specs = {name: importlib.util.find_spec(name) for name in sorted(tops - _LIBRARIES)}
    return {name: _sources(spec) for name, spec in specs.items() if spec is not None}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(each)


def _sources(spec: importlib.machinery.ModuleSpec) -> str:
    if spec.submodule_search_locations is None:
        return source_hash([Path(spec.origin)], Path(spec.origin).parent)
    return " ".join(package_hash(Path(folder)) for folder in spec.submodule_search_locations)


def package_hash(folder: Path) -> str:
    """Of all Python files below a folder."""
    return source_hash(sorted(folder.rglob("*.py")), folder)


def source_hash(paths: Iterable[Path], place: Path) -> str:
    """Of the contents of files and their names below `place`."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.relative_to(place)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _digest(place: Path) -> str:
    files = (path for room in _ROOMS for path in sorted((place / room).rglob("*.py")))
    return source_hash(files, place)[:_SHOWN]


def _commit(place: Path) -> list[str]:
    if not (place / ".git").exists():
        return []
    try:
        commit = _git(place, "rev-parse", f"--short={_SHOWN}", "HEAD")
        changed = _git(place, "status", "--porcelain", "--", *_ROOMS)
    except (OSError, subprocess.CalledProcessError):
        return []
    return [f"commit {commit} with changes" if changed else f"commit {commit}"]


def _git(place: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(place), *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()
