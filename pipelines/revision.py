"""Which code this is."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import subprocess
from pathlib import Path

_ROOMS = ("components", "keras_models", "pipelines", "serving")
_SHOWN = 12


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


def _digest(place: Path) -> str:
    digest = hashlib.sha256()
    for room in _ROOMS:
        for path in sorted((place / room).rglob("*.py")):
            digest.update(f"{path.relative_to(place)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:_SHOWN]


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
