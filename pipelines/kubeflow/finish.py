"""The exit handler of a run on Kubeflow: notes how it ended, and tells a webhook.

`python -m pipelines.kubeflow.finish` is what its container runs, whether or not the steps failed.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import urllib.request
from typing import Any

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
    told = {
        "recipe": given.recipe,
        "run": given.run,
        "succeeded": given.status.get("state") in _SUCCEEDED,
        "state": given.status.get("state", "UNKNOWN"),
        "error": given.status.get("error", {}).get("message", ""),
        "ended": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }
    _write(f"{given.root.rstrip('/')}/kubeflow", f"{given.run}.json", told)
    if given.webhook:
        _post(given.webhook, told)
    return 0


def _write(folder: str, name: str, told: dict[str, Any]) -> None:
    from tensorflow.io import gfile

    gfile.makedirs(folder)
    with gfile.GFile(f"{folder}/{name}", "w") as file:
        file.write(json.dumps(told, indent=1))


def _post(url: str, told: dict[str, Any]) -> None:
    """A webhook that does not answer changes nothing about the run."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(told).encode("utf-8"), headers)
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS):
            pass
    except (OSError, ValueError) as error:
        print(f"the webhook was not told: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
