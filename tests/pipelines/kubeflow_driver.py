"""Plays the driver and the launcher of Kubeflow Pipelines on this machine.

It is given a compiled specification and what a run is given, and nothing else. Like Kubeflow's own
(backend/src/v2 of kubeflow/pipelines) it resolves each task's executor input, runs the container's
command as a process, reads the outputs back, and knows no more: constants, parameters of the
group, outputs of other tasks, the final status of a group; no resolvers, no lifecycle hooks. Input
artifacts have a number for a name, a URI and properties, and no type.

The processes are forked from one that has imported TFX: twenty that each did would take longer for
that than for their work.
"""

from __future__ import annotations

import json
import multiprocessing
import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(
    ["pipelines.build", "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor"]
)
# What `python -m` does with these arguments in this folder: as in a container nothing is in it, and
# the package is installed. As a text, for `tests` may be another package there.
_CONTAINER = """
import os, runpy, sys
output = os.open(log, os.O_CREAT | os.O_WRONLY)
os.dup2(output, 1), os.dup2(output, 2)
sys.path = [os.path.abspath(each) for each in sys.path]
os.chdir(folder)
os.environ.update(environment)
sys.argv = arguments
runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
"""
_EXIT_TASK = "ALL_UPSTREAM_TASKS_COMPLETED"
_READ = {
    "STRING": str,
    "NUMBER_INTEGER": int,
    "NUMBER_DOUBLE": float,
    "LIST": json.loads,
    "STRUCT": json.loads,
}


class StepFailed(Exception):
    """A container ended with an error; the text is what it printed last."""


@dataclass
class Outputs:
    """What a task left."""

    parameters: dict[str, Any] = field(default_factory=dict)
    artifacts: dict[str, dict[str, Any]] = field(default_factory=dict)


