"""The environment of every test, set before TensorFlow, Keras or Matplotlib is imported."""

import gc
import os
import sys

import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.fixture(autouse=True, scope="module")
def forget_networks():
    """Frees the networks of a file of tests; hundreds of them take gigabytes together."""
    yield
    if "keras" in sys.modules:
        sys.modules["keras"].backend.clear_session()
        gc.collect()
        # What is left are modules for the most part: with TFX's a collection takes three seconds.
        gc.freeze()
