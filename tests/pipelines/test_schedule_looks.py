"""When data are worth a run: real folders, and a bucket in memory that fails now and then."""

import datetime
import json
import os
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.scheduling import looks
from pipelines.scheduling.definition import Definition
from pipelines.scheduling.scheduler import Scheduler
from tests.pipelines.scheduled import REPLACED, HandClock, reasons, states


def photos(folder: Path, age: float = 3600.0, bright: int = 100, seed: int = 0) -> None:
    """Twenty grey images of two classes, written so many seconds before the clock's time."""
    noise = np.random.default_rng(seed)
    then = HandClock().now().timestamp() - age
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for number in range(20):
            pixels = np.clip(noise.normal(bright, 20, (24, 24)), 0, 255).astype(np.uint8)
            path = folder / label / f"{number}.png"
            Image.fromarray(pixels).save(path)
            os.utime(path, (then, then))


@pytest.fixture
def make(tmp_path, clock, stand_in):
    def made(body=REPLACED, **values):
        scheduler = Scheduler(tmp_path / "root", clock, stand_in(body), random.Random(0))
        values = {"data": str(tmp_path / "span-{SPAN}"), "new_span": True, **values}
        scheduler.define(Definition("daily", "lenet-relu", every=600.0, **values))
        return scheduler

    return made


def ten_minutes_later(scheduler, clock):
    clock.wait(600)
    scheduler.tick()


def test_each_new_span_is_trained_on_once(make, clock, tmp_path):
    scheduler = make()
    ten_minutes_later(scheduler, clock)
    assert states(scheduler) == []
    assert "no span" in scheduler.store.entry("daily").looked
    photos(tmp_path / "span-1")
    for _ in range(3):
        ten_minutes_later(scheduler, clock)
    photos(tmp_path / "span-2")
    for _ in range(3):
        ten_minutes_later(scheduler, clock)
    assert reasons(scheduler) == ["due: span 1", "due: span 2"]
    assert scheduler.store.entry("daily").looked == "nothing new: span 2"


def test_a_span_that_is_being_written_waits_until_it_is_quiet(make, clock, tmp_path):
    scheduler = make(settle=120.0)
    photos(tmp_path / "span-1", age=-590)
    ten_minutes_later(scheduler, clock)
    entry = scheduler.store.entry("daily")
    assert (states(scheduler), entry.looked) == ([], "span 1 is being written")
    wait = (entry.next_at - clock.now()).total_seconds()
    assert wait == pytest.approx(110, abs=1)
    clock.wait(wait + 1)
    scheduler.tick()
    assert reasons(scheduler) == ["due: span 1"]


def test_a_span_that_cannot_be_trained_on_is_given_up_after_the_retries(make, clock, tmp_path):
    scheduler = make('summary(error="broken"); sys.exit(1)', retries=1, backoff=60.0)
    photos(tmp_path / "span-1")
    for _ in range(5):
        ten_minutes_later(scheduler, clock)
    assert states(scheduler) == ["failed", "failed"]
    photos(tmp_path / "span-2")
    ten_minutes_later(scheduler, clock)
    assert states(scheduler) == ["failed"] * 3


def test_a_bucket_that_fails_now_and_then_is_asked_again(make, clock, monkeypatch):
    import tensorflow as tf

    for number in (1, 2):
        path = f"ram://photos/span-{number}/cat/a.png"
        tf.io.gfile.makedirs(os.path.dirname(path))
        tf.io.gfile.GFile(path, "w").write("")
    scheduler = make(data="ram://photos/span-{SPAN}", backoff=60.0)
    real, failures = tf.io.gfile.glob, iter([True, False, False])

    def glob(pattern):
        if next(failures):
            raise tf.errors.UnavailableError(None, None, "the bucket does not answer")
        return real(pattern)

    monkeypatch.setattr(tf.io.gfile, "glob", glob)
    ten_minutes_later(scheduler, clock)
    assert "the bucket does not answer" in scheduler.store.history()[0].text
    clock.wait(60)
    scheduler.tick()
    assert states(scheduler) == ["failed", "replaced"]
    assert scheduler.store.entry("daily").seen.startswith("[2, null, ")


