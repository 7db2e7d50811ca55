"""Real runs that are killed, whose disk fills up and whose metadata somebody else holds."""

import contextlib
import errno
import hashlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import types
from pathlib import Path

import pytest
from click.testing import CliRunner
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as proto

from components import trusted
from components.ingest.sources import SourceError
from components.train import objects
from components.validate.verdict import UnfitData
from pipelines import cli, process, recipes, run_events
from pipelines.history import lineage, recovery
from pipelines.paths import Paths
from pipelines.run_local import readable
from pipelines.scheduling.definition import Definition
from pipelines.scheduling.scheduler import POLL_SECONDS, Scheduler
from tests.pipelines.forge import Forge, new_run
from tests.pipelines.forge import photos as forge_photos
from tests.pipelines.scheduled import REPLACED, START

MODEL = "lenet-relu-all"  # Of the recipe on the photographs, which are in a folder `all`.
# Where a run writes, in the order of its stages, and about how many seconds each takes at least.
WRITING = {
    "ImageExampleGen": 0.3,
    "StatisticsGen": 1.0,
    "SchemaGen": 0.02,
    "ExampleValidator": 0.05,
    "Transform": 1.5,
    "Trainer": 2.0,
    "Canary": 1.0,
    "Judge": 0.2,
    "Evaluator": 1.0,
    "Pusher": 0.02,
    "Report": 0.3,
}


@pytest.fixture(scope="module")
def forge():
    made = Forge()
    yield made
    made.close()


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> str:
    return forge_photos(tmp_path_factory.mktemp("photos") / "all")


def recipe_of(photos, seed=0):
    settings = ["epochs=2", "batch_size=8", f"seed={seed}", "thresholds.change=1.0"]
    settings += ["thresholds.chance=null"]
    return recipes.find("lenet-relu").on_data(photos).override(settings)


def tree(folder: Path) -> str:
    """A hash of all names and contents below a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(folder)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def served(root) -> list[Path]:
    return [path for path in (root / "serving").glob("*/*") if path.name.isdigit()]


def check_served(root) -> None:
    """Every version that a server would take is a whole model that a Trainer has written."""
    models = {tree(path) for path in root.glob("pipelines/*/Trainer/model/*/Format-Serving")}
    for version in served(root):
        assert tree(version) in models, version


def check_lineage(root) -> list[proto.Execution]:
    """What ML Metadata says to be done is there; the executions."""
    path = Paths(str(root)).metadata
    if not os.path.exists(path) or not os.path.getsize(path):
        return []
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    store = lineage._open(Path(path))
    executions = store.get_executions()
    complete = {each.id for each in executions if each.last_known_state == proto.Execution.COMPLETE}
    if complete:
        events = store.get_events_by_execution_ids(complete)
        outputs = {each.artifact_id for each in events if each.type == proto.Event.OUTPUT}
        for artifact in store.get_artifacts_by_id(outputs):
            assert artifact.state == proto.Artifact.LIVE
            assert os.path.exists(artifact.uri), artifact.uri
    return executions


def kill_at(run, child, stage: str, after: float) -> bool:
    """Kills a run some time after a stage has begun; whether it was still running then."""
    with run.events.open("rb") as file:
        tail = process.Tail(file)
        while True:
            alive = Path(f"/proc/{child}/stat").exists()
            for line in tail.lines(last=not alive):
                event = run_events.parsed(line)
                if event and event.get("stage") == stage and event.get("state") == "running":
                    threading.Event().wait(after)
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(child, signal.SIGKILL)
                    return True
            if not alive:
                return False
            threading.Event().wait(0.01)


def last_stage(run) -> str:
    """The stage that was running when a run was killed."""
    events = map(run_events.parsed, run.events.read_text().splitlines())
    return [event["stage"] for event in events if event and event.get("state") == "running"][-1]


@pytest.mark.slow
def test_push_and_report_are_killed_between_their_writes(forge, photos, tmp_path):
    root, recipe = tmp_path / "root", recipe_of(photos)
    # Which write of a stage a kill comes ahead of; every third, until the stage has fewer.
    writes = {"Pusher": 1, "Report": 1}
    kills = dict.fromkeys(writes, 0)
    while True:
        run = new_run(root)
        forge.start(run, recipe, writes=writes)
        code = forge.end()
        assert code in (0, -signal.SIGKILL), run.log.read_text()[-3000:]
        check_served(root)
        check_lineage(root)
        if not code:
            break
        stage = last_stage(run)
        kills[stage] += 1
        writes[stage] += 3
    assert min(kills.values()) >= 2, kills
    (version,) = served(root)
    (known,) = (each for each in lineage.versions(root, MODEL) if each.state != "gone")
    assert (known.version, known.state) == (version.name, "served")
    assert not list((root / "serving" / MODEL).glob(".*.partial"))
    assert Path(json.loads(run.summary.read_text())["report"]).is_file()


@pytest.mark.slow
def test_a_run_that_is_killed_in_any_stage_is_gone_on_with(forge, photos, tmp_path):
    chance = random.Random(5)
    root = tmp_path / "root"
    recipe = recipe_of(photos)
    killed = []
    for stage, seconds in WRITING.items():
        run = new_run(root)
        child = forge.start(run, recipe)
        kill_at(run, child, stage, chance.uniform(0, seconds))
        code = forge.end()
        assert code in (0, -signal.SIGKILL), run.log.read_text()[-3000:]
        killed += [stage] if code else []
        check_served(root)
        check_lineage(root)
    # A stage that a kill came too late for is cached by then.
    assert len(killed) >= len(WRITING) - 2, killed
    run = new_run(root)
    forge.start(run, recipe)
    assert forge.end() == 0, run.log.read_text()[-3000:]
    check_served(root)
    executions = check_lineage(root)
    assert {each.last_known_state for each in executions} <= {
        proto.Execution.COMPLETE,
        proto.Execution.CACHED,
        proto.Execution.FAILED,
    }
    known = lineage.versions(root, MODEL)
    assert {each.version for each in known if each.state != "gone"} == {
        path.name for path in served(root)
    }
    assert known[0].state == "served"


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here: it takes root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.slow
def test_a_disk_that_fills_up_at_any_stage_is_told_and_gone_on_from(forge, photos, small_disk):
    root = small_disk / "root"
    recipe = recipe_of(photos)
    plain = json.loads(recipe.to_json())
    for stage in WRITING:
        run = new_run(root)
        forge.start(run, recipe, full_at=stage)
        code = forge.end()
        error = process.outcome(run, plain, code)["error"]
        (root / "ballast").unlink()
        assert code, stage
        assert "the disk is full" in error, (stage, error)
        check_served(root)
        check_lineage(root)
    run = new_run(root)
    forge.start(run, recipe)
    assert forge.end() == 0, run.log.read_text()[-3000:]
    (version,) = served(root)
    assert [each.version for each in lineage.versions(root, MODEL)] == [version.name]


def fill(folder: Path) -> Path:
    """Leaves no room on the folder's disk; what takes it."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 12))
    return ballast


