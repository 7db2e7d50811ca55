"""The scheduler on a clock that is set by hand, with real processes in the pipeline's place."""

import datetime
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import process
from pipelines.scheduling import scheduler as scheduling
from pipelines.scheduling.definition import Definition, absolute
from pipelines.scheduling.scheduler import Scheduler
from pipelines.scheduling.store import StoreGone
from tests.pipelines.scheduled import FAILED, REPLACED, START, at, reasons, states

TREE = Path(__file__).parents[2]
DAY = datetime.timedelta(days=1)


class TestTimes:
    def test_a_run_is_made_when_it_is_due_and_not_before(self, make, clock):
        scheduler = make()
        at(clock, 14.99)
        scheduler.tick()
        assert states(scheduler) == []
        at(clock, 15)
        scheduler.tick()
        (made,) = scheduler.store.history()
        assert (made.state, made.version, made.text) == ("replaced", "7", "better")
        assert scheduler.store.entry("daily").next_at == START + datetime.timedelta(hours=39)
        scheduler.tick()
        assert len(states(scheduler)) == 1

    def test_times_missed_in_a_long_absence_are_made_up_for_by_one_run(self, make, clock):
        make()
        at(clock, 24 * 10)
        again = make()  # Another process: only the file is the same.
        again.store.update("daily", due_at=START, next_at=START)
        again.tick()
        assert reasons(again) == ["due, 10 missed"]
        assert again.store.entry("daily").next_at > clock.now()

    @pytest.mark.parametrize(("hours", "missed"), [(16, "960"), (24, "999 or more")])
    def test_no_more_times_are_said_to_be_missed_than_were_counted(
        self, make, clock, hours, missed
    ):
        scheduler = make(cron="* * * * *")
        scheduler.store.update("daily", due_at=START, next_at=START)
        at(clock, hours)
        scheduler.tick()
        assert reasons(scheduler) == [f"due, {missed} missed"]

    @pytest.mark.parametrize(
        ("day", "due", "hour_later"),
        [((2026, 10, 25), (0, 30), (1, 30)), ((2027, 3, 28), (1, 0), (2, 0))],
    )
    def test_at_the_ends_of_summer_time_a_run_is_made_once(self, make, clock, day, due, hour_later):
        clock.time = datetime.datetime(*day, tzinfo=datetime.timezone.utc) - DAY / 24
        scheduler = make(cron="30 2 * * *", timezone="Europe/Berlin")
        for hour, minute in (due, hour_later):
            clock.time = datetime.datetime(*day, hour, minute, tzinfo=datetime.timezone.utc)
            scheduler.tick()
        assert reasons(scheduler) == ["due"]

    def test_what_is_due_survives_the_scheduler(self, make, clock, tmp_path, stand_in):
        make()
        at(clock, 24)
        later = Scheduler(tmp_path / "root", clock, stand_in(REPLACED))
        later.tick()
        assert states(later) == ["replaced"]

    def test_to_define_the_same_once_more_changes_nothing(self, make, clock):
        before = make().store.entry("daily")
        at(clock, 24)
        assert make().store.entry("daily") == before
        assert make(retries=1).store.entry("daily").next_at > clock.now()

    def test_what_was_missed_for_longer_than_the_grace_is_let_go(self, make, clock):
        scheduler = make(grace=3600.0)
        at(clock, 17)
        scheduler.tick()
        assert states(scheduler) == ["missed"]
        assert scheduler.store.entry("daily").next_at > clock.now()
        at(clock, 15 + 24)
        scheduler.tick()
        assert states(scheduler) == ["missed", "replaced"]

    def test_jitter_delays_by_some_of_it(self, make, clock):
        entry = make(jitter=600.0).store.entry("daily")
        late = (entry.next_at - entry.due_at).total_seconds()
        assert 0 < late <= 600
        assert entry.due_at == START + datetime.timedelta(hours=15)

    def test_a_time_that_comes_during_a_run_is_made_up_for_after_it(self, make, clock, monkeypatch):
        scheduler = make(every=3600.0)
        real = scheduling.attempt

        def slow(*arguments):
            clock.wait(2.5 * 3600)
            return real(*arguments)

        monkeypatch.setattr(scheduling, "attempt", slow)
        at(clock, 1)
        scheduler.tick()
        monkeypatch.undo()
        # Never two at a time: the next begins an hour after the end of this one.
        assert states(scheduler) == ["replaced"]
        assert scheduler.store.entry("daily").next_at == clock.now() + DAY / 24

    def test_two_schedules_take_turns_the_longest_due_first(self, make, clock):
        scheduler = make()
        scheduler.define(Definition("early", "lenet", cron="0 2 * * *", timezone="UTC"))
        at(clock, 20)
        scheduler.tick()
        history = list(reversed(scheduler.store.history()))
        assert [each.schedule for each in history] == ["early", "daily"]
        assert len({each.run_id for each in history}) == 2

    def test_the_loop_waits_until_something_is_due_but_looks_at_the_file(self, make, clock):
        scheduler = make()
        assert scheduler.tick() == scheduling.POLL_SECONDS
        at(clock, 15 - 2 / 3600)
        assert scheduler.tick() == pytest.approx(2)


