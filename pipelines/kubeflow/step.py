"""Runs one TFX component in a container of Kubeflow Pipelines, by TFX's own entry point.

`python -m pipelines.kubeflow.step` takes the arguments of TFX's `kubeflow_v2_run_executor`, which
was written for Vertex AI, and makes good what it lacks on Kubeflow:

- Kubeflow tells a step the URI, the name and the properties of an input artifact, not its type;
  the step's own description has it.
- Kubeflow copies the inputs to folders of the container before the step, and what is in such a
  folder for each output to the bucket after it (`minio://bucket/key` is `/minio/bucket/key`).
  TensorFlow opens no `minio://`, so that the step works in these folders.
- Nobody makes the output folders.
- An artifact that stands for none (`components.artifacts.ABSENT`) is left out. The step of a span
  of the window that there is not leaves such a one.
- Several artifacts of one input are several inputs (`pipelines.kubeflow.inputs`).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from components import imports
from pipelines.kubeflow.inputs import united

# As the launcher of Kubeflow Pipelines has it.
_FOLDERS = {"gs://": "/gcs/", "minio://": "/minio/", "s3://": "/s3/"}
_RUNNERS_HERE = ("DirectRunner", "FnApiRunner")
_ABSENT = "absent"
_NO_SPAN = -1

Artifact = dict[str, Any]


def main(arguments: list[str]) -> None:
    """Runs the component; raises what it raises."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--executor_class_path", required=True)
    parser.add_argument("--json_serialized_invocation_args", required=True, type=json.loads)
    parser.add_argument("--json_serialized_inputs_spec_args", required=True)
    known, beam = parser.parse_known_args(arguments)
    executor_input = known.json_serialized_invocation_args
    if has_nothing_to_read(executor_input):
        leave_none(executor_input["outputs"])
        return
    complete(executor_input, json.loads(known.json_serialized_inputs_spec_args))
    folders = localised(executor_input, here=_computes_here(beam))
    for artifact in _artifacts(executor_input, "outputs"):
        if "://" not in artifact["uri"]:
            os.makedirs(artifact["uri"], exist_ok=True)
    known.json_serialized_invocation_args = json.dumps(executor_input)
    imports.prefer_onednn()
    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor

    try:
        kubeflow_v2_run_executor.main((known, beam))
    except Exception as error:
        from components import examples

        uris = [each["uri"] for each in _artifacts(executor_input, "inputs")]
        if (text := examples.with_names(str(error), uris)) != str(error):
            raise RuntimeError(text) from error
        raise
    restore(executor_input["outputs"]["outputFile"], folders)


def has_nothing_to_read(executor_input: Mapping[str, Any]) -> bool:
    """Whether the Plan has found no span for the step."""
    parameters = executor_input.get("inputs", {}).get("parameterValues", {})
    return parameters.get("span") == _NO_SPAN


def leave_none(outputs: Mapping[str, Any]) -> None:
    """Writes that each output stands for none, where Kubeflow reads what became of them."""
    absent = {_ABSENT: 1}
    artifacts = {
        name: {"artifacts": [{**each, "metadata": absent} for each in found["artifacts"]]}
        for name, found in outputs["artifacts"].items()
    }
    path = Path(outputs["outputFile"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"artifacts": artifacts}), encoding="utf-8")


def complete(executor_input: Mapping[str, Any], described: Mapping[str, Any]) -> None:
    """Gives each input artifact its type, takes out those that stand for none, and unites those
    of one input.

    Args:
      executor_input: Kubeflow's `ExecutorInput`, changed in place.
      described: the component's `ComponentInputsSpec`.
    """
    inputs = executor_input.get("inputs", {}).get("artifacts", {})
    given = dict(inputs)
    inputs.clear()
    for name, parts in united(given).items():
        artifacts = []
        for part in parts:
            kind = described["artifacts"][part]["artifactType"]
            for each in given[part].get("artifacts", []):
                if not each.get("metadata", {}).get(_ABSENT):
                    artifacts.append({**each, "type": kind})
        inputs[name] = {"artifacts": artifacts}


def localised(executor_input: Mapping[str, Any], here: bool) -> dict[str, str]:
    """Puts the container's folders in the place of URIs, in place.

    Args:
      executor_input: Kubeflow's `ExecutorInput`.
      here: whether the step computes in this container; workers elsewhere see buckets alone.

    Returns:
      The URIs of the outputs by folder.
    """
    folders = {}
    for side in ("inputs", "outputs"):
        for artifact in _artifacts(executor_input, side):
            uri = artifact["uri"]
            artifact["uri"] = folder(uri) if here else uri
            if side == "outputs":
                folders[artifact["uri"]] = uri
    return folders


def folder(uri: str) -> str:
    """Where Kubeflow's launcher puts what is at a URI; other paths as they are."""
    for scheme, start in _FOLDERS.items():
        if uri.startswith(scheme):
            return start + uri.removeprefix(scheme)
    return uri


def restore(output_file: str, folders: Mapping[str, str]) -> None:
    """Names the outputs by their URIs again, in the file that Kubeflow reads."""
    path = Path(output_file)
    output = json.loads(path.read_text(encoding="utf-8"))
    for artifact in _each(output.get("artifacts", {}).values()):
        artifact["uri"] = folders.get(artifact["uri"], artifact["uri"])
    path.write_text(json.dumps(output), encoding="utf-8")


def _artifacts(executor_input: Mapping[str, Any], side: str) -> Iterator[Artifact]:
    yield from _each(executor_input.get(side, {}).get("artifacts", {}).values())


def _each(lists: Iterable[Mapping[str, Any]]) -> Iterator[Artifact]:
    for each in lists:
        yield from each.get("artifacts", ())


def _computes_here(beam: Sequence[str]) -> bool:
    runners = [each.rpartition(".")[2] for each in beam if each.startswith("--runner=")]
    return all(runner.removeprefix("--runner=") in _RUNNERS_HERE for runner in runners)


if __name__ == "__main__":
    main(sys.argv[1:])