def test_a_scheduler_whose_disk_is_full_waits_and_goes_on(small_disk, stand_in, caplog):
    scheduler = Scheduler(small_disk / "root", command=stand_in(REPLACED))
    scheduler.define(Definition("far", "lenet", cron="0 0 29 2 *"))
    scheduler.store.update("far", requested_at=START)
    ballast = fill(small_disk)

    assert scheduler._work() == POLL_SECONDS

    assert "cannot be worked on now" in caplog.text and "full" in caplog.text
    assert scheduler.store.history() == []
    for arguments in (["pause", "far"], ["lenet", "--cron", "@daily", "--no-start"]):
        command = ["schedule", *arguments, "--root", str(small_disk / "root")]
        result = CliRunner().invoke(cli.main, command)
        assert result.exit_code == 1
        assert result.output == "Error: database or disk is full\n"

    ballast.unlink()
    scheduler._work()
    (attempt,) = scheduler.store.history()
    assert attempt.state == "replaced"
    assert not scheduler.store.entry("far").paused


def test_a_run_that_ended_in_a_full_disk_is_ended_in_the_history(
    small_disk, stand_in, clock, monkeypatch
):
    fills = """
    with open(root / "ballast", "wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 12))
    """
    scheduler = Scheduler(small_disk / "root", clock, stand_in(fills))
    scheduler.define(Definition("far", "lenet", cron="0 0 29 2 *", retries=0))
    scheduler.store.update("far", requested_at=START)
    waits = []

    def free(seconds):
        waits.append(seconds)
        (small_disk / "root" / "ballast").unlink()

    monkeypatch.setattr(clock, "wait", free)
    scheduler._work()
    assert waits == [POLL_SECONDS]
    (attempt,) = scheduler.store.history()
    assert attempt.state == "failed"
    assert "the disk is full" in attempt.text


@pytest.mark.slow
def test_metadata_that_another_program_holds_for_long_end_a_run_at_its_start(
    forge, photos, tmp_path
):
    root = tmp_path / "root"
    recipe = recipe_of(photos)
    root.mkdir()
    with contextlib.closing(sqlite3.connect(root / "metadata.sqlite", isolation_level=None)) as db:
        db.execute("PRAGMA user_version = 1")  # a file that begins as SQLite's do
        db.execute("BEGIN EXCLUSIVE")
        run = new_run(root)
        forge.start(run, recipe, patience=0.5)
        code = forge.end()
        outcome = process.outcome(run, json.loads(recipe.to_json()), code)
        assert code == 1
        assert f"{root / 'metadata.sqlite'} is locked by another program" in outcome["error"]
        assert not outcome["hopeless"]
        assert served(root) == []
        db.execute("ROLLBACK")
    run = new_run(root)
    forge.start(run, recipe)
    assert forge.end() == 0, run.log.read_text()[-3000:]
    assert len(served(root)) == 1


