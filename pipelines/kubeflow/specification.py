"""What this package changes in the specification that TFX compiles: plain data, no TFX.

TFX compiles for Vertex AI. Kubeflow's own driver has no resolvers and runs no `preCacheCheck` of
an ExampleGen, and a value that was compiled cannot be changed when a run is started. So a first
step, the Plan, makes every step's values when the run starts, by the recipe, the data and the root
that the run was given; each step takes its values from there. A step is cached by its values, so
that a changed recipe repeats what it concerns, and nothing else. The steps are one group, `stages`,
after which, however it ended, `finish` tells how.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from components import trusted
from pipelines.beam import Beam
from pipelines.kubeflow.resources import Resources
from pipelines.paths import Paths
from pipelines.recipe import Recipe

PLAN = "Plan"
STAGES = "stages"
FINISH = "finish"
STEP_COMMAND = ("python", "-m", "pipelines.kubeflow.step")
_PLAN_COMMAND = ("python", "-m", "pipelines.kubeflow.plan")
_FINISH_COMMAND = ("python", "-m", "pipelines.kubeflow.finish")
# These look at what has changed outside of the pipeline.
_NEVER_CACHED = (PLAN, "Baseline", FINISH)
# What TFX's driver of ExampleGens would find out; the Plan does. No version is -1.
FOUND_BY_DRIVER = {
    "input_fingerprint": "STRING",
    "span": "NUMBER_INTEGER",
    "version": "NUMBER_INTEGER",
}
# Reads the newest span, or all there is; the others read the window's others and the fixed data.
INGEST = "ImageExampleGen"

Spec = dict[str, Any]


def values(spec: Spec) -> dict[str, Any]:
    """The values that TFX compiled into the steps, by the name that the Plan gives them."""
    return {
        output_name(step, name): parameter["runtimeValue"]["constant"]
        for step, task in spec["root"]["dag"]["tasks"].items()
        for name, parameter in _parameters(task)
    }


def output_name(step: str, parameter: str) -> str:
    """What a value of a step is called among the Plan's outputs."""
    return f"{step}.{parameter}"


def with_plan(spec: Spec, recipe: Recipe, paths: Paths, image: str, beam: Beam) -> Spec:
    """The whole pipeline.

    Args:
      spec: what TFX compiled.
      recipe, paths: what a run takes if it is not told otherwise.
      image: of the Plan and of `finish`.
      beam: where the stages on Beam compute.
    """
    tasks, components = spec["root"]["dag"]["tasks"], spec["components"]
    executors = spec["deploymentSpec"]["executors"]
    for step in tasks:
        if step.partition("-")[0] == INGEST:
            _take_over_driver(tasks[step], components[step], executors)
    outputs = {}
    for step, task in tasks.items():
        for name, parameter in _parameters(task):
            key = output_name(step, name)
            outputs[key] = components[step]["inputDefinitions"]["parameters"][name]
            parameter.clear()
            parameter["taskOutputParameter"] = {
                "producerTask": PLAN,
                "outputParameterKey": key,
            }
        task["dependentTasks"] = sorted({*task.get("dependentTasks", ()), PLAN})
    constants = {
        "recipe": recipe.to_json(),
        "beam": json.dumps(dataclasses.asdict(beam), sort_keys=True),
    }
    run = _run_parameters(recipe, paths)
    asked = {name: run[name] for name in ("overrides", "data", "root")}
    tasks[PLAN] = _task(PLAN, constants, asked)
    components[PLAN] = _component(PLAN, constants, asked)
    components[PLAN]["outputDefinitions"] = {"parameters": outputs}
    executors[_label(PLAN)] = _container(image, _PLAN_COMMAND, ["--executor-input", "{{$}}"])
    for step, task in tasks.items():
        task["cachingOptions"] = {"enableCache": step not in _NEVER_CACHED}
    components[STAGES] = {"dag": {"tasks": tasks}, "inputDefinitions": {"parameters": asked}}
    _add_finish(spec, recipe, image, run)
    return spec


def recipe_of(spec: Spec) -> Recipe:
    """The recipe that a specification made by `with_plan` runs if not told otherwise.

    Raises:
      KeyError: the specification is another one.
      RecipeError: another version of this package made it.
    """
    task = spec["components"][STAGES]["dag"]["tasks"][PLAN]
    return Recipe.from_json(task["inputs"]["parameters"]["recipe"]["runtimeValue"]["constant"])


def ask_for(spec: Spec, resources: Mapping[str, Resources]) -> None:
    """Writes what steps ask of the cluster into the specification; others get the default."""
    for step, container in _containers(spec):
        container["resources"] = resources.get(step, Resources()).to_spec()


