"""Real runs without the half minute in which TFX is imported: one process does, and is forked."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines import process
from tests.photos import PHOTOS

TREE = Path(__file__).parents[2]
_FORGE = """
import functools, json, os, random, signal, sys, threading
from components import imports
imports.load("keras")
imports.load(*imports.TFX, "tfx.components.evaluator.executor")
import tensorflow as tf
from ml_metadata.metadata_store import metadata_store
from tfx.dsl.io import fileio
from components.train import run as training
from pipelines import build, local_runner, run_local
from pipelines.history import recovery

def fill(folder, stage):
    # The disk is full from the moment on at which a stage begins.
    real = run_local._recorder
    def recorder(run):
        record = real(run)
        def full(name, state, **more):
            record(name, state, **more)
            if (name, state) == (stage, "running"):
                ballast = os.open(os.path.join(folder, "ballast"), os.O_CREAT | os.O_WRONLY)
                for size in (1 << 20, 1 << 12):
                    try:
                        while True:
                            os.write(ballast, bytes(size))
                    except OSError:
                        pass
        return full
    run_local._recorder = recorder

def kill_at(writes):
    # The process is killed ahead of the nth write of a stage; its end in ML Metadata is one, too.
    real_recorder = run_local._recorder
    left = [None]
    def recorder(run):
        record = real_recorder(run)
        def counting(name, state, **more):
            left[0] = writes.get(name) if state == "running" else None
            record(name, state, **more)
        return counting
    run_local._recorder = recorder
    def counted(real):
        @functools.wraps(real)
        def call(*arguments, **named):
            if left[0] is not None:
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)
        return call
    store = metadata_store.MetadataStore
    for place, names in (
        (fileio, "copy makedirs mkdir open remove rename rmtree"),
        (os, "rename replace"),
        (store, "put_artifacts put_execution put_executions put_lineage_subgraph"),
    ):
        for name in names.split():
            if hasattr(place, name):
                setattr(place, name, counted(getattr(place, name)))

def fail_now_and_then(folders, seed):
    # The folders stand for a bucket, which does not answer so many of the calls.
    random_numbers = random.Random(seed)
    def failing(real):
        @functools.wraps(real)
        def call(*paths, **named):
            for folder, share in folders.items():
                asked = any(str(each).startswith(folder) for each in paths)
                if asked and random_numbers.random() < share:
                    raise tf.errors.UnavailableError(None, None, "the bucket does not answer")
            return real(*paths, **named)
        return call
    names = "copy exists glob isdir listdir makedirs mkdir remove rename rmtree stat".split()
    for module, opening in ((tf.io.gfile, "GFile"), (fileio, "open")):
        for name in (*names, opening):
            setattr(module, name, failing(getattr(module, name)))

print("ready", flush=True)
for line in sys.stdin:
    job = json.loads(line)
    child = os.fork()
    if not child:
        code = 1
        try:
            os.setsid()
            os.environ["CONVNETS_EVENTS"] = job["events"]
            if job["cache"]:
                os.environ["XDG_CACHE_HOME"] = job["cache"]
            log = os.open(job["log"], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
            os.dup2(log, 1), os.dup2(log, 2)
            if job["full_at"]:
                fill(job["root"], job["full_at"])
            kill_at(job["writes"])
            if job["bucket"]:
                fail_now_and_then(job["bucket"], job["seed"])
            recovery._WAIT_SECONDS = job["patience"]
            code = run_local.main(job["request"])
        finally:
            os._exit(code)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Forge:
    """A process that has imported everything, and runs."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-c", _FORGE],
            cwd=TREE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout.readline() == "ready\n"

    def start(
        self,
        run,
        recipe,
        full_at=None,
        patience=60.0,
        bucket=None,
        seed=0,
        cache=None,
        writes=None,
    ) -> int:
        """Begins a run; the number of its process.

        full_at: the stage from which on the disk is full. bucket: folders that stand for one, with
        the share of calls that fail, by chance from `seed`. cache: the user's cache folder. writes:
        by stage, ahead of which of its writes the process is killed.
        """
        for folder in (run.log.parent, run.summary.parent):
            folder.mkdir(parents=True, exist_ok=True)
        plain = json.loads(recipe.to_json())
        request = {"run_id": run.run_id, "recipe": plain, "root": str(run.root)}
        run.request.write_text(json.dumps(request))
        run.events.touch()
        job = {
            "request": str(run.request),
            "events": str(run.events),
            "log": str(run.log),
            "root": str(run.root),
            "full_at": full_at,
            "patience": patience,
            "bucket": bucket,
            "seed": seed,
            "cache": cache,
            "writes": writes or {},
        }
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def end(self) -> int:
        """Waits for the end of the run; its exit code."""
        return int(self._process.stdout.readline())

    def close(self):
        # It has nothing to write, and TensorFlow takes its time to end by itself.
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


def photos(folder: Path, seed: int = 0) -> str:
    """Thirty pieces of each of two photographs, a class each."""
    places = np.random.default_rng(seed)
    for label, load in PHOTOS.items():
        (folder / label).mkdir(parents=True)
        for number in range(30):
            y, x = places.integers(0, 200, 2)
            Image.fromarray(load()[y : y + 32, x : x + 32]).save(folder / label / f"{number}.png")
    return str(folder)


def new_run(root: Path) -> process.Run:
    """A run that has no files yet."""
    run, number = process.Run("run-1", root), 1
    while run.log.exists():
        number += 1
        run = process.Run(f"run-{number}", root)
    return run
