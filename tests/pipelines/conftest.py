"""A stand-in for the pipeline's process: a real child that writes what the runner writes; and a
scheduler whose runs are such children. And one real run, of docs/python.md, for all tests.

The whole pipeline, with TFX, is tested in test_whole_run.py.
"""

import contextlib
import fcntl
import os
import random
import re
import sys
import textwrap
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

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


DOCS = Path(__file__).parents[2] / "docs" / "python.md"
CODE = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Path:
    """A folder that all processes of the tests have."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def alone(shared) -> Callable[[], AbstractContextManager[None]]:
    """Keeps other processes of the tests from the shared run while a block lasts."""

    @contextlib.contextmanager
    def held():
        with (shared / "python.lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    return held


@contextlib.contextmanager
def _inside(folder: Path):
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@pytest.fixture(scope="session")
def folder(shared, alone) -> Path:
    """Has `photos`, a folder a class of crops of two photographs, and one truncated file.

    The processes of the tests share it, and with it the runs below `runs`.
    """
    folder = shared / "python"
    with alone():
        if not folder.exists():
            _write_photos(folder)
    return folder


def _write_photos(folder: Path) -> None:
    from tests.photos import write_crops

    write_crops(folder / "photos", 100, (60, 200), kinds=("jpg", "png"))
    whole = (folder / "photos" / "cat" / "00.jpg").read_bytes()
    (folder / "cat.jpg").write_bytes(whole)
    (folder / "photos" / "cat" / "truncated.jpg").write_bytes(whole[: len(whole) // 2])


@pytest.fixture(scope="session")
def documented(folder, alone) -> dict:
    """What the code of docs/python.md leaves, all of it run in one go."""
    found: dict = {}
    with alone(), _inside(folder):
        for left in Path().glob("net.keras*"):  # By another process.
            left.unlink()
        for code in CODE:
            exec(code, found)
    return found


@pytest.fixture(scope="session")
def trained(folder, alone):
    """The run of docs/python.md, or the same from the cache."""
    import convnets

    with alone(), _inside(folder):
        return convnets.run("lenet-relu", data="photos", epochs=20, batch_size=8, progress=False)
