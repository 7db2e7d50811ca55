"""Runs a recipe's pipeline on this machine, in a process of its own.

`python -m pipelines.run_local REQUEST.json` is what the command line starts: TFX is imported here
and not there. What happens is written line by line to the file named by CONVNETS_EVENTS, and summed
up in ROOT/runs/RUN_ID.json.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import gc
import json
import logging
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from components import progress, tasks
from pipelines import fine_tuning, process, run_events
from pipelines.beam import Beam
from pipelines.history import finished, names
from pipelines.paths import Paths, plain
from pipelines.recipe import Recipe
from pipelines.stages import stages

# What ML Metadata says when it has tried for some seconds to write.
_OURS = ("components.", "pipelines.", "serving.")
_CONTENTION = "Concurrent writes aborted"
_WEIGHTS = "ImageNet weights, which are downloaded the first time; then TFX, some ten seconds"
RESOLVERS = ("PreviousData", "Baseline")
EVALUATORS = ("Evaluator", "Evaluator-fixed")


@dataclass
class _Run:
    """What has happened so far."""

    recipe: Recipe
    run_id: str
    beam: Beam
    stages: list[dict[str, Any]] = field(default_factory=list)
    # Output artifacts (ML Metadata protos) by stage and output type.
    artifacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    # The folders of the data, and a digest of all that the run is made from.
    folders: list[str] = field(default_factory=list)
    made_from: str | None = None
    # What the user has to know, beside what the training says.
    notes: list[str] = field(default_factory=list)
    error: str | None = None
    hopeless: bool = False


def main(request_path: str) -> int:
    """Runs what the request file asks for; returns the exit code."""
    request = json.loads(Path(request_path).read_text(encoding="utf-8"))
    recipe = Recipe.from_json(json.dumps(request["recipe"]))
    paths = Paths(plain(request["root"]))
    run = _Run(recipe, request["run_id"], Beam.from_plain(request.get("beam", {})))
    started, clock = datetime.datetime.now(), time.monotonic()
    progress.emit({"event": "stages", "stages": stages(recipe)})
    summary = None
    try:
        run.recipe = names.in_root(recipe, Path(paths.root))
        run.notes = names.note(recipe, run.recipe)
        names.check(run.recipe, Path(paths.root))
        summary = _repeated(run, paths)
        if summary is None:
            _run_stages(run, paths)
    except Exception as error:
        with contextlib.suppress(OSError):  # The log's disk may be the full one.
            traceback.print_exc()
        run.error = _message(error, run)
        run.hopeless = _is_hopeless(error)
        if not run.stages or run.stages[-1]["state"] != "failed":
            progress.emit({"event": run_events.FAILED, "error": run.error})
    repeated = summary is not None
    summary = (summary or _summary(run)) | {
        "started": started.isoformat(timespec="seconds"),
        "seconds": time.monotonic() - clock,
    }
    try:
        Path(paths.runs).mkdir(parents=True, exist_ok=True)
        Path(paths.runs, f"{run.run_id}.json").write_text(json.dumps(summary, indent=1))
        if not repeated and not run.error:
            _note(run, paths, summary)
    except OSError as error:
        # Nothing can be written to a file any more.
        return process.DISK_FULL if error.errno == errno.ENOSPC else 1
    return 1 if run.error else 0


def _repeated(run: _Run, paths: Paths) -> dict[str, Any] | None:
    """The summary, where the last run of the recipe was the same and nothing has changed since."""
    known = finished.find(paths, run.recipe, run.beam)
    if known is None:
        return None
    record = _recorder(run)
    for stage in known["stages"]:
        # A resolver computes nothing, so that there is nothing to take from the cache.
        state = "done" if stage["stage"] in RESOLVERS else "cached"
        record(stage["stage"], state)
    return known | {"run_id": run.run_id, "stages": run.stages}


def _note(run: _Run, paths: Paths, summary: dict[str, Any]) -> None:
    artifacts = {each.uri for found in run.artifacts.values() for each in found.values()}
    finished.note(paths, summary, run.made_from, run.folders, artifacts)


def _run_stages(run: _Run, paths: Paths) -> None:
    from components import imports
    from pipelines import costs

    starting = {"event": "starting"}
    progress.emit(starting | ({"text": _WEIGHTS} if fine_tuning.is_of_imagenet(run.recipe) else {}))
    last = None
    if run.recipe.strategy == "multi_worker":
        from components.train.strategy import is_chief, strategy

        # The workers have to meet before the stages ahead of the Trainer compute anything. Only
        # the chief has a model then.
        last = None if is_chief(strategy("multi_worker")) else "Trainer"
    imports.load("keras", is_run=True)
    # Before TFX is loaded, and any image read.
    costs.check(run.recipe)
    imports.load(*imports.TFX)
    from components import served
    from components.ingest.readers import reader
    from components.ingest.sources import prepare
    from components.train import balance
    from pipelines.build import create_pipeline
    from pipelines.history import recovery
    from pipelines.local_runner import LocalRunner

    # What is there by now stays: the garbage collector need not go through it again.
    gc.freeze()
    Path(paths.root).mkdir(parents=True, exist_ok=True)
    wanted = finished.sources(run.recipe)
    prepared = [prepare(each) for each in wanted]
    run.folders = [each.base for each in prepared]
    run.made_from = finished.inputs(run.recipe, run.beam, wanted, run.folders)
    fixed = prepared.pop() if run.recipe.fixed is not None else None
    source, *earlier = prepared
    folder = paths.served(run.recipe.model_name)
    if served.versions(folder):
        names.check_classes(run.recipe, folder, reader(source).labels)
    if isinstance(run.recipe.class_weights, Mapping):
        balance.check(run.recipe.for_stage("train"), reader(source).labels)
    pipeline = create_pipeline(
        run.recipe, source, paths, beam=run.beam, earlier=earlier, fixed=fixed
    )
    # The spans before the newest, too.
    ids = [component.id for component in pipeline.components]
    progress.emit({"event": "stages", "stages": ids})
    recovery.recover(paths)
    LocalRunner(_recorder(run), last).run(pipeline)


def _recorder(run: _Run) -> Callable[..., None]:
    """The function that the runner calls as stages start and end."""

    def record(stage: str, state: str, seconds: float = 0.0, artifacts=None, error=None) -> None:
        event = {"event": "stage", "stage": stage, "state": state, "seconds": seconds}
        if error is not None:
            event["error"] = _message(error, run)
        progress.emit(event)
        if state != "running":
            run.stages.append({"stage": stage, "state": state, "seconds": seconds})
            run.artifacts[stage] = artifacts or {}

    return record


def _message(error: BaseException, run: _Run) -> str:
    """`readable`, with the names of the images that it is about."""
    if not any(run.artifacts.values()):  # Nothing is stored yet.
        return readable(error)
    from components import examples

    found = (outputs.get("Examples") for outputs in run.artifacts.values())
    return examples.with_names(readable(error), [each.uri for each in found if each])


def readable(error: BaseException) -> str:
    """The innermost message that was written for a reader, without Beam's and TFX's wrappings."""
    cause = error
    while cause.__cause__ is not None:
        if cause.__class__.__module__.startswith(_OURS) or _raised_in(cause).startswith(_OURS):
            break
        cause = cause.__cause__
    text = re.sub(r"\s*\[while running .*", "", str(cause), flags=re.DOTALL).strip()
    if _CONTENTION in text:
        text = f"the metadata are locked by another program; close it and run again ({text})"
    if any(_tells_of_a_full_disk(each) for each in _causes(error)) and "free some" not in text:
        text = f"{process.FULL} ({text.splitlines()[0]})" if text else process.FULL
    return text or type(cause).__name__


def _raised_in(error: BaseException) -> str:
    """The module of the line that has raised an error."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return frames[-1].f_globals.get("__name__", "") if frames else ""


