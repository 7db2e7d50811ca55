import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
from pathlib import Path

import pytest

from pipelines import process

TREE = Path(__file__).parents[2]
RECIPE = {"name": "lenet", "size": "small", "dataset": "mnist"}


@pytest.fixture
def run(tmp_path):
    return process.new_run("lenet", tmp_path / "root")


def execute(run, command, on_event=None, on_log=None):
    events = []
    code = process.execute(run, RECIPE, command, on_event or events.append, on_log)
    return code, events


def test_the_child_is_told_what_to_do_and_heard(run, stand_in):
    command = stand_in(
        """
        say(event="stages", stages=["A", "B"])
        stage("A", "cached", seconds=0.1)
        say(stage="B", done=1, total=2, text="half")
        say(event="told", request=request)
        print("to the log")
        print("this too", file=sys.stderr)
        summary()
        """
    )
    code, events = execute(run, command)
    assert code == 0
    assert events == [
        {"event": "stages", "stages": ["A", "B"]},
        {"event": "stage", "stage": "A", "state": "cached", "seconds": 0.1},
        {"event": "progress", "stage": "B", "done": 1, "total": 2, "text": "half"},
        {
            "event": "told",
            "request": {
                "run_id": run.run_id,
                "recipe": RECIPE,
                "root": str(run.root),
            },
        },
    ]
    assert sorted(run.log.read_text().splitlines()) == ["this too", "to the log"]
    assert process.outcome(run, RECIPE, code)["seconds"] == 75.0


class TestTemporaryFiles:
    LEAVES = """
        import subprocess, tempfile
        tempfile.mkdtemp()
        child = "import tempfile; print(tempfile.mkstemp()[1])"
        subprocess.run([sys.executable, "-c", child], check=True)
        say(event="told", folder=tempfile.gettempdir())
    """

    @pytest.fixture(autouse=True)
    def system(self, tmp_path, monkeypatch):
        """The system's folder for temporary files."""
        folder = tmp_path / "system"
        folder.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        return folder

    @pytest.mark.parametrize("end", ["", "sys.exit(3)", "os.kill(os.getpid(), signal.SIGKILL)"])
    def test_lie_in_one_folder_that_goes_with_the_run(self, run, stand_in, system, end):
        _, (event,) = execute(run, stand_in(textwrap.dedent(self.LEAVES) + end))
        assert Path(event["folder"]).parent == system
        assert f"{event['folder']}/tmp" in run.log.read_text()
        assert list(system.iterdir()) == []

    def test_of_a_killed_run_go_with_the_next(self, run, stand_in, system):
        left = system / "convnets-left"
        (left / "build").mkdir(parents=True)
        others = system / "others"
        others.mkdir()
        run.root.mkdir()
        for folder in (left, others):
            (run.root / ".temporary").write_text(str(folder))
            execute(run, stand_in("summary()"))
        assert list(system.iterdir()) == [others]


def test_log_lines_are_told_and_the_unfinished_last_one_too(run, stand_in):
    lines = []
    command = stand_in("sys.stdout.write('one\\ntwo \\u00e9\\nunfinished')")
    execute(run, command, on_log=lines.append)
    assert lines == ["one", "two é", "unfinished"]


def test_events_are_told_while_the_child_runs(run, stand_in):
    command = stand_in(
        """
        say(event="stages", stages=["A"])
        while not (root / "seen").exists():
            time.sleep(0.01)
        """
    )
    code, _ = execute(run, command, on_event=lambda _: (run.root / "seen").touch())
    assert code == 0


def test_what_is_no_event_is_passed_over(run, stand_in):
    command = stand_in(
        r"""
        with open(os.environ["CONVNETS_EVENTS"], "ab") as file:
            file.write(b'\n[1]\n"text"\n{"other": 1}\nhalf {"event": "stages"\n\xff\xfe\n')
        say(event="stages", stages=[])
        """
    )
    assert execute(run, command)[1] == [{"event": "stages", "stages": []}]


def test_a_line_counts_when_it_is_whole():
    file = io.BytesIO()
    tail = process.Tail(file)

    def write(data):
        place = file.tell()
        file.seek(0, os.SEEK_END)
        file.write(data)
        file.seek(place)

    assert tail.lines() == []
    write(b'{"a": ')
    assert tail.lines() == []
    write(b"1}\n\xc3")
    assert tail.lines() == ['{"a": 1}']
    write(b"\xa9\n\nrest")
    assert tail.lines() == ["é", ""]
    assert tail.lines(last=True) == ["rest"]
    assert tail.lines(last=True) == []


def test_a_second_run_on_the_root_is_refused_and_names_the_first(run, stand_in):
    command = stand_in(
        """
        stage("A", "running")
        while not (root / "refused").exists():
            time.sleep(0.01)
        """
    )
    errors = []

    def meanwhile(_):
        other = process.new_run("lenet", run.root)
        with pytest.raises(process.RootBusy) as error:
            process.execute(other, RECIPE, command, print)
        errors.append(str(error.value))
        (run.root / "refused").touch()

    assert execute(run, command, on_event=meanwhile)[0] == 0
    assert len(errors) == 1
    assert f"process {os.getpid()}" in errors[0]
    assert str(run.root) in errors[0]
    with process.locked(run.root):
        pass


def test_the_root_stays_locked_while_the_child_of_a_killed_parent_lives(run, stand_in, monkeypatch):
    command = stand_in(
        """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stage("A", "running")
        (root / "pid").write_text(str(os.getpid()))
        (root / "ready").touch()
        while True:
            time.sleep(0.01)
        """
    )
    parent = _parent(run, command)
    _wait_for(run.root / "ready", parent)
    parent.kill()
    parent.wait()
    child = int((run.root / "pid").read_text())
    monkeypatch.setattr(process, "_ORPHAN_SECONDS", 0.2)
    with pytest.raises(process.RootBusy), process.locked(run.root):
        pass
    monkeypatch.undo()
    os.kill(child, signal.SIGKILL)
    with process.locked(run.root):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux'")
