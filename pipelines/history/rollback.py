"""Goes back to an earlier version of a served model, and forward again.

Servers take the folder with the highest number. A version that is taken back is renamed, `17` to
`.17`, which no server takes for a version; the Pusher does not push the same model once more.
"""

from __future__ import annotations

import os
from pathlib import Path

from pipelines.paths import Paths

_TAKEN_BACK = "."


def states(root: Path, model: str) -> dict[str, str]:
    """What became of each version on the disk: `served`, `older` or `taken back`."""
    folder = Path(Paths(str(root)).served(model))
    there = _versions(folder)
    found = {str(version): "taken back" for version in _versions(folder, _TAKEN_BACK)}
    found |= {str(version): "older" for version in there}
    return found | ({str(max(there)): "served"} if there else {})


def go_to(root: Path, model: str, version: int | None = None) -> tuple[int | None, int]:
    """Makes a version the served one.

    No server sees a version between the two: they are renamed so that the highest number goes from
    the one to the other at once.

    Args:
      root: the runs' root.
      model: the model's name.
      version: the version; None for the one before the served one.

    Returns:
      The version that was served, None where there was none, and the one that is now.

    Raises:
      ValueError: there is no such model, no such version, or none before.
    """
    folder = Path(Paths(str(root)).served(model))
    there, taken_back = _versions(folder), _versions(folder, _TAKEN_BACK)
    if not there and not taken_back:
        raise ValueError(f"{root} has no version of a model {model!r}")
    served = max(there, default=None)
    if version is None:
        earlier = [each for each in there if each != served]
        if not earlier:
            raise ValueError(f"there is no version of {model} before {served}")
        version = max(earlier)
    if version not in (*there, *taken_back):
        known = ", ".join(map(str, sorted({*there, *taken_back})))
        raise ValueError(f"no version {version} of {model}; there are {known}")
    if version in taken_back:
        os.rename(folder / f"{_TAKEN_BACK}{version}", folder / str(version))
    # From below: until the last, which is the served one, is renamed, nothing changes.
    for each in sorted(each for each in there if each > version):
        os.rename(folder / str(each), folder / f"{_TAKEN_BACK}{each}")
    return served, version


def _versions(folder: Path, prefix: str = "") -> list[int]:
    names = [each.name for each in folder.glob(f"{prefix}*")] if folder.is_dir() else []
    numbers = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
    return [int(number) for number in numbers if number.isdigit()]
