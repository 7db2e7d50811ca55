"""The user's own folder of what can be made anew: `~/.cache/convnets`, or below XDG_CACHE_HOME."""

from __future__ import annotations

import os
from pathlib import Path


def folder(name: str) -> Path:
    """A folder in it, there or not."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "convnets" / name
