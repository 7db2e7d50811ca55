"""What the server takes from TensorFlow; test_server.py shows that it does not load it whole."""

import subprocess
import sys
from pathlib import Path

import pytest

from serving import runtime

ROOT = Path(__file__).parents[2]


def test_the_parts_are_the_public_ones():
    assert vars(runtime.parts()) == vars(runtime.whole())


def test_keras_can_be_imported_afterwards():
    program = """
import sys
from serving import runtime
assert "tensorflow" not in sys.modules
import keras
import tensorflow
assert keras is sys.modules["keras"] and keras.__spec__.origin
assert keras.layers.Dense(2)(keras.ops.ones([1, 3])).shape == (1, 2)
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_without_plugins():
    assert not runtime._has_plugins()


@pytest.mark.parametrize("name", ["TF_PLUGGABLE_DEVICE_LIBRARY_PATH", "TF_USE_MODULAR_FILESYSTEM"])
def test_plugins_by_the_environment(name, monkeypatch):
    monkeypatch.setenv(name, "1")
    assert runtime._has_plugins()


def test_plugins_that_are_installed(tmp_path, monkeypatch):
    (tmp_path / "tensorflow-plugins").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert runtime._has_plugins()
