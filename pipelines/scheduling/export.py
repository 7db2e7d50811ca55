"""A schedule for other schedulers: systemd, a CronJob of Kubernetes, a Kubeflow recurring run."""

from __future__ import annotations

import getpass
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from components.ingest import spans
from pipelines import recipe_files
from pipelines.scheduling.definition import Definition, ScheduleError

IMAGE = "convnets:latest"
# Where the containers find what is mounted.
CLUSTER_ROOT = "/runs"
_CLAIM, _DATA_CLAIM = "convnets-runs", "convnets-data"
# What Kubeflow's recurring runs have not: the option, and what is so instead.
_OPTIONS = {
    "timezone": ("--timezone", "its times are those of Kubeflow's server, UTC"),
    "grace": ("--grace", "runs that were missed are not made up for"),
    "timeout": ("--timeout", "a run takes as long as it takes"),
    "retries": ("--retries", "a failed run is not tried again"),
    "backoff": ("--backoff", "a failed run is not tried again"),
    "command": ("--alert-command", "--alert-webhook gets a run's outcome"),
    "alert_on": ("--alert-on", "--alert-webhook gets every run's outcome"),
}
_UNIT = """\
# {path}; one unit works on all schedules of the root.
[Unit]
Description=convnets schedule {name}: {when}
Wants=network-online.target
After=network-online.target

[Service]
User={user}
ExecStart={start}
WorkingDirectory={folder}
KillMode=mixed
TimeoutStopSec=60
SuccessExitStatus=130
Restart=on-failure
RestartSec=60

[Install]
WantedBy=multi-user.target
"""


def export(
    definition: Definition, root: Path, form: str, image: str = IMAGE, bucket: str | None = None
) -> str:
    """The text that another scheduler takes.

    Args:
      definition: of the schedule.
      root: the runs' root on this machine; in a cluster it is `CLUSTER_ROOT`.
      form: `systemd`, `cronjob` or `kfp`.
      image: container image that has this package installed.
      bucket: the root of Kubeflow's runs.

    Raises:
      ScheduleError: what the other scheduler cannot do.
    """
    if form == "systemd":
        return _systemd(definition, root)
    if form == "cronjob":
        import yaml

        return yaml.safe_dump(cronjob(definition, image), sort_keys=False, width=100)
    return json.dumps(recurring_run(definition, image, bucket), indent=1) + "\n"


def _systemd(definition: Definition, root: Path) -> str:
    return _UNIT.format(
        path=f"/etc/systemd/system/convnets-{definition.name}.service",
        name=definition.name,
        when=definition.when.replace("%", "%%"),
        user=getpass.getuser(),
        start=_line(["schedule", "start", f"--root={root}"]),
        folder=str(Path(__file__).resolve().parents[2]).replace("%", "%%"),
    )


def _line(arguments: Sequence[str]) -> str:
    """A command line as systemd.service(5) reads it."""
    script = Path(sys.executable).with_name("convnets")
    start = [str(script)] if script.exists() else [sys.executable, "-m", "pipelines"]
    return " ".join(map(_quoted, [*start, *arguments]))


def _quoted(text: str) -> str:
    for character, escaped in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
        text = text.replace(character, escaped)
    return f'"{text}"' if shlex.quote(text) != text else text


def cronjob(definition: Definition, image: str) -> dict[str, Any]:
    """A CronJob that looks, and runs if there is something to do, whenever it is due.

    The runs share a volume, in which their state is: what was seen, the history, the lineage.
    """
    _refuse_jitter(definition, "a CronJob")
    once = [*replace(definition, retries=0).arguments(), f"--root={CLUSTER_ROOT}", "--once"]
    volumes = {_CLAIM: CLUSTER_ROOT, **_data_volume(definition)}
    container = {
        "name": "convnets",
        "image": image,
        "command": ["convnets", "schedule"],
        "args": once,
        "resources": {"requests": {"cpu": "1", "memory": "4Gi"}},
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in volumes.items()],
    }
    pod = {
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": [
            {"name": name, "persistentVolumeClaim": {"claimName": name}} for name in volumes
        ],
    }
    job: dict[str, Any] = {"backoffLimit": definition.retries, "template": {"spec": pod}}
    if definition.timeout is not None:
        job["activeDeadlineSeconds"] = int(definition.timeout * (definition.retries + 1))
    spec: dict[str, Any] = {"schedule": _cron(definition), "concurrencyPolicy": "Forbid"}
    if definition.timezone is not None:
        spec["timeZone"] = definition.timezone
    if definition.grace is not None:
        spec["startingDeadlineSeconds"] = int(definition.grace)
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": f"convnets-{definition.name}".lower().replace("_", "-")},
        "spec": {**spec, "jobTemplate": {"spec": job}},
    }