@pytest.mark.slow
def test_a_bucket_that_fails_now_and_then_is_gone_on_with(forge, photos, tmp_path):
    """The data and the served models are in it; a schedule tries a failed run again."""
    root = tmp_path / "root"
    recipe = recipe_of(photos)
    # A run asks the data often and the served models some times.
    bucket = {photos: 0.003, str(root / "serving"): 0.02}
    errors, failed = [], set()
    for attempt in range(20):
        run = new_run(root)
        forge.start(run, recipe, bucket=bucket, seed=attempt)
        code = forge.end()
        check_served(root)
        check_lineage(root)
        if not code:
            break
        outcome = process.outcome(run, json.loads(recipe.to_json()), code)
        errors.append((outcome["error"], outcome["hopeless"]))
        failed |= {each["stage"] for each in outcome["stages"] if each["state"] == "failed"}
    assert not code, run.log.read_text()[-3000:]
    assert failed
    assert failed <= {"ImageExampleGen", "Pusher"}
    for error, hopeless in errors:
        assert "the bucket does not answer" in error
        assert not hopeless
    (version,) = served(root)
    assert [each.version for each in lineage.versions(root, MODEL)] == [version.name]


@pytest.fixture
def metadata(tmp_path):
    """Metadata as a killed run leaves them: a Pusher that is running."""
    config = proto.ConnectionConfig()
    config.sqlite.filename_uri = str(tmp_path / "metadata.sqlite")
    config.sqlite.connection_mode = proto.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    store = metadata_store.MetadataStore(config)
    kind = store.put_execution_type(proto.ExecutionType(name="components.push.component.Pusher"))
    running = proto.Execution(type_id=kind, last_known_state=proto.Execution.RUNNING)
    done = proto.Execution(type_id=kind, last_known_state=proto.Execution.COMPLETE)
    numbers = store.put_executions([running, done])
    return store, numbers


def test_what_a_killed_run_left_is_put_in_order(metadata, tmp_path):
    store, (running, done) = metadata
    begun = store.get_executions_by_id([running])[0].create_time_since_epoch // 1000
    outputs = [
        tmp_path / "pipelines" / "lenet" / stage / "pushed_model" / str(number)
        for stage, number in (("Pusher", running), ("Pusher", done))
    ]
    kind = store.put_artifact_type(proto.ArtifactType(name="PushedModel"))
    push = proto.Artifact(type_id=kind)
    versions = [tmp_path / "serving" / "lenet" / str(begun + more) for more in (-9, 1, 2)]
    for folder in (*outputs, *versions):
        folder.mkdir(parents=True)
    push.custom_properties["pushed_destination"].string_value = str(versions[1])
    store.put_artifacts([push])
    recovery.recover(Paths(str(tmp_path)))
    states = [each.last_known_state for each in store.get_executions_by_id([running, done])]
    assert states == [proto.Execution.FAILED, proto.Execution.COMPLETE]
    assert [path.exists() for path in outputs] == [False, True]
    # Older ones and those that ML Metadata knows stay.
    assert [path.exists() for path in versions] == [True, True, False]


def test_a_new_root_has_nothing_to_put_in_order(tmp_path):
    recovery.recover(Paths(str(tmp_path)))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "metadata.sqlite").touch()
    recovery.recover(Paths(str(tmp_path)))


def test_metadata_that_another_program_holds_are_named(metadata, tmp_path):
    path = tmp_path / "metadata.sqlite"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(recovery.MetadataLocked, match=r"metadata\.sqlite is locked"):
            recovery.wait_until_writable(path, 0.01)
        other.execute("ROLLBACK")
    recovery.wait_until_writable(path, 0.01)


def wrapped(cause: Exception) -> Exception:
    """As TFX and Beam raise again what a stage raised."""
    try:
        try:
            raise cause
        except Exception as error:
            raise RuntimeError("Execution 7 failed") from error
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full; free some space"),
        (RuntimeError("database or disk is full"), "the disk is full; free some space"),
        (RuntimeError("Concurrent writes aborted after max number"), "locked by another program"),
        (UnfitData("the labels have drifted"), "the labels have drifted"),
    ],
)
def test_the_message_says_what_to_do(cause, words):
    assert words in readable(wrapped(cause))


def test_the_message_is_the_one_that_names_the_network():
    own = types.ModuleType("own_nets")
    exec("def Net(input_shape, classes, width): raise KeyError('oops')", vars(own))
    with pytest.MonkeyPatch.context() as patch, trusted.allowing(["own_nets"]):
        patch.setitem(sys.modules, "own_nets", own)
        with pytest.raises(ValueError, match="oops") as raised:
            objects.build_network("own_nets:Net", (4, 4, 1), 3, {"width": 2})
    assert readable(wrapped(raised.value)) == "own_nets:Net: KeyError: 'oops'"


def test_what_is_wrong_with_the_data_is_so_the_next_time_too():
    from pipelines.run_local import _is_hopeless

    assert _is_hopeless(wrapped(UnfitData("the labels have drifted")))
    assert _is_hopeless(wrapped(SourceError("no such folder")))
    assert not _is_hopeless(wrapped(OSError("the bucket does not answer")))