def _causes(error: BaseException) -> list[BaseException]:
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)
    return causes


def _tells_of_a_full_disk(error: BaseException) -> bool:
    return getattr(error, "errno", None) == errno.ENOSPC or any(
        words in str(error) for words in ("No space left on device", "disk is full")
    )


def _is_hopeless(error: BaseException) -> bool:
    """Whether the same would come of another try: of what is wrong with the data or the recipe."""
    from components.ingest.sources import SourceError
    from components.settings import RecipeError
    from components.validate.verdict import UnfitData

    kinds = (SourceError, RecipeError, UnfitData)
    return any(isinstance(cause, kinds) for cause in _causes(error))


def _summary(run: _Run) -> dict[str, Any]:
    from_stage = run.artifacts.get
    examples = from_stage("ImageExampleGen", {}).get("Examples")
    verdict = from_stage("ExampleValidator", {}).get("components.DataVerdict")
    transform = from_stage("Transform", {}).get("TransformGraph")
    judgement = from_stage("Judge", {}).get("components.Judgement")
    report = from_stage("Report", {}).get("components.Report")
    model = from_stage("Trainer", {}).get("Model")
    model_run = from_stage("Trainer", {}).get("ModelRun")
    trials = from_stage("Tuner", {}).get("TunerResults")
    probes = from_stage("Probe", {}).get("components.Probes")
    pushed = from_stage("Pusher", {}).get("PushedModel")
    blessed, why = _verdict(run)
    pushed = None if _is_gone(pushed) else pushed
    return {
        "run_id": run.run_id,
        "recipe": run.recipe.name,
        "served_name": run.recipe.model_name,
        "data_origin": run.recipe.data_origin,
        "size": run.recipe.size,
        "dataset": run.recipe.dataset,
        "stages": run.stages,
        "blessed": blessed,
        "why": why,
        "examples": examples.uri if examples else None,
        "data_verdict": _inside(verdict, "verdict.json"),
        "transform_graph": transform.uri if transform else None,
        "judgement": _inside(judgement, "judgement.json"),
        "report": _inside(report, "index.html"),
        "pushed": _text(pushed, "pushed_destination"),
        "version": _text(pushed, "pushed_version"),
        "model": _inside(model, "Format-Serving"),
        "model_run": model_run.uri if model_run else None,
        "tuned": _tuned(trials),
        "notes": [*run.notes, *_notes(model_run)],
        "probes": _inside(probes, "probes.json"),
        "dead_letters": _number(examples, "dead_letters"),
        "error": run.error,
        "hopeless": run.hopeless,
    }


