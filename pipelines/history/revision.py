"""Which code this is."""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib.machinery
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from components import trusted
from pipelines import source_code

_ROOMS = ("components", "keras_models", "pipelines", "serving")
_SHOWN = 12
_OBJECT = re.compile(r"(?P<module>(?P<top>\w+)[\w.]*):\w+")
_WEIGHTS = (".keras", ".weights.h5")
_INSTALLED = {"site-packages", "dist-packages"}
# Whose version is known otherwise.
_LIBRARIES = {*_ROOMS, "keras", "tensorflow"}


@functools.cache
def version() -> str:
    """The package's version, the commit where it is a checkout, and a hash of its sources.

    Such as `0.1.0, commit 1a2b3c4d5e6f with changes, sources 6f5e4d3c2b1a`. Sources with the same
    hash are the same, wherever they lie.
    """
    place = Path(__file__).resolve().parents[2]
    try:
        package = importlib.metadata.version("convnets")
    except importlib.metadata.PackageNotFoundError:
        package = "not installed"
    return ", ".join([package, *_commit(place), f"sources {_digest(place)}"])


def own_sources(recipe: Mapping[str, Any]) -> dict[str, str]:
    """Hashes of all of the user's own that makes a recipe's network: `own_modules`, and the files
    of weights among its `model_args`, by their paths.

    Args:
      recipe: as plain data.
    """
    paths = [text for text in _texts(recipe["model_args"]) if text.endswith(_WEIGHTS)]
    files = {text: Path(text) for text in sorted(paths) if Path(text).is_file()}
    hashes = {text: source_hash([file], file.parent) for text, file in files.items()}
    return own_modules(recipe) | hashes


def own_modules(recipe: Mapping[str, Any]) -> dict[str, str]:
    """Hashes of the user's own modules and packages whose code makes a recipe's objects.

    They are those that the recipe names, and those that these import, and so on: what is no
    installed library, and what is installed but allowed (`components.trusted`).

    Args:
      recipe: as plain data.

    Returns:
      a hash of the sources by the name of the module, or of the package that it is in.
    """
    objects = filter(None, map(_OBJECT.fullmatch, _texts(recipe)))
    left = {each["top"] for each in objects if trusted.is_allowed(each["module"])} - _LIBRARIES
    found: dict[str, str] = {}
    while left:
        name = left.pop()
        spec = _spec(name)
        if spec is not None:
            found[name] = _sources(spec)
            left |= {each for each in _imported(spec) if _is_own(each)} - {*found, *_LIBRARIES}
    return dict(sorted(found.items()))


def _spec(name: str) -> importlib.machinery.ModuleSpec | None:
    try:
        return source_code.find(name)
    except (source_code.Missing, source_code.Undecided):
        return None


def _imported(spec: importlib.machinery.ModuleSpec) -> set[str]:
    """The modules and packages that the sources of another import."""
    found = set()
    for path in _python_files(spec):
        with contextlib.suppress(SyntaxError, ValueError):  # The run will say so.
            for node in ast.walk(ast.parse(path.read_bytes())):
                if isinstance(node, ast.Import):
                    found |= {alias.name for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    found.add(node.module)
    return {name.partition(".")[0] for name in found}


def _is_own(name: str) -> bool:
    if name in sys.stdlib_module_names:
        return False
    spec = _spec(name)
    if spec is None or trusted.is_allowed(name):
        return spec is not None
    places = [spec.origin] if spec.origin else list(spec.submodule_search_locations or ())
    return not any(_INSTALLED & set(Path(place).parts) for place in places)


def _python_files(spec: importlib.machinery.ModuleSpec) -> list[Path]:
    if spec.submodule_search_locations is None:
        return [Path(spec.origin)] if spec.origin.endswith(".py") else []
    return [path for folder in spec.submodule_search_locations for path in _below(Path(folder))]


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
    return source_hash(_below(folder), folder)


def _below(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


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
