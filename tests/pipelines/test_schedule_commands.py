"""`convnets schedule` as it is typed, and what it writes for other schedulers."""

import datetime
import getpass
import logging
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from click.testing import CliRunner

from pipelines import cli, process
from pipelines.commands.schedule import _Masked
from pipelines.scheduling import export
from pipelines.scheduling.definition import Definition, ScheduleError
from pipelines.scheduling.scheduler import Scheduler, locked
from pipelines.scheduling.store import Store
from tests.pipelines.scheduled import KEPT, REPLACED

TREE = Path(__file__).parents[2]
FULL = Definition(
    "nightly",
    "lenet-relu",
    settings=("epochs=1", 'note="5 % $HOME"'),
    data="/photos/span-{SPAN}",
    window=2,
    fixed="/photos/span-1",
    cron="30 3 * * 1-5",
    timezone="Europe/Berlin",
    new_span=True,
    drift=0.2,
    settle=120.0,
    grace=7200.0,
    retries=2,
    backoff=90.0,
    timeout=21600.0,
    webhook="https://example.org/hook",
    command="mail -s 'a b' ops",
    alert_on=("failed",),
)


@pytest.fixture
def convnets(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")

    def call(*arguments, code=0):
        place = ["--root", str(tmp_path / "root")]
        result = CliRunner().invoke(cli.main, ["schedule", *arguments, *place])
        assert result.exit_code == code, result.output
        return result.output

    return call


def test_a_schedule_is_made_listed_paused_and_removed(convnets, tmp_path):
    convnets("lenet", "--cron", "@daily", "--no-start")
    convnets("--every=10m", "lenet-relu", "--name=often", "--no-start", "--set", "epochs=1")
    listed = convnets("list")
    assert "cron 0 0 * * *" in listed and "every 10m" in listed
    convnets("pause", "often")
    assert "paused" in convnets("list")
    convnets("run-now", "often")
    assert "as soon as" in convnets("list")
    convnets("resume", "often")
    convnets("remove", "often")
    assert "often" not in convnets("list")
    assert [entry.name for entry in Store(tmp_path / "root").entries()] == ["lenet"]


def test_a_schedule_has_the_name_of_the_recipe_that_is_made(convnets, tmp_path):
    convnets("keras:MobileNet", "--cron", "@daily", "--no-start")
    (entry,) = Store(tmp_path / "root").entries()
    assert (entry.name, entry.definition.recipe) == ("keras-mobilenet", "keras:MobileNet")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lenett", "--cron", "@daily"], "lenet"),
        (["lenet"], "say when"),
        (["lenet", "--cron", "61 * * * *"], "the minute is not 0 to 59"),
        (["lenet", "--every", "often"], "length of time"),
        (["lenet", "--cron", "@daily", "--set", "epoch=1"], "epochs"),
        (["lenet", "--cron", "@daily", "--on-new-span"], "spans"),
        (["lenet", "--cron", "@daily", "--data", "nowhere"], "no such folder"),
        (["lenet", "--cron", "@daily", "--fixed", "nowhere"], "no such folder"),
        (["pause", "lenet"], "no schedules"),
    ],
)
def test_what_cannot_be_is_one_line(convnets, arguments, message):
    output = convnets(*arguments, code=2 if "--every" in arguments else 1)
    assert message in output
    assert "Traceback" not in output


def test_an_unknown_schedule_is_named_with_those_there_are(convnets):
    convnets("lenet", "--cron", "@daily", "--no-start")
    assert "lenet" in convnets("pause", "lenett", code=1)


def test_a_run_that_is_asked_for_while_nobody_works_is_said_to_wait(convnets, tmp_path):
    assert "no schedules" in convnets("run-now", "lenet", code=1)
    convnets("lenet", "--cron", "@daily", "--no-start")
    text = convnets("run-now", "lenet")
    assert "no scheduler works on" in text and "convnets schedule start" in text
    with locked(tmp_path / "root"):
        assert convnets("run-now", "lenet") == "lenet: asked for\n"


def test_a_history_is_of_a_schedule_that_there_is_or_was(convnets, tmp_path):
    convnets("lenet", "--cron", "@daily", "--no-start")
    assert "no schedule 'lennet'" in convnets("history", "lennet", code=1)
    convnets("history", "lenet")
    values = {"attempt": 1, "reason": "due", "state": "kept", "text": "as good"}
    now = datetime.datetime.now(datetime.timezone.utc)
    Store(tmp_path / "root").begin(schedule="lenet", started_at=now, ended_at=now, **values)
    convnets("remove", "lenet")
    assert "as good" in convnets("history", "lenet")


def test_the_oldest_span_is_what_stays_the_same(convnets, tmp_path):
    for number in (3, 7):
        (tmp_path / f"span-{number}" / "cat").mkdir(parents=True)
    convnets("lenet-relu", "--every=1h", f"--data={tmp_path}/span-{{SPAN}}/", "--no-start")
    made = Store(tmp_path / "root").entry("lenet-relu").definition
    assert made.fixed == str(tmp_path / "span-3")
    assert made.data == str(tmp_path / "span-{SPAN}")