class TestFailures:
    def test_a_failed_run_is_tried_again_after_longer_and_longer(self, make, clock):
        scheduler = make(FAILED, retries=2, backoff=60.0)
        at(clock, 15)
        scheduler.tick()
        assert scheduler.store.entry("daily").retry_at == clock.now() + DAY / 1440
        clock.wait(59)
        scheduler.tick()
        assert states(scheduler) == ["failed"]
        clock.wait(1)
        scheduler.tick()
        clock.wait(120)
        scheduler.tick()
        assert states(scheduler) == ["failed"] * 3
        assert [each.attempt for each in reversed(scheduler.store.history())] == [1, 2, 3]
        assert reasons(scheduler) == ["due", "retry 1", "retry 2"]
        entry = scheduler.store.entry("daily")
        assert entry.retry_at is None and entry.attempt == 0
        assert entry.next_at == START + datetime.timedelta(hours=39)

    def test_a_try_that_succeeds_ends_the_tries(self, make, clock):
        scheduler = make(
            f"""
            if (root / "second").exists():
                {REPLACED}
            else:
                (root / "second").touch()
                {FAILED}
            """
        )
        at(clock, 15)
        scheduler.tick()
        clock.wait(60)
        scheduler.tick()
        assert states(scheduler) == ["failed", "replaced"]
        assert scheduler.store.entry("daily").retry_at is None

    def test_what_another_try_cannot_help_is_not_tried_again(self, make, clock):
        scheduler = make('summary(error="labels have drifted", hopeless=True); sys.exit(1)')
        at(clock, 15)
        scheduler.tick()
        assert scheduler.store.entry("daily").retry_at is None
        assert states(scheduler) == ["failed"]

    def test_a_killed_child_is_a_failure_too(self, make, clock):
        scheduler = make("os.kill(os.getpid(), signal.SIGKILL)")
        at(clock, 15)
        scheduler.tick()
        assert "memory" in scheduler.store.history()[0].text
        assert scheduler.store.entry("daily").attempt == 1

    def test_a_run_that_takes_too_long_is_stopped(self, make, clock, monkeypatch):
        scheduler = make("time.sleep(600)", timeout=0.2)
        at(clock, 15)
        scheduler.tick()
        (made,) = scheduler.store.history()
        assert (made.state, made.text) == (
            "timed out",
            "the run was stopped: it took more than 0.2 seconds",
        )
        assert scheduler.store.entry("daily").attempt == 1
        with process.locked(scheduler._root):
            pass

    def test_a_recipe_that_is_gone_fails_and_ends_nothing(self, make, clock):
        scheduler = make()
        scheduler.define(Definition("gone", "lenett", every=60.0))
        at(clock, 15)
        scheduler.tick()
        history = {each.schedule: each for each in scheduler.store.history()}
        assert "lenet" in history["gone"].text
        assert history["gone"].state == "failed"
        assert history["daily"].state == "replaced"

    def test_a_root_in_use_is_waited_for_and_is_no_failure(self, make, clock):
        scheduler = make()
        at(clock, 15)
        with process.locked(scheduler._root):
            scheduler.tick()
            entry = scheduler.store.entry("daily")
            assert f"process {os.getpid()}" in entry.looked
            assert entry.attempt == 0
            assert states(scheduler) == []
        clock.wait(60)
        scheduler.tick()
        assert states(scheduler) == ["replaced"]

    def test_a_state_that_cannot_be_written_now_is_written_later(self, make, clock, lock):
        scheduler = make()
        at(clock, 15)
        lock.hold(scheduler)
        assert scheduler._work() == scheduling.POLL_SECONDS
        lock.release()
        scheduler._work()
        assert states(scheduler) == ["replaced"]

    def test_a_run_whose_end_cannot_be_noted_is_ended_later(self, make, clock, lock, monkeypatch):
        scheduler = make()
        at(clock, 15)
        real = scheduling.attempt

        def locked_at_its_end(*arguments):
            outcome = real(*arguments)
            lock.hold(scheduler)
            return outcome

        monkeypatch.setattr(scheduling, "attempt", locked_at_its_end)
        monkeypatch.setattr(clock, "wait", lambda seconds: lock.release())
        scheduler._work()
        monkeypatch.undo()
        assert states(scheduler) == ["replaced"]
        scheduler.tick()
        assert states(scheduler) == ["replaced"], "it is not made again"

    def test_a_run_does_not_end_because_its_stage_cannot_be_noted(self, make, clock, monkeypatch):
        scheduler = make(f'stage("A", "running"); {REPLACED}')
        at(clock, 15)
        real = scheduler.store.tell

        def locked(line, **columns):
            if "stage" in columns:
                raise sqlite3.OperationalError("database is locked")
            real(line, **columns)

        monkeypatch.setattr(scheduler.store, "tell", locked)
        scheduler.tick()
        assert states(scheduler) == ["replaced"]

    def test_a_scheduler_whose_file_is_deleted_ends_and_says_so(self, make, clock, monkeypatch):
        scheduler = make()
        at(clock, 15)
        path = scheduler._root / "schedule.sqlite"
        real = scheduling.attempt

        def deleted_in_the_run(*arguments):
            path.unlink()
            return real(*arguments)

        monkeypatch.setattr(scheduling, "attempt", deleted_in_the_run)
        with pytest.raises(StoreGone, match=r"schedule\.sqlite was deleted"):
            scheduler.serve()
        assert not path.exists()
        path.touch()
        with pytest.raises(StoreGone):
            scheduler.tick()


