"""Convolutional networks from the papers: trained, judged beside the published figures, served.

    import convnets

    run = convnets.run("lenet", data="photos", epochs=5)
    run.figures            # {"error": 0.031, ...} on the test split
    run.predict(["cat.jpg"])

Importing this package imports nothing heavy: TensorFlow comes when it is needed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convnets.calls import (
        RecipeError,
        RootBusy,
        SourceError,
        compare,
        inspect,
        load,
        recipe,
        recipes,
        run,
        runs,
        serve,
    )
    from convnets.models import Answers, Model
    from convnets.results import Comparison, Run, RunFailed
    from convnets.servers import Server

__all__ = [
    "Answers",
    "Comparison",
    "Model",
    "RecipeError",
    "RootBusy",
    "Run",
    "RunFailed",
    "Server",
    "SourceError",
    "compare",
    "inspect",
    "load",
    "recipe",
    "recipes",
    "run",
    "runs",
    "serve",
]
# A module never has the name of a function, which it would hide.
_CLASSES = {
    "Answers": "models",
    "Comparison": "results",
    "Model": "models",
    "Run": "results",
    "RunFailed": "results",
    "Server": "servers",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_CLASSES.get(name, 'calls')}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*__all__, *(name for name in globals() if name.startswith("__"))]
