"""What the server takes from TensorFlow: sessions, SavedModels, files and errors.

`import tensorflow` loads everything that it has: Keras, TensorFlow Lite and, where they are
installed, pandas, scikit-learn, matplotlib, JAX and IPython. Serving a SavedModel needs an eighth
of that in processor time and half of it in memory, so only the modules in `_NAMES` are imported
here. A later `import tensorflow` or `import keras` finds them loaded and goes on as always.

Those modules are not TensorFlow's public API. Where one of them is missing, TensorFlow is loaded
whole and the same things are taken by their public names; so they are where it is loaded already,
and where there are plugins, which nothing but its `__init__.py` loads.
"""

from __future__ import annotations

import importlib
import logging
import operator
import os
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace

from serving.protos import without_loading_tensorflow

# Our name: the module that defines it, its name there, and its public name.
_NAMES = {
    "Session": ("client.session", "Session", "compat.v1.Session"),
    "Graph": ("framework.ops", "Graph", "Graph"),
    "load": ("saved_model.loader_impl", "load", "compat.v1.saved_model.load"),
    "OpError": ("framework.errors_impl", "OpError", "errors.OpError"),
    "DataLossError": ("framework.errors_impl", "DataLossError", "errors.DataLossError"),
    "records": ("lib.io.tf_record", "tf_record_iterator", "compat.v1.io.tf_record_iterator"),
    "exists": ("lib.io.file_io", "file_exists_v2", "io.gfile.exists"),
    "listdir": ("lib.io.file_io", "list_directory_v2", "io.gfile.listdir"),
    "stat": ("lib.io.file_io", "stat_v2", "io.gfile.stat"),
    "walk": ("lib.io.file_io", "walk_v2", "io.gfile.walk"),
    "GFile": ("platform.gfile", "GFile", "io.gfile.GFile"),
}
_PLUGIN_SETTINGS = ("TF_PLUGGABLE_DEVICE_LIBRARY_PATH", "TF_USE_MODULAR_FILESYSTEM")
_PLUGINS = "tensorflow-plugins"

_log = logging.getLogger(__name__)


class _TensorFlowBeforeKeras(MetaPathFinder, Loader):
    """Has `import keras` load TensorFlow first, where only parts of it are loaded.

    Keras begins with a module inside of TensorFlow. By then the packages around that module are
    there, so that Python would load it without TensorFlow's `__init__.py`, and it cannot be.
    """

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name != "keras":
            return None
        sys.meta_path.remove(self)
        importlib.import_module("tensorflow")
        # TensorFlow has loaded Keras by now in most of its versions; that one is taken.
        return ModuleSpec(name, self) if name in sys.modules else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = sys.modules[spec.name]
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


def parts() -> SimpleNamespace:
    """The names, each from the module that defines it.

    Raises ImportError or AttributeError where this version of TensorFlow has it elsewhere.
    """
    with without_loading_tensorflow():
        # As in TensorFlow's own __init__.py: else its modules are set up as TensorFlow 1.
        os.environ["TF2_BEHAVIOR"] = "1"
        _module("tf2").enable()
        found = {ours: getattr(_module(name), it) for ours, (name, it, _) in _NAMES.items()}
        libraries = _module("framework.load_library")
    kernels = Path(libraries.__file__).parents[2] / "core" / "kernels"
    if kernels.exists():
        libraries.load_library(str(kernels))
    if "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, _TensorFlowBeforeKeras())
    return SimpleNamespace(**found)


def whole() -> SimpleNamespace:
    """The names, by their public names. Loads all of TensorFlow."""
    import tensorflow

    found = {ours: operator.attrgetter(name)(tensorflow) for ours, (*_, name) in _NAMES.items()}
    return SimpleNamespace(**found)


def choose() -> SimpleNamespace:
    """`parts`, or `whole` where it has to be."""
    if "tensorflow" in sys.modules or _has_plugins():
        return whole()
    try:
        return parts()
    except (ImportError, AttributeError) as error:
        _log.info("TensorFlow is loaded whole: %s", error)
        return whole()


def _has_plugins() -> bool:
    if any(os.environ.get(name) for name in _PLUGIN_SETTINGS):
        return True
    return any(Path(path, _PLUGINS).exists() for path in sys.path)


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"tensorflow.python.{name}")


tf = choose()
