"""The environment of every test, set before TensorFlow, Keras or Matplotlib is imported."""

import gc
import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores: threads of one that wait for each other take them from the others.
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, "1")


def pytest_collection_modifyitems(items):
    """The dearest files first: a worker that began one at the end would be waited for."""
    from tests.costs import seconds_by_file

    seconds = seconds_by_file()
    root = Path(__file__).parents[1]

    def cost(item):
        return -seconds.get(str(item.path.relative_to(root)), 0.0)

    items.sort(key=cost)


@pytest.fixture(autouse=True, scope="module")
def forget_networks():
    """Frees the networks of a file of tests; hundreds of them take gigabytes together."""
    yield
    if "keras" in sys.modules:
        sys.modules["keras"].backend.clear_session()
        gc.collect()
        # What is left are modules for the most part: with TFX's a collection takes three seconds.
        gc.freeze()
