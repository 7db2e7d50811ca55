"""What the runs of a root were allowed to run, for what is done with these runs later.

A run's files travel, and what they name is imported: so they cannot say themselves whose code is
trusted. This list can: it lies in the user's own cache folder, and only the user's own runs write
it. Somebody else's runs are not in it, nor is another module of the same name elsewhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from components import trusted, user_cache
from pipelines import source_code


def note(root: Path) -> None:
    """Notes that runs of a root are allowed what is allowed now, and where that code lies."""
    packages = _noted(root)
    for name in trusted.listed():
        with contextlib.suppress(source_code.Missing, source_code.Undecided):
            packages[name] = str(_folder(source_code.find(name.partition(".")[0])))
    if not packages:
        return
    place = _place(root)
    # A home that cannot be written costs an option of a later command, and no run.
    with contextlib.suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        new = place.with_suffix(f".{os.getpid()}")
        new.write_text(json.dumps(packages, indent=1), encoding="utf-8")
        new.replace(place)


@contextlib.contextmanager
def of_run(path: Path) -> Iterator[None]:
    """Allows inside what the run was allowed of which a file or folder is.

    Args:
      path: below the root of the run.
    """
    path = path.resolve()
    packages = next(filter(None, map(_noted, path.parents)), {})
    with trusted.importable(dict.fromkeys(map(Path, packages.values()))):
        found = {name: PathFinder.find_spec(name.partition(".")[0]) for name in packages}
        same = [
            name
            for name, spec in found.items()
            if spec is not None and str(_folder(spec)) == packages[name]
        ]
        with trusted.allowing(same):
            yield


def _noted(root: Path) -> dict[str, str]:
    """By name of a package or module, the folder in which it was found."""
    try:
        return json.loads(_place(root).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _place(root: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()
    return user_cache.folder("allowed") / f"{digest[:32]}.json"


def _folder(spec: ModuleSpec) -> Path:
    """The one that Python has to look into for a module or package."""
    inside = list(spec.submodule_search_locations or ())
    return Path(inside[0] if inside else spec.origin or "").resolve().parent
