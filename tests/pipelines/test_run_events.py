"""What a run's events say, and that a failure before the first stage is none of a stage's."""

import json

from components.progress import EVENTS
from components.tasks import TASK_ASSET
from pipelines import recipes, run_events, run_local


def test_a_run_that_fails_before_its_first_stage_names_no_stage(tmp_path, monkeypatch):
    served = tmp_path / "serving" / "lenet" / "1"
    (served / "assets").mkdir(parents=True)
    (served / "saved_model.pb").touch()
    (served / "assets" / TASK_ASSET).write_text(json.dumps({"task": "depth"}))
    events = tmp_path / "events.jsonl"
    monkeypatch.setenv(EVENTS, str(events))
    recipe = json.loads(recipes.find("lenet").to_json())
    request = tmp_path / "request.json"
    request.write_text(json.dumps({"run_id": "one", "recipe": recipe, "root": str(tmp_path)}))

    assert run_local.main(str(request)) == 1

    error = json.loads((tmp_path / "runs" / "one.json").read_text())["error"]
    assert "lenet is served and answers another task: depth" in error
    stages = run_events.read(events)
    assert stages.error == error
    assert {each["state"] for each in stages.rows()} == {"waiting"}


def test_what_is_no_event_is_passed_over(tmp_path):
    events = tmp_path / "events.jsonl"
    events.write_text(
        '{"event": "stage", "stage": "A", "state": "done"}\n[1]\nnothing\n{"a": 1}\n{"ev'
    )
    assert [each["stage"] for each in run_events.read(events).rows()] == ["A"]
    assert run_events.read(tmp_path / "none").rows() == []