def _tuned(artifact: Any) -> dict[str, Any] | None:
    """How many trials there were, and the values of the best."""
    if artifact is None:
        return None
    found = json.loads(Path(artifact.uri, "trials.json").read_text(encoding="utf-8"))
    (best,) = (row for row in found["rows"] if row["trial"] == found["best"])
    return {"trials": len(found["rows"]), "values": best["values"]}


def _notes(artifact: Any) -> list[str]:
    """What the training did otherwise than the recipe says."""
    path = Path(artifact.uri, "notes.json") if artifact is not None else None
    return json.loads(path.read_text(encoding="utf-8")) if path and path.is_file() else []


def _inside(artifact: Any, name: str) -> str | None:
    return f"{artifact.uri}/{name}" if artifact is not None else None


def _text(artifact: Any, key: str) -> str | None:
    if artifact is None or key not in artifact.custom_properties:
        return None
    return artifact.custom_properties[key].string_value


def _is_gone(pushed: Any) -> bool:
    """Whether a push that came from the cache is of a version that is no longer there."""
    destination = _text(pushed, "pushed_destination")
    return destination is not None and not Path(destination).exists()


def _number(artifact: Any, key: str) -> int:
    return artifact.custom_properties[key].int_value if artifact is not None else 0


def _verdict(run: _Run) -> tuple[bool | None, list[str]]:
    """Whether evaluations and canary blessed the model, and what each said."""
    evaluators = [run.artifacts[name] for name in EVALUATORS if name in run.artifacts]
    canary = run.artifacts.get("Canary", {}).get("InfraBlessing")
    if canary is None or not evaluators or not all("ModelBlessing" in each for each in evaluators):
        return None, []
    from components.evaluate.verdict import conclusion

    blessings = [canary, *(each["ModelBlessing"] for each in evaluators)]
    found = conclusion(
        [each["ModelEvaluation"].uri for each in evaluators],
        [blessing.custom_properties["blessed"].int_value == 1 for blessing in blessings],
        canary.uri,
        tasks.find(run.recipe.task),
        run.recipe.thresholds,
    )
    pushed = run.artifacts.get("Pusher", {}).get("PushedModel")
    taken_back = _text(pushed, "why")
    if _is_gone(pushed):
        taken_back = f"version {_text(pushed, 'pushed_version')} of it was taken back since"
    if taken_back:
        return False, [*found["reasons"], taken_back]
    return found["blessed"], found["reasons"]


def end(code: int) -> NoReturn:
    """Ends the process at once; TensorFlow and TFX would take seconds to end by themselves."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    end(main(sys.argv[1]))