def _data_volume(definition: Definition) -> dict[str, str]:
    """The volume of data, and of fixed data, that are in a folder.

    Raises:
      ScheduleError: neither of the two folders holds the other.
    """
    folders = [_folder(data) for data in (definition.data, definition.fixed) if _is_local(data)]
    if not folders:
        return {}
    outer = Path(os.path.commonpath(folders))
    if str(outer) not in folders:
        raise ScheduleError(
            f"a CronJob mounts one claim of data: {' and '.join(folders)} have to be in one another"
        )
    return {_DATA_CLAIM: str(outer)}


def _is_local(data: str | None) -> bool:
    return data is not None and data.startswith("/")


def _folder(data: str) -> str:
    return (spans.divided(data)[0] if spans.is_pattern(data) else data).rstrip("/") or "/"


def recurring_run(definition: Definition, image: str, bucket: str | None) -> dict[str, Any]:
    """A recurring run, as Kubeflow Pipelines' REST API takes it.

    Raises:
      ScheduleError: it has what Kubeflow does not know, or data on this machine; there is no
        bucket.
      KubeflowMissing: the compiler is not installed.
    """
    from pipelines.kubeflow import compiling, cron

    _refuse_jitter(definition, "a recurring run of Kubeflow")
    for key, (option, instead) in _OPTIONS.items():
        # No retries are what it has.
        if getattr(definition, key) not in (getattr(Definition, key), 0):
            raise ScheduleError(
                f"a recurring run of Kubeflow has no {option}; leave it out ({instead})"
            )
    for data in (definition.data, definition.fixed):
        if _is_local(data):
            raise ScheduleError(f"steps on Kubeflow do not see {data}: name a bucket (gs://...)")
    if definition.new_span or definition.drift is not None:
        raise ScheduleError(
            "a recurring run of Kubeflow runs whenever it is due: leave --on-new-span and "
            "--on-drift out (what is done already comes from its cache)"
        )
    if bucket is None or "://" not in bucket:
        raise ScheduleError(
            "steps on Kubeflow need a root that all of them reach: --bucket gs://NAME/runs; for a "
            "volume, convnets compile --volume and convnets submit --cron"
        )
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "pipeline.json")
        with definition.built() as recipe:
            compiling.compile_recipe(recipe, path, bucket, image)
        specification = json.loads(Path(path).read_text(encoding="utf-8"))
    specification = specification.get("pipelineSpec", specification)
    parameters = {"webhook": definition.webhook} if definition.webhook else {}
    return cron.recurring_run(specification, _cron(definition), parameters, definition.name)


def left_out(definition: Definition, form: str) -> str | None:
    """What the other scheduler does not do of what a schedule does without being told."""
    if form == "cronjob" and recipe_files.is_file(definition.recipe):
        return f"the recipe's file has to be in the container, too, as {definition.recipe}"
    if form != "kfp" or not definition.retries:
        return None
    return (
        f"a failed recurring run of Kubeflow is not tried again; here it is, {definition.retries} "
        "times"
    )


def _refuse_jitter(definition: Definition, what: str) -> None:
    if definition.jitter:
        raise ScheduleError(f"{what} knows no jitter; leave --jitter out")


def _cron(definition: Definition) -> str:
    """The times as a cron expression.

    Raises:
      ScheduleError: `--every` with a length that no such expression has.
    """
    if definition.cron is not None:
        return definition.cron
    minutes, rest = divmod(definition.every, 60)
    if not rest and minutes < 60 and 60 % minutes == 0:
        return f"*/{minutes:.0f} * * * *"
    hours, rest = divmod(minutes, 60)
    if not rest and hours < 24 and 24 % hours == 0:
        return f"0 */{hours:.0f} * * *"
    if not rest and hours == 24:
        return "0 0 * * *"
    raise ScheduleError(
        "--every has to be a part of an hour or of a day here, such as 10m or 6h; or give --cron"
    )
