"""`convnets submit` against an endpoint on loopback, through kfp's own client."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

pytest.importorskip("kfp", reason="kfp is not installed: it needs Python 3.11 or earlier")

from pipelines.cli import main
from pipelines.kubeflow.cron import CronError, recurring_run, with_seconds
from tests.pipelines.kubeflow_server import Endpoint, Refused, described, parsed

DONE = [
    ("RUNNING", {"Plan": "RUNNING", "Plan-driver": "SUCCEEDED"}),
    ("RUNNING", {"Plan": "SUCCEEDED", "Trainer": "RUNNING"}),
    ("SUCCEEDED", {"Plan": "SUCCEEDED", "Trainer": "SUCCEEDED"}),
]
PARAMETERS = ("overrides", "data", "root", "webhook")


@pytest.fixture
def endpoint(monkeypatch):
    from pipelines.kubeflow import submitting

    monkeypatch.setattr(submitting, "EVERY_SECONDS", 0.01)
    with Endpoint() as found:
        found.progress = list(DONE)
        yield found


@pytest.fixture
def pipeline(tmp_path) -> Path:
    """A file as `convnets compile` writes it, with a platform's document."""
    parameters = {name: {"parameterType": "STRING", "isOptional": True} for name in PARAMETERS}
    specification = {
        "pipelineInfo": {"name": "lenet"},
        "root": {"dag": {"tasks": {}}, "inputDefinitions": {"parameters": parameters}},
        "schemaVersion": "2.1.0",
    }
    path = tmp_path / "lenet.yaml"
    path.write_text(yaml.safe_dump_all([specification, {"platforms": {"kubernetes": {}}}]))
    return path


@pytest.fixture
def submit(endpoint, pipeline):
    def submit(*arguments: str, code: int = 0, url: str | None = None) -> str:
        command = ["submit", str(pipeline), "--endpoint", url or endpoint.url, *arguments]
        ended = CliRunner().invoke(main, command)
        assert ended.exit_code == code, ended.output
        return ended.output

    return submit


def test_the_server_plays_what_the_generated_client_describes():
    names = {operation.name for operation in described()}
    assert {"upload_pipeline", "create_run", "get_run", "create_recurring_run"} <= names
    with pytest.raises(Refused, match="no_such"):
        parsed({"display_name": "a", "trigger": {"no_such": 1}}, "V2beta1RecurringRun")


def test_a_pipeline_is_uploaded_run_and_watched(submit, endpoint, pipeline):
    text = submit("--set", "epochs=3", "--set", "seed=1", "--data", "gs://b/photos")
    (run,) = endpoint.runs.values()
    assert run.runtime_config.parameters == {
        "overrides": ["epochs=3", "seed=1"],
        "data": "gs://b/photos",
    }
    assert endpoint.uploaded[run.pipeline_version_reference.pipeline_version_id] == (
        pipeline.read_bytes()
    )
    assert text.count("Trainer: running") == 1
    assert text.index("Plan: succeeded") < text.index("Trainer: succeeded")
    assert "driver" not in text
    assert f"{endpoint.url}/#/runs/details/run-1" in text
    assert text.endswith("run run-1 succeeded\n")


def test_the_same_file_is_uploaded_once(submit, endpoint, pipeline):
    submit("--no-watch")
    before = set(endpoint.uploaded)
    submit("--no-watch")
    assert set(endpoint.uploaded) == before
    pipeline.write_text(pipeline.read_text().replace("2.1.0", "2.1.1"))
    submit("--no-watch")
    assert len(endpoint.uploaded) == len(before) + 1
    assert len(endpoint.runs) == 3
    versions = {
        run.pipeline_version_reference.pipeline_version_id for run in endpoint.runs.values()
    }
    assert len(versions) == 2
    assert {run.experiment_id for run in endpoint.runs.values()} == {"experiment-1"}


def test_a_run_that_fails_is_an_error(submit, endpoint):
    endpoint.progress = [("FAILED", {"Plan": "FAILED"})]
    text = submit(code=1)
    assert "Plan: failed" in text
    assert "run run-1 failed. a step failed" in text


