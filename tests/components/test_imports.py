"""What is imported of TFX, and what is not."""

import os
import subprocess
import sys

from components import imports

LEAN = """
import os, sys
from components import imports

imports.load("keras", is_run=True)
assert not {"googleapiclient", "matplotlib", "pandas"} & sys.modules.keys()
imports.load(*imports.TFX)
import pipelines.build

assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "1"
found = {name for name in sys.argv[1:] if name in sys.modules}
assert not found, found

# TFMA comes whole, without what it draws in notebooks.
imports.load("tfx.components.evaluator.executor")
import tensorflow_model_analysis as tfma
assert tfma.load_eval_result and tfma.metrics.ExampleCount and tfma.EvalResult
assert "ipywidgets" not in sys.modules

# Whoever asks for the rest gets it.
import googleapiclient.discovery, IPython, matplotlib.pyplot, pandas, sklearn.svm
from tfx import components
assert components.InfraValidator and "kubernetes" in sys.modules
assert tfma.view.render_slicing_metrics
try:
    components.NoSuchComponent
except AttributeError as error:
    assert "NoSuchComponent" in str(error)
else:
    raise AssertionError
"""
LEFT_OUT = ("IPython", "jax", "kubernetes", "nltk", "pymongo", "sklearn")


def test_a_run_imports_what_it_uses(monkeypatch):
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LEAN, *LEFT_OUT], capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr[-3000:]


def test_whoever_has_decided_on_onednn_is_left_to_it(monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    imports.prefer_onednn()
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "0"
