"""Recurring runs of a compiled pipeline, as Kubeflow Pipelines describes them: plain data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_FIELD = re.compile(r"[\dA-Za-z*/,?-]+")


class CronError(ValueError):
    """No cron expression; the text says what one looks like."""


def with_seconds(expression: str) -> str:
    """A cron expression of Unix as Kubeflow's scheduler reads it: with the second before it.

    Args:
      expression: five fields (minute, hour, day of the month, month, day of the week), or the six
        that Kubeflow takes.

    Raises:
      CronError: neither.
    """
    fields = expression.split()
    if len(fields) not in (5, 6) or not all(map(_FIELD.fullmatch, fields)):
        raise CronError(
            f"a cron expression has five fields, such as '0 3 * * *' for 3:00 every day, not "
            f"{expression!r}"
        )
    return " ".join(fields if len(fields) == 6 else ["0", *fields])


def recurring_run(
    specification: Mapping[str, Any],
    cron: str,
    parameters: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> dict[str, Any]:
    """A recurring run, as the REST API takes it (POST /apis/v2beta1/recurringruns).

    Runs do not overlap, and runs that were missed while it was paused are not made up for.

    Args:
      specification: a compiled pipeline.
      cron: when, with five fields (or six).
      parameters: the pipeline's own: `overrides`, `data`, `root`, `webhook`.
      name: what it is called; by default, the pipeline's name.

    Raises:
      CronError: `cron` is no cron expression.
      ValueError: a parameter that the pipeline does not have.
    """
    check_parameters(specification, parameters or {})
    return {
        "display_name": name or specification["pipelineInfo"]["name"],
        "pipeline_spec": dict(specification),
        "runtime_config": {"parameters": dict(parameters or {})},
        "trigger": {"cron_schedule": {"cron": with_seconds(cron)}},
        "max_concurrency": "1",
        "no_catchup": True,
        "mode": "ENABLE",
    }


def check_parameters(specification: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
    """Raises ValueError where a parameter is none of the pipeline's."""
    known = specification["root"].get("inputDefinitions", {}).get("parameters", {})
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        raise ValueError(
            f"the pipeline has no parameter {' and '.join(unknown)}; "
            f"it has {', '.join(sorted(known)) or 'none'}. `convnets compile` gives it those"
        )