@pytest.mark.parametrize(("body", "code"), [(REPLACED, 0), (KEPT, 0), ("sys.exit(1)", 1)])
def test_once_is_told_by_its_exit_code(convnets, stand_in, monkeypatch, body, code):
    monkeypatch.setattr(process, "RUNNER", stand_in(body))
    output = convnets("lenet", "--cron", "@daily", "--once", "--retries=0", code=code)
    state = {REPLACED: "replaced", KEPT: "kept"}.get(body, "failed")
    assert state in output
    assert state in convnets("history")


def test_once_shows_no_secrets_of_addresses(convnets, stand_in, monkeypatch):
    body = 'summary(error="no http://a.org/secret", hopeless=True); sys.exit(1)'
    monkeypatch.setattr(process, "RUNNER", stand_in(body))
    output = convnets("lenet", "--cron", "@daily", "--once", code=1)
    assert "failed: no http://a.org/..." in output
    assert "secret" not in output


def test_logs_show_no_secrets_of_addresses():
    line = logging.LogRecord("a", logging.ERROR, "", 0, "no %s", ("http://a.org/secret",), None)
    assert _Masked("%(message)s").format(line) == "no http://a.org/..."


def test_a_root_whose_schedules_are_gone_is_not_begun_anew(convnets, tmp_path):
    assert "has no schedules" in convnets("start", code=1)
    assert not (tmp_path / "root" / "schedule.sqlite").exists()


def test_arguments_make_the_same_definition_again(convnets, tmp_path):
    for label in ("cat", "dog"):
        (tmp_path / "span-1" / label).mkdir(parents=True)
        (tmp_path / "span-1" / label / "a.png").touch()
    data, fixed = str(tmp_path / "span-{SPAN}"), str(tmp_path / "span-1")
    allowed = ("mynets", "others.nets")
    made = replace(FULL, settings=("epochs=1",), allow_packages=allowed, data=data, fixed=fixed)
    convnets(*made.arguments(), "--no-start")
    assert Store(tmp_path / "root").entry("nightly").definition == made


class TestExport:
    @pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
    def test_systemd_takes_the_unit(self, tmp_path):
        unit = tmp_path / "convnets-nightly.service"
        unit.write_text(export.export(FULL, tmp_path / "a 5 % $HOME", "systemd"))
        checked = subprocess.run(
            ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True
        )
        assert (checked.returncode, checked.stderr) == (0, "")
        text = unit.read_text()
        # What the root's schedules are stays what it is when the unit starts again.
        assert "ExecStartPre" not in text
        assert f"User={getpass.getuser()}" in text
        assert f'"--root={tmp_path}/a 5 %% $$HOME"' in text

    def test_a_cronjob_looks_when_it_is_due(self):
        made = yaml.safe_load(export.export(FULL, Path("/x"), "cronjob", "registry/convnets:1"))
        spec = made["spec"]
        assert (spec["schedule"], spec["timeZone"]) == ("30 3 * * 1-5", "Europe/Berlin")
        assert (spec["concurrencyPolicy"], spec["startingDeadlineSeconds"]) == ("Forbid", 7200)
        job = spec["jobTemplate"]["spec"]
        assert (job["backoffLimit"], job["activeDeadlineSeconds"]) == (2, 3 * 21600)
        (container,) = job["template"]["spec"]["containers"]
        assert container["args"][-2:] == ["--root=/runs", "--once"]
        assert "--on-new-span" in container["args"] and "--retries=0" in container["args"]
        mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
        assert mounts == {"convnets-runs": "/runs", "convnets-data": "/photos"}
        newest = kubernetes_validate.latest_version()
        kubernetes_validate.validate(made, newest, strict=True)

    @pytest.mark.parametrize(
        ("every", "cron"),
        [(600.0, "*/10 * * * *"), (21600.0, "0 */6 * * *"), (86400.0, "0 0 * * *")],
    )
    def test_lengths_become_expressions(self, every, cron):
        made = Definition("a", "lenet", every=every)
        assert export.cronjob(made, "image")["spec"]["schedule"] == cron

    @pytest.mark.parametrize("every", [420.0, 90.0, 172800.0])
    def test_lengths_that_are_no_expression_are_refused(self, every):
        with pytest.raises(ScheduleError, match="part of an hour"):
            export.cronjob(Definition("a", "lenet", every=every), "image")

    def test_what_the_others_cannot_do_is_refused(self):
        with pytest.raises(ScheduleError, match="jitter"):
            export.cronjob(Definition("a", "lenet", every=600.0, jitter=5.0), "image")
        plain = Definition("a", "lenet", every=600.0)
        with pytest.raises(ScheduleError, match="--on-new-span"):
            export.recurring_run(replace(plain, new_span=True), "image", "gs://bucket/runs")
        with pytest.raises(ScheduleError, match="--bucket"):
            export.recurring_run(plain, "image", None)
        for key, value, option in (
            ("timezone", "Europe/Berlin", "--timezone"),
            ("grace", 60.0, "--grace"),
            ("timeout", 60.0, "--timeout"),
            ("command", "tell", "--alert-command"),
            ("retries", 5, "--retries"),
            ("backoff", 1.0, "--backoff"),
            ("alert_on", ("replaced",), "--alert-on"),
            ("data", "/photos/span-{SPAN}", "/photos"),
            ("fixed", "/photos/span-1", "/photos/span-1"),
        ):
            with pytest.raises(ScheduleError, match=option):
                export.recurring_run(replace(plain, **{key: value}), "image", "gs://bucket/runs")

    @pytest.mark.parametrize(("retries", "notes"), [([], 1), (["--retries=0"], 0)])
    def test_kubeflow_does_not_try_again_and_that_is_said(
        self, convnets, monkeypatch, retries, notes
    ):
        # What is compiled is tested elsewhere, and takes half a minute.
        monkeypatch.setattr(export, "recurring_run", lambda *_: {})
        convnets("lenet", "--cron", "@daily", "--no-start", *retries)
        text = convnets("export", "lenet", "--as", "kfp", "--bucket", "gs://bucket/runs")
        assert text.count("Note: a failed recurring run of Kubeflow is not tried again") == notes

    def test_no_retries_are_what_kubeflow_has(self):
        pytest.importorskip("kfp")
        made = Definition("a", "lenet", every=600.0, retries=0)
        with pytest.raises(ScheduleError, match="--bucket"):  # asked for after the options
            export.recurring_run(made, "image", None)

    def test_kubeflow_tells_the_webhook(self):
        pytest.importorskip("kfp")
        made = Definition("a", "lenet", every=600.0, webhook="https://example.org/told")
        run = export.recurring_run(made, "image", "gs://bucket/runs")
        assert run["runtime_config"]["parameters"] == {"webhook": "https://example.org/told"}
        assert run["trigger"] == {"cron_schedule": {"cron": "0 */10 * * * *"}}

    def test_fixed_data_are_mounted_with_the_data(self):
        made = Definition(
            "a", "lenet", every=600.0, data="/photos/new/span-{SPAN}", fixed="/photos"
        )
        (container,) = export.cronjob(made, "image")["spec"]["jobTemplate"]["spec"]["template"][
            "spec"
        ]["containers"]
        assert {"name": "convnets-data", "mountPath": "/photos"} in container["volumeMounts"]
        with pytest.raises(ScheduleError, match="/photos/new and /elsewhere"):
            export.cronjob(replace(made, fixed="/elsewhere"), "image")