def test_the_child_ends_with_a_killed_parent(run, stand_in):
    command = stand_in('(root / "ready").touch(); time.sleep(600)')
    parent = _parent(run, command)
    _wait_for(run.root / "ready", parent)
    parent.kill()
    parent.wait()
    # Waits until the child has ended.
    with process.locked(run.root):
        pass


def test_ctrl_c_stops_the_child_and_all_it_started(run, stand_in):
    command = stand_in(
        """
        import subprocess
        helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        (root / "helper").write_text(str(helper.pid))
        try:
            stage("A", "running")
            time.sleep(600)
        except KeyboardInterrupt:
            (root / "interrupted").touch()
            helper.wait()
            raise
        """
    )
    events = []

    def interrupt(event):
        events.append(event)
        if event["event"] == "stage":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(run, command, on_event=interrupt)
    assert events[-1] == {"event": "stopping"}
    assert (run.root / "interrupted").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int((run.root / "helper").read_text()), 0)
    with process.locked(run.root):
        pass


def test_a_child_deaf_to_sigint_is_ended_harder(run, stand_in, monkeypatch):
    stops = ((signal.SIGINT, 0.01), (signal.SIGTERM, 0.01), (signal.SIGKILL, None))
    monkeypatch.setattr(process, "_STOPS", stops)
    command = stand_in(
        """
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stage("A", "running")
        time.sleep(600)
        """
    )

    def interrupt(event):
        if event["event"] == "stage":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(run, command, on_event=interrupt)
    with process.locked(run.root):
        pass


class TestOutcome:
    def test_of_a_failure_that_the_child_has_told(self, run, stand_in):
        command = stand_in('summary(error="no such thing"); sys.exit(1)')
        code, _ = execute(run, command)
        assert code == 1
        assert process.outcome(run, RECIPE, code)["error"] == "no such thing"

    def test_of_a_child_that_told_only_the_stage(self, run, stand_in):
        command = stand_in(
            """
            say(event="stages", stages=["A", "B", "C"])
            stage("A", "done", seconds=1.0)
            stage("B", "failed", seconds=2.0, error="disk full")
            sys.exit(1)
            """
        )
        outcome = process.outcome(run, RECIPE, execute(run, command)[0])
        assert outcome["error"] == "disk full"
        assert outcome["stages"] == [
            {"stage": "A", "state": "done", "seconds": 1.0, "error": ""},
            {"stage": "B", "state": "failed", "seconds": 2.0, "error": "disk full"},
            {"stage": "C", "state": "waiting", "seconds": 0.0, "error": ""},
        ]
        assert outcome["recipe"] == "lenet"

    def test_of_a_failure_before_any_stage_that_the_child_could_only_say(self, run, stand_in):
        command = stand_in('say(event="failed", error="no such network"); sys.exit(1)')
        outcome = process.outcome(run, RECIPE, execute(run, command)[0])
        assert outcome["error"] == "no such network" and outcome["stages"] == []

    def test_of_an_import_error_is_the_end_of_the_log(self, run, stand_in):
        code, _ = execute(run, stand_in("import no_such_module"))
        error = process.outcome(run, RECIPE, code)["error"]
        assert "No module named 'no_such_module'" in error

    def test_of_a_killed_child_speaks_of_memory(self, run, stand_in):
        code, _ = execute(run, stand_in("os.kill(os.getpid(), signal.SIGKILL)"))
        assert code == -signal.SIGKILL
        assert "memory" in process.outcome(run, RECIPE, code)["error"]

    def test_of_a_child_that_could_write_nothing_speaks_of_the_disk(self, run, stand_in):
        code, _ = execute(run, stand_in(f"sys.exit({process.DISK_FULL})"))
        assert "the disk is full" in process.outcome(run, RECIPE, code)["error"]

    def test_of_a_crash_names_the_signal(self, run, stand_in):
        code, _ = execute(run, stand_in("os.kill(os.getpid(), signal.SIGSEGV)"))
        assert "SIGSEGV" in process.outcome(run, RECIPE, code)["error"]


def test_ids_differ_within_a_second(tmp_path):
    ids = set()
    for _ in range(3):
        run = process.new_run("lenet", tmp_path)
        run.log.parent.mkdir(exist_ok=True)
        run.log.touch()
        ids.add(run.run_id)
    assert len(ids) == 3


def test_a_root_that_cannot_be_made_is_an_os_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), process.locked(tmp_path / "file" / "root"):
        pass


def test_the_child_finds_the_package_from_any_folder(run, tmp_path, monkeypatch):
    (tmp_path / "pipelines").mkdir()
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-c", "import pipelines; print(pipelines.__file__)"]
    execute(run, command)
    assert run.log.read_text().strip() == str(TREE / "pipelines" / "__init__.py")


_PARENT = """
import sys, json
from pathlib import Path
from pipelines import process
run_id, root, recipe, *command = sys.argv[1:]
process.execute(
    process.Run(run_id, Path(root)), json.loads(recipe), command, lambda _: None
)
"""


def _parent(run, command):
    """Another process that runs the stand-in, to be killed."""
    return subprocess.Popen(
        [sys.executable, "-c", _PARENT, run.run_id, str(run.root), json.dumps(RECIPE), *command],
        cwd=TREE,
    )


def _wait_for(path, parent):
    while not path.exists():
        assert parent.poll() is None
        threading.Event().wait(0.01)
