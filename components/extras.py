"""How the package's extras are installed: no registry has this package."""

from __future__ import annotations

import importlib.metadata
import shlex
from pathlib import Path


def command(extra: str) -> str:
    """What brings an extra such as `video`: from this checkout or the wheel that was installed.

    Args:
      extra: one of `optional-dependencies` in pyproject.toml.
    """
    place = Path(__file__).resolve().parents[1]
    if (place / "pyproject.toml").exists():
        return f"pip install -e {shlex.quote(f'{place}[{extra}]')}"
    version = importlib.metadata.version("convnets")
    return f"pip install 'convnets-{version}-py3-none-any.whl[{extra}]'"