# Works on the schedules of a root; what follows the root is the command of its runs.
_SCHEDULER = (
    "import sys\nfrom pathlib import Path\nfrom pipelines.scheduling import scheduler\n"
    "scheduler.POLL_SECONDS = 0.05\n"
    "scheduler.Scheduler(Path(sys.argv[1]), command=sys.argv[2:]).serve()"
)


@pytest.fixture
def scheduler_process(tmp_path, stand_in):
    """Starts a scheduler as a process of its own, whose runs are what `body` does."""
    started = []

    def start(body):
        command = [sys.executable, "-c", _SCHEDULER, str(tmp_path / "root"), *stand_in(body)]
        started.append(subprocess.Popen(command, cwd=TREE))
        return started[-1]

    yield start
    for each in started:
        each.terminate()
        each.wait()


@pytest.fixture
def asked_for(tmp_path):
    """The store of a root with one schedule that somebody has asked for."""
    root = tmp_path / "root"
    Scheduler(root).define(Definition("far", "lenet", cron="0 0 29 2 *"))
    store = Store(root)
    store.update("far", requested_at=datetime.datetime.now(datetime.timezone.utc))
    return store


def wait_for(child, condition):
    """Until it holds; the process has to live as long."""
    while not condition():
        assert child.poll() is None
        time.sleep(0.01)


def states(store):
    return [each.state for each in reversed(store.history())]


def test_the_scheduler_as_a_process_makes_a_run_that_another_asks_for(asked_for, scheduler_process):
    child = scheduler_process(REPLACED)
    wait_for(child, lambda: states(asked_for) == ["replaced"])
    wait_for(child, lambda: asked_for.entry("far").requested_at is None)


def test_a_scheduler_that_is_killed_in_a_run_is_gone_on_with(asked_for, scheduler_process):
    child = scheduler_process('stage(str(os.getpid()), "running"); time.sleep(600)')
    wait_for(child, lambda: any(each.stage for each in asked_for.history()))
    (attempt,) = asked_for.history()
    child.kill()
    child.wait()
    assert states(asked_for) == ["running"]

    again = scheduler_process(REPLACED)
    wait_for(again, lambda: states(asked_for) == ["interrupted", "replaced"])
    # The run of the killed one has ended with it: there are never two on a root.
    status = Path(f"/proc/{attempt.stage}/stat")
    assert not status.exists() or ") Z " in status.read_text()
    interrupted = asked_for.history()[-1]
    assert interrupted.text == "the scheduler was ended in the middle of it"
    assert interrupted.ended_at is not None