def test_a_run_that_is_cancelled_ends_too(submit, endpoint):
    endpoint.progress = [("RUNNING", {}), ("CANCELED", {})]
    assert "run-1 canceled" in submit(code=1)


def test_an_endpoint_that_is_away_for_a_moment_is_asked_again(submit, endpoint):
    away = [Refused(503, "an update"), Refused(502, "an update"), Refused(429, "too often")]
    endpoint.progress = [DONE[0], *away, *DONE[1:]]
    text = submit()
    assert text.endswith("run run-1 succeeded\n")
    assert text.count("Trainer: running") == 1


def test_an_endpoint_that_stays_away_ends_the_watching_and_not_the_run(submit, endpoint):
    endpoint.progress = [DONE[0], *[Refused(503, "gone")] * 8]
    assert "run run-1 goes on" in submit(code=1)
    assert len(endpoint.progress) == 1


def test_a_refusal_is_not_asked_again(submit, endpoint):
    endpoint.progress = [Refused(403, "ada may not look"), *DONE]
    assert "ada may not look" in submit(code=1)
    assert endpoint.progress == DONE


def test_a_recurring_run(submit, endpoint):
    text = submit("--cron", "0 3 * * *", "--data", "gs://b/span-{SPAN}")
    assert "recurring-1" in text
    (made,) = endpoint.recurring.values()
    assert made.trigger.cron_schedule.cron == "0 0 3 * * *"
    assert made.max_concurrency == "1"
    assert made.no_catchup is True
    assert made.mode == "ENABLE"
    assert made.runtime_config.parameters == {"data": "gs://b/span-{SPAN}"}
    assert not endpoint.runs


def test_a_token_and_a_namespace(submit, endpoint):
    submit("--token", "secret", "--namespace", "ada")
    assert "Bearer secret" in endpoint.tokens
    (run,) = endpoint.runs.values()
    assert run.experiment_id == "experiment-1"


def test_what_the_endpoint_refuses_is_said(submit, endpoint):
    endpoint.refusal = Refused(403, "ada may not upload pipelines")
    assert "ada may not upload" in submit("--namespace", "ada", code=1)


def test_nobody_there(submit):
    assert "no Kubeflow Pipelines endpoint" in submit(code=1, url="http://127.0.0.1:9")


def test_what_is_no_pipeline_or_no_time_is_refused_before_anything_is_sent(
    submit, endpoint, pipeline
):
    assert "five fields" in submit("--cron", "every day", code=1)
    pipeline.write_text("pipelineInfo: {name: lenet}\nroot: {dag: {tasks: {}}}\n")
    assert "no parameter data" in submit("--data", "gs://b", code=1)
    pipeline.write_text("a: b\n")
    assert "no pipeline" in submit(code=1)
    assert not endpoint.uploaded


def test_cron_gets_its_seconds():
    assert with_seconds("*/5 1-3 * * mon") == "0 */5 1-3 * * mon"
    assert with_seconds("30 0 3 * * *") == "30 0 3 * * *"
    for text in ("", "3", "0 3 * * * * *", "0 3 * * $"):
        with pytest.raises(CronError, match="five fields"):
            with_seconds(text)


def test_a_recurring_run_as_data_is_what_the_rest_api_takes(pipeline):
    from pipelines.kubeflow.submitting import read

    body = recurring_run(read(pipeline), "0 3 * * *", {"data": "gs://b"}, name="nightly")
    model = parsed(json.loads(json.dumps(body)), "V2beta1RecurringRun")
    assert model.display_name == "nightly"
    assert model.trigger.cron_schedule.cron == "0 0 3 * * *"
    assert model.pipeline_spec["pipelineInfo"]["name"] == "lenet"
    assert model.runtime_config.parameters == {"data": "gs://b"}
    with pytest.raises(ValueError, match="overrides"):
        recurring_run(read(pipeline), "0 3 * * *", {"epochs": 3})