def allow(spec: Spec, packages: Sequence[str]) -> None:
    """Writes whose objects a recipe may name into the environment of all steps."""
    if packages:
        for _, container in _containers(spec):
            container["env"] = [{"name": trusted.VARIABLE, "value": ",".join(packages)}]


def allowed(spec: Spec) -> list[str]:
    """What `allow` wrote."""
    variables = [each for _, container in _containers(spec) for each in container.get("env", ())]
    values = {each["value"] for each in variables if each["name"] == trusted.VARIABLE}
    return [name for value in sorted(values) for name in value.split(",")]


def mounts(spec: Spec, claim: str, path: str) -> Spec:
    """The platform's document that mounts a PersistentVolumeClaim at a path of every step."""
    mount = {"pvcMount": [{"constant": claim, "mountPath": path}]}
    executors = dict.fromkeys(sorted(spec["deploymentSpec"]["executors"]), mount)
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}


def _parameters(task: Spec) -> Iterator[tuple[str, Spec]]:
    yield from task.get("inputs", {}).get("parameters", {}).items()


def _containers(spec: Spec) -> Iterator[tuple[str, Spec]]:
    for label, executor in spec["deploymentSpec"]["executors"].items():
        yield label.removesuffix("_executor"), executor["container"]


def _take_over_driver(task: Spec, component: Spec, executors: Spec) -> None:
    container = executors[component["executorLabel"]]["container"]
    del container["lifecycle"]
    for name, kind in FOUND_BY_DRIVER.items():
        component["inputDefinitions"]["parameters"][name] = {"parameterType": kind}
        task["inputs"]["parameters"][name] = {}
    # The step reads its parameters' types there.
    described = container["args"].index("--json_serialized_inputs_spec_args") + 1
    container["args"][described] = json.dumps(component["inputDefinitions"], sort_keys=True)


def _run_parameters(recipe: Recipe, paths: Paths) -> dict[str, Spec]:
    """What can be chosen when a run is started."""
    return {
        "overrides": _optional("LIST", [], 'changes of the recipe, such as ["epochs=3"]'),
        "data": _optional("STRING", recipe.dataset, "where the cluster finds the images"),
        "root": _optional("STRING", paths.root, "folder of checkpoints and pushed models"),
        "webhook": _optional("STRING", "", "URL to which the run's outcome is posted"),
    }


def _optional(kind: str, default: Any, description: str) -> Spec:
    return {
        "parameterType": kind,
        "defaultValue": default,
        "isOptional": True,
        "description": description,
    }


def _add_finish(spec: Spec, recipe: Recipe, image: str, run: Mapping[str, Spec]) -> None:
    group = _task(STAGES, {}, {name: run[name] for name in ("overrides", "data", "root")})
    constants = {"recipe": recipe.name, "run": "{{$.pipeline_job_uuid}}"}
    asked = {name: run[name] for name in ("root", "webhook")}
    finish = _task(FINISH, constants, asked)
    finish["inputs"]["parameters"]["status"] = {"taskFinalStatus": {"producerTask": STAGES}}
    finish["dependentTasks"] = [STAGES]
    finish["triggerPolicy"] = {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    finish["cachingOptions"] = {"enableCache": False}
    component = _component(FINISH, constants, asked)
    component["inputDefinitions"]["parameters"]["status"] = {"parameterType": "TASK_FINAL_STATUS"}
    spec["components"][FINISH] = component
    names = sorted(component["inputDefinitions"]["parameters"])
    arguments = [f"--{name}={{{{$.inputs.parameters['{name}']}}}}" for name in names]
    container = _container(image, _FINISH_COMMAND, arguments)
    spec["deploymentSpec"]["executors"][_label(FINISH)] = container
    spec["root"] = {
        "dag": {"tasks": {STAGES: group, FINISH: finish}},
        "inputDefinitions": {"parameters": dict(run)},
    }


def _task(name: str, constants: Mapping[str, str], asked: Mapping[str, Spec]) -> Spec:
    parameters = {key: {"runtimeValue": {"constant": text}} for key, text in constants.items()}
    parameters |= {key: {"componentInputParameter": key} for key in asked}
    return {
        "taskInfo": {"name": name},
        "componentRef": {"name": name},
        "inputs": {"parameters": parameters},
    }


def _component(name: str, constants: Mapping[str, str], asked: Mapping[str, Spec]) -> Spec:
    parameters = {key: {"parameterType": "STRING"} for key in constants} | dict(asked)
    return {"executorLabel": _label(name), "inputDefinitions": {"parameters": parameters}}


def _container(image: str, command: tuple[str, ...], arguments: list[str]) -> Spec:
    return {"container": {"image": image, "command": list(command), "args": arguments}}


def _label(name: str) -> str:
    return f"{name}_executor"
