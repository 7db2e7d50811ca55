import json
import subprocess
import sys

from components import progress


def _lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


_MANY_REPORTS = """
import sys
from components import progress
for step in range(200):
    progress.report(sys.argv[1], step, 200, "x" * 100)
"""


def test_nothing_happens_where_nobody_listens(monkeypatch, tmp_path):
    monkeypatch.delenv(progress.EVENTS, raising=False)
    monkeypatch.chdir(tmp_path)
    progress.report("Judge", 1, 2)
    assert list(tmp_path.iterdir()) == []


def test_each_report_is_a_line(monkeypatch, tmp_path):
    path = tmp_path / "events.jsonl"
    monkeypatch.setenv(progress.EVENTS, str(path))
    progress.report("Judge", 0, 10)
    progress.report("Judge", 10, 10, "zehn Bilder: fünf\nfalsch")
    assert _lines(path) == [
        {"stage": "Judge", "done": 0, "total": 10, "text": ""},
        {"stage": "Judge", "done": 10, "total": 10, "text": "zehn Bilder: fünf\nfalsch"},
    ]
    assert path.read_bytes().count(b"\n") == 2


def test_lines_of_several_processes_stay_whole(monkeypatch, tmp_path):
    path = tmp_path / "events.jsonl"
    monkeypatch.setenv(progress.EVENTS, str(path))
    workers = [
        subprocess.Popen([sys.executable, "-c", _MANY_REPORTS, f"worker-{worker}"])
        for worker in range(4)
    ]
    assert [worker.wait() for worker in workers] == [0] * 4
    events = _lines(path)
    assert len(events) == 800
    for worker in range(4):
        steps = [event["done"] for event in events if event["stage"] == f"worker-{worker}"]
        assert steps == list(range(200))


def test_a_file_that_cannot_be_written_does_not_stop_the_stage(monkeypatch, tmp_path):
    path = tmp_path / "missing" / "events.jsonl"
    monkeypatch.setenv(progress.EVENTS, str(path))
    progress.report("Judge", 1, 2)
    assert not path.parent.exists()
    # Nor is the next report lost that can be written.
    path.parent.mkdir()
    progress.report("Judge", 2, 2)
    assert [event["done"] for event in _lines(path)] == [2]
