"""What the tests of schedules share: a clock that is set by hand, and what runs leave."""

import datetime

START = datetime.datetime(2026, 11, 23, 12, 0, tzinfo=datetime.timezone.utc)
# What a run leaves whose model is pushed.
REPLACED = (
    'summary(blessed=True, why=["better"], version="7", report="/r", '
    'stages=[{"stage": "Pusher", "state": "done"}])'
)
KEPT = (
    'summary(blessed=False, why=["accuracy 0.1, less than the wanted 0.9"], '
    'stages=[{"stage": "Pusher", "state": "done"}])'
)
FAILED = 'summary(error="the disk is full", hopeless=False); sys.exit(1)'


class HandClock:
    """Stands still until it is set; to wait is to set it forward."""

    def __init__(self):
        self.time = START

    def now(self):
        return self.time

    def wait(self, seconds):
        self.time += datetime.timedelta(seconds=seconds)


def states(scheduler):
    return [each.state for each in reversed(scheduler.store.history())]


def reasons(scheduler):
    return [each.reason for each in reversed(scheduler.store.history())]


def at(clock, hours):
    clock.time = START + datetime.timedelta(hours=hours)