@pytest.fixture
def lock(monkeypatch):
    """Holds a scheduler's file as another program may, for longer than it is waited for."""
    monkeypatch.setattr("pipelines.scheduling.store._WAIT_SECONDS", 0.01)
    held = []

    class Lock:
        def hold(self, scheduler):
            other = sqlite3.connect(scheduler._root / "schedule.sqlite", isolation_level=None)
            other.execute("BEGIN EXCLUSIVE")
            held.append(other)

        def release(self):
            while held:
                held.pop().close()

    yield Lock()
    Lock().release()


class TestInterruptions:
    def test_a_stopped_scheduler_stops_its_run_and_makes_it_again(self, make, clock, monkeypatch):
        scheduler = make('stage("A", "running"); time.sleep(600)')
        at(clock, 15)
        real = scheduler.store.tell

        def interrupted(line, **columns):
            real(line, **columns)
            if "stage" in columns:
                raise KeyboardInterrupt

        monkeypatch.setattr(scheduler.store, "tell", interrupted)
        with pytest.raises(KeyboardInterrupt):
            scheduler.serve()
        assert states(scheduler) == ["interrupted"]
        assert scheduler.store.history()[0].stage == "A"
        again = make()
        again.store.update("daily", next_at=clock.now())
        again.tick()
        assert states(again) == ["interrupted", "replaced"]

    def test_an_interruption_that_cannot_be_noted_is_one(self, make, clock, lock, monkeypatch):
        scheduler = make()
        at(clock, 15)

        def interrupted(*_):
            lock.hold(scheduler)
            raise KeyboardInterrupt

        monkeypatch.setattr(scheduling, "attempt", interrupted)
        with pytest.raises(KeyboardInterrupt):
            scheduler.serve()
        lock.release()
        scheduler.recover()
        assert states(scheduler) == ["interrupted"]

    def test_sigterm_ends_it_as_systemd_sends_it(self, make, clock):
        scheduler = make("os.kill(os.getppid(), signal.SIGTERM); time.sleep(600)")
        at(clock, 15)
        with pytest.raises(KeyboardInterrupt):
            scheduler.serve()
        assert states(scheduler) == ["interrupted"]

    def test_a_killed_scheduler_leaves_no_run_running(self, make, clock):
        scheduler = make()
        values = {"schedule": "daily", "attempt": 1, "reason": "due", "state": "running"}
        scheduler.store.begin(started_at=clock.now(), **values)
        scheduler.recover()
        (left,) = scheduler.store.history()
        assert left.state == "interrupted" and left.ended_at == clock.now()

    def test_a_second_scheduler_on_the_root_is_refused(self, make):
        scheduler = make()
        with scheduling.locked(scheduler._root):
            script = (
                "import sys; from pathlib import Path\n"
                "from pipelines.scheduling.scheduler import Scheduler\n"
                "Scheduler(Path(sys.argv[1])).serve()"
            )
            other = subprocess.run(
                [sys.executable, "-c", script, str(scheduler._root)],
                cwd=TREE,
                capture_output=True,
                text=True,
            )
        assert other.returncode == 1
        assert f"process {os.getpid()}" in other.stderr
        assert "SchedulerBusy" in other.stderr
        with scheduling.locked(scheduler._root):
            pass


