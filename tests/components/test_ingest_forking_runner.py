"""Worker processes that are forked, in processes in which gRPC has not run before."""

import os
import signal
import subprocess
import sys
import time

LINES = """
import concurrent.futures, json, os
import apache_beam as beam
import grpc
from components.ingest import forking_runner

os.environ["MAIN"] = str(os.getpid())
# A process that was started anew would not have it.
json.mark = "made before"

def ask(number):
    import json, os
    return os.getpid() != int(os.environ["MAIN"]), getattr(json, "mark", "")

def die(number):
    import os
    os.kill(os.getpid(), 9)

def orphan(number):
    import os
    os.kill(int(os.environ["MAIN"]), 9)

def run(function):
    options = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    options.append("--runner=components.ingest.forking_runner.ForkingRunner")
    with forking_runner.forked(), beam.Pipeline(argv=options) as pipeline:
        numbers = pipeline | beam.Create(range(10)) | beam.Reshuffle() | beam.Map(function)
        _ = numbers | beam.combiners.ToSet() | beam.Map(print)
"""


def script(lines: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LINES + lines],
        capture_output=True,
        text=True,
        **options,
    )


def test_workers_are_forked_and_where_grpc_runs_started_anew():
    ended = script(
        """
run(ask)
server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
server.start()
run(ask)
"""
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == ["{(True, 'made before')}", "{(True, '')}"]


def test_a_worker_that_is_killed_ends_the_run():
    ended = script("run(die)")
    assert ended.returncode == 1
    assert "Error" in ended.stderr.splitlines()[-1]


def test_nothing_outlives_a_run_that_is_killed():
    ended = script("print(os.getpid(), flush=True)\nrun(orphan)", start_new_session=True)
    assert ended.returncode == -signal.SIGKILL
    group = int(ended.stdout)
    while True:  # As long as the suite lets a test run.
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
