"""A stand-in for the pipeline's process: a real child that writes what the runner writes.

The road itself, with TFX, is tested in test_road.py.
"""

import sys
import textwrap

import pytest

# What every stand-in can say; `body` follows.
_PRELUDE = """
import json, os, signal, sys, time
from pathlib import Path

request = json.loads(Path(sys.argv[1]).read_text())
root = Path(request["root"])

def say(**event):
    with open(os.environ["CONVNETS_EVENTS"], "a") as file:
        file.write(json.dumps(event) + "\\n")

def stage(name, state, **more):
    say(event="stage", stage=name, state=state, **more)

def summary(**more):
    values = {
        "run_id": request["run_id"], "recipe": request["recipe"]["name"], "size": "small",
        "dataset": "mnist", "started": "2026-11-23T12:00:00", "seconds": 75.0, "stages": [],
        "blessed": None, "why": [], "judgement": None, "report": None, "pushed": None,
        "version": None, "model": None, "dead_letters": 0, "error": None,
    }
    path = root / "runs" / (request["run_id"] + ".json")
    path.write_text(json.dumps({**values, **more}))
"""


@pytest.fixture
def stand_in(tmp_path):
    """Makes a command line from the body of a child's program."""

    def make(body):
        script = tmp_path / "child.py"
        script.write_text(_PRELUDE + textwrap.dedent(body))
        return [sys.executable, str(script)]

    return make