def test_the_file_is_its_owners_alone(make, clock):
    path = make()._root / "schedule.sqlite"
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    make()
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_history_shows_no_secrets_of_addresses(make, clock):
    scheduler = make('summary(error="no http://a.org/secret", hopeless=True); sys.exit(1)')
    at(clock, 15)
    scheduler.tick()
    assert scheduler.store.history()[0].text == "no http://a.org/..."


class TestCommands:
    def test_a_run_that_was_asked_for_is_made_even_if_paused(self, make, clock):
        scheduler = make()
        scheduler.store.update("daily", requested_at=clock.now(), paused=1)
        scheduler.tick()
        assert reasons(scheduler) == ["asked for"]
        scheduler.tick()
        at(clock, 20)
        scheduler.tick()
        assert len(states(scheduler)) == 1

    def test_a_request_during_the_run_is_kept(self, make, clock, monkeypatch):
        scheduler = make()
        real = scheduling.attempt

        def asked_again(*arguments):
            outcome = real(*arguments)
            clock.wait(60)
            scheduler.store.update("daily", requested_at=clock.now())
            monkeypatch.undo()
            return outcome

        monkeypatch.setattr(scheduling, "attempt", asked_again)
        scheduler.store.update("daily", requested_at=clock.now())
        scheduler.tick()
        assert reasons(scheduler) == ["asked for", "asked for"]

    def test_after_a_pause_the_next_time_counts(self, make, clock):
        scheduler = make()
        scheduler.store.update("daily", paused=1)
        at(clock, 24 * 3)
        scheduler.tick()
        scheduler.resume("daily")
        scheduler.tick()
        assert states(scheduler) == []
        assert scheduler.store.entry("daily").next_at == START + 3 * DAY + DAY * 15 / 24

    def test_a_schedule_removed_or_changed_during_its_run(self, make, clock, monkeypatch):
        scheduler = make()
        real = scheduling.attempt
        at(clock, 15)

        def changed(*arguments):
            made = Definition("daily", "lenet", every=60.0)
            scheduler.define(made)
            return real(*arguments)

        monkeypatch.setattr(scheduling, "attempt", changed)
        scheduler.tick()
        assert scheduler.store.entry("daily").next_at == clock.now() + DAY / 1440

        def removed(*arguments):
            scheduler.store.remove("daily")
            return real(*arguments)

        monkeypatch.setattr(scheduling, "attempt", removed)
        clock.wait(60)
        scheduler.tick()
        assert scheduler.store.entries() == []
        assert states(scheduler) == ["replaced", "replaced"]

    def test_once_is_for_other_schedulers_and_makes_the_retries(self, make, clock):
        scheduler = make(FAILED, retries=2, backoff=60.0)
        outcome = scheduler.once("daily")
        assert outcome.failed
        assert clock.now() == START + datetime.timedelta(seconds=180)
        assert len(states(scheduler)) == 3


@pytest.mark.parametrize("name", ["mnist", "cifar10", "tfds:voc/2007", "rooms", "rooms:seed=1"])
def test_names_of_data_are_kept_and_folders_made_absolute(name):
    assert absolute(name) == name
    assert absolute(f"./{name}/") == os.path.abspath(name)
