"""The costs of networks, kept in the user's cache folder: counting takes all of Keras.

A count is kept by everything that it follows from: the network and its arguments, the sources that
build and count it, Keras' version and settings. Networks whose code lies outside of `keras_models`
are counted each time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from components import user_cache
from pipelines import costs
from pipelines.costs import NetworkCost
from pipelines.history import revision
from pipelines.recipe import Recipe

_PACKAGE = "keras_models"
_MOST_FILES = 500


def count(recipe: Recipe, on_count: Callable[[], None] = lambda: None) -> NetworkCost:
    """What `costs.count` gives, without Keras where it has been counted before.

    Args:
      recipe: whose network.
      on_count: called before Keras is loaded, where it has to be.

    Raises:
      ValueError: the network cannot be built as the recipe says, or not be counted.
    """
    network = costs.network_of(recipe)
    path = user_cache.folder("costs") / f"{_key(network)}.json" if _is_known(network) else None
    if path is not None and (kept := _read(path)) is not None:
        return kept
    on_count()
    counted = costs.count(recipe)
    if path is not None:
        with contextlib.suppress(OSError):  # A home that cannot be written, a full disk.
            _write(path, counted)
    return counted


def _is_known(network: Mapping[str, Any]) -> bool:
    """Whether a network follows from its description and the sources hashed here alone."""
    is_ours = network["model"].partition(".")[0] == _PACKAGE
    return is_ours and network["model_args"].get("weights") is None


def _key(network: Mapping[str, Any]) -> str:
    described = json.dumps([network, _environment()], sort_keys=True)
    return hashlib.sha256(described.encode()).hexdigest()


@functools.cache
def _environment() -> list[Any]:
    """What a count follows from besides the network."""
    spec = importlib.util.find_spec(_PACKAGE)
    here = Path(__file__)
    settings = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras", "keras.json")
    return [
        *(revision.package_hash(Path(folder)) for folder in spec.submodule_search_locations),
        revision.source_hash([Path(costs.__file__), here], here.parent),
        importlib.metadata.version("keras"),
        settings.read_text(encoding="utf-8") if settings.is_file() else None,
        sorted(item for item in os.environ.items() if item[0].startswith("KERAS_")),
    ]


def _read(path: Path) -> NetworkCost | None:
    """What `_write` has written; None where there is nothing, or nothing whole."""
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        layers, total = [_layer(each) for each in plain["layers"]], _layer(plain["total"])
        shape = tuple(plain["input_shape"])
        return NetworkCost(**{**plain, "layers": layers, "total": total, "input_shape": shape})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _layer(plain: Mapping[str, Any]) -> SimpleNamespace:
    """A LayerCost, whose class only Keras' import would give."""
    values = {key: tuple(v) if isinstance(v, list) else v for key, v in plain.items()}
    return SimpleNamespace(**values)


def _write(path: Path, cost: NetworkCost) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = sorted(path.parent.glob("*.json"), key=lambda file: file.stat().st_mtime)
    for file in kept[: max(0, len(kept) - _MOST_FILES)]:
        file.unlink(missing_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        try:
            json.dump(dataclasses.asdict(cost), file)
            file.flush()
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
