"""A stand-in for the pipeline's process: a real child that writes what the runner writes; and a
scheduler whose runs are such children.

The whole pipeline, with TFX, is tested in test_road.py.
"""

import random
import sys
import textwrap

import pytest

from pipelines.scheduling.definition import Definition
from pipelines.scheduling.scheduler import Scheduler
from tests.pipelines.scheduled import REPLACED, HandClock

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


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def make(tmp_path, clock, stand_in):
    """A scheduler on a root with one schedule, whose runs are what `body` does."""

    def made(body=REPLACED, **values):
        scheduler = Scheduler(tmp_path / "root", clock, stand_in(body), random.Random(0))
        timed = {} if "every" in values else {"cron": "0 3 * * *", "timezone": "UTC"}
        scheduler.define(Definition(**{"name": "daily", "recipe": "lenet", **timed, **values}))
        return scheduler

    return made
