"""Imports TFX without what no run uses of it and of the libraries below it.

TFX imports every component that it has, Kubernetes' client for one of them; TensorFlow and Keras
bring JAX, scikit-learn and IPython where they are installed. Together that takes as long as
TensorFlow itself.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.util
import os
import platform
import sys
import threading
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

# Their `__init__.py` imports all that is below them. What is used of them has names of its own.
_PACKAGES = (
    "tfx.components",
    "tensorflow_model_analysis",
    "tensorflow_model_analysis.view",
)
# The libraries do without these where they are not installed, and so does a run.
_OPTIONAL = ("IPython", "jax", "pymongo", "sklearn")
_OPTIONAL_IN_RUNS = ("googleapiclient", "matplotlib", "pandas")
# What every run needs of TFX.
TFX = (
    "tfx.orchestration.portable.launcher",
    "tfx.components.statistics_gen.component",
    "tfx.components.transform.component",
)


class _Package(ModuleType):
    """A package whose `__init__.py` waits until somebody asks for what only it can give."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        spec = importlib.util.find_spec(name)
        self.__spec__, self.__loader__ = spec, spec.loader
        self.__file__, self.__path__ = spec.origin, spec.submodule_search_locations
        self.__package__ = name
        self._initialised = threading.RLock(), []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        path = f"{self.__name__}.{name}"
        with contextlib.suppress(ModuleNotFoundError):
            if importlib.util.find_spec(path):
                return importlib.import_module(path)
        lock, done = self._initialised
        with lock:
            if not done:
                done.append(True)
                self.__loader__.exec_module(self)
        try:
            return self.__dict__[name]
        except KeyError:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}") from None


def prefer_onednn() -> None:
    """Has TensorFlow, imported later, take oneDNN's operations on any processor of x86.

    By itself it takes them on the newest alone; on the others a step of GoogLeNet or ResNet-50
    takes twice as long (benchmarks/onednn.py). Whoever has set the variable has decided.
    """
    if platform.machine() in ("x86_64", "AMD64"):
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def load(*modules: str, is_run: bool = False) -> None:
    """Imports libraries without what no run uses; afterwards all can be imported as ever.

    Args:
      *modules: those that are imported.
      is_run: whether this process is a run's own, in which nobody gives Keras a table, has it plot
        or asks Google for a TPU: a network's faults are found so much the sooner.
    """
    prefer_onednn()
    # Hardly anything of them is garbage, and all of it would be gone through again and again.
    gc.disable()
    try:
        with _lean((*_OPTIONAL, *_OPTIONAL_IN_RUNS) if is_run else _OPTIONAL):
            for module in modules:
                importlib.import_module(module)
    finally:
        gc.enable()


@contextlib.contextmanager
def _lean(optional: Sequence[str]) -> Iterator[None]:
    for name in _PACKAGES:
        if name not in sys.modules:
            sys.modules[name] = _Package(name)
    left_out = [name for name in optional if name not in sys.modules]
    sys.modules.update(dict.fromkeys(left_out))
    try:
        yield
    finally:
        for name in left_out:
            del sys.modules[name]