class Driver:
    """Runs a specification.

    Attributes:
      executed: the container tasks that were run, in the order of their ends.
      commands: the command of each.
    """

    def __init__(self, specification: Path, folder: Path, at_once: int = 2):
        """
        Args:
          specification: the compiled file; its first document.
          folder: where artifacts and outputs go.
          at_once: how many containers run together.
        """
        self._spec = next(yaml.safe_load_all(specification.read_text()))
        json_format.ParseDict(self._spec, pipeline_spec_pb2.PipelineSpec())
        self._folder = folder
        self._at_once = at_once
        self._lock = threading.Lock()
        self._artifacts = 0
        self.executed: list[str] = []
        self.commands: dict[str, list[str]] = {}

    def run(self, **parameters: Any) -> None:
        """Runs the pipeline with these parameters.

        Raises:
          StepFailed: of the first step that failed, once the exit tasks have run.
        """
        described = self._spec["root"]["inputDefinitions"]["parameters"]
        assert set(parameters) <= set(described)
        defaults = {name: each["defaultValue"] for name, each in described.items()}
        self._run_group(self._spec["root"]["dag"]["tasks"], {**defaults, **parameters})

    def _run_group(self, tasks: dict[str, Any], parameters: dict[str, Any]) -> None:
        exits = {n: t for n, t in tasks.items() if _strategy(t) == _EXIT_TASK}
        error = None
        try:
            self._run_tasks({n: t for n, t in tasks.items() if n not in exits}, parameters)
        except StepFailed as failed:
            error = failed
        for name, task in exits.items():
            self._run_task(name, task, parameters, {}, "FAILED" if error else "COMPLETE")
        if error:
            raise error

    def _run_tasks(self, tasks: dict[str, Any], parameters: dict[str, Any]) -> None:
        done: dict[str, Outputs] = {}
        running: dict[Future, str] = {}
        with ThreadPoolExecutor(self._at_once) as pool:
            while len(done) < len(tasks):
                for name, task in tasks.items():
                    started = name in done or name in running.values()
                    if not started and set(task.get("dependentTasks", ())) <= set(done):
                        future = pool.submit(self._run_task, name, task, parameters, done, None)
                        running[future] = name
                assert running, f"nothing can run after {sorted(done)}"
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    name = running.pop(future)
                    done[name] = future.result()

    def _run_task(self, name, task, group, done, status) -> Outputs:
        component = self._spec["components"][task["componentRef"]["name"]]
        parameters = {
            key: _resolve(each, group, done, status)
            for key, each in task.get("inputs", {}).get("parameters", {}).items()
        }
        assert set(parameters) == set(_described(component, "input", "parameters"))
        if "dag" in component:
            self._run_group(component["dag"]["tasks"], parameters)
            return Outputs()
        artifacts = {}
        for key, each in task.get("inputs", {}).get("artifacts", {}).items():
            made = each["taskOutputArtifact"]
            assert made["producerTask"] in task["dependentTasks"]
            found = done[made["producerTask"]].artifacts[made["outputArtifactKey"]]
            artifacts[key] = {"artifacts": [found]}
        assert set(artifacts) == set(_described(component, "input", "artifacts"))
        return self._run_container(name, component, parameters, artifacts)

    def _run_container(self, name, component, parameters, artifacts) -> Outputs:
        folder = self._folder / name
        folder.mkdir(parents=True)
        outputs = {
            key: {"name": key, "uri": str(folder / key), "type": each["artifactType"]}
            for key, each in _described(component, "output", "artifacts").items()
        }
        files = {
            key: folder / "parameters" / key
            for key in _described(component, "output", "parameters")
        }
        executor_input = {
            "inputs": {"parameterValues": parameters, "artifacts": artifacts},
            "outputs": {
                "parameters": {key: {"outputFile": str(file)} for key, file in files.items()},
                "artifacts": {key: {"artifacts": [each]} for key, each in outputs.items()},
                "outputFile": str(folder / "output_metadata.json"),
            },
        }
        json_format.ParseDict(executor_input, pipeline_spec_pb2.ExecutorInput())
        label = component["executorLabel"]
        container = self._spec["deploymentSpec"]["executors"][label]["container"]
        self._execute(name, container, executor_input)
        return self._collect(component, files, outputs, folder / "output_metadata.json")

    def _execute(self, name, container, executor_input) -> None:
        replaced = {"{{$}}": json.dumps(executor_input)}
        for key, value in executor_input["inputs"]["parameterValues"].items():
            text = value if isinstance(value, str) else json.dumps(value)
            replaced[f"{{{{$.inputs.parameters['{key}']}}}}"] = text
        command = [*container["command"], *container["args"]]
        for placeholder, text in replaced.items():
            command = [each.replace(placeholder, text) for each in command]
        self.commands[name] = command
        assert command[:2] == ["python", "-m"]
        log = self._folder / name / "log.txt"
        given = {"arguments": command[2:], "folder": str(self._folder), "log": str(log)}
        given["environment"] = {each["name"]: each["value"] for each in container.get("env", ())}
        process = _PROCESSES.Process(target=exec, args=(_CONTAINER, given))
        process.start()
        process.join()
        with self._lock:
            self.executed.append(name)
        if process.exitcode:
            raise StepFailed(f"{name}:\n{log.read_text()[-3_000:]}")

    def _collect(self, component, files, outputs, output_file) -> Outputs:
        kinds = _described(component, "output", "parameters")
        left = Outputs()
        for key, file in files.items():
            left.parameters[key] = _READ[kinds[key]["parameterType"]](file.read_text())
        output = pipeline_spec_pb2.ExecutorOutput()
        if output_file.exists():
            json_format.Parse(output_file.read_text(), output)
        for key, artifact in outputs.items():
            (said,) = output.artifacts[key].artifacts or (pipeline_spec_pb2.RuntimeArtifact(),)
            with self._lock:
                self._artifacts += 1
                number = self._artifacts
            left.artifacts[key] = {
                "name": str(number),
                "uri": said.uri or artifact["uri"],
                "metadata": {"display_name": key, **json_format.MessageToDict(said.metadata)},
            }
        return left


def _described(component: dict[str, Any], side: str, what: str) -> dict[str, Any]:
    return component.get(f"{side}Definitions", {}).get(what, {})


def _strategy(task: dict[str, Any]) -> str | None:
    return task.get("triggerPolicy", {}).get("strategy")


def _resolve(parameter, group, done, status) -> Any:
    (kind,) = parameter
    if kind == "runtimeValue":
        return "run-1" if "job_uuid" in str(parameter[kind]) else parameter[kind]["constant"]
    if kind == "componentInputParameter":
        return group[parameter[kind]]
    if kind == "taskOutputParameter":
        made = parameter[kind]
        return done[made["producerTask"]].parameters[made["outputParameterKey"]]
    assert kind == "taskFinalStatus", f"Kubeflow's driver does not know {kind}"
    return {"state": status, "pipelineTaskName": parameter[kind]["producerTask"], "error": {}}
