"""The exit handler of a run on Kubeflow: notes how it ended, and tells a webhook.

`python -m pipelines.kubeflow.finish` is what its container runs, whether or not the steps failed.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from typing import Any

from pipelines import webhook

# MLMD's word and Kubeflow's own for the same end.
_SUCCEEDED = ("COMPLETE", "CACHED", "SUCCEEDED")
_SECONDS = 30.0


def main(arguments: list[str]) -> int:
    """Writes ROOT/kubeflow/RUN.json and posts the same to the webhook; returns the exit code."""
    parser = argparse.ArgumentParser()
    for name in ("recipe", "run", "root"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--webhook", default="")
    parser.add_argument("--status", required=True, type=json.loads)
    given = parser.parse_args(arguments)
    outcome = {
        "recipe": given.recipe,
        "run": given.run,
        "succeeded": given.status.get("state") in _SUCCEEDED,
        "state": given.status.get("state", "UNKNOWN"),
        "error": given.status.get("error", {}).get("message", ""),
        "ended": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }
    _write(f"{given.root.rstrip('/')}/kubeflow", f"{given.run}.json", outcome)
    if given.webhook:
        problem = webhook.post(given.webhook, json.dumps(outcome).encode("utf-8"), _SECONDS)
        if problem:  # A webhook that does not answer changes nothing about the run.
            print(f"the webhook was not told: {problem}", file=sys.stderr)
    return 0


def _write(folder: str, name: str, outcome: dict[str, Any]) -> None:
    from tensorflow.io import gfile

    gfile.makedirs(folder)
    with gfile.GFile(f"{folder}/{name}", "w") as file:
        file.write(json.dumps(outcome, indent=1))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