@pytest.fixture
def served(tmp_path):
    """A root whose served version was trained on grey images."""
    from components.ingest import sources
    from components.validate import facts
    from components.validate.verdict import Training
    from pipelines import inspection
    from pipelines.history import runs

    photos(tmp_path / "span-1")
    examples = tmp_path / "examples"
    examples.mkdir()
    source = sources.prepare(sources.resolve(str(tmp_path / "span-1")))
    inspection.ingest(source, str(examples))
    found = facts.read(str(examples))
    verdict = tmp_path / "verdict" / "verdict.json"
    verdict.parent.mkdir()
    train = Training.of(found)
    verdict.write_text(json.dumps({"newest": train.summary}))
    verdict.with_name("statistics.pb").write_bytes(train.statistics.SerializeToString())
    root = tmp_path / "root"
    (root / "serving" / "lenet-relu" / "7").mkdir(parents=True)
    (root / "runs").mkdir()
    # As a version before data had a part in the model's name.
    summary = {"recipe": "lenet-relu", "started": "2026", "version": "7", "pushed": "somewhere"}
    summary |= {"data_verdict": str(verdict), "dataset": str(tmp_path / "span-{SPAN}")}
    (root / "runs" / "a.json").write_text(json.dumps(summary))
    assert runs.summaries(root, "lenet-relu")
    return verdict


def test_drift_beyond_the_threshold_is_a_reason_to_train(served, make, clock, tmp_path):
    photos(tmp_path / "span-2", bright=30, seed=1)
    scheduler = make(new_span=False, drift=0.3)
    ten_minutes_later(scheduler, clock)
    assert reasons(scheduler)[0].startswith("due: drift of span 2: ")
    ten_minutes_later(scheduler, clock)
    assert len(states(scheduler)) == 1


def test_a_little_drift_is_none(served, make, clock, tmp_path, monkeypatch):
    def here(recipe, verdict, timeout):
        request, answer = tmp_path / "request.json", tmp_path / "answer.json"
        values = {"recipe": recipe.to_json(), "verdict": str(verdict), "answer": str(answer)}
        request.write_text(json.dumps(values))
        assert drift.main(str(request)) == 0
        return json.loads(answer.read_text())

    from pipelines.scheduling import drift

    # What its process computes, without another start of TensorFlow.
    monkeypatch.setattr(looks, "measured", here)
    photos(tmp_path / "span-2", seed=1)
    scheduler = make(new_span=False, drift=0.3)
    ten_minutes_later(scheduler, clock)
    assert states(scheduler) == []
    looked = scheduler.store.entry("daily").looked
    assert looked.startswith("little drift of span 2: ") and "brightness" in looked
    ten_minutes_later(scheduler, clock)
    assert scheduler.store.entry("daily").looked == "nothing new: span 2"


def test_without_a_served_model_there_is_one_to_be_trained(make, clock, tmp_path):
    photos(tmp_path / "span-1")
    scheduler = make(new_span=False, drift=0.3)
    ten_minutes_later(scheduler, clock)
    assert reasons(scheduler) == ["due: span 1; nothing is served yet"]


def test_data_without_spans_are_told_apart_by_their_files(tmp_path):
    photos(tmp_path / "all")
    made = Definition("a", "lenet-relu", data=str(tmp_path / "all"), every=60.0, drift=0.3)
    now = datetime.datetime.now(datetime.timezone.utc)
    first = looks.look(made, None, tmp_path, now)
    assert first.run
    assert not looks.look(made, first.seen, tmp_path, now).run
    photos(tmp_path / "all" / "more")
    assert looks.look(made, first.seen, tmp_path, now).seen != first.seen


def test_relabelled_data_are_new(tmp_path):
    """A file moved to another class, in a span and in data without spans."""
    photos(tmp_path / "span-1")
    now = datetime.datetime.now(datetime.timezone.utc)
    for number, data in enumerate(("span-{SPAN}", "span-1")):
        kind = {"new_span": True} if "{" in data else {"drift": 0.3}
        made = Definition("a", "lenet-relu", data=str(tmp_path / data), every=60.0, **kind)
        first = looks.look(made, None, tmp_path, now)
        assert not looks.look(made, first.seen, tmp_path, now).run
        cat = tmp_path / "span-1" / "cat" / f"{number}.png"
        cat.rename(tmp_path / "span-1" / "dog" / f"was-cat-{number}.png")
        assert looks.look(made, first.seen, tmp_path, now).run
